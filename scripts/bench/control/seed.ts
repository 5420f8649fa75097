/**
 * Devices written straight into the database of a control plane that does not run: what the benches
 * start from.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { deviceToken, hashToken, parseSecret } from "../../../control/auth/mod.ts";
import { type DeviceRow, Store } from "../../../control/store/mod.ts";

/** What was written. */
export interface Seeded {
  vpcId: string;
  /** Bearer values of the devices, in the order of their revisions. */
  tokens: string[];
  ids: string[];
}

/** Columns that are the same for every device. */
const COMMON = {
  token_generation: 1,
  ipv4_cidr: "100.64.0.0/10",
  ipv6_cidr: "200::/64",
  advertise_cidrs_json: null,
  relay: 0,
  symmetric_nat: 0,
  os: "linux",
  endpoints_json: JSON.stringify([
    { source: "local", address: "192.0.2.7:41641" },
    { source: "stun:192.0.2.9:3478", address: "198.51.100.7:41641" },
  ]),
  created_at: "2026-01-01T00:00:00.000Z",
  deleted_at: null,
  online: 1,
  online_at: "2026-01-01T00:00:00.000Z",
} as const;

/** Rows of one statement. */
const CHUNK = 500;

/**
 * Adds devices to the first user's VPC: online, as after a restart, when its agents come back.
 *
 * @param database the file, or the `postgres://` URL
 * @param secretText what is in the control plane's `secret.key`
 */
export async function seedDevices(
  database: string,
  secretText: string,
  count: number,
): Promise<Seeded> {
  const secret = parseSecret(secretText)!;
  const store = await Store.open(database);
  try {
    const key = await store.db.selectFrom("reg_keys").selectAll().executeTakeFirstOrThrow();
    const vpcId = key.vpc_id!;
    const from = await store.currentRevision("devices");
    const end = from + count;
    const tokens: string[] = [], rows: DeviceRow[] = [];
    for (let n = from + 1; n <= end; n++) {
      const id = crypto.randomUUID();
      const token = deviceToken(secret, id, 1);
      tokens.push(token);
      rows.push({
        ...COMMON,
        id,
        owner_id: key.owner_id,
        vpc_id: vpcId,
        reg_key_id: key.id,
        public_key: randomBytes(32).toString("base64"),
        token_hash: hashToken(token),
        ipv4_address: `100.${64 + (n >> 16)}.${n >> 8 & 255}.${n & 255}`,
        ipv6_address: `200::${n.toString(16)}`,
        hostname: `host-${n}`,
        security_group_id: vpcId,
        revision: n,
      });
    }
    await store.write(async ({ db }) => {
      for (let at = 0; at < rows.length; at += CHUNK) {
        await db.insertInto("devices").values(rows.slice(at, at + CHUNK)).execute();
      }
      await db.updateTable("revisions").set({ value: end }).where("name", "=", "devices").execute();
      for (
        const [family, first] of [
          [4, (0x64400000 + end + 1).toString(16)],
          [6, `0200${(end + 1).toString(16).padStart(28, "0")}`],
        ] as const
      ) {
        await db.updateTable("address_gaps").set({ first }).where("family", "=", family).execute();
      }
    });
    return { vpcId, tokens, ids: rows.map(({ id }) => id) };
  } finally {
    await store.close();
  }
}
