import assert from "node:assert/strict";
import type { Device } from "../../control/api/types.ts";
import { WatchCache } from "./mod.ts";

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
const tail = (kind: string) => ({ kind, type: "tail" });
const ids = (cache: WatchCache) => cache.devices().map((d) => d.id).sort();
const tailAll = (cache: WatchCache) => {
  for (const kind of ["device", "device-metadata"]) cache.apply(tail(kind));
};

Deno.test("cache asks for the whole backlog first and resumes at the tail afterwards", () => {
  const cache = new WatchCache(VPC);
  cache.begin();
  assert.deepEqual(cache.watches(), [
    { kind: "device", options: { "vpc-id": VPC } },
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
  assert.deepEqual(cache.watches()[1], {
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
