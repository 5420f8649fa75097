/** Builds of the executable for its tests, and a system that has nothing but it. */
import { fileURLToPath } from "node:url";
import { cannotLab, skip } from "../scripts/lab/support.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
/** What the builds of these tests tell as their commit, however the clone stands. */
export const COMMIT = "0123456789abcdef0123456789abcdef01234567";

/** True, after a skip line, where an executable that unpacks itself cannot be built. */
export function cannotBuild(): boolean {
  if (Deno.build.os === "linux") return false;
  skip("an executable that unpacks itself is for Linux");
  return true;
}

/** A directory that goes at the end. */
export async function temporary(): Promise<AsyncDisposable & { path: string }> {
  const path = await Deno.makeTempDir({ prefix: "nexd-executable-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

/** Runs a program in an empty environment apart from `env`; throws when it ends with another status. */
export async function run(
  [command, ...args]: string[],
  env: Record<string, string> = {},
  status = 0,
): Promise<{ stdout: string; stderr: string }> {
  const output = await new Deno.Command(command!, { args, env, clearEnv: true }).output();
  const [stdout, stderr] = [output.stdout, output.stderr].map((b) => new TextDecoder().decode(b));
  if (output.code === status) return { stdout: stdout!, stderr: stderr! };
  throw new Error(`${command} ${args.join(" ")} ended with ${output.code}: ${stdout}${stderr}`);
}

/** Builds the clone's executable at `path`. */
export async function make(clone: string, path: string): Promise<void> {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", `${clone}scripts/compile/mod.ts`, "--kind", "unpacking", "-o", path],
    env: { NEXD_COMMIT: COMMIT },
  }).output();
  if (code !== 0) throw new Error(`Cannot build: ${new TextDecoder().decode(stderr)}`);
}

let made: Promise<string> | undefined;

/** The executable, built once for all tests of a process, which removes it at its end. */
export function executable(): Promise<string> {
  return made ??= (async () => {
    const dir = await Deno.makeTempDir({ prefix: "nexd-executable-" });
    await Deno.chmod(dir, 0o755);
    globalThis.addEventListener("unload", () => Deno.removeSync(dir, { recursive: true }));
    await make(ROOT, `${dir}/nexd`);
    return `${dir}/nexd`;
  })();
}

/** Copies what the program is made of; returns the copy's path with a slash at its end. */
export async function copyOfClone(path: string): Promise<string> {
  await Deno.mkdir(path, { recursive: true });
  const kept = [...Deno.readDirSync(ROOT)].map(({ name }) => name)
    .filter((name) => ![".git", "dist", "node_modules", "nexd"].includes(name));
  await run(["cp", "-r", ...kept.map((name) => `${ROOT}${name}`), path]);
  return `${path}/`;
}

/** Programs of a bare system. */
const PROGRAMS =
  "sh ls id tail head gzip sha256sum mktemp chmod mkdir mv rm rmdir find sync grep readlink env";

/** Makes a directory the root of a bare system: a shell, a few programs, their libraries and Deno's. */
export async function layRoot(root: string): Promise<void> {
  await Deno.chmod(root, 0o755);
  const { stdout } = await run(["sh", "-c", `for p in ${PROGRAMS}; do command -v $p; done`], {
    PATH: "/usr/bin:/bin",
  });
  const programs = stdout.trim().split("\n");
  const needs = await run(["ldd", ...programs, Deno.execPath()]);
  const libraries = new Set(needs.stdout.match(/\/\S+\.so\S*(?= \(0x)/g));
  for (const dir of ["usr/bin", "usr/lib", "tmp", "proc", "run/nexd", "dev", "etc"]) {
    await Deno.mkdir(`${root}/${dir}`, { recursive: true });
  }
  await Deno.symlink("usr/bin", `${root}/bin`);
  for (const path of programs) await copy(path, `${root}/usr/bin/${path.split("/").at(-1)}`);
  for (const path of libraries) await copy(path, `${root}${path}`);
}

/** How a program is started in a {@linkcode Sandbox}. */
export interface Inside {
  /** User and group; root when left out. */
  user?: number;
  /** Nothing but /run/nexd, which is in memory, can be written to. */
  readOnly?: boolean;
  /** And from there no program can be started. */
  noexec?: boolean;
}

/**
 * A root directory with a shell, a few programs, their libraries and /nexd; no Deno, no Node. What runs
 * in it has an empty environment and no network but the loopback.
 */
export class Sandbox implements AsyncDisposable {
  private constructor(readonly root: string) {}

  /** Undefined, after a skip line, where it cannot be had. */
  static async make(): Promise<Sandbox | undefined> {
    if (cannotBuild() || await cannotLab()) return undefined;
    const root = await Deno.makeTempDir({ prefix: "nexd-system-" });
    await layRoot(root);
    await copy(await executable(), `${root}/nexd`);
    return new Sandbox(root);
  }

  /** Runs to the end, as root; returns what it printed. */
  async run(argv: string[]): Promise<string> {
    return (await run(this.#argv(argv, {}))).stdout;
  }

  /** Starts a program, and ends it when it has printed a line like `said`; returns all it printed. */
  async until(argv: string[], said: RegExp, how: Inside = {}): Promise<string> {
    const [command, ...args] = this.#argv(argv, how);
    const child = new Deno.Command(command!, {
      args,
      clearEnv: true,
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    let text = "";
    const late = setTimeout(() => child.kill("SIGKILL"), 30_000);
    await Promise.all([child.stdout, child.stderr].map(async (stream) => {
      for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
        const seen = said.test(text);
        text += chunk;
        if (!seen && said.test(text)) child.kill("SIGTERM");
      }
    }));
    await child.status;
    clearTimeout(late);
    if (!said.test(text)) throw new Error(`${argv.join(" ")} did not say ${said}: ${text}`);
    return text;
  }

  #argv(argv: string[], { user = 0, readOnly = false, noexec = false }: Inside): string[] {
    const script = `set -e
root=$1; shift
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
# One by one: where devices are bind mounts, a bind of /dev has plain files that nobody may open.
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
  [ -e "/dev/$device" ] || continue
  : >"$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mount -t tmpfs -o mode=700,uid=${user},gid=${user}${noexec ? ",noexec" : ""} tmpfs "$root/run/nexd"
${readOnly ? 'mount -o remount,bind,ro "$root"' : ""}
ip link set lo up
exec chroot --userspec=${user}:${user} "$root" /bin/sh -c 'cd /; unset PATH PWD OLDPWD
${readOnly ? "export RUNTIME_DIRECTORY=/run/nexd" : ""}
exec "$@"' sh "$@"`;
    return [
      ...["unshare", "--mount", "--net", "sh", "-c"],
      ...[`PATH=/usr/sbin:/usr/bin:/sbin:/bin; ${script}`, "sh", this.root, ...argv],
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.root, { recursive: true });
  }
}

async function copy(from: string, to: string): Promise<void> {
  await Deno.mkdir(to.slice(0, to.lastIndexOf("/")), { recursive: true });
  await Deno.copyFile(from, to);
}
