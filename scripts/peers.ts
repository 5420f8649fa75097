/**
 * `deno task peers`: builds the programs of others that tests and benchmarks measure ours with. The
 * reference relay and its prober come from the Go module proxy at the version named below; the load
 * generator is tests/interop/derpload, on the reference client.
 *
 * They stay in a cache directory of the user, so that only the first run takes time. With `--env`
 * it prints what a shell sets for the tests: `eval "$(deno task --quiet peers --env)"`.
 *
 * @module
 */
import { fileURLToPath } from "node:url";

/** The version of the reference implementation that everything is compared with. */
export const REFERENCE_VERSION = "v1.98.10";

/** Where the built programs are. */
export interface Peers {
  derper: string;
  derpprobe: string;
  derpload: string;
}

/** The variables that point tests at them. */
export const PEER_VARIABLES: Readonly<Record<keyof Peers, string>> = {
  derper: "NEXD_TEST_DERPER",
  derpprobe: "NEXD_TEST_DERPPROBE",
  derpload: "NEXD_TEST_DERPLOAD",
};

/** They cannot be built here; the message says why. */
export class PeersError extends Error {
  override readonly name = "PeersError";
  readonly exitCode = 1;
}

/** How to build. */
export interface PeersOptions {
  /** Told about everything that takes time. */
  say?: (line: string) => void;
  /** Longest time for all of it, in ms. Default 10 minutes: a first build fetches about 100 modules. */
  timeoutMs?: number;
}

const SOURCE = fileURLToPath(new URL("../tests/interop/derpload/", import.meta.url));
const TOOLS = ["derper", "derpprobe"] as const;
const GO_PLACES = ["/usr/local/go/bin/go", "/usr/lib/go/bin/go"];

const decoder = new TextDecoder();

/**
 * The peers, built now where they are not there yet. A variable that names one (see
 * {@linkcode PEER_VARIABLES}) is believed.
 *
 * @throws {PeersError} without Go, when the module proxy cannot be reached, or when time is over
 */
export async function buildPeers(options: PeersOptions = {}): Promise<Peers> {
  const { say = () => {}, timeoutMs = 600_000 } = options;
  const given = givenPeers();
  const wanted = (Object.keys(PEER_VARIABLES) as (keyof Peers)[]).filter((name) => !given[name]);
  if (wanted.length === 0) return given as Peers;

  const deadline = AbortSignal.timeout(timeoutMs);
  const go = await findGo(deadline);
  const directory = `${cacheDirectory()}/${await fingerprint(go.version)}`;
  await Deno.mkdir(directory, { recursive: true });
  const made = Object.fromEntries(wanted.map((name) => [name, `${directory}/${name}`]));
  const missing = wanted.filter((name) => !exists(made[name]!));
  if (missing.length > 0) {
    say(`building ${missing.join(", ")} with ${go.version} (once; into ${directory})`);
  }
  const started = performance.now();
  for (const name of missing) {
    // Built beside its place and moved there, so that a build that was cut off leaves nothing.
    const scratch = await Deno.makeTempDir({ dir: directory, prefix: ".build-" });
    try {
      await build(go.path, name, scratch, deadline);
      await Deno.rename(`${scratch}/${name}`, made[name]!);
    } finally {
      await Deno.remove(scratch, { recursive: true });
    }
  }
  if (missing.length > 0) say(`built in ${Math.round((performance.now() - started) / 1000)} s`);
  return { ...made, ...given } as Peers;
}

function givenPeers(): Partial<Peers> {
  const found: Partial<Peers> = {};
  for (const [name, variable] of Object.entries(PEER_VARIABLES)) {
    const path = Deno.env.get(variable);
    if (path !== undefined && path !== "") found[name as keyof Peers] = path;
  }
  return found;
}

function cacheDirectory(): string {
  const base = Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME") ?? "/root"}/.cache`;
  return `${base}/nexd/peers`;
}

async function findGo(signal: AbortSignal): Promise<{ path: string; version: string }> {
  for (const path of ["go", ...GO_PLACES]) {
    try {
      const { success, stdout } = await new Deno.Command(path, {
        args: ["env", "GOVERSION"],
        signal,
      }).output();
      if (success) return { path, version: decoder.decode(stdout).trim() };
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  throw new PeersError(
    "Cannot build the reference relay: there is no Go here; install Go 1.21 or newer",
  );
}

/** Names what is built: another version, compiler or source is another directory. */
async function fingerprint(goVersion: string): Promise<string> {
  const names = [...Deno.readDirSync(SOURCE)].map((entry) => entry.name).sort();
  const texts = names.map((name) => Deno.readTextFileSync(SOURCE + name));
  const text = JSON.stringify([REFERENCE_VERSION, goVersion, ...names, ...texts]);
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return new Uint8Array(hash).toHex().slice(0, 16);
}

async function build(
  go: string,
  name: keyof Peers,
  into: string,
  signal: AbortSignal,
): Promise<void> {
  const tool = TOOLS.find((tool) => tool === name);
  const args = tool === undefined
    ? ["build", "-buildvcs=false", "-o", `${into}/${name}`, "."]
    : ["install", `tailscale.com/cmd/${tool}@${REFERENCE_VERSION}`];
  const { success, stderr } = await new Deno.Command(go, {
    args,
    cwd: SOURCE,
    env: { ...(tool !== undefined && { GOBIN: into }), CGO_ENABLED: "0" },
    signal,
    stdout: "null",
  }).output();
  if (success) return;
  if (signal.aborted) throw new PeersError(`Cannot build ${name}: it took too long`);
  const said = decoder.decode(stderr).trim().split("\n").slice(-3).join("; ");
  throw new PeersError(`Cannot build ${name}: go says: ${said}`);
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

async function main(args: string[]): Promise<number> {
  const out = (line: string) => void Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
  const say = (line: string) => void Deno.stderr.writeSync(new TextEncoder().encode(line + "\n"));
  const unknown = args.find((arg) => arg !== "--env");
  if (unknown !== undefined) {
    say(`peers: unknown argument ${unknown}: give --env or nothing`);
    return 2;
  }
  try {
    const peers = await buildPeers({ say: (line) => say(`peers: ${line}`) });
    for (const [name, path] of Object.entries(peers)) {
      const variable = PEER_VARIABLES[name as keyof Peers];
      out(args.includes("--env") ? `export ${variable}='${path}'` : `${name.padEnd(9)}  ${path}`);
    }
    return 0;
  } catch (error) {
    if (!(error instanceof PeersError)) throw error;
    say(`peers: ${error.message}`);
    return error.exitCode;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
