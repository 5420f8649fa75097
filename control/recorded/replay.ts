/** Recorded traffic of unmodified clients with an unmodified server, sent again to ours. */
import assert from "node:assert/strict";
import { hashToken, openToken } from "../auth/mod.ts";
import { takeAddress } from "../ipam/mod.ts";
import { vpcById } from "../store/mod.ts";
import { createRegKey, createVpc } from "../tenants.ts";
import { TestControl, type TestOptions } from "../testing.ts";
import type { Device, DeviceMetadata, User, Vpc, WatchEvent } from "../api/types.ts";

/** One request and its answer, as recorded. */
export interface Exchange {
  method: string;
  url: string;
  request_headers: Record<string, string>;
  request_body?: unknown;
  status: number;
  response_headers: Record<string, string>;
  // deno-lint-ignore no-explicit-any -- as various as the API
  response_body?: any;
  stream?: { ms: number; event: WatchEvent }[];
}

/** Where our answer differs on purpose. */
export interface Difference {
  /** Which weakness of the recorded server that mends, or what else is better so. */
  why: string;
  status?: number;
  /** The body that ours has instead, from the recorded one; true: not compared. */
  body?: ((theirs: Exchange["response_body"]) => unknown) | true;
}

/** The exchanges of a recorded flow. */
export function flow(name: string): Exchange[] {
  const url = new URL(`../../tests/vectors/control/${name}.json`, import.meta.url);
  return JSON.parse(Deno.readTextFileSync(url)).exchanges;
}

/** The administrator of the recordings, whose key everybody knew. */
export const ADMIN: User = {
  id: "c3d363a3-10be-4a69-8556-cb8356b3941d",
  full_name: "Admin Lab",
  picture: "",
  username: "admin",
};
export const DEV_KEY = "RK:dev-admin-reg-key";
export const NINA: User = {
  id: "efebb174-ee48-423c-8eea-4be211eb0950",
  full_name: "Nina Lab",
  picture: "",
  username: "nina",
};

/** A control plane in the state that a recording starts with, and what has been learnt since. */
export class Replay {
  /** The bearer value that stands for the recorded tokens of users. */
  as = "";
  /** Theirs to ours: ids and tokens that could not be chosen. */
  readonly names = new Map<string, string>();

  private constructor(readonly control: TestControl) {}

  /** With these users; the first one is who the recorded user tokens speak for. */
  static async start(users: readonly User[] = [], options: TestOptions = {}): Promise<Replay> {
    const replay = new Replay(await TestControl.start(options));
    for (const user of users) await replay.addUser(user);
    replay.as = users[0]?.id ?? "";
    return replay;
  }

  get store(): TestControl["store"] {
    return this.control.store;
  }

  async addUser(user: User, email = ""): Promise<void> {
    await this.control.addUser(user.username, user.id, user.id);
    await this.store.db.updateTable("users").set({ full_name: user.full_name, email })
      .where("id", "=", user.id).execute();
  }

  /** The registration key that is known to everybody. */
  async addDevKey(): Promise<void> {
    const description = "well known development reg key";
    const { id } = ADMIN;
    await this.store.write((write) =>
      createRegKey(write, { ownerId: id, vpcId: id, id, description, token: DEV_KEY })
    );
  }

  /** VPCs as they were shown. */
  async addVpcs(vpcs: readonly Vpc[]): Promise<void> {
    for (const vpc of vpcs) {
      await this.store.write((write) =>
        createVpc(write, {
          id: vpc.id,
          organizationId: vpc.organization_id,
          description: vpc.description,
          ...(vpc.private_cidr
            ? { privateCidr: { ipv4: vpc.ipv4_cidr, ipv6: vpc.ipv6_cidr } }
            : {}),
        })
      );
    }
  }

  /** Devices as they were shown, with their ids and addresses, in the order of their revisions. */
  async addDevices(devices: readonly Device[], regKeyId?: string): Promise<void> {
    for (const device of [...devices].sort((a, b) => a.revision - b.revision)) {
      await this.store.write(async (write) => {
        const vpc = await vpcById(write.db, device.vpc_id);
        const [ipv4, ipv6] = [device.ipv4_tunnel_ips[0]!, device.ipv6_tunnel_ips[0]!];
        await takeAddress(write, vpc, 4, ipv4.address);
        await takeAddress(write, vpc, 6, ipv6.address);
        await write.db.insertInto("devices").values({
          id: device.id,
          owner_id: device.owner_id,
          vpc_id: device.vpc_id,
          reg_key_id: regKeyId ?? null,
          public_key: device.public_key,
          token_hash: hashToken(device.id),
          token_generation: 1,
          ipv4_address: ipv4.address,
          ipv4_cidr: ipv4.cidr,
          ipv6_address: ipv6.address,
          ipv6_cidr: ipv6.cidr,
          advertise_cidrs_json: device.advertise_cidrs && JSON.stringify(device.advertise_cidrs),
          relay: Number(device.relay),
          symmetric_nat: Number(device.symmetric_nat),
          hostname: device.hostname,
          os: device.os,
          endpoints_json: device.endpoints && JSON.stringify(device.endpoints),
          security_group_id: device.security_group_id,
          online: Number(device.online),
          online_at: device.online_at,
          revision: await write.revision("devices", device.vpc_id),
          created_at: new Date().toISOString(),
          deleted_at: null,
        }).execute();
      });
    }
  }

  async addMetadata(vpcId: string, rows: readonly DeviceMetadata[]): Promise<void> {
    for (const { device_id, key, value } of rows) {
      await this.store.write(async (write) => {
        const revision = await write.revision("device_metadata", vpcId);
        const row = { device_id, key, vpc_id: vpcId, value_json: JSON.stringify(value) };
        await write.db.insertInto("device_metadata").values({ ...row, revision, deleted_at: null })
          .execute();
      });
    }
  }

  /** Text of theirs in our words. */
  ours(text: string): string {
    return [...this.names].reduce((text, [theirs, ours]) => text.replaceAll(theirs, ours), text);
  }

  /** The recorded value in our words, without what differs from run to run. */
  expected(value: unknown): unknown {
    return comparable(JSON.parse(this.ours(JSON.stringify(value ?? null))));
  }

  bearer(exchange: Exchange): string | undefined {
    const header = exchange.request_headers["authorization"];
    if (header === undefined) return undefined;
    if (!header.startsWith("Bearer ")) return `raw ${header}`;
    const token = header.slice("Bearer ".length);
    return token.startsWith("<oidc") ? this.as : this.names.get(token) ?? token;
  }

  /** Takes the token of a device of ours as the one that `exchange` presents. */
  learnToken(exchange: Exchange, device: Device): void {
    const theirs = exchange.request_headers["authorization"]!.replace(/^Bearer /, "");
    this.names.set(theirs, openToken(device.bearer_token!, device.public_key));
  }

  async send(exchange: Exchange): Promise<{ status: number; body: unknown; headers: Headers }> {
    const { pathname, search } = new URL(this.ours(exchange.url));
    const { method, request_body: given } = exchange;
    const body = given === undefined ? undefined : JSON.parse(this.ours(JSON.stringify(given)));
    const answer = await this.control.call(method, pathname + search, this.bearer(exchange), body);
    const theirs = exchange.response_body;
    for (const name of ["id", "device_id", "bearer_token"]) {
      const [a, b] = [theirs?.[name], answer.body?.[name]];
      if (typeof a === "string" && typeof b === "string" && !a.startsWith("djE=") && a !== b) {
        if (method === "POST" && a.length > 8) this.names.set(a, b);
      }
    }
    return { ...answer, body: answer.body ?? (answer.text || null) };
  }

  /**
   * Sends and expects the recorded status, body, content type and number of entries, apart from a
   * difference that is meant; returns our body.
   */
  // deno-lint-ignore no-explicit-any -- as various as the API
  async same(exchange: Exchange, difference?: Difference): Promise<any> {
    const where = `${exchange.method} ${exchange.url}${difference ? ` (${difference.why})` : ""}`;
    const { status, body, headers } = await this.send(exchange);
    const wanted = difference?.status ?? exchange.status;
    assert.equal(status, wanted, `${where}: ${JSON.stringify(body)}`);
    const { body: change } = difference ?? {};
    const theirs = exchange.response_body;
    if (change !== true) {
      const expected = this.expected(change ? change(theirs) : mended(exchange, theirs));
      assert.deepEqual(sorted(comparable(body)), sorted(expected), where);
    }
    if (difference) return body;
    const recorded = new Headers(exchange.response_headers);
    // Errors that the gateway wrote there lack the charset; everything of ours has it.
    const type = recorded.get("content-type")
      ?.replace(/^application\/json$/, "application/json; charset=utf-8");
    assert.equal(headers.get("content-type") ?? undefined, type, where);
    const count = recorded.get("x-total-count");
    if (count !== null) assert.equal(headers.get("x-total-count"), count, where);
    return body;
  }
}

/** What ours mends in every answer. */
function mended(exchange: Exchange, body: unknown): unknown {
  return JSON.parse(JSON.stringify(body ?? null), (key, inner) => {
    // Weakness 28: sealing hides nothing, so a device's token is told where it registers, not in lists.
    const token = key === "bearer_token" && String(inner).startsWith("djE=");
    return token && exchange.method === "GET" ? undefined : plain(key, inner);
  });
}

function plain(key: string, inner: unknown): unknown {
  // Weakness 42: addresses of relays lack the prefix length.
  if (key === "allowed_ips") {
    return (inner as string[]).map((ip) =>
      ip.includes("/") ? ip : `${ip}/${ip.includes(":") ? 128 : 32}`
    );
  }
  return inner;
}

/** Values that cannot be the same twice become their kind. */
export function comparable(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value ?? null), (key, inner) => {
    if (key === "bearer_token" && String(inner).startsWith("djE=:")) return "<sealed>";
    if (key === "revision" && typeof inner === "number") return "<revision>";
    if (key === "online_at" && inner !== null) return "<time>";
    if (key === "expires_at" && /\.\d+Z$/.test(String(inner))) return "<time>";
    if (key === "trace_id") return "<trace>";
    return plain(key, inner);
  });
}

/** Devices of one host name come in any order. */
function sorted(value: unknown): unknown {
  if (!Array.isArray(value) || value[0]?.hostname === undefined) return value;
  const name = (device: Device) => `${device.hostname} ${device.id}`;
  return [...value as Device[]].sort((a, b) => name(a) < name(b) ? -1 : 1);
}

/**
 * Opens the stream of an exchange and compares its backlog kind by kind, as kinds may interleave in any
 * order. Tokens in events are not compared: stock servers hand them around (weaknesses 28 and 29).
 */
export async function sameStream(
  replay: Replay,
  exchange: Exchange,
): Promise<Awaited<ReturnType<TestControl["watch"]>>> {
  const watches = exchange.request_body as { kind: string; at_tail?: boolean }[];
  const { pathname } = new URL(exchange.url);
  const stream = await replay.control.watch(replay.bearer(exchange)!, watches, pathname);
  assert.equal(stream.response.headers.get("content-type"), "application/json;stream=watch");
  const tails = watches.filter(({ at_tail }) => !at_tail).length;
  const got = await stream.untilTails(tails);
  for (const { kind, at_tail } of watches) {
    if (at_tail) continue;
    const theirs = exchange.stream!.map(({ event }) => event);
    const tail = theirs.findIndex((event) => event.kind === kind && event.type === "tail");
    const backlog = theirs.slice(0, tail + 1).filter((event) => event.kind === kind);
    assert.deepEqual(
      got.filter((event) => event.kind === kind).map((event) => comparable(withoutToken(event))),
      backlog.map((event) => replay.expected(withoutToken(event))),
    );
  }
  return stream;
}

/** An event without a sealed token. */
export function withoutToken(event: WatchEvent): WatchEvent {
  return JSON.parse(
    JSON.stringify(event),
    (key, inner) => key === "bearer_token" ? undefined : inner,
  );
}
