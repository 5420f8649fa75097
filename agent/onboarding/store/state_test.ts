import { configure, reset } from "@logtape/logtape";
import assert from "node:assert/strict";
import { publicKeyOf } from "../../../relay/derp/mod.ts";
import { AgentError } from "../../errors.ts";
import { fakeDevice } from "../../testing/fake_control.ts";
import { type CachedVpc, readCache, StateStore, writeCache } from "./mod.ts";

async function inDir(test: (dir: string) => Promise<void>): Promise<void> {
  const parent = await Deno.makeTempDir();
  try {
    await test(`${parent}/state`);
  } finally {
    await Deno.remove(parent, { recursive: true });
  }
}

const mode = async (path: string) => (await Deno.stat(path)).mode! & 0o777;

Deno.test("state is made once, private, and the same keys come back", () =>
  inDir(async (dir) => {
    const first = await StateStore.open(dir);
    assert.equal(await mode(dir), 0o700);
    assert.equal(await mode(first.path), 0o600);
    await first.update({
      port: 51999,
      deviceId: "d",
      loopback: { [first.state.publicKey.toBase64()]: "127.0.0.3" },
    });
    const again = await StateStore.open(dir);
    assert.deepEqual(again.state, first.state);
    assert.deepEqual(publicKeyOf(again.state.privateKey), again.state.publicKey);
    assert.deepEqual((await Array.fromAsync(Deno.readDir(dir))).map((e) => e.name), ["state.json"]);
  }));

Deno.test("state gives the relay identity of stored keys too", () =>
  inDir(async (dir) => {
    const { state } = await StateStore.open(dir);
    const text = JSON.parse(await Deno.readTextFile(`${dir}/state.json`));
    delete text["public-key"]; // as in a file that only ever stored the private half
    await Deno.writeTextFile(`${dir}/state.json`, JSON.stringify(text));
    assert.deepEqual((await StateStore.open(dir)).state.publicKey, state.publicKey);
  }));

Deno.test("state keeps the fields of another agent", () =>
  inDir(async (dir) => {
    const store = await StateStore.open(dir);
    const text = JSON.parse(await Deno.readTextFile(store.path));
    text["proxy-rules-config"] = { egress: null, ingress: null };
    await Deno.writeTextFile(store.path, JSON.stringify(text));
    await (await StateStore.open(dir)).update({ port: 1234 });
    const after = JSON.parse(await Deno.readTextFile(store.path));
    assert.deepEqual(after["proxy-rules-config"], { egress: null, ingress: null });
    assert.equal(after.port, 1234);
  }));

Deno.test("state of overlapping updates ends as the last one", () =>
  inDir(async (dir) => {
    const store = await StateStore.open(dir);
    await Promise.all(Array.from({ length: 20 }, (_, i) => store.update({ port: i + 1 })));
    assert.equal((await StateStore.open(dir)).state.port, 20);
  }));

Deno.test("state that is damaged is kept aside and the error says where and what to do", () =>
  inDir(async (dir) => {
    const good = await StateStore.open(dir);
    const text = await Deno.readTextFile(good.path);
    const parsed = JSON.parse(text);
    const damaged = [
      "",
      text.slice(0, 40),
      "[]",
      "null",
      "\0\0\0\0",
      JSON.stringify({ ...parsed, "private-key": "short" }),
      JSON.stringify({ ...parsed, "public-key": "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=" }),
      JSON.stringify({ ...parsed, port: 70000 }),
    ];
    for (const [i, content] of damaged.entries()) {
      await Deno.writeTextFile(good.path, content);
      const now = new Date(Date.UTC(2026, 0, 1, 0, 0, i));
      const kept = `${good.path}.corrupt-20260101T00000${i}Z`;
      await assert.rejects(StateStore.open(dir, now), (error) => {
        assert(error instanceof AgentError);
        assert.equal(error.exitCode, 1);
        assert(error.message.includes(kept), error.message);
        assert.match(error.message, /start again to register as a new device/);
        return true;
      });
      assert.equal(await Deno.readTextFile(kept), content);
      // The next start is a fresh one.
      const fresh = await StateStore.open(dir);
      assert.notDeepEqual(fresh.state.privateKey, good.state.privateKey);
    }
  }));

Deno.test("state drops loopback entries that are no addresses and keeps the rest", () =>
  inDir(async (dir) => {
    const store = await StateStore.open(dir);
    const key = store.state.publicKey.toBase64();
    const parsed = JSON.parse(await Deno.readTextFile(store.path));
    parsed.loopback = { [key]: "127.0.0.9", bad: "127.0.0.4", [`${key} `]: 5 };
    await Deno.writeTextFile(store.path, JSON.stringify(parsed));
    assert.deepEqual((await StateStore.open(dir)).state.loopback, { [key]: "127.0.0.9" });
  }));

Deno.test("state directory that cannot be used is one sentence with the remedy", async () => {
  const file = await Deno.makeTempFile();
  await assert.rejects(
    StateStore.open(`${file}/state`),
    (error) => error instanceof AgentError && /choose another --state-dir/.test(error.message),
  );
  await Deno.remove(file);
});

Deno.test("cache comes back private and without tokens, for the same key only", () =>
  inDir(async (dir) => {
    await Deno.mkdir(dir);
    const device = fakeDevice("a", "K", 1, { bearer_token: "djE=:x:y" });
    const cache: CachedVpc = {
      device,
      vpc: {
        id: device.vpc_id,
        organization_id: "o",
        description: "",
        private_cidr: false,
        ipv4_cidr: "100.64.0.0/10",
        ipv6_cidr: "200::/64",
        revision: 1,
      },
      devices: [device, fakeDevice("b", "L", 2)],
      securityGroups: [{
        id: "g",
        vpc_id: "v",
        description: "ssh only",
        inbound_rules: [{ ip_protocol: "tcp", from_port: 22, to_port: 22, ip_ranges: ["::/0"] }],
        revision: 2,
      }],
      metadata: [{ device_id: "b", key: "relay", value: { type: "derp" }, revision: 3 }],
      nat: { reflexive: "203.0.113.1:5", symmetric: true },
      met: { L: "203.0.113.2:5" },
      relayRegions: [{
        ...{ id: "r", name: "west", region_id: 900, hostname: "r.test", port: 443 },
        ...{ stun_port: 3478, ca: "PEM", weight: 100, drained: false, revision: 4 },
      }],
    };
    await writeCache(dir, cache);
    assert.equal(await mode(`${dir}/cache.json`), 0o600);
    assert(!(await Deno.readTextFile(`${dir}/cache.json`)).includes("bearer_token"));
    const { bearer_token: _, ...bare } = device;
    assert.deepEqual(await readCache(dir, "K"), {
      ...cache,
      device: bare,
      devices: [bare, cache.devices[1]!],
    });
    assert.equal(await readCache(dir, "other key"), undefined);
    assert(await readCache(dir, "K") !== undefined, "another key's cache stays where it is");
  }));

Deno.test("cache that is damaged is kept aside with one warning that names the file", () =>
  inDir(async (dir) => {
    await Deno.mkdir(dir);
    const path = `${dir}/cache.json`;
    const warnings: string[] = [];
    await configure({
      sinks: { test: (record) => void warnings.push(record.message.join("")) },
      loggers: [
        { category: "nexd", sinks: ["test"], lowestLevel: "warning" },
        { category: ["logtape", "meta"], sinks: [], lowestLevel: null },
      ],
    });
    try {
      const device = fakeDevice("a", "K", 1);
      for (
        const [i, [content, reason]] of ([
          ["{", "not valid JSON"],
          ["", "empty"],
          ["null", "not a JSON object"],
          [JSON.stringify({ device: {}, vpc: { id: "v" } }), "names no device"],
          [JSON.stringify({ device, vpc: 5 }), "names no VPC"],
        ] as const).entries()
      ) {
        warnings.length = 0;
        await Deno.writeTextFile(path, content);
        const now = new Date(Date.UTC(2026, 0, 1, 0, 0, i));
        assert.equal(await readCache(dir, "K", now), undefined);
        const kept = `${path}.corrupt-20260101T00000${i}Z`;
        assert.equal(await Deno.readTextFile(kept), content);
        await assert.rejects(Deno.lstat(path), Deno.errors.NotFound);
        assert.equal(warnings.length, 1);
        for (const part of [path, reason, kept]) assert(warnings[0]!.includes(part), warnings[0]);
      }
      warnings.length = 0;
      assert.equal(await readCache(`${dir}/nowhere`, "K"), undefined);
      assert.deepEqual(warnings, [], "there is nothing to tell when there is no cache");
    } finally {
      await reset();
    }
  }));
