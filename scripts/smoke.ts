/**
 * `deno task smoke`: whether the program works on this system at all. It shows its help, runs a relay
 * that answers over TLS and STUN, lets the agent look at the network through it, and, with `--driver`
 * (as root or administrator), opens a WireGuard interface and removes it again. It runs on every system
 * that nexd knows, and is what the workflows run on macOS and Windows.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { generatePrivateKey, publicKeyOf } from "../relay/derp/mod.ts";
import { openDevice } from "../agent/wireguard/mod.ts";

/** Longest wait for the relay, and for a command, in ms. */
const WAIT_MS = 60_000;
/** Time between two looks at whether the relay answers, in ms. */
const LOOK_MS = 100;

const HELP = `Shows whether nexd works on this system.

Usage: deno task smoke [--executable FILE] [--driver]

  --executable FILE   try that program instead of the source
  --driver            open a WireGuard interface, too; needs root or an administrator
`;

const say = (text: string) => void Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));

/** Runs the program to its end and returns what it printed. */
async function run(program: string[], args: string[], codes = [0]): Promise<string> {
  const child = new Deno.Command(program[0]!, {
    args: [...program.slice(1), ...args],
    env: { NO_COLOR: "1" },
    stdin: "null",
    signal: AbortSignal.timeout(WAIT_MS),
  });
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (!codes.includes(code)) {
    throw new Error(`nexd ${args[0]} ended with ${code}: ${text(stderr)}${text(stdout)}`);
  }
  return text(stdout);
}

function freeTcp(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

function freeUdp(): number {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const { port } = socket.addr as Deno.NetAddr;
  socket.close();
  return port;
}

/** A relay that answers, seen by a client that trusts its CA, and by the agent's netcheck. */
async function relayAnswers(program: string[]): Promise<void> {
  const dir = Deno.makeTempDirSync({ prefix: "nexd-smoke-" });
  const [port, stun] = [freeTcp(), freeUdp()];
  const relay = new Deno.Command(program[0]!, {
    args: [
      ...program.slice(1),
      "relayderp",
      ...["--hostname", "127.0.0.1", "--addr", `127.0.0.1:${port}`, "--stun-port", `${stun}`],
      ...["--certmode", "selfsigned", "--certdir", dir, "-c", `${dir}/derper.key`],
      ...["--http-port", "-1", "--workers", "1"],
    ],
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
  }).spawn();
  let ended = false;
  relay.status.then(() => ended = true);
  try {
    const began = performance.now();
    while (!await answers(`https://127.0.0.1:${port}/derp/probe`, `${dir}/ca.crt`)) {
      if (ended || performance.now() - began > WAIT_MS) {
        throw new Error("the relay does not answer");
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    say(`relay answers after ${Math.round(performance.now() - began)} ms`);
    // Findings end netcheck with 1: a runner's network need not be a good one.
    const found = await run(program, [
      "netcheck",
      "--json",
      ...["--stun-server", `127.0.0.1:${stun}`, "--stun-server", `localhost:${stun}`],
      ...["--public-relay", `127.0.0.1:${port}`, "--relay-ca", `${dir}/ca.crt`],
    ], [0, 1]);
    const lines = found.trim().split("\n").map((line) => JSON.parse(line) as unknown);
    if (lines.length === 0) throw new Error("netcheck printed nothing");
    say(`netcheck prints ${lines.length} objects: ${found.slice(0, 400).trim()}`);
  } finally {
    if (!ended) relay.kill(Deno.build.os === "windows" ? "SIGKILL" : "SIGTERM");
    await relay.status;
    Deno.removeSync(dir, { recursive: true });
  }
}

async function answers(url: string, ca: string): Promise<boolean> {
  try {
    using client = Deno.createHttpClient({ caCerts: [Deno.readTextFileSync(ca)] });
    const response = await fetch(url, { client, signal: AbortSignal.timeout(2_000) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false; // not yet
  }
}

/** An interface with one peer, opened and removed by the driver of this system. */
async function driverWorks(): Promise<void> {
  const device = await openDevice({
    name: "nexdsmoke",
    privateKey: generatePrivateKey(),
    listenPort: 0,
    addresses: ["100.127.250.1/32"],
    mtu: 1420,
    ...(Deno.build.os === "windows" ? {} : { driver: "wireguard-go" as const }),
  });
  try {
    const publicKey = publicKeyOf(generatePrivateKey()).toBase64();
    const allowedIps = ["100.127.250.2/32"];
    await device.setPeers([{
      publicKey,
      allowedIps,
      endpoint: "127.0.0.1:9",
      keepaliveSeconds: 25,
    }]);
    const [peer, ...more] = await device.stats();
    if (peer?.publicKey !== publicKey || more.length > 0) {
      throw new Error(`the interface ${device.name} has not the one peer that it was given`);
    }
    const own = Deno.networkInterfaces().filter(({ address }) => address === "100.127.250.1");
    if (own.length !== 1) throw new Error(`the interface ${device.name} has not its address`);
    say(`${device.driver} drives ${device.name} on UDP port ${device.listenPort}`);
  } finally {
    await device.close();
  }
  const left = Deno.networkInterfaces().filter(({ address }) => address === "100.127.250.1");
  if (left.length > 0) throw new Error(`the interface ${device.name} is still there`);
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      executable: { type: "string" },
      driver: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) say(HELP.trimEnd());
  else {
    const main = new URL("../main.ts", import.meta.url).href;
    const program = values.executable === undefined
      ? [Deno.execPath(), "run", "-A", "--no-prompt", main]
      : [values.executable];
    const help = await run(program, ["--help"]);
    if (!help.includes("Usage: nexd")) throw new Error(`--help printed: ${help}`);
    say(`nexd ${(await run(program, ["version"])).trim()} on ${Deno.build.target}`);
    await relayAnswers(program);
    if (values.driver) await driverWorks();
  }
}
