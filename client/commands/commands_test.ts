/** Every command against our own control plane, in this process: what it asks, and what it prints. */
import assert from "node:assert/strict";
import { TestControl } from "../../control/testing.ts";
import { TestUser } from "../testing.ts";

const SERVICE = "https://control.test";

/** A control plane with users `ada` and `sol`, who are signed in. */
class Bench {
  readonly ada: TestUser;
  readonly sol: TestUser;
  solId = "";
  readonly #names = new Map<string, string>();

  private constructor(readonly control: TestControl) {
    this.ada = new TestUser(control.app);
    this.ada.begin(SERVICE, control.user);
    this.sol = new TestUser(control.app);
    this.sol.begin(SERVICE, "user-token-of-sol");
  }

  static async start(): Promise<Bench> {
    const bench = new Bench(await TestControl.start());
    bench.solId = await bench.control.addUser("sol", "user-token-of-sol");
    bench.name(bench.control.userId, "ada").name(bench.solId, "sol");
    return bench;
  }

  /** Gives an id a name of the same length. */
  name(id: string, name: string): this {
    this.#names.set(id, name.padEnd(36, "-"));
    return this;
  }

  /** A text with the names of ids, and without tokens. */
  plain(text: string): string {
    let out = text.replace(/RK:[A-Za-z0-9_+/=-]{44}/g, TOKEN);
    for (const [id, name] of this.#names) out = out.replaceAll(id, name);
    return out;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.ada[Symbol.asyncDispose]();
    await this.sol[Symbol.asyncDispose]();
    await this.control[Symbol.asyncDispose]();
  }
}

const ADA = "ada".padEnd(36, "-"), SOL = "sol".padEnd(36, "-");
const ONE = "one".padEnd(36, "-");
const TOKEN = `RK:${"k".repeat(44)}`;

Deno.test("vpc commands list, create, change and delete VPCs", async () => {
  await using bench = await Bench.start();
  const { ada } = bench;
  const show = async (...words: string[]) => bench.plain(await ada.run(...words));
  assert.equal(
    await show("vpc", "list"),
    `
VPC ID                                IPV4 CIDR      IPV6 CIDR  DESCRIPTION
${ADA}  100.64.0.0/10  200::/64   default vpc`.slice(1),
  );
  ada.sent.splice(0);
  const ranges = ["--ipv4-cidr", "10.7.0.0/16", "--ipv6-cidr", "fd00:7::/64"];
  const one = await ada.json("vpc", "create", "--description", "lab", ...ranges);
  bench.name(one.id, "one");
  assert.deepEqual(ada.calls.map((text) => bench.plain(text)), [
    "GET /api/users/me",
    `POST /api/vpcs {"organization_id":"${ADA}","description":"lab","private_cidr":true,` +
    `"ipv4_cidr":"10.7.0.0/16","ipv6_cidr":"fd00:7::/64"}\n`,
  ]);
  ada.sent.splice(0);
  const two = await ada.json("vpc", "create", "--organization-id", one.organization_id);
  assert.deepEqual(ada.calls.map((text) => bench.plain(text)), [
    `POST /api/vpcs {"organization_id":"${ADA}","private_cidr":false}\n`,
  ]);
  assert.equal(
    await show("vpc", "update", "--vpc-id", one.id, "--description", "bench", "--full"),
    `
VPC ID                                ORGANIZATION ID                       IPV4 CIDR    IPV6 CIDR    DESCRIPTION
${ONE}  ${ADA}  10.7.0.0/16  fd00:7::/64  bench

successfully updated`.slice(1),
  );
  const deleted = await ada.run("vpc", "delete", "--vpc-id", two.id, "--output", "no-header");
  assert.ok(deleted.startsWith(two.id) && !deleted.includes("success"), deleted);
  assert.deepEqual((await ada.json("vpc", "list")).length, 2);
  assert.equal(
    await ada.run("vpc", "metadata", "get", "--vpc-id", one.id),
    "DEVICE ID  KEY  VALUE",
  );
});

Deno.test("device commands list, change and delete devices and what is noted about them", async () => {
  await using bench = await Bench.start();
  const { ada, control } = bench;
  const show = async (...words: string[]) => bench.plain(await ada.run(...words));
  const { device } = await control.register({
    ...{ hostname: "edge-a", os: "linux", symmetric_nat: true },
    endpoints: [{ source: "local", address: "192.0.2.10:41000" }, {
      ...{ source: "stun:", address: "203.0.113.5:41000" },
    }],
  });
  bench.name(device.id, "one");
  assert.equal(
    await show("device", "list"),
    `
DEVICE ID                             HOSTNAME  TUNNEL IPS          RELAY
${ONE}  edge-a    100.64.0.1, 200::1  false`.slice(1),
  );
  assert.equal(
    await show("device", "list", "--vpc-id", control.userId, "--full"),
    `
DEVICE ID                             HOSTNAME  TUNNEL IPS          VPC ID                                RELAY  PUBLIC KEY                                    LOCAL IP          ADVERTISED CIDR  REFLEXIVE IPV4     SYMMETRIC NAT  OS     SECURITY GROUP ID                     ONLINE  ONLINE SINCE
${ONE}  edge-a    100.64.0.1, 200::1  ${ADA}  false  ${device.public_key}  192.0.2.10:41000                   203.0.113.5:41000  true           linux  ${ADA}  false`
      .slice(1),
  );
  assert.deepEqual((await ada.json("device", "list"))[0].hostname, "edge-a");
  const id = ["--device-id", device.id];
  const changed = await ada.json("device", "update", ...id, "--hostname", "gate");
  assert.equal(changed.hostname, "gate");
  assert.equal((await ada.json("device", "update", ...id)).hostname, "gate");

  const metadata = (verb: string, ...words: string[]) =>
    show("device", "metadata", verb, ...id, ...words);
  const value = '{"port":12345678901234567890,"name":"x"}';
  assert.equal(
    await metadata("set", "--key", "tcp:1 024/x", "--value", '{"a":1}'),
    'KEY          VALUE\ntcp:1 024/x  {"a":1}',
  );
  await metadata("set", "--key", "k", "--value", value);
  assert.ok(ada.calls.at(-1)!.endsWith(`/metadata/k ${value}\n`), ada.calls.at(-1));
  assert.equal(
    await metadata("get", "--full"),
    `
DEVICE ID                             KEY          VALUE                                     REVISION
${ONE}  k            {"port":12345678901234567000,"name":"x"}  2
${ONE}  tcp:1 024/x  {"a":1}                                   1`.slice(1),
  );
  assert.equal(
    await metadata("get", "--key", "tcp:1 024/x", "--output", "no-header"),
    [
      'tcp:1 024/x  {"a":1}',
    ].join("\n"),
  );
  const all = await ada.json("vpc", "metadata", "get", "--vpc-id", control.userId);
  assert.deepEqual(all.map(({ key }: { key: string }) => key), ["k", "tcp:1 024/x"]);
  assert.equal(await metadata("delete", "--key", "k"), "successfully deleted");
  assert.equal(await metadata("delete", "--key", "k", "--output", "json"), "");
  assert.equal(await metadata("clear"), "successfully cleared");
  assert.equal(
    await ada.refused("device", "metadata", "get", ...id, "--key", "k"),
    "The control plane at control.test refused it: there is no such thing, or you may not see it (status 404)",
  );
  assert.match(await show("device", "delete", ...id), /gate .*\n\nsuccessfully deleted$/);
  assert.match(await ada.refused("device", "delete", ...id), /not found: device \(status 404\)$/);
});

Deno.test("reg-key commands print the flag that uses a key, and send times as RFC 3339", async () => {
  await using bench = await Bench.start();
  const { ada, control } = bench;
  const show = async (...words: string[]) => bench.plain(await ada.run(...words));
  const [first] = await ada.json("reg-key", "list");
  assert.match(
    await show("reg-key", "create", "--description", "other"),
    new RegExp(`\n\nJoin a host with: nexd --reg-key 'https://control.test#${TOKEN}'$`),
  );
  const created = await ada.json("reg-key", "list");
  const made = created.find(({ description }: { description?: string }) => description === "other");
  await ada.run("reg-key", "delete", "--reg-key-id", made.id);
  const one = await ada.json(
    ...["reg-key", "create", "--description", "lab", "--single-use", "--expiration", "24h"],
    ...["--settings", '{"a":1}', "--security-group-id", control.userId],
  );
  bench.name(first.id, "first").name(one.id, "one");
  assert.ok(Math.abs(Date.parse(one.expires_at) - Date.now() - 86_400_000) < 5000);
  assert.match(ada.calls.at(-1)!, /"expires_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"/);
  const lines = (await show("reg-key", "list")).split("\n");
  assert.deepEqual(lines.slice(0, 1).concat(lines.slice(1).sort()), [
    "TOKEN ID                              DESCRIPTION  CLI FLAGS",
    `${"first".padEnd(36, "-")}               --reg-key https://control.test#${TOKEN}`,
    `${ONE}  lab          --reg-key https://control.test#${TOKEN}`,
  ]);
  const update = (...words: string[]) => ["reg-key", "update", "--reg-key-id", one.id, ...words];
  const changed = await ada.json(...update("--expiration", "never", "--description", ""));
  assert.deepEqual([changed.expires_at, changed.description], [undefined, undefined]);
  const at = "2030-01-31T12:00:00Z";
  assert.equal((await ada.json(...update("--expiration", at))).expires_at.slice(0, 19) + "Z", at);
  assert.equal(
    await show(...update("--full")),
    `
TOKEN ID                              DESCRIPTION  CLI FLAGS                                                                       VPC ID                                SECURITY GROUP ID                     SINGLE USE  EXPIRES AT            SETTINGS
${ONE}               --reg-key https://control.test#${TOKEN}  ${ADA}  ${ADA}  true        ${at}  {"a":1}

successfully updated`.slice(1),
  );
  assert.match(await show("reg-key", "delete", "--reg-key-id", one.id), /successfully deleted$/);
  assert.equal((await ada.json("reg-key", "list")).length, 1);
});

Deno.test("security-group commands show rules one a line, keep what is not given, and clear with []", async () => {
  await using bench = await Bench.start();
  const { ada } = bench;
  const show = async (...words: string[]) => bench.plain(await ada.run(...words));
  const rules = [
    { ip_protocol: "tcp", from_port: 22, to_port: 22, ip_ranges: ["100.64.0.0/10"] },
    { ip_protocol: "udp", from_port: 5000, to_port: 5010 },
    { ip_protocol: "icmp", from_port: 0, to_port: 0 },
  ];
  const one = await ada.json(
    ...["security-group", "create", "--description", "web"],
    ...["--inbound-rules", JSON.stringify(rules)],
  );
  bench.name(one.id, "one");
  assert.ok(!ada.calls.at(-1)!.includes("outbound_rules"), ada.calls.at(-1));
  const id = ["--security-group-id", one.id];
  assert.equal(
    await show("security-group", "update", ...id, "--outbound-rules", "[]"),
    `
SECURITY GROUP ID                     DESCRIPTION  INBOUND RULES         OUTBOUND RULES
${ONE}  web          tcp 22 100.64.0.0/10  all
                                                   udp 5000-5010
                                                   icmp

successfully updated`.slice(1),
  );
  assert.match(
    await show("security-group", "update", ...id, "--inbound-rules", "[]"),
    / all +all\n/,
  );
  assert.equal((await ada.json("security-group", "list")).length, 2);
  assert.equal(
    await ada.refused(
      ...["security-group", "create", "--inbound-rules"],
      '[{"ip_protocol":"tcp","from_port":80,"to_port":8}]',
    ),
    "The control plane at control.test refused it: invalid port range: from 80 to 8; field port_range (status 422)",
  );
  assert.match(await show("security-group", "delete", ...id), /successfully deleted$/);
});

Deno.test("organization and invitation commands bring a user in and take her out again", async () => {
  await using bench = await Bench.start();
  const { ada, sol } = bench;
  const show = async (...words: string[]) => bench.plain(await ada.run(...words));
  const one = await ada.json("organization", "create", "--name", "lab", "--description", "bench");
  bench.name(one.id, "one");
  assert.match(
    await ada.refused("organization", "create", "--name", "lab"),
    new RegExp(`resource already exists; conflicting id ${one.id} \\(status 409\\)$`),
  );
  const lines = (await show("organization", "list")).split("\n");
  assert.equal(lines[0], "ORGANIZATION ID                       NAME  DESCRIPTION");
  assert.ok(lines.includes(`${ONE}  lab   bench`), lines.join("\n"));
  const organization = ["--organization-id", one.id];

  assert.match(
    await ada.refused("invitation", "create", ...organization),
    /one person: give either --email ADDRESS or --user-id UUID/,
  );
  const byMail = ["--email", "nobody@control.test", "--role", "owner,member"];
  const unused = await ada.json("invitation", "create", ...organization, ...byMail);
  assert.ok(!ada.calls.at(-1)!.includes("user_id"), ada.calls.at(-1));
  assert.deepEqual(unused.roles.sort(), ["member", "owner"]);
  assert.equal(
    await show("invitation", "delete", "--inv-id", unused.id),
    "successfully deleted",
  );
  const invited = await ada.json("invitation", "create", ...organization, "--user-id", bench.solId);
  bench.name(invited.id, "two");
  assert.ok(!ada.calls.at(-1)!.includes("email"), ada.calls.at(-1));
  const list = bench.plain(await sol.run("invitation", "list", "--full"));
  assert.match(
    list,
    /^INVITATION ID {25}ORGANIZATION {2}FROM {3}EMAIL +ROLES {3}EXPIRES AT\ntwo-+ {2}lab {11}<ada> {2}/,
  );
  assert.equal(
    await sol.run("invitation", "accept", "--inv-id", invited.id),
    "successfully accepted",
  );
  assert.equal(
    await show("organization", "user", "list", ...organization),
    `
USER ID                               USER NAME  FULL NAME  ROLES
${ADA}  ada                   owner
${SOL}  sol                   member`.slice(1),
  );
  const out = ["organization", "user", "delete", ...organization, "--user-id", bench.solId];
  assert.match(await show(...out), /^USER ID .*\nsol-.*\n\nsuccessfully deleted$/);
  const again = await ada.json("invitation", "create", ...organization, "--user-id", bench.solId);
  await sol.run("invitation", "accept", "--inv-id", again.id);
  assert.match(
    await show("user", "remove-user", ...organization, "--user-id", bench.solId),
    /\n\nsuccessfully removed user sol-+ from organization one-+$/,
  );
  assert.equal((await ada.json("organization", "user", "list", ...organization)).length, 1);
  assert.match(await show("organization", "delete", ...organization), /successfully deleted$/);
});

Deno.test("user commands show and delete the account", async () => {
  await using bench = await Bench.start();
  const { ada, control } = bench;
  const show = async (...words: string[]) => bench.plain(await ada.run(...words));
  const table = `USER ID                               USER NAME\n${ADA}  ada`;
  assert.equal(await show("user", "get-current"), table);
  assert.equal(await show("user", "list"), table);
  assert.equal(
    await show("user", "get-current", "--output", "yaml"),
    `full_name: ""\nid: ${ADA}\npicture: ""\nusername: ada`,
  );
  assert.equal((await bench.sol.json("user", "delete", "--user-id", bench.solId)).id, bench.solId);
  await control.register();
  assert.match(
    await ada.refused("user", "delete", "--user-id", control.userId),
    /refused it: operation not allowed: .*device.* \(status 400\)$/,
  );
});

Deno.test("service-network commands list, create, change and delete", async () => {
  await using bench = await Bench.start();
  const { ada } = bench;
  const show = async (...words: string[]) =>
    bench.plain(await ada.run("service-network", ...words));
  const one = await ada.json("service-network", "create", "--description", "mesh");
  bench.name(one.id, "one");
  assert.equal(
    await show("list", "--full"),
    `
SERVICE NETWORK ID                    ORGANIZATION ID                       DESCRIPTION
${ONE}  ${ADA}  mesh`.slice(1),
  );
  const id = ["--service-network-id", one.id];
  assert.match(await show("update", ...id, "--description", "m2"), /m2\n\nsuccessfully updated$/);
  assert.match(await show("delete", ...id), /successfully deleted$/);
});

Deno.test("a failure is one sentence with all that the control plane said, and nothing of the network ends otherwise", async () => {
  const said = async (answer: () => Response) => {
    await using user = new TestUser({ request: answer });
    user.begin(SERVICE, "token");
    return await user.refused("vpc", "list");
  };
  const all = {
    ...{ error: "no\u001b[2J", reason: "so", field: "f", id: "i", trace_id: "t", resource: "r" },
  };
  assert.equal(
    await said(() => Response.json(all, { status: 400, headers: { "retry-after": "7" } })),
    "The control plane at control.test refused it: no [2J: so: r; field f; conflicting id i; trace id t; " +
      "try again in 7 s (status 400)",
  );
  const empty = (status: number) => said(() => new Response("404 page not found", { status }));
  assert.match(await empty(403), /you are not allowed to do that \(status 403\)$/);
  assert.match(await empty(500), /it does not say why \(status 500\)$/);
  assert.match(await empty(302), /it does not say why \(status 302\)$/);
  assert.match(await said(() => new Response("<html>")), /is not JSON; check the service URL$/);
  assert.match(
    await said(() => {
      throw new TypeError("connection refused");
    }),
    /^Cannot reach the control plane at api.control.test: connection refused$/,
  );
});
