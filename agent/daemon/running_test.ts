import assert from "node:assert/strict";
import { generatePrivateKey, keyToBase64, publicKeyOf } from "../../relay/derp/mod.ts";
import { ensureSelfSigned } from "../../relay/cert/mod.ts";
import { Bench } from "../testing/bench.ts";
import { fakeDevice, json } from "../testing/fake_control.ts";
import { until } from "../testing/wait.ts";
import { underLoad } from "../../scripts/lab/support.ts";

const newKey = () => keyToBase64(publicKeyOf(generatePrivateKey()));

Deno.test("agent opens WireGuard again when its daemon dies, with the same peers", async () => {
  await using bench = await Bench.open(ensureSelfSigned);
  bench.control.put(fakeDevice("peer", newKey(), 50));
  const { agent } = await bench.up();
  await until(() => bench.parts.device.peers.length === 1, "peer");
  const { peers, config } = bench.parts.device;
  bench.parts.openFailures.push(new Error("no such device"));
  const began = performance.now();
  bench.parts.device.die("killed");
  await until(
    () => bench.parts.devices.length === 2 && bench.parts.device.peers.length === 1,
    "again",
  );
  assert(performance.now() - began < underLoad(2000));
  assert.deepEqual(bench.parts.device.peers, peers);
  assert.deepEqual(bench.parts.device.config, config);
  await until(() => agent.status().status === "Running", "running");
  await until(() => agent.status().error === undefined, "no error");
});

Deno.test("agent does not spin when WireGuard's daemon dies again and again", async () => {
  await using bench = await Bench.open(ensureSelfSigned);
  await bench.up();
  const began = performance.now();
  while (performance.now() - began < 1500) {
    if (!bench.parts.device.closed) bench.parts.device.die("killed");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert(bench.parts.devices.length <= 8, `${bench.parts.devices.length} devices`);
});

Deno.test("agent outlives errors of a pass", async () => {
  await using bench = await Bench.open(ensureSelfSigned);
  const { agent } = await bench.up();
  bench.parts.device.failure = new Error("UAPI says no");
  bench.control.put(fakeDevice("peer", newKey(), 50));
  await until(() => agent.status().error === "UAPI says no", "error in status");
  bench.parts.device.failure = undefined;
  await until(() => bench.parts.device.peers.length === 1, "next pass");
  await until(() => agent.status().error === undefined, "no error");
});

Deno.test("agent is not kept from its peers by a malformed one or by one the proxy cannot take", async () => {
  await using bench = await Bench.open(ensureSelfSigned);
  const good = fakeDevice("good", newKey(), 50, { symmetric_nat: true });
  const stuck = fakeDevice("stuck", newKey(), 51, { symmetric_nat: true });
  const { agent } = await bench.up();
  bench.parts.proxy.refuses.add(stuck.public_key);
  bench.control.put(fakeDevice("bad", "not-a-key", 52));
  bench.control.put(fakeDevice("bare", newKey(), 53, { endpoints: null, symmetric_nat: true }));
  bench.control.put(stuck);
  bench.control.put(good);
  await until(() => bench.parts.device.peers.length === 3, "the others");
  const { peers, skipped } = agent.status();
  assert.deepEqual(skipped.map((s) => s.code), ["bad-key"]);
  const methods = Object.fromEntries(peers.map((p) => [p.hostname, p.method]));
  assert.deepEqual(methods, {
    "host-50": "via-derp-relay",
    "host-51": "none",
    "host-53": "via-derp-relay",
  });
});

Deno.test("agent follows peers that come and go", async () => {
  await using bench = await Bench.open(ensureSelfSigned);
  await bench.up();
  const peer = fakeDevice("peer", newKey(), 50, { revision: 50 });
  bench.control.put(peer);
  await until(() => bench.parts.device.peers.length === 1, "coming");
  await until(() => bench.parts.proxy.endpoints.size === 1, "endpoint");
  bench.control.devices.delete("peer");
  const [stream] = bench.control.streams;
  stream!.send({
    kind: "device",
    type: "delete",
    value: { ...peer, public_key: "", revision: 51 },
  });
  await until(() => bench.parts.device.peers.length === 0, "going");
  await until(() => bench.parts.proxy.endpoints.size === 0, "endpoint removed");
});

Deno.test("agent moves to an on-boarded relay without touching WireGuard, and back", async () => {
  await using bench = await Bench.open(ensureSelfSigned);
  bench.control.put(fakeDevice("peer", newKey(), 50, { symmetric_nat: true }));
  const { agent } = await bench.up();
  await until(() => bench.parts.device.peers.length === 1, "peer");
  const before = bench.parts.device.peers;
  const relay = fakeDevice("relay", newKey(), 60, { relay: true, revision: 60 });
  const metadata = {
    device_id: "relay",
    key: "relay",
    value: { type: "derp", hostname: "own.relay.lab", certmodemanual: true },
    revision: 2,
  };
  bench.control.put(relay);
  const [stream] = bench.control.streams;
  stream!.send({ kind: "device-metadata", type: "change", value: metadata });
  await until(() => bench.parts.proxy.relays.length === 2, "switch");
  assert.deepEqual(bench.parts.proxy.relays[1], {
    region: 901,
    host: "own.relay.lab",
    port: 443,
    address: "203.0.113.60",
    pin: true,
  });
  await until(() => agent.status().relay!.host === "own.relay.lab", "status");
  await until(() => agent.status().skipped.length === 1, "the relay is no peer");
  assert.deepEqual(bench.parts.device.peers, before);
  stream!.send({
    kind: "device",
    type: "delete",
    value: { ...relay, public_key: "", revision: 61 },
  });
  await until(() => bench.parts.proxy.relays.length === 3, "back");
  assert.equal(bench.parts.proxy.relays[2]!.host, "relay.lab");
});

Deno.test("agent registers again when its device was deleted, and takes the new address", async () => {
  await using bench = await Bench.open(ensureSelfSigned);
  const { agent } = await bench.up();
  bench.control.devices.clear();
  bench.control.streams[0]!.abort();
  await until(() => agent.status().tunnel_ipv4 === "100.64.0.2", "new address");
  await until(() => bench.parts.devices.length === 2, "opened again");
  assert.deepEqual(bench.parts.device.config.addresses, ["100.64.0.2/32", "200::2/64"]);
  await until(() => agent.status().control.state === "connected", "stream");
  await until(() => bench.state()["device-id"] === "device-2", "state");
});

Deno.test("agent keeps its tunnel when the control plane refuses it while running", async () => {
  await using bench = await Bench.open(ensureSelfSigned);
  bench.control.put(fakeDevice("peer", newKey(), 50));
  const { agent } = await bench.up();
  await until(() => bench.parts.device.peers.length === 1, "peer");
  bench.control.intercept = () => json(401, { error: "invalid device token" });
  const asked = bench.control.seen.length;
  bench.control.streams[0]!.abort();
  await until(() => agent.status().control.state === "refused", "refusal");
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert(bench.control.seen.length - asked < 15, "no flood");
  assert.equal(agent.status().status, "Running");
  assert.equal(bench.parts.device.peers.length, 1);
});

Deno.test("agent publishes another outside address with its device token, and plans with it", async () => {
  await using bench = await Bench.open(ensureSelfSigned);
  bench.parts.nat = { reflexive: "203.0.113.100:40000", symmetric: false };
  bench.control.put(fakeDevice("peer", newKey(), 50));
  const { agent } = await bench.up();
  await until(() => agent.status().peers[0]?.method === "reflexive", "direct");
  const port = bench.state().port;
  const before = bench.control.streams.length;
  assert.equal(before, 1);
  const [old] = bench.control.streams;
  const began = performance.now();
  bench.parts.natWatch.change({ reflexive: "203.0.113.100:40001", symmetric: true });
  const sent = await until(
    () => bench.control.seen.find(({ method }) => method === "PATCH"),
    "PATCH",
  );
  assert(performance.now() - began < underLoad(1000));
  assert.equal(sent.path, "/api/devices/device-1");
  assert.equal(sent.authorization, "Bearer DT:device-1");
  assert.deepEqual(sent.body, {
    endpoints: [
      { source: "local", address: `192.168.100.2:${port}` },
      { source: "stun:", address: "203.0.113.100:40001" },
    ],
    symmetric_nat: true,
  });
  await until(() => agent.status().peers[0]?.method === "via-derp-relay", "relayed");
  assert.equal(agent.status().nat, "symmetric");
  assert.equal(agent.status().reflexive, "203.0.113.100:40001");
  // The connection of before may be dead without knowing it.
  await until(() => bench.control.streams.some((stream) => stream !== old), "another stream");
  await until(() => agent.status().control.state === "connected", "connected");
  await until(() => agent.status().netcheck!.published === "current", "published");
  assert.equal(bench.parts.devices.length, 1, "the tunnel was not touched");
  await until(
    () => Deno.readTextFileSync(`${bench.config.stateDir}/cache.json`).includes(":40001"),
    "remembered",
  );
});

Deno.test("agent says where it is and tells of it when another host changes its device with its key", async () => {
  await using bench = await Bench.open(ensureSelfSigned);
  const { agent } = await bench.up();
  const own = () => bench.control.devices.get("device-1")!;
  const { endpoints } = own();
  bench.control.put({
    ...own(),
    hostname: "twin",
    endpoints: [{ source: "stun:", address: "203.0.113.66:1" }],
    revision: ++bench.control.revision,
  });
  await until(() => own().endpoints![0]!.source === "local", "published again");
  assert.deepEqual(own().endpoints, endpoints);
  const [note] = agent.status().host!;
  assert.match(note!, /^key: another host .* as twin at 203\.0\.113\.66:1; .*state directory/);
});

Deno.test("agent tries to publish until the control plane takes it", async () => {
  await using bench = await Bench.open(ensureSelfSigned);
  bench.parts.nat = { reflexive: "203.0.113.100:40000", symmetric: false };
  const { agent } = await bench.up();
  const patches = () => bench.control.seen.filter(({ method }) => method === "PATCH");
  bench.control.intercept = ({ method }) =>
    method === "PATCH" ? json(503, { error: "busy" }) : undefined;
  bench.parts.natWatch.change({ reflexive: "203.0.113.100:40001", symmetric: false });
  await until(() => patches().length >= 2, "tries");
  assert.equal(agent.status().netcheck!.published, "waiting");
  assert.match(agent.status().netcheck!.publish_error!, /503/);
  bench.control.intercept = () => undefined;
  await until(() => agent.status().netcheck!.published === "current", "published");
  const device = bench.control.devices.get("device-1")!;
  assert.equal(device.endpoints!.at(-1)!.address, "203.0.113.100:40001");
});

Deno.test("agent publishes its new local address when its network changes, and no address of the tunnel", async () => {
  await using bench = await Bench.open(ensureSelfSigned);
  await bench.up();
  const { options } = bench.parts.natWatch;
  bench.parts.localIp = "192.168.200.7";
  options.onMoved!("an address changed");
  const local = () => bench.control.devices.get("device-1")!.endpoints![0]!.address;
  await until(() => local() === `192.168.200.7:${bench.state().port}`, "new local address");
  bench.parts.localIp = "100.64.0.1";
  options.onMoved!("an address changed");
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(local(), `192.168.200.7:${bench.state().port}`);
  assert(options.inTunnel!("100.64.9.9") && options.inTunnel!("200::5"));
  assert(!options.inTunnel!("203.0.113.5") && !options.inTunnel!("2001:db8::1"));
});

Deno.test("agent reaches peers through the VPC's WireGuard relay, and tells why", async () => {
  await using bench = await Bench.open(ensureSelfSigned);
  const relay = fakeDevice("relay", newKey(), 60, { relay: true });
  const hidden = fakeDevice("hidden", newKey(), 61, { symmetric_nat: true });
  const { agent } = await bench.up();
  bench.parts.device.seen.set(relay.public_key, { lastHandshake: Date.now() + 60_000 });
  bench.control.put(relay);
  bench.control.put(hidden);
  const of = (hostname: string) => agent.status().peers.find((p) => p.hostname === hostname);
  await until(() => of("host-61")?.method === "via-relay", "through the relay");
  await until(() => bench.parts.device.peers.length === 1, "the relay alone");
  const [configured] = bench.parts.device.peers;
  assert.equal(configured!.publicKey, relay.public_key);
  assert.equal(configured!.endpoint, "203.0.113.60:51820");
  const [v4, v6, ...own] = configured!.allowedIps;
  assert(v4!.endsWith("/10") && v6!.includes("::/"), `${v4} ${v6}`);
  assert.deepEqual(own, ["100.64.0.60/32", "200::3c/128"]);
  assert.deepEqual(of("host-60")!.allowed_ips, configured!.allowedIps);
  assert.equal(of("host-61")!.code, "vpc-relay");
  assert.equal(of("host-61")!.healthy, true);
  assert.deepEqual(
    of("host-61")!.history!.map(({ event, method }) => `${event} ${method}`).slice(-2),
    ["chosen via-relay", "healthy via-relay"],
  );
});

Deno.test("agent that is the VPC's relay connects to no relay", async () => {
  await using bench = await Bench.open(ensureSelfSigned);
  bench.config = { ...bench.config, mode: "relay" };
  bench.control.intercept = ({ method, path }) =>
    method === "PUT"
      ? json(200, { device_id: "device-1", key: "relay", value: {}, revision: 1 })
      : path.endsWith("/devices") && method === "GET"
      ? json(200, [])
      : undefined;
  bench.control.put(fakeDevice("peer", newKey(), 50));
  const { agent } = await bench.up();
  await until(() => bench.parts.device.peers.length === 1, "peer");
  assert.deepEqual(bench.parts.proxies, []);
  const { relay, relays, peers } = agent.status();
  assert.deepEqual([relay, relays, peers[0]!.method], [null, [], "relay-node-self"]);
});

Deno.test("agent tells the interface's real name and what drives it", async () => {
  await using bench = await Bench.open(ensureSelfSigned);
  const { agent } = await bench.up();
  Object.assign(bench.parts.device, { name: "utun7" });
  const { interface: name, driver } = agent.status();
  assert.deepEqual([name, driver], ["utun7", "fake"]);
});
