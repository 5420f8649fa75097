import assert from "node:assert/strict";
import { hashToken } from "../../control/auth/mod.ts";
import { createVpc } from "../../control/tenants.ts";
import { TestControl } from "../../control/testing.ts";
import { ApiClient } from "../api/mod.ts";
import type { LoginPrompt } from "./mod.ts";
import { type Credential, OnboardRefusal, Registrar, StateStore } from "./mod.ts";
import type { SelfDescription } from "./onboard.ts";

const PASSWORD = "correct horse";
const BOB: Credential = { kind: "password", username: "bob", password: PASSWORD };
const DEVICE: Credential = { kind: "device" };

/** A host with a state directory, and our control plane without a network between them. */
class Host implements AsyncDisposable {
  /** Requests as `METHOD path`, and the bearer values they carried. */
  log: string[] = [];
  bearers = new Set<string>();
  prompts: (LoginPrompt | undefined)[] = [];
  /** Answers instead of the control plane, when it gives a response. */
  intercept: (method: string, path: string) => Response | undefined = () => undefined;
  store!: StateStore;
  readonly signal = new AbortController().signal;

  private constructor(readonly control: TestControl, readonly dir: string) {}

  static async open(): Promise<Host> {
    const control = await TestControl.start();
    await control.addAccount("bob", PASSWORD);
    const host = new Host(control, await Deno.makeTempDir());
    host.store = await StateStore.open(host.dir);
    return host;
  }

  /** The registrar of a start of the agent. */
  async start(
    credential: Credential,
    more: { vpcId?: string; securityGroupId?: string; origin?: string } = {},
  ): Promise<Registrar> {
    this.log = [];
    this.bearers.clear();
    this.store = await StateStore.open(this.dir);
    const { origin = "https://api.control.test", ...rest } = more;
    const apiUrl = new URL(origin);
    const api = new ApiClient({
      apiUrl,
      transport: {
        send: async (url, { method, headers, body }) => {
          this.log.push(`${method} ${url.pathname}`);
          if (headers.authorization) this.bearers.add(headers.authorization.slice(7));
          return this.intercept(method, url.pathname) ??
            await this.control.app.request(url, {
              method,
              headers,
              ...(body === undefined ? {} : { body }),
            });
        },
        close: () => {},
      },
    });
    return new Registrar({
      api,
      join: { serviceUrl: apiUrl, apiUrl, credential },
      hostname: "edge-a",
      state: this.store.state,
      remember: (change) => void this.store.update(change),
      show: (prompt) => this.prompts.push(prompt),
      ...rest,
    });
  }

  self(more: Partial<SelfDescription> = {}): SelfDescription {
    return {
      publicKey: this.store.state.publicKey,
      hostname: "edge-a",
      symmetricNat: false,
      endpoints: [{ source: "local", address: "192.168.1.2:4000" }],
      ...more,
    };
  }

  /** Makes a VPC with addresses of its own for bob. */
  async vpc(ipv4: string): Promise<string> {
    const { id } = await this.control.store.db.selectFrom("users").select("id")
      .where("username", "=", "bob").executeTakeFirstOrThrow();
    const { id: vpcId } = await this.control.store.write((write) =>
      createVpc(write, {
        organizationId: id,
        description: ipv4,
        privateCidr: { ipv4, ipv6: "fd00::/64" },
      })
    );
    return vpcId;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.save();
    await this.control[Symbol.asyncDispose]();
    await Deno.remove(this.dir, { recursive: true });
  }
}

const refusal = (pattern: RegExp) => (error: unknown) =>
  error instanceof OnboardRefusal && pattern.test(error.message);

Deno.test("a host of a user asks in the recorded order, and the next time only as its device", async () => {
  await using host = await Host.open();
  const registrar = await host.start(BOB);
  await registrar.signIn(host.signal);
  const { device, deviceToken } = await registrar.register(host.self(), host.signal);
  const id = device.owner_id;
  // Without the second try of the client's authentication, and without the keys: the tokens are for
  // the control plane alone to check.
  assert.deepEqual(host.log, [
    "POST /device/login/start",
    "GET /.well-known/openid-configuration",
    "POST /oauth/token",
    "GET /api/users/me",
    `GET /api/vpcs/${id}`,
    "POST /api/devices",
  ]);
  assert.match(deviceToken, /^DT:/);
  await host.store.save();
  const again = await host.start(BOB);
  assert.equal(again.known, true);
  await again.signIn(host.signal);
  const second = await again.register(host.self({ hostname: "edge-b" }), host.signal);
  assert.deepEqual([second.device.id, second.device.hostname], [device.id, "edge-b"]);
  assert.deepEqual(host.log, [`PATCH /api/devices/${device.id}`, `GET /api/vpcs/${id}`]);
});

Deno.test("a host moves between the VPCs that it is told, to other addresses, and back", async () => {
  await using host = await Host.open();
  const home = await (await host.start(BOB)).register(host.self(), host.signal);
  const [a, b] = [await host.vpc("10.10.0.0/16"), await host.vpc("10.20.0.0/16")];
  const seen = [];
  for (const vpcId of [a, b, a, undefined]) {
    await host.store.save();
    const registrar = await host.start(BOB, vpcId === undefined ? {} : { vpcId });
    const { device, vpc } = await registrar.register(host.self(), host.signal);
    assert.equal(device.id, home.device.id);
    seen.push([vpc.id, device.ipv4_tunnel_ips[0]!.address]);
  }
  assert.deepEqual(seen, [
    [a, "10.10.0.1"],
    [b, "10.20.0.1"],
    [a, "10.10.0.1"],
    [home.vpc.id, home.device.ipv4_tunnel_ips[0]!.address],
  ]);
  await assert.rejects(
    (await host.start(BOB, { vpcId: crypto.randomUUID() })).register(host.self(), host.signal),
    refusal(/There is no VPC .* for this user; give another --vpc-id/),
  );
});

Deno.test("a requested address is granted in a private VPC and kept over a restart", async () => {
  await using host = await Host.open();
  await (await host.start(BOB)).signIn(host.signal);
  await host.control.call("GET", "/api/users/me", host.store.state.authToken!.accessToken);
  const vpcId = await host.vpc("100.100.0.0/16");
  const self = host.self({ requestIp: "100.100.0.102" });
  for (let start = 0; start < 2; start++) {
    const { device } = await (await host.start(BOB, { vpcId })).register(self, host.signal);
    assert.equal(device.ipv4_tunnel_ips[0]!.address, "100.100.0.102");
    await host.store.save();
  }
});

Deno.test("a security group is asked for at once, and once more where a server ignores that", async () => {
  await using host = await Host.open();
  await (await host.start(BOB)).register(host.self(), host.signal);
  const { id: owner } = await host.control.store.db.selectFrom("users").select("id")
    .where("username", "=", "bob").executeTakeFirstOrThrow();
  const group = crypto.randomUUID();
  await host.control.store.write(async (write) =>
    await write.db.insertInto("security_groups").values({
      id: group,
      vpc_id: owner,
      description: "",
      inbound_rules_json: null,
      outbound_rules_json: null,
      revision: await write.revision("security_groups", owner),
      deleted_at: null,
    }).execute()
  );
  const { device } = await (await host.start(BOB, { securityGroupId: group }))
    .register(host.self(), host.signal);
  assert.equal(device.security_group_id, group);
  // Nexodus' server creates a device with the default group whatever it is asked.
  const token = host.store.state.authToken!.accessToken;
  await host.control.call("DELETE", `/api/devices/${device.id}`, token);
  await host.store.update({ deviceId: undefined, deviceToken: undefined });
  const registrar = await host.start(BOB, { securityGroupId: group });
  const made = await host.control.call("POST", "/api/devices", token, {
    vpc_id: owner,
    public_key: device.public_key,
  });
  assert.equal(made.body.security_group_id, owner);
  let first = true;
  host.intercept = (method) => {
    if (method !== "POST" || !first || !host.log.at(-1)!.endsWith("/api/devices")) return;
    first = false;
    return new Response(JSON.stringify(made.body), { status: 201 });
  };
  const corrected = await registrar.register(host.self(), host.signal);
  assert.equal(corrected.device.security_group_id, group);
  host.intercept = () => undefined;
  const wrong = await host.start({ ...BOB }, { securityGroupId: crypto.randomUUID() });
  await assert.rejects(
    wrong.register(host.self(), host.signal),
    refusal(/no such security group; give another --security-group-id/),
  );
});

Deno.test("an expired registration key leaves the device what it is, and a deleted device needs a new one", async () => {
  await using host = await Host.open();
  const token = await host.control.addRegKey();
  const key: Credential = { kind: "reg-key", token };
  const { device } = await (await host.start(key)).register(host.self(), host.signal);
  await host.store.save();
  const expires_at = new Date(Date.now() - 1000).toISOString();
  await host.control.store.db.updateTable("reg_keys").set({ expires_at })
    .where("token_hash", "=", hashToken(token)).execute();
  const kept = await (await host.start(key)).register(host.self(), host.signal);
  assert.equal(kept.device.id, device.id);
  await host.control.call("DELETE", `/api/devices/${device.id}`, host.control.user);
  await assert.rejects(
    (await host.start(key)).register(host.self(), host.signal),
    refusal(/unknown or has expired; create a new one/),
  );
});

Deno.test("a key of another VPC does not let a host go on as before, a new one of the same VPC does", async () => {
  await using host = await Host.open();
  const { control } = host;
  await (await host.start(BOB)).register(host.self(), host.signal);
  await host.store.save();
  const other: Credential = { kind: "reg-key", token: await control.addRegKey() };
  await assert.rejects(
    (await host.start(other)).register(host.self(), host.signal),
    refusal(/registered as a device of another user; have that device deleted, or run nexd logout/),
  );
  const { id: ownerId } = await control.store.db.selectFrom("users").select("id")
    .where("username", "=", "bob").executeTakeFirstOrThrow();
  const token = await control.addRegKey({ ownerId });
  const { device } = await (await host.start({ kind: "reg-key", token }))
    .register(host.self(), host.signal);
  assert.equal(device.vpc_id, ownerId);
});

Deno.test("secrets of one control plane or user are shown to no other", async () => {
  await using host = await Host.open();
  const { deviceToken } = await (await host.start(BOB)).register(host.self(), host.signal);
  await host.store.save();
  const { authToken } = host.store.state;
  const elsewhere = await host.start(BOB, { origin: "https://api.other.test" });
  assert.equal(elsewhere.known, false);
  host.intercept = () => new Response("{}", { status: 503 });
  await assert.rejects(elsewhere.register(host.self(), host.signal), /503/);
  assert.deepEqual([...host.bearers], []);
  host.intercept = () => undefined;
  await host.store.update({ deviceToken, authToken, user: "bob", deviceId: "d" });
  await host.control.addAccount("eve", PASSWORD);
  const eve = await host.start({ ...BOB, username: "eve" });
  assert.equal(eve.known, false);
  await assert.rejects(
    eve.register(host.self(), host.signal),
    refusal(/registered as a device of another user; have that device deleted, or run nexd logout/),
  );
  assert(!host.bearers.has(deviceToken) && !host.bearers.has(authToken!.accessToken));
});

Deno.test("a session is nobody else's also when its host never became a device", async () => {
  await using host = await Host.open();
  await (await host.start(BOB)).signIn(host.signal);
  await host.store.save();
  const { accessToken } = host.store.state.authToken!;
  await host.control.addAccount("eve", PASSWORD);
  const others: Parameters<Host["start"]>[] = [
    [{ ...BOB, username: "eve" }],
    [BOB, { origin: "https://api.other.test" }],
  ];
  for (const other of others) {
    await host.store.save();
    const kept = await Deno.readTextFile(`${host.dir}/state.json`);
    const registrar = await host.start(...other);
    await registrar.register(host.self(), host.signal).catch(() => {});
    assert(host.log.length > 0 && !host.bearers.has(accessToken));
    await host.store.save();
    await Deno.writeTextFile(`${host.dir}/state.json`, kept);
  }
});

Deno.test("a refused session is begun anew, and a wrong password is told with the host that refused it", async () => {
  await using host = await Host.open();
  const registrar = await host.start(BOB);
  await registrar.signIn(host.signal);
  assert.deepEqual(registrar.servers, [{ host: "auth.control.test", port: 443 }]);
  await host.control.store.db.updateTable("accounts").set({ generation: 2 }).execute();
  await registrar.register(host.self(), host.signal);
  assert.equal(host.log.filter((line) => line === "POST /oauth/token").length, 2);
  await host.store.save();
  const wrong = await host.start({ ...BOB, username: "eve" });
  await assert.rejects(
    wrong.signIn(host.signal),
    refusal(/^The issuer auth.control.test refused user eve: .* wrong; check --username/),
  );
  const nobody = await host.start({ kind: "password", username: "eve" });
  await assert.rejects(nobody.signIn(host.signal), refusal(/password of user eve is missing/));
});

Deno.test("a deleted device of a link's user becomes a new one with the session, without a person", async () => {
  await using host = await Host.open();
  const registrar = await host.start(DEVICE);
  // The person is faster than the first question.
  const show = host.prompts;
  const signedIn = registrar.signIn(host.signal);
  while (show[0] === undefined) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual(registrar.prompt, show[0]);
  const { status } = await host.control.form("/device", {
    user_code: show[0]!.code,
    username: "bob",
    password: PASSWORD,
    action: "allow",
  });
  assert.equal(status, 200);
  await signedIn;
  assert.deepEqual([registrar.prompt, show.length], [undefined, 2]);
  const first = await registrar.register(host.self(), host.signal);
  const path = `/api/devices/${first.device.id}`;
  assert.equal((await host.control.call("DELETE", path, first.deviceToken)).status, 200);
  const second = await registrar.register(host.self(), host.signal);
  assert.notEqual(second.device.id, first.device.id);
  assert.equal(host.prompts.length, 2);
});

Deno.test("a second WireGuard relay of a VPC is refused, a second DERP relay is not", async () => {
  await using host = await Host.open();
  const registrar = await host.start(BOB);
  const { vpc } = await registrar.register(host.self({ relay: "derp" }), host.signal);
  const token = await registrar.writeToken(host.signal);
  const { body: other } = await host.control.call("POST", "/api/devices", token, {
    vpc_id: vpc.id,
    public_key: "B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw=",
    relay: true,
    hostname: "other",
  });
  await registrar.register(host.self({ relay: "derp" }), host.signal);
  await assert.rejects(
    registrar.register(host.self({ relay: "wireguard" }), host.signal),
    refusal(/has a relay already, other; delete that device first/),
  );
  await host.control.call("DELETE", `/api/devices/${other.id}`, token);
  const { device } = await registrar.register(host.self({ relay: "wireguard" }), host.signal);
  const metadata = await host.control.call(
    "GET",
    `/api/devices/${device.id}/metadata/relay`,
    token,
  );
  assert.deepEqual(metadata.body.value, { type: "wireguard" });
});
