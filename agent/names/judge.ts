/**
 * Which names may be pinned and to what. Both come from other devices of the VPC: a pin must not
 * become a way to redirect anything but a relay.
 *
 * @module
 */
import ipaddr from "ipaddr.js";

/** Names that have a fixed meaning, and all below those with a dot before. */
const FIXED = [
  ...["localhost", ".localhost", "localdomain", ".localdomain", "localhost4", "localhost6"],
  ...[".localdomain4", ".localdomain6", "broadcasthost", ".arpa", ".onion", ".invalid"],
  ...["ip6-localhost", "ip6-loopback", "ip6-localnet", "ip6-mcastprefix"],
  ...["ip6-allnodes", "ip6-allrouters", "ip6-allhosts", "wpad", ".wpad"],
];

/** Public resolvers are reached by name, too; whoever answers for them answers for every name. */
const RESOLVERS = [
  ...["dns.google", "dns64.dns.google", "one.one.one.one", "cloudflare-dns.com", "dns.quad9.net"],
  ...["dns.opendns.com", "doh.opendns.com", "dns.nextdns.io", "dns.adguard-dns.com"],
  ...["dns.mullvad.net", "dns.sb", "doh.pub", "dns.alidns.com", "dns0.eu", "dns.controld.com"],
];

const ADDRESS_KINDS: Readonly<Record<string, string>> = {
  unspecified: "no address",
  broadcast: "a broadcast address",
  multicast: "a multicast address",
  linkLocal: "a link-local address",
  loopback: "a loopback address",
  ipv4Mapped: "an IPv4 address written as IPv6",
};

/** A name in its one spelling, or why it is no strict host name (RFC 1123, RFC 3696 §2). */
export function readName(text: string): { name: string } | { problem: string } {
  // Only ASCII is lowered: the Kelvin sign would become a k.
  const name = text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  const labels = name.split(".");
  const strict = name.length <= 253 &&
    labels.every((label) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(label)) &&
    /[a-z]/.test(labels.at(-1)!);
  return strict ? { name } : { problem: "it is no host name" };
}

/**
 * Why a name must not be pinned, or undefined.
 *
 * @param forbidden lower case; for the API's and the sign-in's host also what they share a domain with
 */
export function refusedName(
  name: string,
  forbidden: Iterable<string>,
  own: ReadonlySet<string>,
): string | undefined {
  const below = (parent: string) => name === parent || name.endsWith(`.${parent}`);
  if (FIXED.some((fixed) => fixed.startsWith(".") ? name.endsWith(fixed) : name === fixed)) {
    return "the name has a fixed meaning";
  }
  if (own.has(name)) return "it is a name of this host";
  if (RESOLVERS.some(below)) return "it is a name of a public resolver";
  for (const text of forbidden) {
    const host = text.toLowerCase().replace(/\.$/, "");
    const domain = host.replace(/^(api|auth|try)\./, "");
    const family = domain === host
      ? [host]
      : [domain, ...["api", "auth", "try"].map((part) => `${part}.${domain}`)];
    if (family.includes(name)) return "the control plane or a server of the agent has this name";
  }
  return undefined;
}

/** An address in its one spelling, or why a name must not be pinned to it. */
export function readTarget(
  text: string,
  tunnelRanges: readonly string[],
): { address: string } | { problem: string } {
  const v4 = ipaddr.IPv4.isValidFourPartDecimal(text);
  if (!v4 && (!/^[0-9a-fA-F:]+(:[0-9.]+)?$/.test(text) || !ipaddr.IPv6.isValid(text))) {
    return { problem: "it has no IP address" };
  }
  const address = ipaddr.parse(text);
  // 240.0.0.0/4 only: what else counts as reserved is for documentation, and networks for tests use it.
  const future = v4 && address.toByteArray()[0]! >= 240;
  const kind = ADDRESS_KINDS[address.range()] ?? (future ? "a reserved address" : undefined);
  if (kind !== undefined) return { problem: `${address} is ${kind}` };
  for (const range of tunnelRanges) {
    if (!ipaddr.isValidCIDR(range)) continue;
    const cidr = ipaddr.parseCIDR(range);
    if (cidr[0].kind() === address.kind() && address.match(cidr)) {
      return { problem: `${address} is inside the tunnel` };
    }
  }
  return { address: address.toString() };
}
