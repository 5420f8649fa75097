/**
 * A PostgreSQL server of a test's own: in a directory of its own, on a unix socket, without waiting
 * for the disk, and gone with the test.
 *
 * @module
 */

import { labRoot } from "./dirs.ts";
import { LabError } from "./errors.ts";

/** Where Debian keeps the programs of each version. */
const DEBIAN = "/usr/lib/postgresql";
/** Longest start, in ms. */
const START_MS = 30_000;
const USER = "nexd";

/** A server that runs. */
export interface Postgres {
  /** `postgres://` URL of its database `postgres`, as a user that may do everything. */
  readonly url: string;
  /** Ends it as a crash would, without a goodbye to anybody. */
  kill(): Promise<void>;
  /** Starts it again on what it had. */
  start(): Promise<void>;
  /** Ends it and removes what it had. */
  stop(): Promise<void>;
}

/** The directory with the server's programs, the newest version's; undefined where there is none. */
export function findPostgres(): string | undefined {
  const installed = (() => {
    try {
      return [...Deno.readDirSync(DEBIAN)].map(({ name }) => name)
        .sort((a, b) => Number(b) - Number(a)).map((version) => `${DEBIAN}/${version}/bin`);
    } catch {
      return [];
    }
  })();
  const path = (Deno.env.get("PATH") ?? "").split(":").filter((dir) => dir.startsWith("/"));
  return [...installed, ...path].find((dir) => {
    try {
      return Deno.statSync(`${dir}/initdb`).isFile && Deno.statSync(`${dir}/postgres`).isFile;
    } catch {
      return false;
    }
  });
}

/**
 * Makes and starts a server. Throws a {@linkcode LabError} with the reason where that cannot be.
 *
 * @param settings of `postgresql.conf`, where they shall differ from those for tests
 */
export async function startPostgres(settings: Record<string, string> = {}): Promise<Postgres> {
  const programs = findPostgres();
  if (programs === undefined) throw new LabError("no PostgreSQL server (initdb, postgres) here");
  const dir = await Deno.makeTempDir({ dir: labRoot(), prefix: "nexd-postgres-" });
  const server = new Server(programs, dir, settings);
  try {
    await server.make();
    await server.start();
    return server;
  } catch (error) {
    await server.stop();
    throw error;
  }
}

class Server implements Postgres {
  readonly url: string;
  readonly #programs: string;
  readonly #dir: string;
  readonly #settings: Record<string, string>;
  #child: Deno.ChildProcess | undefined;

  constructor(programs: string, dir: string, settings: Record<string, string>) {
    this.#settings = settings;
    this.#programs = programs;
    this.#dir = dir;
    this.url = `postgres://${USER}@/postgres?host=${encodeURIComponent(dir)}`;
  }

  async make(): Promise<void> {
    const { success, stderr } = await this.#command("initdb", [
      ...["-D", `${this.#dir}/data`, "-U", USER, "-A", "trust", "-E", "UTF8"],
      ...["--no-locale", "--no-sync"],
    ]).output();
    if (!success) throw new LabError(`initdb failed: ${new TextDecoder().decode(stderr).trim()}`);
  }

  async start(): Promise<void> {
    const settings = {
      listen_addresses: "",
      unix_socket_directories: this.#dir,
      fsync: "off",
      max_connections: "200",
      shared_buffers: "32MB",
      lc_messages: "C",
      ...this.#settings,
    };
    const child = this.#command("postgres", [
      "-D",
      `${this.#dir}/data`,
      ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
    ]).spawn();
    this.#child = child;
    const said = await readyLine(child.stderr);
    if (said !== undefined) throw new LabError(`postgres did not start: ${said}`);
  }

  async kill(): Promise<void> {
    await this.#end("SIGQUIT");
  }

  async stop(): Promise<void> {
    await this.#end("SIGQUIT");
    await Deno.remove(this.#dir, { recursive: true }).catch(() => {});
  }

  async #end(signal: Deno.Signal): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    try {
      child?.kill(signal);
    } catch {
      // It has ended by itself.
    }
    await child?.status;
  }

  /** The server refuses to be root; in a user namespace it takes itself for somebody else. */
  #command(program: string, args: string[]): Deno.Command {
    const argv = [`${this.#programs}/${program}`, ...args];
    const death = ["setpriv", "--pdeathsig", "QUIT"];
    const nobody = ["unshare", "--user", "--map-user=65534", "--map-group=65534"];
    const all = [...(Deno.uid() === 0 ? nobody : []), ...death, ...argv];
    return new Deno.Command(all[0]!, {
      args: all.slice(1),
      stdin: "null",
      stdout: "null",
      stderr: "piped",
      env: { LC_ALL: "C", TZ: "UTC" },
    });
  }
}

/** Reads a log until the server is ready: undefined; or the log, when it ends before. */
async function readyLine(log: ReadableStream<Uint8Array>): Promise<string | undefined> {
  const reader = log.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const timer = setTimeout(() => reader.cancel().catch(() => {}), START_MS);
  try {
    while (!text.includes("ready to accept connections")) {
      const { done, value } = await reader.read();
      if (done) return text.trim() || "it said nothing";
      text += value;
    }
  } finally {
    clearTimeout(timer);
  }
  // Read on, so that the server never waits for a reader of its log.
  (async () => {
    while (!(await reader.read()).done);
  })().catch(() => {});
  return undefined;
}
