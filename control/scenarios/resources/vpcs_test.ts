import assert from "node:assert/strict";
import fc from "fast-check";
import type { Device, Vpc } from "../../api/types.ts";
import { newKey } from "../../testing.ts";
import { notAllowed, notFound, People } from "./people.ts";

const VPCS = "/api/vpcs";
const RANGES = { private_cidr: true, ipv4_cidr: "10.7.0.0/16", ipv6_cidr: "fd00:7::/64" };

/** Any UTF-16 unit: fast-check's own takes seconds to begin. */
const ANY = fc.nat({ max: 0xffff }).map((code) => String.fromCharCode(code));

Deno.test("a user's first VPC has its id and the shared ranges, and stays", async () => {
  await using people = await People.start();
  const [sol, mel] = [await people.person("sol"), await people.person("mel")];
  const path = `${VPCS}/${sol.id}`;
  const vpc: Vpc = await sol.expect(200, "GET", path);
  assert.deepEqual(vpc, {
    id: sol.id,
    organization_id: sol.id,
    description: "default vpc",
    private_cidr: false,
    ipv4_cidr: "100.64.0.0/10",
    ipv6_cidr: "200::/64",
    revision: vpc.revision,
  });
  assert.deepEqual(await sol.expect(200, "GET", VPCS), [vpc]);
  await sol.refused(400, notAllowed("default vpc cannot be deleted"), "DELETE", path);
  for (const [method, body] of [["GET"], ["PATCH", {}], ["DELETE"]] as const) {
    await mel.refused(404, notFound("vpc"), method, path, body);
  }
  const other = await sol.expect(201, "POST", VPCS, { organization_id: sol.id, description: "b" });
  const changed = await sol.expect(200, "PATCH", `${VPCS}/${other.id}`, { description: "c" });
  assert.equal(changed.description, "c");
  assert.ok(changed.revision > other.revision);
  const same = await sol.expect(200, "PATCH", `${VPCS}/${other.id}`, {});
  assert.deepEqual(same, changed, "what changes nothing takes no revision");
  assert.equal((await sol.expect(200, "DELETE", `${VPCS}/${other.id}`)).id, other.id);
  await sol.refused(404, notFound("vpc"), "DELETE", `${VPCS}/${other.id}`);
});

Deno.test("a VPC with a device stays, one without goes with its groups, keys and ranges", async () => {
  await using people = await People.start();
  const sol = await people.person("sol");
  const { control } = people;
  const vpc = await sol.expect(201, "POST", VPCS, { organization_id: sol.id, ...RANGES });
  const key = await sol.expect(201, "POST", "/api/reg-keys", { vpc_id: vpc.id });
  const group = await sol.expect(201, "POST", "/api/security-groups", { vpc_id: vpc.id });
  const { device, token } = await control.register({ vpc_id: vpc.id }, key.bearer_token);
  assert.deepEqual(device.allowed_ips, ["10.7.0.1/32", "fd00:7::1/128"]);
  const path = `${VPCS}/${vpc.id}`;
  const attached = notAllowed("vpc cannot be deleted while devices are still attached");
  await sol.refused(400, attached, "DELETE", path);
  await sol.expect(200, "DELETE", `/api/devices/${device.id}`);
  await sol.expect(200, "DELETE", path);
  await sol.refused(404, undefined, "GET", `/api/security-groups/${group.id}`);
  assert.equal((await control.call("GET", "/api/reg-keys/me", key.bearer_token)).status, 401);
  assert.equal((await control.call("GET", "/api/devices", token)).status, 401);
  for (const table of ["address_pools", "address_gaps"] as const) {
    const rows = await control.store.db.selectFrom(table).select("namespace")
      .where("namespace", "=", vpc.id).execute();
    assert.deepEqual(rows, [], table);
  }
});

Deno.test("VPCs are refused in the words of the API when a field is missing or a range unusable", async () => {
  await using people = await People.start();
  const [sol, mel] = [await people.person("sol"), await people.person("mel")];
  const refused = async (body: object, expected: object) =>
    await sol.refused(400, expected, "POST", VPCS, { organization_id: sol.id, ...body });
  const missing = (field: string) => ({ error: "field not present", field });
  await refused({ organization_id: null }, missing("organization_id"));
  await refused({ organization_id: "" }, missing("organization_id"));
  const shared = (cidr: string) => `must be '${cidr}' or not set when private_cidr is not enabled`;
  await refused({ ipv4_cidr: "10.0.0.0/8" }, { error: shared("100.64.0.0/10"), field: "cidr" });
  await refused({ ipv6_cidr: "fd00::/64" }, { error: shared("200::/64"), field: "cidr_v6" });
  await refused({ private_cidr: true }, missing("ipv4_cidr"));
  await refused({ ...RANGES, ipv6_cidr: "" }, missing("cidr_v6"));
  const bad = (text: string, field: string) => ({ error: `invalid CIDR address: ${text}`, field });
  await refused({ ...RANGES, ipv4_cidr: "10.7.0.0/99" }, bad("10.7.0.0/99", "ipv4_cidr"));
  await refused({ ...RANGES, ipv4_cidr: "fd00::/64" }, bad("fd00::/64", "ipv4_cidr"));
  await refused({ ...RANGES, ipv6_cidr: "10.0.0.0/8" }, bad("10.0.0.0/8", "cidr_v6"));
  for (const text of ["0.0.0.0/0", "127.0.0.0/16", "169.254.0.0/24", "224.0.0.0/8", "10.0.0.0/7"]) {
    const { status, body } = await sol.call("POST", VPCS, {
      organization_id: sol.id,
      ...RANGES,
      ipv4_cidr: text,
    });
    assert.deepEqual([status, body.field], [400, "ipv4_cidr"], text);
    assert.match(body.reason, /wider|overlaps/);
  }
  await sol.refused(404, notFound("organization"), "POST", VPCS, { organization_id: mel.id });
  const { status, body } = await sol.call("POST", VPCS, "{");
  assert.equal(status, 400);
  assert.match(body.error, /^request json is invalid: /);
  // The shared ranges may be named.
  const named = { ipv4_cidr: "100.64.0.0/10", ipv6_cidr: "200::/64" };
  await sol.expect(201, "POST", VPCS, { organization_id: sol.id, ...named });
});

Deno.test("a range is taken or refused, whatever its text, and never fails inside", async () => {
  await using people = await People.start();
  const sol = await people.person("sol");
  const octet = fc.integer({ min: 0, max: 300 });
  const cidr = fc.oneof(
    fc.string({ maxLength: 70, unit: ANY }),
    fc.tuple(octet, octet, octet, octet, fc.integer({ min: -1, max: 40 }))
      .map(([a, b, c, d, bits]) => `${a}.${b}.${c}.${d}/${bits}`),
  );
  await fc.assert(
    fc.asyncProperty(cidr, async (ipv4_cidr) => {
      const body = { organization_id: sol.id, ...RANGES, ipv4_cidr };
      const { status, text } = await sol.call("POST", VPCS, body);
      assert.ok([201, 400].includes(status), `${JSON.stringify(ipv4_cidr)}: ${text}`);
    }),
    { numRuns: 60 },
  );
});

Deno.test("members see all devices of a VPC by host name, and nobody another's token", async () => {
  await using people = await People.start();
  const [sol, mel, eve] = await Promise.all(["sol", "mel", "eve"].map((n) => people.person(n)));
  await people.join(mel!, sol!);
  const { control } = people;
  const b = await control.register({ vpc_id: sol!.id, hostname: "b" }, sol!.token);
  const a = await control.register({ vpc_id: sol!.id, hostname: "a" }, mel!.token);
  const path = `${VPCS}/${sol!.id}/devices`;
  for (const bearer of [sol!.token, mel!.token, a.token, b.token]) {
    const { body } = await control.call("GET", path, bearer);
    assert.deepEqual(body.map(({ hostname }: Device) => hostname), ["a", "b"]);
    const shown = body.filter(({ bearer_token }: Device) => bearer_token);
    const own = [a, b].filter(({ token }) => token === bearer).map(({ device }) => device.id);
    assert.deepEqual(shown.map(({ id }: Device) => id), own);
  }
  await eve!.refused(404, notFound("vpc"), "GET", path);
  const device = { vpc_id: sol!.id, public_key: newKey() };
  await eve!.refused(404, notFound("vpc"), "POST", "/api/devices", device);
});
