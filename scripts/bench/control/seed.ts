/**
 * Devices written straight into the database file of a control plane that does not run: what the
 * benches start from.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { deviceToken, hashToken, parseSecret } from "../../../control/auth/mod.ts";

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
};

/** Adds devices to the first user's VPC: online, as after a restart, when its agents come back. */
export function seedDevices(stateDir: string, count: number): Seeded {
  const secret = parseSecret(Deno.readTextFileSync(`${stateDir}/secret.key`))!;
  const db = new DatabaseSync(`${stateDir}/control.db`);
  try {
    const key = db.prepare("SELECT * FROM reg_keys").get() as Record<string, string>;
    const vpcId = key["vpc_id"]!;
    const from = Number(db.prepare("SELECT count(*) AS n FROM devices").get()!["n"]);
    const tokens: string[] = [], ids: string[] = [];
    db.exec("BEGIN");
    for (let n = from + 1; n <= from + count; n++) {
      const id = crypto.randomUUID();
      const token = deviceToken(secret, id, 1);
      ids.push(id);
      tokens.push(token);
      insert(db, "devices", {
        ...COMMON,
        id,
        owner_id: key["owner_id"]!,
        vpc_id: vpcId,
        reg_key_id: key["id"]!,
        public_key: randomBytes(32).toString("base64"),
        token_hash: hashToken(token),
        ipv4_address: `100.${64 + (n >> 16)}.${n >> 8 & 255}.${n & 255}`,
        ipv6_address: `200::${n.toString(16)}`,
        hostname: `host-${n}`,
        security_group_id: vpcId,
        online: 1,
        online_at: COMMON.created_at,
        revision: n,
      });
    }
    const end = from + count;
    db.prepare("UPDATE revisions SET value = ? WHERE name = 'devices'").run(end);
    const gap = db.prepare("UPDATE address_gaps SET first = ? WHERE family = ?");
    gap.run((0x64400000 + end + 1).toString(16), 4);
    gap.run(`0200${(end + 1).toString(16).padStart(28, "0")}`, 6);
    db.exec("COMMIT");
    return { vpcId, tokens, ids };
  } finally {
    db.close();
  }
}

function insert(db: DatabaseSync, table: string, row: Record<string, string | number | null>) {
  const names = Object.keys(row);
  db.prepare(`INSERT INTO ${table} (${names}) VALUES (${names.map(() => "?")})`)
    .run(...Object.values(row));
}
