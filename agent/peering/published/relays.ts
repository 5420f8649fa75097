/**
 * Which DERP relays there are, in the order that all agents of a VPC have in common: those on-boarded
 * in the VPC before the public ones. The proxy chooses among them by what it sees; relays do not talk
 * to each other, so the list has to be the same everywhere.
 *
 * @module
 */
import type { Device, DeviceMetadata } from "../../../control/api/types.ts";
import { judgeEndpoint, parseAddress } from "./addresses.ts";
import { judgeAuthority } from "./authority.ts";
import type { RelayDevices } from "./candidates.ts";
import { HOSTNAME, type PublicRelay } from "./public_relays.ts";

/** Region ids of Nexodus: public relays, and those on-boarded in the VPC. */
const PUBLIC_REGION = 900, ONBOARDED_REGION = 901;

/** Most on-boarded relays, and most public ones, that are listed. */
const MAX_RELAYS = 16;

/** Where a relay is. */
export interface RelayTarget {
  region: number;
  host: string;
  port: number;
  /** IP to dial instead of resolving `host`; TLS still checks `host`. */
  address?: string;
  /** The name is its alone and need not be in DNS: on this host it means `address`. */
  pin?: true;
  /** PEM texts of the only authorities trusted for it. */
  ca?: string[];
}

/** The relays there are, what kind the relay devices are, and why. */
interface RelayChoice extends RelayDevices {
  /** Best first; never empty. Undefined while it is undecided: keep what is in use. */
  relays?: RelayTarget[];
  /** For people. */
  reason: string;
}

/** What the choice depends on. */
interface RelayInput {
  devices: Device[];
  metadata: DeviceMetadata[];
  /** The whole backlog of metadata has been seen: an absent row is really absent. */
  metadataComplete: boolean;
  /** Public relays; the first row is the default. Never empty. */
  publicRelays: readonly PublicRelay[];
  /** Port of a relay that publishes none. Default 443. */
  defaultPort?: number;
}

/** Lists the relays. Odd metadata never throws, and costs no other relay its place. */
export function chooseRelays(input: RelayInput): RelayChoice {
  const derp = new Set<string>(), undecided = new Set<string>();
  const reserved = new Set(input.publicRelays.map(({ host }) => host.toLowerCase()));
  const usable: { device: Device; target: RelayTarget; note: string }[] = [];
  const notes: string[] = [];
  for (const device of input.devices.filter((d) => d.relay && d.public_key !== "")) {
    const row = input.metadata.find((m) => m.device_id === device.id && m.key === "relay");
    if (row === undefined) {
      if (!input.metadataComplete) undecided.add(device.id);
      continue;
    }
    if (row.value.type !== "derp") continue;
    derp.add(device.id);
    const target = targetOf(device, row.value, input.defaultPort ?? 443, reserved);
    if (typeof target === "string") {
      notes.push(`${device.hostname || device.id} ${target}`);
      continue;
    }
    const authority = judgeAuthority(row.value.ca);
    if (Array.isArray(authority)) target.ca = authority;
    const note = authority && "refused" in authority ? `; its CA ${authority.refused}` : "";
    usable.push({ device, target, note });
  }
  const kinds = { derp, undecided };
  usable.sort((a, b) =>
    Number(b.device.online) - Number(a.device.online) || (a.device.id < b.device.id ? -1 : 1)
  );
  if (usable.length === 0 && undecided.size > 0) {
    return { ...kinds, reason: "a relay's kind is not known yet" };
  }
  const common = input.publicRelays.slice(0, MAX_RELAYS)
    .map((relay) => ({ region: PUBLIC_REGION, ...relay }));
  const [first] = usable;
  if (first !== undefined) {
    const others = usable.length > 1 ? `, first of ${usable.length}` : "";
    return {
      ...kinds,
      relays: [...usable.slice(0, MAX_RELAYS).map(({ target }) => target), ...common],
      reason: `on-boarded relay ${first.device.hostname || first.device.id}${others}${first.note}`,
    };
  }
  const why = notes.length > 0 ? ` (${notes.slice(0, 3).join("; ")})` : "";
  return { ...kinds, relays: common, reason: `public relay${why}` };
}

/** Where an on-boarded relay is, or why it cannot be used. */
function targetOf(
  device: Device,
  value: Record<string, unknown>,
  defaultPort: number,
  reserved: ReadonlySet<string>,
): RelayTarget | string {
  const { hostname, port = defaultPort, certmodemanual } = value;
  if (typeof hostname !== "string" || hostname === "") return "publishes no host name";
  const ip = parseAddress(hostname);
  if (ip === undefined && (!HOSTNAME.test(hostname) || /^[0-9.]+$/.test(hostname))) {
    return "publishes a bad host name";
  }
  // It would come before the public relay, at its own address and with its own CA, in its place.
  if (reserved.has(hostname.toLowerCase())) return "publishes the name of a public relay";
  if (typeof port !== "number" || !Number.isInteger(port) || port < 1 || port > 65535) {
    return "publishes a bad port";
  }
  if (ip !== undefined) {
    const bracketed = ip.kind() === "ipv6" ? `[${ip}]` : ip.toString();
    const verdict = judgeEndpoint(`${bracketed}:${port}`, [], []);
    if ("refused" in verdict) return `publishes a host name that ${verdict.refused}`;
    return { region: ONBOARDED_REGION, host: verdict.ip, port };
  }
  const target: RelayTarget = { region: ONBOARDED_REGION, host: hostname, port };
  if (certmodemanual === true) {
    // Its name need not be in DNS: dial what STUN saw. Re-bindings add the server to the source.
    for (const { source, address } of device.endpoints ?? []) {
      if (!source.startsWith("stun:")) continue;
      const verdict = judgeEndpoint(address, [], []);
      if ("ip" in verdict) target.address = verdict.ip;
    }
    if (target.address !== undefined) target.pin = true;
  }
  return target;
}
