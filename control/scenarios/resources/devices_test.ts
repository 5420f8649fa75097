import assert from "node:assert/strict";
import fc from "fast-check";
import type { Device } from "../../api/types.ts";
import { isEndpointAddress } from "../../devices/mod.ts";
import { newKey } from "../../testing.ts";
import { notFound, People } from "./people.ts";

const DEVICES = "/api/devices";

/** Any UTF-16 unit: fast-check's own takes seconds to begin. */
const ANY = fc.nat({ max: 0xffff }).map((code) => String.fromCharCode(code));

Deno.test("a device is made, changed, shown to its owner alone, deleted, and its key registers again", async () => {
  await using people = await People.start();
  const [sol, mel] = [await people.person("sol"), await people.person("mel")];
  assert.deepEqual(await sol.expect(200, "GET", DEVICES), []);
  const endpoints = [{ source: "local", address: "172.17.0.3:58664" }];
  const body = { vpc_id: sol.id, public_key: newKey(), hostname: "kittenhome", endpoints };
  const { bearer_token, ...made } = await sol.expect(201, "POST", DEVICES, body);
  assert.match(bearer_token, /^djE=:/);
  assert.deepEqual(made, {
    id: made.id,
    owner_id: sol.id,
    vpc_id: sol.id,
    public_key: body.public_key,
    allowed_ips: ["100.64.0.1/32", "200::1/128"],
    ipv4_tunnel_ips: [{ address: "100.64.0.1", cidr: "100.64.0.0/10" }],
    ipv6_tunnel_ips: [{ address: "200::1", cidr: "200::/64" }],
    advertise_cidrs: null,
    relay: false,
    symmetric_nat: false,
    hostname: "kittenhome",
    os: "",
    endpoints,
    revision: made.revision,
    security_group_id: sol.id,
    online: false,
    online_at: null,
  });
  const path = `${DEVICES}/${made.id}`;
  const renamed = await sol.expect(200, "PATCH", path, { hostname: "kittenhome2" });
  assert.equal(renamed.hostname, "kittenhome2");
  // Weakness 42: addresses of a relay had no prefix length, and not until it was made anew.
  const relay: Device = await sol.expect(200, "PATCH", path, { relay: true });
  assert.deepEqual([relay.relay, relay.allowed_ips], [true, made.allowed_ips]);
  const other = { vpc_id: sol.id, public_key: newKey(), relay: true };
  const second: Device = await sol.expect(201, "POST", DEVICES, other);
  assert.deepEqual(second.allowed_ips, ["100.64.0.2/32", "200::2/128"]);
  const list: Device[] = await sol.expect(200, "GET", DEVICES);
  assert.deepEqual(list.map(({ hostname }) => hostname), ["", "kittenhome2"]);

  assert.deepEqual(await mel.expect(200, "GET", DEVICES), []);
  await mel.refused(404, undefined, "GET", path);
  await mel.refused(404, notFound("device"), "PATCH", path, { hostname: "mine" });
  await mel.refused(404, notFound("device"), "DELETE", path);
  // Weakness 44: the conflict told the id of another user's device.
  const taken = { error: "resource already exists" };
  const again = { ...body, vpc_id: mel.id };
  await mel.refused(409, taken, "POST", DEVICES, again);
  await sol.refused(409, { id: made.id, ...taken }, "POST", DEVICES, body);

  const gone: Device = await sol.expect(200, "DELETE", path);
  assert.deepEqual([gone.public_key, gone.bearer_token], ["", undefined]);
  await sol.refused(404, notFound("device"), "DELETE", path);
  const anew: Device = await sol.expect(201, "POST", DEVICES, body);
  assert.notEqual(anew.id, made.id);
  assert.deepEqual(anew.allowed_ips, made.allowed_ips, "the lowest free ones, given back");
});

Deno.test("a device that others could not use is refused at the door", async () => {
  // Weakness 20b: one such row stopped every agent of the VPC.
  await using people = await People.start();
  const sol = await people.person("sol");
  const refused: [object, string][] = [
    [{ public_key: "not-a-key" }, "public_key"],
    [{ public_key: "A".repeat(43) + "=" }, "public_key"],
    [{ public_key: btoa("x".repeat(31)) }, "public_key"],
    [{ public_key: ` ${newKey()}` }, "public_key"],
    [{ endpoints: [{ source: "local", address: "edge.example:1" }] }, "endpoints.0.address"],
    [{ endpoints: [{ source: "local", address: "192.0.2.1" }] }, "endpoints.0.address"],
    [{ endpoints: [{ source: "local", address: "192.0.2.1:70000" }] }, "endpoints.0.address"],
    [{ endpoints: [{ source: "a\nb", address: "192.0.2.1:1" }] }, "endpoints.0.source"],
    [{ ipv4_tunnel_ips: [{ address: "100.64.0.x" }] }, "ipv4_tunnel_ips"],
    [{ ipv4_tunnel_ips: [{ address: "200::7" }] }, "ipv4_tunnel_ips"],
    [{ advertise_cidrs: ["172.16.0.0"] }, "advertise_cidrs"],
    [{ hostname: "a\u001b[2Jb" }, "hostname"],
    [{ os: "linux\n" }, "os"],
  ];
  const make = (fields: object) =>
    sol.call("POST", DEVICES, { vpc_id: sol.id, public_key: newKey(), ...fields });
  for (const [fields, field] of refused) {
    const { status, body } = await make(fields);
    assert.deepEqual([status, body.field], [400, field], JSON.stringify(fields));
  }
  assert.deepEqual(await sol.expect(200, "GET", DEVICES), []);
  // What stock agents publish when they know no address, and any host name.
  const odd = {
    endpoints: [{ source: "stun:", address: "invalid AddrPort" }],
    hostname: "kätzchen 🐈",
  };
  const { status, body } = await make(odd);
  assert.deepEqual([status, body.hostname, body.endpoints], [201, odd.hostname, odd.endpoints]);
  assert.deepEqual(body.allowed_ips, ["100.64.0.1/32", "200::1/128"], "refusals cost no address");
});

Deno.test("an endpoint is an address with a port and nothing else, whatever the text", () => {
  const RUNS = { numRuns: 50 };
  const port = fc.integer({ min: 0, max: 65535 });
  const ipv6 = fc.array(port, { minLength: 8, maxLength: 8 })
    .map((groups) => groups.map((group) => group.toString(16)).join(":"));
  fc.assert(fc.property(fc.ipV4(), port, (ip, port) => isEndpointAddress(`${ip}:${port}`)), RUNS);
  fc.assert(fc.property(ipv6, port, (ip, port) => isEndpointAddress(`[${ip}]:${port}`)), RUNS);
  fc.assert(fc.property(fc.string({ unit: ANY }), (text) => {
    assert.ok(!isEndpointAddress(text) || /^[\d.]+:\d+$|^\[[\da-fA-F:.]+\]:\d+$/.test(text), text);
  }));
  for (const text of ["[192.0.2.1]:1", "::1:1", "[::1%eth0]:1", "192.0.2.1:", ":1", "[]:1", ""]) {
    assert.ok(!isEndpointAddress(text), text);
  }
});

Deno.test("a key or a device leaves the profile of its user alone", async () => {
  // Weakness 45: tokens without a profile could blank the user's name.
  await using people = await People.start();
  const sol = await people.person("sol");
  const { control } = people;
  await control.store.db.updateTable("users").set({ full_name: "Sol Ferrer" })
    .where("id", "=", sol.id).execute();
  const key = await sol.expect(201, "POST", "/api/reg-keys", { vpc_id: sol.id });
  const { token } = await control.register({ vpc_id: sol.id }, key.bearer_token);
  for (const bearer of [key.bearer_token, token]) {
    assert.equal((await control.call("GET", DEVICES, bearer)).status, 200);
  }
  const me = await sol.expect(200, "GET", "/api/users/me");
  assert.deepEqual([me.username, me.full_name], ["sol", "Sol Ferrer"]);
});
