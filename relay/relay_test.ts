import assert from "node:assert/strict";
import {
  encodePing,
  encodeSendPacket,
  FrameType,
  publicKeyOf,
  upgradeRequest,
} from "./derp/mod.ts";
import { loadServerKey } from "./key_file.ts";
import { RelayError, runRelay, startRelay } from "./mod.ts";
import { TestRelay } from "./testing.ts";

const context = (signal: AbortSignal, json = true) => {
  const lines: string[] = [];
  return {
    lines,
    context: {
      json,
      print: (line: string) => lines.push(line),
      signal,
      version: "t",
    },
  };
};

/** What a command fails with. */
async function failure(
  run: () => Promise<unknown>,
): Promise<{ exitCode: number; message: string }> {
  try {
    await run();
  } catch (error) {
    return error as { exitCode: number; message: string };
  }
  throw new Error("it did not fail");
}

function isOneSentence(error: { exitCode: number; message: string }, pattern: RegExp): void {
  assert.match(error.message, pattern);
  assert(!error.message.includes("\n"));
  assert(error.exitCode > 0);
}

Deno.test("a relay forwards between clients over TLS and counts it", async () => {
  await using setup = await TestRelay.start({ stunPort: 0, httpPort: 0 });
  const [a, b] = [await setup.client(), await setup.client()];
  const packet = new Uint8Array(1400).fill(7);
  for (let i = 0; i < 50; i++) await a.send(encodeSendPacket(b.publicKey, packet));
  for (let i = 0; i < 50; i++) {
    const payload = await b.expect(FrameType.RecvPacket);
    assert.deepEqual(payload.subarray(0, 32), a.publicKey);
    assert.deepEqual(payload.subarray(32), packet);
  }
  const metrics = setup.relay.metrics();
  assert.equal(metrics["packetsReceived"], 50);
  assert.equal(metrics["bytesReceived"], 50 * 1400);
  assert.equal(metrics["currentConnections"], 2);
  assert.equal(metrics["dropped"], 0);
  a.close();
  await b.expect(FrameType.PeerGone);
  b.close();
});

Deno.test("a relay's answers do not wait for acknowledgements", async () => {
  await using setup = await TestRelay.start();
  const a = await setup.client();
  const ping = encodePing(new Uint8Array(8));
  const times: number[] = [];
  for (let i = 0; i < 20; i++) {
    const started = performance.now();
    await a.send(ping);
    await a.send(ping);
    await a.expect(FrameType.Pong);
    await a.expect(FrameType.Pong);
    times.push(performance.now() - started);
  }
  times.sort((x, y) => x - y);
  assert(times[10]! < 30, `${times[10]} ms: TCP_NODELAY is off`);
  a.close();
});

Deno.test("a relay publishes its counters to loopback", async () => {
  await using setup = await TestRelay.start({ stunPort: 0, httpPort: 0 });
  const client = Deno.createHttpClient({ caCerts: [setup.certificate.ca] });
  const url = `https://localhost:${setup.relay.address.port}/debug/varz`;
  const text = await (await fetch(url, { client })).text();
  client.close();
  for (
    const line of [
      "derp_accepts 0",
      'derp_packets_dropped{reason="queue_head",kind="other"} 0',
      'derp_packets_dropped{reason="unknown_dest",kind="disco"} 0',
      'nexd_wireguard_messages_received{type="transport_data"} 0',
      'stun_requests{disposition="success"} 0',
      "derp_current_connections 0",
    ]
  ) assert(text.includes(line), line);
  const plain = await fetch(`http://127.0.0.1:${setup.relay.httpPort}/generate_204`);
  assert.equal(plain.status, 204);
});

Deno.test("a relay closes a stalled receiver and keeps serving the others", async () => {
  await using setup = await TestRelay.start({
    limits: { sweepMs: 10, drainMs: 100, writeMs: 300 },
  });
  const [a, b] = [await setup.client(), await setup.client()];
  const stalled = await setup.client(); // Never reads again.
  const big = encodeSendPacket(stalled.publicKey, new Uint8Array(60_000));
  let stop = false;
  const flood = (async () => {
    while (!stop) await a.send(big);
  })();
  let worst = 0;
  const c = await setup.client();
  while (setup.relay.metrics()["writeTimeouts"] === 0) {
    const started = performance.now();
    await c.send(encodeSendPacket(b.publicKey, new Uint8Array(100)));
    await b.expect(FrameType.RecvPacket);
    worst = Math.max(worst, performance.now() - started);
  }
  stop = true;
  await flood;
  assert(worst < 250, `another client waited ${worst} ms`);
  for (const client of [a, b, c, stalled]) client.close();
});

Deno.test("startRelay says in one sentence why it cannot listen, and leaves nothing open", async () => {
  await using setup = await TestRelay.start();
  const { port } = setup.relay.address;
  const addr = { hostname: "127.0.0.1", port };
  isOneSentence(
    await failure(() => startRelay({ addr })),
    new RegExp(`^Cannot listen on 127\\.0\\.0\\.1:${port}: port in use; .*--addr$`),
  );
  const elsewhere = { hostname: "192.0.2.1", port: 0 };
  isOneSentence(await failure(() => startRelay({ addr: elsewhere })), /no such address/);
  const nowhere = { hostname: "nosuchhost.invalid", port: 0 };
  isOneSentence(await failure(() => startRelay({ addr: nowhere })), /the name has no address/);
  const free = { hostname: "127.0.0.1", port: 0 };
  isOneSentence(
    await failure(() => startRelay({ addr: free, httpPort: port })),
    /port in use; .*--http-port \(-1 for none\)$/,
  );
});

Deno.test("loadServerKey makes a private file once and reads it again", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const file = `${directory}/deep/derper.key`;
    const [one, two] = await Promise.all([loadServerKey(file), loadServerKey(file)]);
    assert.deepEqual(one, two);
    assert.equal((await Deno.stat(file)).mode! & 0o777, 0o600);
    assert.match(await Deno.readTextFile(file), /^\{\n\t"PrivateKey": "privkey:[0-9a-f]{64}"\n\}$/);
    assert.deepEqual([...Deno.readDirSync(`${directory}/deep`)].map((e) => e.name), ["derper.key"]);
    for (const bad of ["", "{}", "privkey:00", "\0\xff"]) {
      await Deno.writeTextFile(file, bad);
      const error = await failure(() => loadServerKey(file));
      assert(error instanceof RelayError);
      isOneSentence(error, new RegExp(`^Cannot use key file ${file}: .* left as it is: restore`));
      assert.equal(await Deno.readTextFile(file), bad, "the file is left as it is");
    }
    isOneSentence(await failure(() => loadServerKey(directory)), /it is no key file/);
    isOneSentence(
      await failure(() => loadServerKey("/proc/nexd/derper.key")),
      /^Cannot make key file .*: nothing can be made there; choose another file with -c$/,
    );
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("runRelay with a certificate of its own prints what a client needs", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const values = {
      addr: "127.0.0.1:0",
      hostname: "localhost",
      certmode: "selfsigned",
      certdir: `${directory}/certs`,
      c: `${directory}/derper.key`,
      "http-port": -1,
      stun: false,
    };
    const stop = new AbortController();
    const { lines, context: ctx } = context(stop.signal);
    const running = runRelay(values, ctx);
    while (lines.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    const said = JSON.parse(lines[0]!);
    assert.equal(said.hostname, "localhost");
    assert.equal(said.certmode, "selfsigned");
    assert.equal(said.stun, undefined);
    const key = await loadServerKey(values.c);
    assert.equal(said.public_key, publicKeyOf(key).toHex());
    const port = Number(said.listening.split(":").at(-1));
    const caCerts = [await Deno.readTextFile(said.ca)];
    const conn = await Deno.connectTls({ hostname: "localhost", port, caCerts });
    await conn.write(upgradeRequest("localhost"));
    assert((await conn.read(new Uint8Array(1000)))! > 100);
    stop.abort();
    await running;
    conn.close();

    const prose = context(AbortSignal.abort(), false);
    await runRelay(values, prose.context);
    assert.match(prose.lines.join("\n"), /serves DERP on 127\.0\.0\.1:\d+ \(TLS\)[^]*--relay-ca/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("runRelay names the value and the remedy when a flag is wrong", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const { context: ctx } = context(AbortSignal.abort());
    const base = { addr: "127.0.0.1:0", c: `${directory}/k`, "http-port": -1, stun: false };
    const cases: [Record<string, string | number>, RegExp][] = [
      [{ certmode: "letsencrypt", hostname: "::1" }, /--hostname ::1: .*--acme-ip-certs/],
      [{ certmode: "manual", certdir: directory, hostname: "a.test" }, /a\.test\.(crt|key)/],
      [{ certmode: "selfsigned", certdir: directory, "http-port": 70_000 }, /--http-port 70000/],
      [{ certmode: "selfsigned", addr: "nonsense:port" }, /nonsense:port/],
    ];
    for (const [values, pattern] of cases) {
      isOneSentence(await failure(() => runRelay({ ...base, ...values }, ctx)), pattern);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
