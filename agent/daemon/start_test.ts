import assert from "node:assert/strict";
import { generatePrivateKey, keyToBase64, publicKeyOf } from "../../relay/derp/mod.ts";
import { ensureSelfSigned } from "../../relay/cert/mod.ts";
import { describeAgent } from "../ctl/mod.ts";
import { AgentError } from "../errors.ts";
import { Bench } from "../testing/bench.ts";
import { FakeControl, fakeDevice, json } from "../testing/fake_control.ts";
import { until } from "../testing/wait.ts";
import { RangeConflict } from "../wireguard/mod.ts";
import { measureHost } from "./outside/mod.ts";
import { TUNNEL_MTU } from "./mod.ts";
import { underLoad } from "../../scripts/lab/support.ts";

const newKey = () => keyToBase64(publicKeyOf(generatePrivateKey()));

const sentence = (pattern: RegExp) => (error: unknown) => {
  assert(error instanceof AgentError, String(error));
  assert(error.exitCode !== 0 && !error.message.includes("\n"));
  assert.match(error.message, pattern);
  return true;
};

Deno.test("agent starts in order, tells its peers' endpoints to the proxy first, and undoes it all", async () => {
  await using bench = await Bench.open(ensureSelfSigned);
  const peer = fakeDevice("peer", newKey(), 50, { symmetric_nat: true });
  bench.control.put(peer);
  const { agent, ended, stop } = await bench.up();
  await until(() => bench.parts.device.peers.length === 1, "peer");
  assert.deepEqual(bench.parts.log, [
    "clean wgtest",
    "probe",
    "proxy started",
    "device opened",
    "proxy has 127.0.0.3:9002",
    "set 127.0.0.3:9002",
  ]);
  const { config } = bench.parts.device;
  assert.deepEqual(config.addresses, ["100.64.0.1/32", "200::1/64"]);
  assert.equal(config.mtu, TUNNEL_MTU);
  assert.equal(config.listenPort, bench.state().port);
  assert.deepEqual(bench.parts.proxy.options.privateKey, config.privateKey);
  assert.deepEqual(bench.parts.proxy.options.relay, { region: 900, host: "relay.lab", port: 443 });
  assert.deepEqual(bench.parts.device.peers, [{
    publicKey: peer.public_key,
    allowedIps: ["100.64.0.50/32", "200::32/128"],
    keepaliveSeconds: 20,
    endpoint: "127.0.0.3:9002",
  }]);

  const status = await describeAgent(bench.config.socketPath);
  assert.deepEqual(status, JSON.parse(JSON.stringify(agent.status())));
  assert.equal(status.status, "Running");
  assert.equal(status.nat, "symmetric");
  assert.equal(status.reflexive, "203.0.113.100:40000");
  assert.equal(status.capture, "portable");
  assert.equal(status.relay!.state, "connected");
  assert.deepEqual(status.peers.map((p) => [p.hostname, p.method, p.code, p.endpoint, p.relay]), [
    ["host-50", "via-derp-relay", "both-symmetric", "127.0.0.3:9002", "relay.lab"],
  ]);
  assert.equal(status.peers[0]!.tx_packets, 1);

  stop();
  await ended;
  assert.deepEqual(bench.parts.log.slice(-2), ["device closed", "proxy closed"]);
  await assert.rejects(Deno.lstat(bench.config.socketPath), Deno.errors.NotFound);
  assert.deepEqual(bench.state().loopback, { [peer.public_key]: "127.0.0.3" });
  // No call at the end: the control plane sees the stream close.
  assert.equal(bench.control.log.at(-1), "POST /api/events");
});

Deno.test("agent tells of its peers by name, in whatever order they came", async () => {
  await using bench = await Bench.open(ensureSelfSigned);
  for (const n of [52, 50, 51]) bench.control.put(fakeDevice(`peer-${99 - n}`, newKey(), n));
  const { agent } = await bench.up();
  await until(() => bench.parts.device.peers.length === 3, "peers");
  assert.deepEqual(agent.status().peers.map(({ hostname }) => hostname), [
    "host-50",
    "host-51",
    "host-52",
  ]);
});

Deno.test("agent restarts with the same keys, addresses, port and relay identity", async () => {
  await using bench = await Bench.open(ensureSelfSigned);
  bench.control.put(fakeDevice("peer", newKey(), 50));
  const first = await bench.up();
  await until(() => bench.parts.device.peers.length === 1, "peer");
  first.stop();
  await first.ended;
  const before = bench.parts.device.config, state = bench.state();
  const second = await bench.up();
  await until(() => bench.parts.device.peers.length === 1, "peer");
  assert.notEqual(bench.parts.device.config, before);
  assert.deepEqual(bench.parts.device.config, before);
  assert.deepEqual(bench.parts.proxy.options.privateKey, before.privateKey);
  assert.deepEqual(bench.parts.proxy.options.assigned, state.loopback);
  assert.equal(second.agent.status().peers[0]!.endpoint, "127.0.0.3:9002");
});

Deno.test("agent brings the tunnel up without the control plane and finds it again later", async () => {
  await using bench = await Bench.open(ensureSelfSigned);
  bench.control.put(fakeDevice("peer", newKey(), 50));
  const first = await bench.up();
  await until(() => bench.parts.device.peers.length === 1, "peer");
  first.stop();
  await first.ended;
  const { port } = bench.control;
  await bench.control.close();
  const began = performance.now();
  const second = bench.start();
  await second.running;
  await until(() => bench.parts.device.peers.length === 1, "peer from the cache");
  assert(performance.now() - began < underLoad(3000));
  await until(() => second.agent.status().control.state === "down", "noticing");
  assert.match(second.agent.status().control.error!, /connection refused/);
  const devices = bench.control.devices;
  bench.control = new FakeControl(bench.tls, port);
  for (const [id, device] of devices) bench.control.devices.set(id, device);
  await until(() => second.agent.status().control.state === "connected", "reconnecting");
  assert.equal(bench.parts.device.peers.length, 1);
  assert.equal(bench.parts.devices.length, 2, "the tunnel was not touched");
});

Deno.test("agent keeps the tunnel of its cache while its registration key is refused at a restart", async () => {
  await using bench = await Bench.open(ensureSelfSigned);
  bench.control.put(fakeDevice("peer", newKey(), 50));
  const first = await bench.up();
  await until(() => bench.parts.device.peers.length === 1, "peer");
  first.stop();
  await first.ended;
  const asked = () => bench.control.log.filter((line) => line === "GET /api/reg-keys/me").length;
  const before = asked();
  bench.control.intercept = ({ path }) =>
    path === "/api/reg-keys/me" ? json(401, { error: "expired" }) : undefined;
  const { agent, running } = bench.start();
  await running;
  await until(() => bench.parts.device.peers.length === 1, "peer from the cache");
  await until(() => agent.status().control.state === "refused", "refusal");
  assert.match(agent.status().control.error!, /registration key.*unknown or has expired/);
  await until(() => asked() >= before + 3, "tries");
  const tries = asked() - before;
  assert(tries < 8, `${tries} tries at once`);
  assert.equal(agent.status().status, "Running");
  assert(!bench.parts.device.closed);
  bench.control.intercept = () => undefined;
  await until(() => agent.status().control.state === "connected", "a key that is taken");
  assert.equal(bench.parts.devices.length, 2, "the tunnel was not touched");
  assert.equal(bench.parts.device.peers.length, 1);
});

Deno.test("agent runs without an interface while the host is in the VPC's range", async () => {
  await using bench = await Bench.open(ensureSelfSigned);
  const conflict = () => new RangeConflict("100.64.0.0/10 of the VPC and 100.64.0.0/16 overlap");
  bench.parts.openFailures = [conflict(), conflict()];
  const { agent, ended, stop } = await bench.up();
  await until(() => agent.status().error?.includes("overlap"), "the conflict in the status");
  const { status, tunnel_ipv4 } = agent.status();
  assert.deepEqual([status, tunnel_ipv4], ["Starting", "100.64.0.1"]);
  assert.equal(bench.parts.devices.length, 0);
  await until(() => agent.status().status === "Running", "the interface, when the host has moved");
  assert.deepEqual(bench.parts.device.config.ranges, ["100.64.0.0/10", "200::/64"]);
  assert.equal(agent.status().error, undefined);
  stop();
  await ended;
});

Deno.test("agent refuses to run twice on one state directory or one control socket", async () => {
  await using bench = await Bench.open(ensureSelfSigned);
  const { agent } = await bench.up();
  await assert.rejects(bench.start().ended, sentence(/running already.*--state-dir/));
  bench.config = { ...bench.config, stateDir: `${bench.dir}/other` };
  await assert.rejects(bench.start().ended, sentence(/Another agent is running.*--unix-socket/));
  assert.equal(agent.status().status, "Running");
  assert.equal((await describeAgent(bench.config.socketPath)).status, "Running");
});

Deno.test("agent fails its first start in one sentence and opens nothing", async () => {
  await using bench = await Bench.open(ensureSelfSigned);
  const attempt = async (pattern: RegExp) => {
    await assert.rejects(bench.start().ended, sentence(pattern));
    assert.equal(bench.parts.devices.length, 0);
    assert.equal(bench.parts.proxies.length, 0);
    assert.equal(bench.state()["device-id"], undefined);
    await assert.rejects(Deno.lstat(bench.config.socketPath), Deno.errors.NotFound);
  };
  const good = bench.config;
  bench.config = {
    ...good,
    join: { ...good.join, credential: { kind: "reg-key", token: "RK:unknown" } },
  };
  await attempt(/registration key.*unknown or has expired.*--reg-key/);
  bench.config = good;
  bench.trusted = false;
  await attempt(/issuer is not trusted.*--ca/);
  bench.trusted = true;
  bench.control.intercept = () => json(503, { error: "starting" });
  await attempt(/answered 503.*tried for \d s/);
  bench.config = { ...good, join: { ...good.join, apiUrl: new URL("https://127.0.0.1:9/") } };
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  bench.config.join.apiUrl.port = String(listener.addr.port);
  listener.close();
  await attempt(/connection refused.*check the service URL/);
  bench.config = good;
  bench.control.intercept = () => undefined;
  await bench.up(); // nothing of it was left
});

Deno.test("agent keeps a corrupt state file aside and gives its locks back", async () => {
  await using bench = await Bench.open(ensureSelfSigned);
  await Deno.mkdir(bench.config.stateDir);
  await Deno.writeTextFile(`${bench.config.stateDir}/state.json`, '{"private-key": "');
  await assert.rejects(bench.start().ended, sentence(/kept as .*state\.json\.corrupt-/));
  assert.deepEqual(bench.control.log, []);
  await bench.up();
});

Deno.test("agent says when the chosen port is taken, and takes another when none was chosen", async () => {
  await using bench = await Bench.open(ensureSelfSigned);
  const taken = Deno.listenDatagram({ transport: "udp", hostname: "0.0.0.0", port: 0 });
  const { port } = taken.addr as Deno.NetAddr;
  try {
    bench.config = { ...bench.config, listenPort: port };
    await assert.rejects(
      bench.start().ended,
      sentence(new RegExp(`UDP port ${port}.*--listen-port`)),
    );
    const path = `${bench.dir}/state/state.json`;
    const state = { ...bench.state(), port };
    await Deno.writeTextFile(path, JSON.stringify(state));
    bench.config = { ...bench.config, listenPort: 0 };
    await bench.up();
    assert.notEqual(bench.state().port, port);
    assert.equal(bench.parts.device.config.listenPort, bench.state().port);
  } finally {
    taken.close();
  }
});

Deno.test("measureHost names a remedy when no UDP port is free", async () => {
  const config = { listenPort: 0, stunServers: [] };
  const doors = {
    freeUdpPort: () => Promise.resolve(undefined),
    probe: () => Promise.reject(new Error("not reached")),
    localEndpoint: () => Promise.reject(new Error("not reached")),
  };
  await assert.rejects(measureHost(config, doors, { port: 5, nat: undefined }), (error) => {
    assert(error instanceof AgentError);
    assert.match(error.message, /^Cannot find a free UDP port.*; stop .* --listen-port$/);
    return true;
  });
});

Deno.test("agent publishes local first, then the reflexive endpoint, and never rubbish", async () => {
  for (
    const [nat, symmetric, count] of [
      [{ reflexive: "203.0.113.9:5000", symmetric: false }, false, 2],
      [{ reflexive: "203.0.113.9:5000", symmetric: undefined }, false, 2],
      [{ symmetric: undefined }, true, 1],
      [{ reflexive: "invalid AddrPort", symmetric: undefined }, true, 1],
    ] as const
  ) {
    await using bench = await Bench.open(ensureSelfSigned);
    bench.parts.nat = nat;
    await bench.up();
    const body = bench.control.seen.find((r) => r.method === "POST")!.body as Record<
      string,
      unknown
    >;
    const port = bench.state().port;
    assert.deepEqual(
      body.endpoints,
      [
        { source: "local", address: `192.168.100.2:${port}` },
        { source: "stun:", address: "203.0.113.9:5000" },
      ].slice(0, count),
    );
    assert.equal(body.symmetric_nat, symmetric);
  }
});

Deno.test("agent with relays only says that it is symmetric", async () => {
  await using bench = await Bench.open(ensureSelfSigned);
  bench.config = { ...bench.config, relayOnly: true };
  bench.parts.nat = { reflexive: "203.0.113.9:5000", symmetric: false };
  bench.control.put(fakeDevice("peer", newKey(), 50));
  const { agent } = await bench.up();
  const body = bench.control.seen.find((r) => r.method === "POST")!.body as Record<string, unknown>;
  assert.equal(body.symmetric_nat, true);
  await until(() => agent.status().peers[0]?.code === "relay-only", "path");
  assert.equal(agent.status().nat, "cone");
});
