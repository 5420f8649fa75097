/** A VPC as a small company may have it, for pictures of the dashboard. */
import type { PeerPath, RelayRegion, SecurityGroup } from "../../control/api/types.ts";
import type { Bench, Joined } from "../../control/dashboard/testing.ts";

const RELAYS = [
  { name: "Frankfurt", hostname: "fra.relay.example.org", region_id: 900, weight: 100 },
  { name: "New York", hostname: "nyc.relay.example.org", region_id: 902, weight: 50 },
];

/** Host, site, whether its NAT is symmetric, whether it is online. */
const HOSTS: readonly [string, string, boolean, boolean][] = [
  ["api-1", "fra", false, true],
  ["api-2", "fra", false, true],
  ["db-primary", "fra", false, true],
  ["build-runner", "nyc", false, true],
  ["web-1", "nyc", false, true],
  ["office-gateway", "berlin", true, true],
  ["office-printer", "berlin", true, true],
  ["anna-laptop", "home", false, true],
  ["ben-laptop", "hotel", true, true],
  ["backup-nas", "cellar", false, true],
  ["old-monitor", "fra", false, false],
  ["staging", "nyc", false, false],
];

/** Round trips between sites, ms. */
const FAR: Record<string, number> = {
  fra: 4,
  nyc: 84,
  berlin: 12,
  home: 18,
  hotel: 31,
  cellar: 22,
};

/** Fills the bench's control plane, with devices that are online as long as the bench lives. */
export async function seed(bench: Bench): Promise<void> {
  const group = await bench.admin<SecurityGroup>("POST", "/api/security-groups", {
    vpc_id: bench.control.userId,
    description: "web servers",
    inbound_rules: [
      { ip_protocol: "tcp", from_port: 80, to_port: 443, ip_ranges: [] },
      { ip_protocol: "tcp", from_port: 22, to_port: 22, ip_ranges: ["100.64.0.0/10"] },
    ],
  });
  for (const relay of RELAYS) await bench.admin<RelayRegion>("POST", "/api/relay-regions", relay);
  const joined: Joined[] = [];
  for (const [i, [hostname, site, symmetric_nat, online]] of HOSTS.entries()) {
    const host = await bench.join(hostname, {
      symmetric_nat,
      os: site === "hotel" ? "darwin" : "linux",
      endpoints: [
        { source: "local", address: `192.168.${i}.10:51820` },
        { source: "stun:", address: `203.0.113.${10 + i}:${41000 + 37 * i}` },
      ],
      ...(hostname === "office-gateway" ? { advertise_cidrs: ["10.20.0.0/16"] } : {}),
    });
    joined.push(host);
    if (online) await bench.online(host);
  }
  for (const hostname of ["web-1", "api-1", "api-2"]) {
    const { device } = joined.find(({ device }) => device.hostname === hostname)!;
    await bench.admin("PATCH", `/api/devices/${device.id}`, { security_group_id: group.id });
  }
  const online = HOSTS.map((host, i) => ({ host, ...joined[i]! })).filter(({ host }) => host[3]);
  // Two run another agent, which tells nothing.
  const silent = ["office-printer", "backup-nas"];
  for (const one of online) {
    if (silent.includes(one.host[0])) continue;
    await bench.tell(one, {
      peers: online.filter((other) => other !== one).map((other) => way(one, other)),
      more: 0,
      relays: RELAYS.map(({ hostname }, i) => ({
        hostname,
        port: 443,
        home: (one.host[1] === "nyc") === (i === 1),
        latency_ms: latency(one.host[1], i === 0 ? "fra" : "nyc") + 0.4,
      })),
    });
  }
  await bench.admin("POST", "/api/reg-keys", {
    vpc_id: bench.control.userId,
    description: "office machines",
    single_use: false,
  });
  const { organization_id } = await bench.admin<{ organization_id: string }>(
    "GET",
    `/api/vpcs/${bench.control.userId}`,
  );
  for (const [username, full_name] of [["anna", "Anna Berg"], ["ben", "Ben Okoro"]]) {
    const email = `${username}@example.org`;
    await bench.admin("POST", "/api/accounts", { username, full_name, email });
  }
  await bench.admin("POST", "/api/invitations", { organization_id, email: "carla@example.org" });
}

type Online = { host: (typeof HOSTS)[number]; device: { id: string } };

function way(one: Online, other: Online): PeerPath {
  const [, site, symmetric] = one.host, [name, there, hard] = other.host;
  const device_id = other.device.id, latency_ms = latency(site, there);
  if (site === there) {
    const reason = "both show the same outside address";
    return { device_id, path: "direct", healthy: true, reason, latency_ms: 0.6 };
  }
  // A hotel's NAT, and an office's: neither can be reached from outside.
  if (symmetric || hard) {
    const reason = symmetric && hard
      ? "both NATs are symmetric"
      : symmetric
      ? "the NAT of this host is symmetric"
      : `the NAT of ${name} is symmetric`;
    const relay = RELAYS[site === "nyc" ? 1 : 0]!.hostname;
    return { device_id, path: "relayed", healthy: true, reason, relay, latency_ms: latency_ms + 9 };
  }
  return {
    device_id,
    path: "direct",
    healthy: true,
    reason: "neither NAT is symmetric",
    latency_ms,
  };
}

function latency(a: string, b: string): number {
  return a === b ? 0.6 : Math.round((FAR[a]! + FAR[b]!) * 10) / 10;
}
