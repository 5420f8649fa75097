import assert from "node:assert/strict";
import { generatePrivateKey, keyToBase64, publicKeyOf } from "../../relay/derp/mod.ts";
import { ensureSelfSigned } from "../../relay/cert/mod.ts";
import { Bench } from "../testing/bench.ts";
import { fakeDevice, json } from "../testing/fake_control.ts";
import { until } from "../testing/wait.ts";

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
  assert(performance.now() - began < 2000);
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
