import assert from "node:assert/strict";
import type { Device } from "../../../control/api/types.ts";
import { WatchCache } from "../mod.ts";

const VPC = "vpc-1";

function device(id: string, revision: number, more: Partial<Device> = {}): Device {
  return {
    id,
    owner_id: "o",
    vpc_id: VPC,
    public_key: `key-${id}`,
    allowed_ips: [],
    ipv4_tunnel_ips: [],
    ipv6_tunnel_ips: [],
    advertise_cidrs: null,
    relay: false,
    symmetric_nat: false,
    hostname: id,
    os: "linux",
    endpoints: [],
    revision,
    security_group_id: "",
    online: true,
    online_at: null,
    ...more,
  };
}

const change = (value: unknown, kind = "device") => ({ kind, type: "change", value });
const KINDS = ["device", "security-group", "device-metadata"];
const tail = (kind: string) => ({ kind, type: "tail" });
const ids = (cache: WatchCache) => cache.devices().map((d) => d.id).sort();
const tailAll = (cache: WatchCache) => {
  for (const kind of KINDS) cache.apply(tail(kind));
};

Deno.test("cache asks for the whole backlog first and resumes at the tail afterwards", () => {
  const cache = new WatchCache(VPC);
  cache.begin();
  assert.deepEqual(cache.watches(), [
    { kind: "device", options: { "vpc-id": VPC } },
    { kind: "security-group", options: { "vpc-id": VPC } },
    { kind: "device-metadata", options: { "vpc-id": VPC, key: "relay" } },
  ]);
  cache.apply(change(device("a", 7)));
  cache.begin(); // the stream broke before the tail: nothing may be skipped
  assert.equal(cache.watches()[0]!.gt_revision, undefined);
  cache.apply(change(device("a", 7)));
  tailAll(cache);
  cache.begin();
  assert.deepEqual(cache.watches()[0], {
    kind: "device",
    at_tail: true,
    gt_revision: 7,
    options: { "vpc-id": VPC },
  });
  assert.deepEqual(cache.watches()[2], {
    kind: "device-metadata",
    at_tail: true,
    options: { "vpc-id": VPC, key: "relay" },
  });
});

Deno.test("cache keeps revisions beyond 32 bits", () => {
  const cache = new WatchCache(VPC);
  cache.begin();
  cache.apply(change(device("a", 2 ** 33)));
  tailAll(cache);
  assert.equal(cache.watches()[0]!.gt_revision, 2 ** 33);
});

Deno.test("cache shows stored rows until the first backlog is complete, then only what it named", () => {
  const cache = new WatchCache(VPC, { devices: [device("a", 1), device("b", 2)] });
  assert.deepEqual(ids(cache), ["a", "b"]);
  cache.begin();
  cache.apply(change(device("b", 2)));
  cache.apply(change(device("c", 3)));
  assert.deepEqual(ids(cache), ["a", "b", "c"]);
  cache.begin(); // broke half-way: still nothing is lost
  assert.deepEqual(ids(cache), ["a", "b", "c"]);
  cache.apply(change(device("b", 2)));
  assert.deepEqual(cache.apply(tail("device")), { changed: true });
  assert.deepEqual(ids(cache), ["b"]);
});

Deno.test("cache removes deleted devices and ignores older revisions", () => {
  const cache = new WatchCache(VPC);
  cache.begin();
  cache.apply(change(device("a", 5)));
  cache.apply(change(device("b", 6)));
  tailAll(cache);
  assert.deepEqual(cache.apply(change(device("a", 4, { hostname: "old" }))), { changed: false });
  assert.equal(cache.devices().find((d) => d.id === "a")!.hostname, "a");
  cache.apply({ kind: "device", type: "delete", value: device("a", 8, { public_key: "" }) });
  cache.apply(change(device("b", 9, { public_key: "" })));
  assert.deepEqual(ids(cache), []);
});

Deno.test("cache hides metadata of devices it does not know and keys nobody asked for", () => {
  const cache = new WatchCache(VPC);
  cache.begin();
  const row = (device_id: string, key = "relay") =>
    change({ device_id, key, value: { type: "derp" }, revision: 1 }, "device-metadata");
  cache.apply(row("stranger"));
  cache.apply(row("a"));
  cache.apply(row("a", "tcp:1"));
  cache.apply(change(device("a", 1)));
  assert.deepEqual(cache.metadata().map((m) => `${m.device_id}/${m.key}`), ["a/relay"]);
});

Deno.test("cache hides devices of another VPC", () => {
  const cache = new WatchCache(VPC);
  cache.begin();
  cache.apply(change(device("a", 1, { vpc_id: "vpc-2" })));
  assert.deepEqual(ids(cache), []);
});

Deno.test("cache survives values of any shape", () => {
  const cache = new WatchCache(VPC);
  cache.begin();
  for (const value of [null, 1, "x", [], {}, { id: 5 }, { id: "q", endpoints: [null, 3, {}] }]) {
    for (const kind of ["device", "security-group", "device-metadata", "nope", "__proto__"]) {
      cache.apply(change(value, kind));
      cache.apply({ kind, type: "delete", value });
      cache.apply({ kind, type: "surprise" });
    }
  }
  assert.deepEqual(cache.apply({ type: "error", value: { error: "fetch failed" } }), {
    error: "fetch failed",
  });
  assert.deepEqual(cache.apply({ type: "error" }), { error: "no reason given" });
});

Deno.test("cache holds the rows of an earlier run to what it asks of the stream's", () => {
  const metadata = { device_id: "a", value: {}, revision: 1 };
  const cache = new WatchCache(VPC, {
    devices: [
      device("a", 1),
      device("deleted", 1, { public_key: "" }),
      device("elsewhere", 1, { vpc_id: "vpc-2" }),
      { id: "half", public_key: "K" } as Device,
      null as unknown as Device,
    ],
    metadata: [{ ...metadata, key: "relay" }, { ...metadata, key: "other" }],
  });
  assert.deepEqual(ids(cache), ["a", "half"]);
  assert.deepEqual(cache.devices().find((d) => d.id === "half")!.endpoints, []);
  assert.deepEqual(cache.metadata().map((row) => row.key), ["relay"]);
});

const ssh = { ip_protocol: "tcp", from_port: 22, to_port: 22 };
const group = (id: string, revision: number, more = {}) => ({
  id,
  vpc_id: VPC,
  description: id,
  revision,
  ...more,
});

Deno.test("cache follows security groups and keeps those of an earlier run until the first tail", () => {
  const cache = new WatchCache(VPC, { securityGroups: [group("a", 1), group("b", 2)] });
  const names = () => cache.securityGroups().map((row) => row.id).sort();
  assert.deepEqual(names(), ["a", "b"]);
  cache.begin();
  const rules = { inbound_rules: [ssh] };
  assert.deepEqual(cache.apply(change(group("b", 3, rules), "security-group")), { changed: true });
  cache.apply(tail("device"));
  cache.apply(tail("device-metadata"));
  assert.deepEqual([names(), cache.synced], [["a", "b"], false]);
  cache.apply(tail("security-group"));
  assert.deepEqual([cache.securityGroups(), cache.synced], [[group("b", 3, rules)], true]);
  cache.apply({ kind: "security-group", type: "delete", value: group("b", 4) });
  assert.deepEqual(names(), []);
});

Deno.test("cache does without security groups when the control plane refuses their kind", () => {
  const cache = new WatchCache(VPC, { securityGroups: [group("a", 1)] });
  const kinds = () => cache.watches().map((watch) => watch.kind);
  for (const field of ["", "request[0].kind", "request[7].kind", "request[1].options.vpc-id"]) {
    assert.equal(cache.refused(field), undefined, field);
  }
  assert.equal(cache.refused("request[1].kind"), "security-group");
  assert.deepEqual(kinds(), ["device", "device-metadata"]);
  assert.equal(cache.refused("request[1].kind"), undefined, "that is the metadata's");
  cache.begin();
  cache.apply(tail("device"));
  cache.apply(tail("device-metadata"));
  assert.equal(cache.synced, true);
  assert.deepEqual(cache.securityGroups().map((row) => row.id), ["a"]);
});

Deno.test("cache asks for public relays where it was found that they are told, and drops them where not", () => {
  const region = (id: string, revision: number) => ({ id, revision, hostname: `${id}.test` });
  const cache = new WatchCache(
    VPC,
    { relayRegions: [region("kept", 1)] as never },
    undefined,
    true,
  );
  const names = () => cache.relayRegions().map(({ id }) => id).sort();
  const watch = () => cache.watches().find(({ kind }) => kind === "relay-region");
  assert.deepEqual([names(), watch(), cache.asksForRegions(0)], [["kept"], undefined, true]);
  cache.learnRegions([region("a", 1), region("b", 2), { id: "c", built_in: true }], 0);
  assert.deepEqual([names(), cache.asksForRegions(1e12)], [["a", "b"], false]);
  assert.deepEqual(watch(), { kind: "relay-region", options: {} });
  cache.begin();
  cache.apply(change(region("b", 3), "relay-region"));
  cache.apply(tail("relay-region"));
  assert.deepEqual([names(), watch()!.gt_revision], [["b"], 3]);
  assert.equal(cache.refused("request[3].kind"), "relay-region");
  assert.deepEqual([names(), watch()], [[], undefined]);
  const now = performance.now();
  assert.deepEqual(
    [cache.asksForRegions(now + 3_000_000), cache.asksForRegions(now + 3_700_000)],
    [false, true],
    "once an hour",
  );
  const other = new WatchCache(VPC);
  assert.equal(other.asksForRegions(1e12), false, "who does not want them never asks");
});

Deno.test("cache never reads a security group as less strict than it was written", () => {
  const read = (more: object) => {
    const cache = new WatchCache(VPC);
    cache.apply(change(group("g", 1, more), "security-group"));
    return cache.securityGroups()[0]!;
  };
  for (const none of [undefined, null]) {
    assert.equal("inbound_rules" in read({ inbound_rules: none }), false);
  }
  assert.deepEqual(read({ inbound_rules: [] }).inbound_rules, []);
  for (const list of [{}, "all", 0, false, [null], ["tcp"], [[]]]) {
    for (const name of ["inbound_rules", "outbound_rules"] as const) {
      assert.deepEqual(read({ [name]: list })[name], [
        { ip_protocol: "?", from_port: -1, to_port: -1 },
      ]);
    }
  }
  const field = (rule: object) => read({ inbound_rules: [rule] }).inbound_rules![0]!;
  assert.deepEqual(field({}), { ip_protocol: "", from_port: 0, to_port: 0 });
  assert.equal(field({ ip_protocol: 6 }).ip_protocol, "?");
  assert.equal(field({ ip_protocol: "t".repeat(200) }).ip_protocol, "?");
  assert.equal(field({ from_port: "22" }).from_port, -1);
  assert.equal(field({ to_port: 1.5 }).to_port, -1);
  assert.deepEqual(field({ ip_ranges: "::1" }).ip_ranges, ["?"]);
  assert.deepEqual(field({ ip_ranges: [7, "10.0.0.1"] }).ip_ranges, ["?", "10.0.0.1"]);
  assert.equal(read({ inbound_rules: Array(10_000).fill(ssh) }).inbound_rules!.length, 512);
});
