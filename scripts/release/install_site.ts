/**
 * What tests of install.sh share: a release on a file server, a directory to install into, and
 * programs that play others.
 *
 * @module
 */
import { fileURLToPath } from "node:url";

/** The script, where it lies. */
export const SCRIPT = fileURLToPath(new URL("../../install.sh", import.meta.url));
/** The triple of this machine. */
export const TARGET = `${Deno.build.arch}-unknown-linux-gnu`;

/** A program that says its version as `nexd version` does. */
export const program = (version: string): string =>
  `#!/bin/sh\n[ "$1" = version ] && echo ${version}\n`;

/** The SHA-256 of a text, in hexadecimal digits. */
export async function sha256(text: string): Promise<string> {
  const bytes = new TextEncoder().encode(text);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

/** Shells that are there, as argv: what /bin/sh is (Debian: dash), BusyBox' and bash's. */
export const SHELLS = [["sh"], ["busybox", "sh"], ["bash", "--posix"]].filter(([name]) =>
  exists(`/bin/${name}`) || exists(`/usr/bin/${name}`)
);

/** Whether something has this path. */
export function exists(path: string): boolean {
  try {
    return Deno.lstatSync(path) !== undefined;
  } catch {
    return false;
  }
}

/** How a run of install.sh ended, and what it said. */
export interface Ran {
  code: number;
  out: string;
  err: string;
}

/** A release on a file server of the test's own, and a directory to install into. */
export class Site implements AsyncDisposable {
  readonly dir = Deno.makeTempDirSync({ prefix: "nexd-install-" });
  readonly bin = `${this.dir}/bin`;
  /** Answers by path. */
  readonly files = new Map<string, string | (() => Response)>();
  readonly asked: string[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor() {
    this.#server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
      const { pathname } = new URL(request.url);
      this.asked.push(pathname);
      const file = this.files.get(pathname);
      if (file === undefined) return new Response("not here", { status: 404 });
      return typeof file === "string" ? new Response(file) : file();
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  async release(version: string, { at = "", sum = "" } = {}): Promise<string> {
    const text = program(version);
    this.files.set(`${at}/nexd-${TARGET}`, text);
    const other = "0".repeat(64);
    this.files.set(
      `${at}/SHA256SUMS`,
      `${other}  nexd-${TARGET}.sbom\n${sum || await sha256(text)}  nexd-${TARGET}\n`,
    );
    return text;
  }

  /** A directory for the head of PATH with programs that are `body`. */
  fakes(programs: Record<string, string>): string {
    const dir = Deno.makeTempDirSync({ dir: this.dir });
    for (const [name, body] of Object.entries(programs)) {
      Deno.writeTextFileSync(`${dir}/${name}`, `#!/bin/sh\n${body}\n`, { mode: 0o755 });
    }
    return dir;
  }

  async run(
    args: string[],
    { shell = ["sh"], path = "", env = {}, uid }: {
      shell?: string[];
      path?: string;
      env?: Record<string, string>;
      uid?: number;
    } = {},
  ): Promise<Ran> {
    const { code, stdout, stderr } = await new Deno.Command(shell[0]!, {
      args: [...shell.slice(1), SCRIPT, ...args],
      clearEnv: true,
      env: {
        PATH: `${path === "" ? "" : `${path}:`}${Deno.env.get("PATH")}`,
        HOME: this.dir,
        NO_COLOR: "1",
        ...env,
      },
      ...(uid === undefined ? {} : { uid, gid: uid }),
      stdin: "null",
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, out: text(stdout), err: text(stderr) };
  }

  install(...args: string[]): Promise<Ran> {
    return this.run(["--from", this.url, "--prefix", this.bin, ...args]);
  }

  /** What lies in the directory, hidden files among it. */
  left(): string[] {
    return exists(this.bin) ? [...Deno.readDirSync(this.bin)].map(({ name }) => name) : [];
  }

  installed(): string {
    return Deno.readTextFileSync(`${this.bin}/nexd`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
    Deno.removeSync(this.dir, { recursive: true });
  }
}
