import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { Admission } from "../../relay/admission/mod.ts";
import { until } from "../testing/wait.ts";
import { METADATA, TestMember, TestVpc } from "./support_test.ts";
import { underLoad } from "../../scripts/lab/support.ts";

Deno.test("a relay becomes a device of the VPC and says where it is", async () => {
  await using vpc = await TestVpc.start();
  const other = await vpc.addDevice();
  await using member = await TestMember.join(vpc);
  await member.heard([other.key]);
  const own = (await vpc.devices()).find(({ id }) => id === member.joined.deviceId)!;
  equal(own.public_key, member.joined.publicKey);
  deepEqual([own.relay, own.hostname, own.symmetric_nat], [true, "relay-host", false]);
  deepEqual(own.endpoints, [
    { source: "local", address: "10.0.0.5:8443" },
    { source: "stun:", address: "198.51.100.7:8443" },
  ]);
  deepEqual(await vpc.metadata(own.id), METADATA);
  await member.connected();
  await until(() => member.states.includes("registering"), "a state");
});

Deno.test("a device that comes or goes is heard of within a second", async () => {
  await using vpc = await TestVpc.start();
  await using member = await TestMember.join(vpc);
  await member.heard([]);
  const keys: { id: string; key: string }[] = [];
  for (let i = 0; i < 3; i++) {
    keys.push(await vpc.addDevice());
    ok(await member.heard(keys.map(({ key }) => key)) < 1000);
  }
  const gone = keys.pop()!;
  await vpc.removeDevice(gone.id);
  ok(await member.heard(keys.map(({ key }) => key)) < 1000);
  // What does not change the list is not told.
  const told = member.lists.length;
  await vpc.call("PATCH", `/api/devices/${keys[0]!.id}`, undefined, { hostname: "renamed" });
  const last = await vpc.addDevice();
  await member.heard([...keys, last].map(({ key }) => key));
  equal(member.lists.length, told + 1);
});

Deno.test("a relay follows again when the control plane was restarted, and misses nothing", async () => {
  await using vpc = await TestVpc.start();
  const [a, b] = [await vpc.addDevice(), await vpc.addDevice()];
  await using member = await TestMember.join(vpc);
  await member.heard([a.key, b.key]);
  await vpc.down();
  await until(() => member.states.some((text) => text.startsWith("down")), "the loss");
  await vpc.up();
  await vpc.removeDevice(a.id);
  const c = await vpc.addDevice();
  await member.heard([b.key, c.key]);
  // Nobody was cut off meanwhile.
  ok(member.lists.every((list) => list.includes(b.key)));
});

Deno.test("a relay that knows its VPC starts without the control plane, with the last list", async () => {
  await using vpc = await TestVpc.start();
  const cacheFile = `${vpc.dir}/devices.json`;
  const a = await vpc.addDevice(), key = Uint8Array.fromHex(a.key);
  let deviceId: string;
  {
    await using admission = closing(await Admission.open({ keys: true, cacheFile }));
    await using member = await TestMember.join(vpc);
    await member.heard([a.key]);
    admission.it.setKeys(member.lists.at(-1)!);
    deviceId = member.joined.deviceId;
  }
  await vpc.down();
  {
    await using admission = closing(await Admission.open({ keys: true, cacheFile }));
    equal(await admission.it.admit(key, ""), true);
    const began = performance.now();
    await using member = await TestMember.join(vpc);
    equal(member.joined.deviceId, deviceId);
    ok(performance.now() - began < underLoad(2000));
    await until(() => member.states.some((text) => text.startsWith("down")), "the loss");
    deepEqual(member.lists, []);
    await vpc.up();
    await member.heard([a.key]);
  }
});

Deno.test("a first start without the control plane ends with a sentence", async () => {
  await using vpc = await TestVpc.start();
  await vpc.down();
  await rejects(TestMember.join(vpc, {}, { times: { firstStart: 100 } }), {
    exitCode: 1,
    message: /^Cannot reach the control plane at 127.0.0.1:\d+: connection refused, tried for/,
  });
  await vpc.up();
});

Deno.test("a relay goes on by its device token when the registration key has expired", async () => {
  await using vpc = await TestVpc.start();
  const first = await TestMember.join(vpc);
  const { deviceId } = first.joined;
  await first[Symbol.asyncDispose]();
  await vpc.control.store.db.updateTable("reg_keys")
    .set({ expires_at: "2020-01-01T00:00:00.000Z" }).execute();
  const state = JSON.parse(await Deno.readTextFile(`${vpc.dir}/relay/relay-state.json`));
  match(state["device-token"], /^DT:/);
  {
    await using member = await TestMember.join(vpc, {}, {
      probe: () => Promise.resolve({ reflexive: "203.0.113.9:1", errors: [] }),
    });
    equal(member.joined.deviceId, deviceId);
    await member.connected();
    const own = (await vpc.devices()).find(({ id }) => id === deviceId)!;
    equal(own.endpoints!.at(-1)!.address, "203.0.113.9:8443");
    deepEqual(await vpc.metadata(deviceId), METADATA);
  }
  if (Deno.build.os !== "windows") {
    equal((await Deno.stat(`${vpc.dir}/relay/relay-state.json`)).mode! & 0o777, 0o600);
  }
});

Deno.test("a first start with a key that is refused says so", async () => {
  await using vpc = await TestVpc.start();
  const options = vpc.options(new AbortController().signal);
  await rejects(
    TestMember.join(vpc, {
      join: { ...options.join, credential: { kind: "reg-key", token: "RK:wrong" } },
    }),
    {
      name: "OnboardRefusal",
      message: /refused the registration key.*--reg-key$/,
    },
  );
});

Deno.test("a relay whose device is deleted serves nobody until it is a device again", async () => {
  await using vpc = await TestVpc.start();
  const a = await vpc.addDevice();
  await using member = await TestMember.join(vpc);
  await member.heard([a.key]);
  await vpc.removeDevice(member.joined.deviceId);
  await member.heard([]);
  // The registration key is still good: it registers again, as it does at a start.
  await member.heard([a.key]);
  deepEqual(member.lists, [[a.key], [], [a.key]]);
});

Deno.test("a relay that was deleted while it was down serves nobody, whatever it remembers", async () => {
  await using vpc = await TestVpc.start();
  await vpc.addDevice();
  const first = await TestMember.join(vpc);
  await first[Symbol.asyncDispose]();
  await vpc.removeDevice(first.joined.deviceId);
  const { db } = vpc.control.store;
  await db.updateTable("reg_keys").set({ expires_at: "2020-01-01T00:00:00.000Z" }).execute();
  await using member = await TestMember.join(vpc);
  await member.heard([]);
  await until(() => member.states.at(-1)!.startsWith("refused"), "the refusal");
  // A key that is good again brings it back.
  await db.updateTable("reg_keys").set({ expires_at: null }).execute();
  await until(() => member.lists.at(-1)!.length === 1, "the list");
  deepEqual(member.lists.map((list) => list.length), [0, 1]);
});

Deno.test("a relay with a key that is not its device's goes on serving", async () => {
  await using vpc = await TestVpc.start();
  const a = await vpc.addDevice();
  const first = await TestMember.join(vpc);
  const { deviceId } = first.joined;
  await first.heard([a.key]);
  await first[Symbol.asyncDispose]();
  // Registered, and not by this key; the device's own token is not known any more either.
  await vpc.control.store.db.updateTable("devices").set({ reg_key_id: null, token_hash: "" })
    .where("id", "=", deviceId).execute();
  await using member = await TestMember.join(vpc);
  await until(() => member.states.at(-1)?.startsWith("refused"), "the refusal");
  match(member.states.at(-1)!, /already registered as device/);
  deepEqual(member.lists, []);
});

Deno.test("metadata is published again when it changes, and only then", async () => {
  await using vpc = await TestVpc.start();
  await using member = await TestMember.join(vpc);
  const { deviceId } = member.joined;
  const changed = { ...METADATA, ca: "-----BEGIN CERTIFICATE-----\n…", port: 9443 };
  member.joined.update(changed);
  for (let i = 0; i < 200; i++) {
    if ((await vpc.metadata(deviceId)).port === 9443) break;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  deepEqual(await vpc.metadata(deviceId), changed);
  const { revision } = await vpc.call("GET", `/api/devices/${deviceId}/metadata/relay`);
  member.joined.update({ ...changed });
  await vpc.addDevice();
  equal((await vpc.call("GET", `/api/devices/${deviceId}/metadata/relay`)).revision, revision);
});

Deno.test("a changed outside address is published; a lost one is remembered", async () => {
  await using vpc = await TestVpc.start();
  let seen: string | undefined = "198.51.100.7:1";
  const doors = {
    probe: () =>
      Promise.resolve(seen ? { reflexive: seen, errors: [] } : { errors: ["no answer"] }),
    times: { look: 20 },
  };
  const outer = async (id: string) =>
    (await vpc.devices()).find((device) => device.id === id)!.endpoints!.at(-1)!.address;
  {
    await using member = await TestMember.join(vpc, {}, doors);
    seen = "198.51.100.8:1";
    for (let i = 0; i < 200 && await outer(member.joined.deviceId) !== "198.51.100.8:8443"; i++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    equal(await outer(member.joined.deviceId), "198.51.100.8:8443");
  }
  seen = undefined;
  await using again = await TestMember.join(vpc, {}, doors);
  await again.connected();
  equal(await outer(again.joined.deviceId), "198.51.100.8:8443");
});

Deno.test("the given address is published without asking anybody, the local one in need", async () => {
  await using vpc = await TestVpc.start();
  let asked = 0;
  const probe = () => {
    asked++;
    return Promise.resolve({ errors: ["no answer"] });
  };
  const endpointsOf = async (id: string) =>
    (await vpc.devices()).find((device) => device.id === id)!.endpoints;
  {
    await using member = await TestMember.join(vpc, { publicIp: "2001:db8::5" }, { probe });
    deepEqual((await endpointsOf(member.joined.deviceId))![1], {
      source: "stun:",
      address: "[2001:db8::5]:8443",
    });
    equal(asked, 0);
  }
  await using member = await TestMember.join(vpc, { stateDir: `${vpc.dir}/second` }, { probe });
  equal((await endpointsOf(member.joined.deviceId))![1]!.address, "10.0.0.5:8443");
});

Deno.test("a second process of the same relay joins beside the first, as in an upgrade", async () => {
  await using vpc = await TestVpc.start();
  const a = await vpc.addDevice();
  await using first = await TestMember.join(vpc);
  await using second = await TestMember.join(vpc);
  equal(second.joined.deviceId, first.joined.deviceId);
  const b = await vpc.addDevice();
  await Promise.all([first.heard([a.key, b.key]), second.heard([a.key, b.key])]);
});

Deno.test("the device stays when the relay is closed", async () => {
  await using vpc = await TestVpc.start();
  const member = await TestMember.join(vpc);
  await member[Symbol.asyncDispose]();
  equal((await vpc.devices()).length, 1);
});

function closing(it: Admission) {
  return { it, [Symbol.asyncDispose]: () => it.close() };
}
