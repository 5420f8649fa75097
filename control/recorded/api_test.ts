import assert from "node:assert/strict";
import type { Device, User, Vpc } from "../api/types.ts";
import { ADMIN, type Difference, type Exchange, flow, Replay } from "./replay.ts";

const RHEA: User = {
  id: "db2e7d6a-e766-48c9-9dd5-3169c1c3facf",
  full_name: "Rhea Lab",
  picture: "",
  username: "rhea",
};
const STRANGER: User = {
  id: "596877c2-3dfb-4d29-b95a-d49d232a3673",
  full_name: "Kitteh1 Lab",
  picture: "",
  username: "kitteh1",
};

Deno.test("refusals are those that were recorded", async () => {
  const replay = await Replay.start([ADMIN, STRANGER]);
  await using _control = replay.control;
  await replay.addDevKey();
  const devices = flow("errors").filter(({ url, method, status }) =>
    method === "GET" && status === 200 && url.endsWith("/api/devices")
  );
  await replay.addDevices(devices[0]!.response_body as Device[]);
  for (const exchange of flow("errors")) {
    const difference = differs(exchange);
    if (difference === "elsewhere") continue;
    // One VPC of the recording was another user's.
    const foreign = exchange.response_body?.resource === "vpc" && exchange.method === "POST";
    replay.as = foreign ? STRANGER.id : ADMIN.id;
    const valid = foreign
      ? { ...exchange, request_body: { ...exchange.request_body as object, public_key: KEY } }
      : exchange;
    await replay.same(valid, difference);
  }
});

const KEY = "B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw=";

function differs(exchange: Exchange): Difference | "elsewhere" | undefined {
  const { pathname } = new URL(exchange.url);
  // Ours signs its tokens in another way, and tells so where it is asked; see the sign-in flows.
  if (pathname === "/device/certs" || pathname === "/device/login/start") return "elsewhere";
  if (exchange.status === 500) {
    return { why: "a bearer that is nothing is no failure inside", status: 401, body: () => null };
  }
  const body = exchange.request_body as { public_key?: string } | string | undefined;
  if (typeof body === "string") {
    return { why: "another parser's words", body: true };
  }
  if (body?.public_key === "not-a-key") {
    return {
      why: "weakness 20b: one such key stops every agent of the VPC",
      status: 400,
      body: () => ({ error: "invalid data in field", field: "public_key" }),
    };
  }
  if (pathname === "/api/sites" && exchange.status === 200) {
    return {
      why: "there are no sites here",
      status: 405,
      body: () => ({ error: "operation not allowed", reason: "sites support is disabled" }),
    };
  }
  // Addresses depend on what was refused before.
  if (exchange.status === 201) return { why: "weakness 41: failures cost no address", body: true };
  return undefined;
}

Deno.test("addresses are given out as recorded, except that failures cost none", async () => {
  const exchanges = flow("ipam");
  const vpc = (exchanges[0]!.request_body as { vpc_id: string }).vpc_id;
  const replay = await Replay.start([{ ...RHEA, id: vpc, username: "lena" }]);
  await using _control = replay.control;
  // The recording starts with the first addresses taken.
  await replay.control.register({}, replay.control.user);
  const given: string[] = [];
  for (const exchange of exchanges) {
    const { status, body } = await replay.send(exchange);
    // Weakness 41: what the caller got wrong was a 500.
    assert.equal(status, exchange.status === 500 ? 400 : exchange.status);
    if (status === 201) given.push((body as Device).allowed_ips.join(" "));
  }
  assert.deepEqual(given, [
    "100.64.5.5/32 200::2/128",
    "100.64.0.2/32 200::3/128",
    "100.64.0.3/32 200::4/128",
    "100.64.0.4/32 200::5/128",
    "100.64.0.5/32 200::6/128",
    "100.64.0.6/32 200::7/128",
    "100.64.0.7/32 200::8/128",
    "100.64.0.8/32 200::9/128",
    "100.64.0.9/32 200::2/128",
  ]);
});

Deno.test("a device moves between VPCs as recorded, and back as well", async () => {
  const replay = await Replay.start([RHEA]);
  await using _control = replay.control;
  const exchanges = flow("device-move");
  const [, , , back, there, andBack] = exchanges;
  await replay.addDevices([{
    ...(there!.response_body as Device),
    vpc_id: RHEA.id,
    ipv4_tunnel_ips: [{ address: "100.64.0.2", cidr: "100.64.0.0/10" }],
    ipv6_tunnel_ips: [{ address: "200::3", cidr: "200::/64" }],
  }]);
  const moved = (exchange: Exchange, to: string): Difference => ({
    why: "weakness 39: the way back to the default VPC was a 200 that changed nothing",
    body: (theirs) => ({ ...theirs, vpc_id: to, security_group_id: to, ...addressesOf(exchange) }),
  });
  // Taken from what was answered, as they depend on what else is there.
  let answer: Device | undefined;
  const addressesOf = (_: Exchange) => ({
    allowed_ips: answer!.allowed_ips,
    ipv4_tunnel_ips: answer!.ipv4_tunnel_ips,
    ipv6_tunnel_ips: answer!.ipv6_tunnel_ips,
  });
  for (const exchange of exchanges) {
    const wanted = (exchange.request_body as { vpc_id?: string } | undefined)?.vpc_id;
    if (exchange === back || exchange === andBack) {
      answer = await replay.same(exchange, { ...moved(exchange, wanted!), body: true });
      assert.deepEqual([answer!.vpc_id, answer!.security_group_id], [RHEA.id, RHEA.id]);
      assert.match(answer!.allowed_ips[0]!, /^100\.64\./);
    } else if (exchange === there) {
      answer = await replay.same(exchange, { why: "the group is the new VPC's", body: true });
      assert.deepEqual(answer!.vpc_id, replay.ours(exchange.response_body.vpc_id));
      assert.equal(answer!.security_group_id, answer!.vpc_id);
      assert.deepEqual(answer!.advertise_cidrs, exchange.response_body.advertise_cidrs);
    } else if (exchange.method === "DELETE" && /vpcs/.test(exchange.url)) {
      await replay.same(exchange);
    } else if (exchange.status === 201 && exchange.response_body.security_group_id) {
      const body = exchange.request_body as { security_group_id?: string };
      const group = body.security_group_id;
      answer = await replay.same(exchange, {
        why: "weakness 38: the group that was asked for was ignored at first",
        body: true,
      });
      const expected = group ?? exchange.response_body.security_group_id;
      assert.equal(answer!.security_group_id, replay.ours(expected));
      assert.match(answer!.allowed_ips[0]!, group ? /^100\.64\./ : /^10\.7\./);
    } else if (exchange.response_body.public_key) {
      await replay.same(exchange, {
        why: "other addresses",
        body: (theirs) => ({ ...theirs, ...addressesOf(exchange) }),
      });
    } else await replay.same(exchange);
  }
});

Deno.test("lists are cut and counted as recorded", async () => {
  const replay = await Replay.start([RHEA]);
  await using _control = replay.control;
  const [range, all] = flow("lists");
  const devices = all!.response_body as Device[];
  const other = devices.find(({ vpc_id }) => vpc_id !== RHEA.id);
  if (other) {
    const ipv4_cidr = other.ipv4_tunnel_ips[0]!.cidr;
    const ipv6_cidr = other.ipv6_tunnel_ips[0]!.cidr;
    const vpc = { id: other.vpc_id, organization_id: RHEA.id, description: "p", revision: 1 };
    await replay.addVpcs([{ ...vpc, private_cidr: true, ipv4_cidr, ipv6_cidr } as Vpc]);
  }
  const groups = new Set(devices.map(({ security_group_id }) => security_group_id));
  for (const id of groups) {
    if (devices.some(({ vpc_id }) => vpc_id === id)) continue;
    await replay.store.db.insertInto("security_groups").values({
      id,
      vpc_id: RHEA.id,
      description: "",
      inbound_rules_json: null,
      outbound_rules_json: null,
      revision: 0,
      deleted_at: null,
    }).execute();
  }
  await replay.addDevices(devices);
  await replay.same(all!);
  const { status, body, headers } = await replay.send(range!);
  const names = (rows: Device[]) => rows.map(({ hostname }) => hostname);
  assert.equal(status, 200);
  assert.deepEqual(names(body as Device[]), names(range!.response_body));
  for (const name of ["x-total-count", "access-control-expose-headers"]) {
    assert.equal(headers.get(name), range!.response_headers[name]);
  }
});

Deno.test("a registration key is good until its time, as recorded, and then an ordinary refusal", async () => {
  const replay = await Replay.start([RHEA]);
  await using _control = replay.control;
  const [empty, make, before, after] = flow("reg-key-expiry");
  await replay.same(empty!);
  const expires_at = new Date(Math.ceil(Date.now() / 1000) * 1000 + 5_000).toISOString()
    .replace(".000Z", "Z");
  const soon = (exchange: Exchange): Exchange => ({
    ...exchange,
    ...(exchange.request_body ? { request_body: { ...exchange.request_body, expires_at } } : {}),
    response_body: { ...exchange.response_body, expires_at },
  });
  const { id } = await replay.same(soon(make!));
  await replay.same(soon(before!));
  const past = new Date(Date.now() - 1).toISOString();
  await replay.store.db.updateTable("reg_keys").set({ expires_at: past }).where("id", "=", id)
    .execute();
  await replay.same(after!, {
    why: "an expired key is no failure inside",
    status: 401,
    body: () => ({
      error: "invalid reg key",
      reason: `the registration key expired at ${past}`,
    }),
  });
});

Deno.test("a user with devices stays, and is another one after its deletion, as recorded", async () => {
  const replay = await Replay.start();
  await using _control = replay.control;
  const { control } = replay;
  await control.addAccount("rhea", "correct horse");
  await replay.store.db.updateTable("accounts").set({ full_name: RHEA.full_name }).execute();
  const { body: tokens } = await control.form("/oauth/token", {
    client_id: "nexodus-cli",
    grant_type: "password",
    username: "rhea",
    password: "correct horse",
    scope: "openid read:users write:users read:devices write:devices",
  });
  replay.as = tokens.access_token;
  const { body: me } = await control.call("GET", "/api/users/me", replay.as);
  replay.names.set(RHEA.id, me.id);
  const { device } = await control.register({ vpc_id: me.id }, replay.as);
  const [refused, deleted, next] = flow("user-delete");
  await replay.same(refused!);
  await control.call("DELETE", `/api/devices/${device.id}`, replay.as);
  await replay.same(deleted!);
  const { body } = await replay.send(next!);
  const again = body as User;
  assert.deepEqual({ ...again, id: "" }, { ...next!.response_body, id: "" });
  assert.ok(again.id !== me.id);
});
