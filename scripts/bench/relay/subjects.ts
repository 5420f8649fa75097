/**
 * The relays under measurement, each as a process on a loopback port with the same certificate.
 *
 * @module
 */

import { ensureSelfSigned } from "../../../relay/cert/mod.ts";
import { environmentWithoutNexd } from "../../environment.ts";
import { taskArguments } from "../../mesh/mod.ts";

/** Longest start, in ms: the first one of ours compiles. */
const START_MS = 20_000;
/** Longest end before it is killed, in ms. */
const END_MS = 5_000;

/** A relay that runs. */
export interface Subject extends AsyncDisposable {
  readonly name: "ours" | "derper";
  /** `https://localhost:PORT/derp` */
  readonly url: string;
  /** PEM file that its certificate is trusted by. */
  readonly ca: string;
  readonly pid: number;
  /** All of its processes: the one started and what it started. */
  pids(): number[];
}

/**
 * Our relay as `deno task relay` runs it.
 *
 * @param directory for its key and certificate
 * @param workers processes that share the port
 * @param args further flags
 */
export async function startOurs(
  directory: string,
  workers = 1,
  args: string[] = [],
): Promise<Subject> {
  const { ca, certdir } = await certificateIn(directory);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...taskArguments("relay"),
      ...["--addr", "127.0.0.1:0", "--hostname", "localhost", "--certmode", "selfsigned"],
      ...["--certdir", certdir, "-c", `${directory}/ours.key`, "--http-port", "-1", "--stun=false"],
      ...["--workers", String(workers), "--run-dir", `${directory}/run`, ...args, "--json"],
    ],
    clearEnv: true,
    env: environmentWithoutNexd(),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const line = await firstLine(child, child.stdout, /"listening"/, "our relay");
  void child.stderr.pipeTo(new WritableStream()).catch(() => {});
  const port = JSON.parse(line).listening.split(":").at(-1);
  return subject("ours", child, port, ca);
}

/** The reference relay. */
export async function startDerper(directory: string, program: string): Promise<Subject> {
  const { ca, certdir } = await certificateIn(directory);
  const port = freePort();
  const child = new Deno.Command(program, {
    args: [
      ...["-a", `127.0.0.1:${port}`, "-hostname", "localhost", "-certmode", "manual"],
      ...["-certdir", certdir, "-c", `${directory}/derper.json`, "-http-port", "-1"],
      "-stun=false",
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  await firstLine(child, child.stderr, /serving on .* with TLS/, "derper");
  void child.stdout.pipeTo(new WritableStream()).catch(() => {});
  return subject("derper", child, port, ca);
}

async function certificateIn(directory: string): Promise<{ ca: string; certdir: string }> {
  const certdir = `${directory}/certs`;
  const { caPath } = await ensureSelfSigned(certdir, ["localhost"]);
  return { ca: caPath, certdir };
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}

function subject(
  name: Subject["name"],
  child: Deno.ChildProcess,
  port: number | string,
  ca: string,
): Subject {
  return {
    name,
    url: `https://localhost:${port}/derp`,
    ca,
    pid: child.pid,
    pids: () => [child.pid, ...descendants(child.pid)],
    async [Symbol.asyncDispose]() {
      const kill = (signal: Deno.Signal) => {
        try {
          child.kill(signal);
        } catch {
          // It has ended.
        }
      };
      kill("SIGTERM");
      const timer = setTimeout(() => kill("SIGKILL"), END_MS);
      await child.status;
      clearTimeout(timer);
    },
  };
}

function descendants(pid: number): number[] {
  const found: number[] = [];
  try {
    for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
      const text = Deno.readTextFileSync(`/proc/${pid}/task/${name}/children`);
      for (const child of text.split(" ").filter(Boolean).map(Number)) {
        found.push(child, ...descendants(child));
      }
    }
  } catch {
    // It ends just now.
  }
  return found;
}

/** The first line of a stream that matches; what follows is read and dropped. */
async function firstLine(
  child: Deno.ChildProcess,
  stream: ReadableStream<Uint8Array>,
  pattern: RegExp,
  what: string,
): Promise<string> {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  const timer = setTimeout(() => child.kill("SIGKILL"), START_MS);
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) {
      clearTimeout(timer);
      const said = stream === child.stdout ? await new Response(child.stderr).text() : text;
      throw new Error(`Cannot start ${what}: it says: ${said.trim().slice(-500)}`);
    }
    text += value;
    const line = text.split("\n").slice(0, -1).find((line) => pattern.test(line));
    if (line === undefined) continue;
    clearTimeout(timer);
    void (async () => {
      while (!(await reader.read()).done);
    })().catch(() => {});
    return line;
  }
}
