import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { encodeBindingRequest, newTransactionId } from "../../../relay/stun/mod.ts";
import { startStunServer } from "../../../relay/stun/server.ts";
import { LINUX, type LinuxSockets, linuxSockets } from "../../platform/mod.ts";
import { until } from "../../testing/wait.ts";
import { askRound } from "../round.ts";
import { Resolver } from "../resolve.ts";
import { openRawPort, RawRefusal, type StunPort } from "./mod.ts";
import { underLoad } from "../../../scripts/lab/support.ts";

/** Opens raw sockets, or says why they cannot be had here. */
function open(port: number): StunPort | undefined {
  try {
    return openRawPort({ port });
  } catch (error) {
    // deno-lint-ignore no-console
    console.log(`skip: ${(error as Error).message}`);
    return undefined;
  }
}

/** A program that holds a UDP port, with or without IPv6, and what it has been sent. */
class Owner implements AsyncDisposable {
  readonly port: number;
  received = 0;
  readonly #socket: Deno.DatagramConn;
  readonly #ended: Promise<void>;

  constructor() {
    const socket = Deno.listenDatagram({ transport: "udp", hostname: "0.0.0.0", port: 0 });
    this.#socket = socket;
    this.port = (socket.addr as Deno.NetAddr).port;
    this.#ended = (async () => {
      for await (const _ of socket) this.received++;
    })();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await this.#ended;
  }
}

const round = (port: StunPort, servers: string[], timeoutMs = 3_000, signal?: AbortSignal) =>
  askRound(port, {
    servers,
    timeoutMs,
    resolver: new Resolver(),
    ...(signal === undefined ? {} : { signal }),
  });

Deno.test("a raw socket asks from a port that another program holds, over both IP versions", async () => {
  await using owner = new Owner();
  const port = open(owner.port);
  if (port === undefined) return;
  await using one = await startStunServer({ hostname: "127.0.0.1", port: 0 });
  await using two = await startStunServer({ hostname: "127.0.0.1", port: 0 });
  const servers = [`127.0.0.1:${one.port}`, `127.0.0.1:${two.port}`];
  const six = await startStunServer({ hostname: "::1", port: 0 }).catch(() => undefined);
  if (six !== undefined) servers.push(`[::1]:${six.port}`);
  try {
    for (let n = 0; n < 3; n++) {
      const { verdicts, errors } = await round(port, servers);
      assert.deepEqual(errors, []);
      assert.deepEqual(verdicts[4], { address: `127.0.0.1:${owner.port}`, symmetric: false });
      if (six !== undefined) assert.deepEqual(verdicts[6], { address: `[::1]:${owner.port}` });
    }
    await until(() => owner.received >= 6, "the owner sees the answers as well");
  } finally {
    await port.close();
    await six?.close();
  }
});

Deno.test("a raw socket finds its answer while the port is flooded with other packets", async () => {
  await using owner = new Owner();
  const port = open(owner.port);
  if (port === undefined) return;
  await using server = await startStunServer({ hostname: "127.0.0.1", port: 0 });
  const flood = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const stop = new AbortController();
  const flooding = (async () => {
    const packet = new Uint8Array(1200);
    packet[0] = 4; // as WireGuard's data
    const to = { transport: "udp", hostname: "127.0.0.1", port: owner.port } as const;
    while (!stop.signal.aborted) {
      for (let n = 0; n < 64; n++) await flood.send(packet, to);
      await new Promise((resolve) => setTimeout(resolve));
    }
  })();
  try {
    for (let n = 0; n < 5; n++) {
      const { servers } = await round(port, [`127.0.0.1:${server.port}`]);
      assert.equal(servers[0]!.seen, `127.0.0.1:${owner.port}`);
    }
    assert(owner.received > 100);
  } finally {
    stop.abort();
    await flooding;
    flood.close();
    await port.close();
  }
});

Deno.test("a raw socket ends at once while it waits, and holds no thread between rounds", async () => {
  await using owner = new Owner();
  const port = open(owner.port);
  if (port === undefined) return;
  await using silent = new Owner();
  const stop = new AbortController();
  const asking = round(port, [`127.0.0.1:${silent.port}`], 60_000, stop.signal);
  let turns = 0;
  const turning = setInterval(() => turns++, 1);
  await new Promise((resolve) => setTimeout(resolve, 100));
  clearInterval(turning);
  assert(turns > 20, `the event loop made ${turns} turns`);
  const began = performance.now();
  stop.abort();
  const { servers } = await asking;
  assert(performance.now() - began < underLoad(200));
  assert.equal(servers[0]!.error, "no answer");
  await port.close();
  await port.close();
});

Deno.test("a raw socket is refused with a reason where the process may not have one", async () => {
  const real = linuxSockets();
  if (real === undefined) {
    // deno-lint-ignore no-console
    return console.log("skip: no FFI here");
  }
  const without = { ...real, socket: () => -1, errno: () => LINUX.EPERM } as LinuxSockets;
  assert.throws(() => openRawPort({ port: 1, calls: without }), (error) => {
    assert(error instanceof RawRefusal);
    assert.match(error.message, /CAP_NET_RAW is needed.*not permitted/);
    return true;
  });
  assert.throws(() => openRawPort({ port: 1, calls: undefined }), /--allow-ffi|not possible on/);
  // One IP version is enough.
  const four = {
    ...real,
    socket: (domain: number, type: number, protocol: number) =>
      domain === LINUX.AF_INET6 ? -1 : real.socket(domain, type, protocol),
    errno: () => LINUX.EAFNOSUPPORT,
  } as LinuxSockets;
  let port: StunPort;
  try {
    port = openRawPort({ port: 1, calls: four });
  } catch {
    // deno-lint-ignore no-console
    return console.log("skip: no raw socket here");
  }
  assert.deepEqual([port.families, port.refused], [[4], { 6: "address family not supported" }]);
  assert.throws(
    () => port.send(6, encodeBindingRequest(newTransactionId()), "::1", 1),
    /address family not supported/,
  );
  await port.close();
});

Deno.test("a process without CAP_NET_RAW is told so", async () => {
  const drop = ["--bounding-set=-net_raw", "--inh-caps=-net_raw"];
  const script = `import { openRawPort } from ${JSON.stringify(import.meta.resolve("./mod.ts"))};
    try { await openRawPort({ port: 1 }).close(); console.log("opened"); }
    catch (error) { console.log(error.message); }`;
  const config = fileURLToPath(new URL("../../../deno.json", import.meta.url));
  const output = await new Deno.Command("setpriv", {
    args: [...drop, Deno.execPath(), "run", "-A", "--config", config, "-"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
  }).spawn();
  const writer = output.stdin.getWriter();
  await writer.write(new TextEncoder().encode(script)).then(() => writer.close()).catch(() => {});
  const { code, stdout, stderr } = await output.output();
  const said = new TextDecoder().decode(stdout).trim();
  if (code !== 0) {
    // deno-lint-ignore no-console
    return console.log(`skip: ${new TextDecoder().decode(stderr).trim().split("\n")[0]}`);
  }
  assert.match(said, /CAP_NET_RAW is needed.*not permitted/);
});
