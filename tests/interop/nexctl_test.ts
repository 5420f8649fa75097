/** Every command of the unmodified Go administration tool that goes to a control plane, against ours. */

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { skip } from "../../scripts/lab/support.ts";
import { cannotMount, NexctlHost } from "./nexctl_host.ts";

async function hostOf(): Promise<NexctlHost | undefined> {
  const program = Deno.env.get("NEXD_TEST_GO_NEXCTL");
  const reason = program
    ? await cannotMount()
    : "NEXD_TEST_GO_NEXCTL does not name the Go administration tool";
  if (program && reason === undefined) return await NexctlHost.start(program);
  skip(reason!);
  return undefined;
}

const ids = (rows: { id: string }[]) => rows.map(({ id }) => id).sort();

Deno.test("nexctl works with users, organizations and invitations", async () => {
  const host = await hostOf();
  if (!host) return;
  await using _host = host;
  const ada = (...args: string[]) => host.json("ada", ...args);
  const sol = (...args: string[]) => host.json("sol", ...args);
  const me = await ada("user", "get-current");
  const other = await sol("user", "get-current");
  equal(me.username, "ada");
  deepEqual(await ada("user", "list"), [me]);
  const make = ["create", "--name", "lab", "--description", "bench"];
  const lab = await ada("organization", ...make);
  const taken = await host.run("ada", "json", "organization", ...make);
  match(taken.stderr + taken.stdout, new RegExp(`conflicting id: ${lab.id}.*409`));
  deepEqual(ids(await ada("organization", "list")), ids([me, lab]));
  const inOrganization = ["organization", "user", "--organization-id", lab.id];

  // Weakness 25: it sends the one that is not meant as "", which stock servers refuse.
  const invite = ["invitation", "create", "--organization-id", lab.id];
  const byId = await ada(...invite, "--user-id", other.id);
  const listed = await sol("invitation", "list");
  deepEqual([listed[0].id, listed[0].from.username], [byId.id, "ada"]);
  const table = await host.run("sol", "column", "invitation", "list");
  ok(table.code === 0 && table.stdout.includes(byId.id), table.stdout + table.stderr);
  await sol("invitation", "accept", "--inv-id", byId.id);
  const members = async () =>
    (await ada(...inOrganization, "list"))
      .map(({ user, roles }: { user: { username: string }; roles: string[] }) => [
        user.username,
        ...roles,
      ]);
  deepEqual(await members(), [["ada", "owner"], ["sol", "member"]]);
  await ada(...inOrganization, "delete", "--user-id", other.id);
  const byEmail = await ada(...invite, "--email", "sol@control.test", "--role", "owner");
  await sol("invitation", "accept", "--inv-id", byEmail.id);
  deepEqual(await members(), [["ada", "owner"], ["sol", "owner"]]);
  await ada("user", "remove-user", "--user-id", other.id, "--organization-id", lab.id);
  deepEqual(await members(), [["ada", "owner"]]);
  const unused = await ada(...invite, "--email", "nobody@control.test");
  await host.run("ada", "column", "invitation", "delete", "--inv-id", unused.id);
  deepEqual(await ada("invitation", "list"), []);
  equal((await ada("organization", "delete", "--organization-id", lab.id)).id, lab.id);
  equal((await sol("user", "delete", "--user-id", other.id)).id, other.id);
  ok((await sol("user", "get-current")).id !== other.id, "the next call makes another user");
});

Deno.test("nexctl works with VPCs, registration keys, groups and devices", async () => {
  const host = await hostOf();
  if (!host) return;
  await using _host = host;
  const ada = (...args: string[]) => host.json("ada", ...args);
  const refused = async (pattern: RegExp, ...args: string[]) => {
    const { code, stdout, stderr } = await host.run("ada", "json", ...args);
    ok(code !== 0 && pattern.test(stdout + stderr), `${args.join(" ")}: ${stdout}${stderr}`);
  };
  const me = await ada("user", "get-current");
  const ranges = ["--ipv4-cidr", "10.7.0.0/16", "--ipv6-cidr", "fd00:7::/64"];
  const vpc = await ada("vpc", "create", "--description", "priv", ...ranges);
  const vpcId = ["--vpc-id", vpc.id];
  deepEqual([vpc.private_cidr, vpc.ipv4_cidr], [true, "10.7.0.0/16"]);
  await refused(
    /invalid CIDR.*400/,
    "vpc",
    "create",
    "--ipv4-cidr",
    "10.7.0.0/99",
    ...ranges.slice(2),
  );
  deepEqual(ids(await ada("vpc", "list")), ids([me, vpc]));
  equal((await ada("vpc", "update", ...vpcId, "--description", "p2")).description, "p2");
  // Weakness 26: its own table of this command fails, after the change was made.
  equal(
    (await host.run("ada", "column", "vpc", "update", ...vpcId, "--description", "p3")).code,
    2,
  );
  equal((await ada("vpc", "list"))[1].description, "p3");
  await refused(/not allowed/, "vpc", "delete", "--vpc-id", me.id);

  const rules = '[{"ip_protocol":"tcp","from_port":22,"to_port":22}]';
  const group = await ada("security-group", "create", ...vpcId, "--inbound-rules", rules);
  const groupId = ["--security-group-id", group.id];
  await ada("security-group", "update", ...groupId, "--description", "ssh");
  equal((await ada("security-group", "list")).length, 3);

  // Weakness 24: it sends the time as Go prints it.
  const soon = Date.now() + 3600_000;
  const key = await ada("reg-key", "create", ...vpcId, ...groupId, "--single-use", ...[
    ...["--expiration", "1h", "--settings", '{"a":1}', "--description", "once"],
  ]);
  ok(Math.abs(Date.parse(key.expires_at) - soon) < 60_000, key.expires_at);
  const multi = await ada("reg-key", "create", "--description", "many");
  deepEqual([multi.vpc_id, multi.settings], [me.id, undefined]);
  const keys = await host.run("ada", "column", "reg-key", "list");
  ok(keys.stdout.includes(`--reg-key ${host.serviceUrl}#${key.bearer_token}`), keys.stdout);
  const keyId = ["--reg-key-id", key.id];
  const later = await ada("reg-key", "update", ...keyId, "--expiration", "2h");
  ok(Date.parse(later.expires_at) > soon + 1800_000, later.expires_at);

  const device = await host.register(key.bearer_token, vpc.id, "edge");
  const deviceId = ["--device-id", device.id];
  deepEqual([device.id, device.security_group_id], [key.device_id, group.id]);
  deepEqual(ids(await ada("device", "list")), [device.id]);
  const full = await host.run("ada", "column", "device", "list", "--full", ...vpcId);
  ok(/edge.*10\.7\.0\.1, fd00:7::1/.test(full.stdout), full.stdout);
  equal((await ada("device", "update", ...deviceId, "--hostname", "gate")).hostname, "gate");
  await refused(/not allowed/, "security-group", "delete", ...groupId);
  await ada("device", "update", ...deviceId, "--security-group-id", vpc.id);
  equal((await ada("reg-key", "delete", ...keyId)).id, key.id);
  equal((await ada("security-group", "delete", ...groupId)).id, group.id);

  const metadata = (...args: string[]) =>
    ada("device", "metadata", ...args.slice(0, 1), ...[
      ...deviceId,
      ...args.slice(1),
    ]);
  deepEqual((await metadata("set", "--key", "k", "--value", '{"a":1}')).value, { a: 1 });
  deepEqual((await metadata("get", "--key", "k")).value, { a: 1 });
  equal((await metadata("get")).length, 1);
  equal((await ada("vpc", "metadata", "get", ...vpcId)).length, 1);
  await host.run("ada", "column", "device", "metadata", "delete", ...deviceId, "--key", "k");
  await host.run("ada", "column", "device", "metadata", "clear", ...deviceId);
  deepEqual(await metadata("get"), []);

  await refused(/not allowed/, "vpc", "delete", ...vpcId);
  equal((await ada("device", "delete", ...deviceId)).public_key, "");
  equal((await ada("vpc", "delete", ...vpcId)).id, vpc.id);

  const network = await ada("service-network", "create", "--description", "n");
  const networkId = ["--service-network-id", network.id];
  await ada("service-network", "update", ...networkId, "--description", "n2");
  equal((await ada("service-network", "list"))[0].description, "n2");
  await refused(/sites support is disabled.*405/, "site", "list", ...networkId);
  await ada("service-network", "delete", ...networkId);
});
