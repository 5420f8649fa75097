/** A control plane with an organization, what is in it, and callers of every kind. */
import assert from "node:assert/strict";
import type { Device } from "../../api/types.ts";
import { type Answer, newKey, TestControl } from "../../testing.ts";

/** Who calls: users as they stand to the organization, credentials of its VPC, and nobody. */
export const CALLERS = [
  "owner",
  "co-owner",
  "member",
  "stranger",
  "operator",
  "key",
  "other key",
  "device",
  "other device",
  "nobody",
] as const;
export type Caller = typeof CALLERS[number];

/** Ids of what the calls are about; everything of it is the owner's. */
export interface Targets {
  user: string;
  organization: string;
  vpc: string;
  group: string;
  device: string;
  /** A registration key that made no device. */
  regKey: string;
  invitation: string;
  network: string;
  /** An account that signs in, and has not yet. */
  account: string;
  /** A member's id, apart from the calling member's. */
  otherMember: string;
}

/**
 * `owner` owns an organization with a VPC, `co-owner` owns it as well, `member` is a member,
 * `operator` runs the control plane. In the VPC are two devices of the owner's, one made by `key`. A guest is invited.
 */
export class World {
  readonly bearers: Partial<Record<Caller, string>> = {};
  targets!: Targets;
  /** Texts that no other caller than the owner, or the thing itself, may ever read. */
  readonly secrets: Partial<Record<Caller, string>> = {};

  private constructor(readonly control: TestControl) {}

  static async start(): Promise<World> {
    const world = new World(await TestControl.start());
    await world.#fill();
    return world;
  }

  async call(caller: Caller, method: string, path: string, body?: unknown): Promise<Answer> {
    return await this.control.call(method, path, this.bearers[caller], body);
  }

  async #fill(): Promise<void> {
    const { control, bearers } = this;
    const ids: Record<string, string> = {};
    for (const name of ["owner", "co-owner", "member", "stranger", "other", "guest"]) {
      ids[name] = await control.addUser(name, `user-${name}`);
    }
    for (const name of ["owner", "co-owner", "member", "stranger"] as const) {
      bearers[name] = `user-${name}`;
    }
    bearers.operator = "user-operator";
    await control.addOperator("operator", bearers.operator);
    const account = await control.addClosedAccount("somebody");
    const make = async (path: string, body: unknown) => {
      const answer = await this.call("owner", "POST", path, body);
      assert.equal(answer.status, 201, `${path}: ${answer.text}`);
      return answer.body;
    };
    const { id: organization_id } = await make("/api/organizations", { name: "lab" });
    const roles = { "co-owner": ["owner"], member: ["member"], other: ["member"] };
    for (const [name, role] of Object.entries(roles)) {
      await control.store.db.insertInto("memberships")
        .values({ user_id: ids[name]!, organization_id, roles_json: JSON.stringify(role) })
        .execute();
    }
    const vpc = await make("/api/vpcs", { organization_id, description: "lab vpc" });
    const group = await make("/api/security-groups", { vpc_id: vpc.id, description: "lab group" });
    const key = await make("/api/reg-keys", { vpc_id: vpc.id, description: "lab key" });
    const other = await make("/api/reg-keys", { vpc_id: vpc.id, description: "other key" });
    const register = async (hostname: string, bearer: string) =>
      await control.register({ vpc_id: vpc.id, hostname }, bearer);
    const one = await register("lab-one", key.bearer_token);
    const two = await register("lab-two", other.bearer_token);
    const unused = await make("/api/reg-keys", { vpc_id: vpc.id, description: "unused key" });
    const path = `/api/devices/${one.device.id}/metadata/k`;
    assert.equal((await this.call("owner", "PUT", path, { a: 1 })).status, 200);
    const invitation = await make("/api/invitations", { organization_id, user_id: ids.guest });
    const network = await make("/api/service-networks", { organization_id, description: "lab sn" });
    Object.assign(bearers, {
      "key": key.bearer_token,
      "other key": other.bearer_token,
      "device": one.token,
      "other device": two.token,
    });
    this.secrets.owner = unused.bearer_token;
    this.targets = {
      user: ids.owner!,
      organization: organization_id,
      vpc: vpc.id,
      group: group.id,
      device: one.device.id,
      regKey: unused.id,
      invitation: invitation.id,
      network: network.id,
      account,
      otherMember: ids.other!,
    };
  }

  /** Everything in the database, for telling whether a call changed something. */
  async content(): Promise<string> {
    const tables = [
      "accounts",
      "users",
      "organizations",
      "memberships",
      "invitations",
      "service_networks",
      "vpcs",
      "security_groups",
      "reg_keys",
      "devices",
      "device_metadata",
      "device_paths",
      "address_gaps",
      "advertised_cidrs",
      "audit_log",
    ] as const;
    const rows = tables.map(async (table) => {
      const all = await this.control.store.db.selectFrom(table).selectAll().execute();
      // Presence comes and goes with streams, whoever calls.
      const still = all.map((row) =>
        JSON.stringify({ ...row, online: 0, online_at: 0, revision: 0 })
      );
      return `${table} ${still.sort().join("\n")}`;
    });
    return (await Promise.all(rows)).join("\n");
  }

  /** A request body for making another device. */
  newDevice(): Partial<Device> {
    return { vpc_id: this.targets.vpc, public_key: newKey(), hostname: "lab-new" };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.control[Symbol.asyncDispose]();
  }
}
