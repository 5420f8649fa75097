import { Problem } from "../http/mod.ts";
import { DEFAULT_IPV4_CIDR, DEFAULT_IPV6_CIDR, parseCidr } from "../ipam/mod.ts";

/** What a caller says about the ranges of a new VPC. */
interface RangesWanted {
  private_cidr?: boolean | null | undefined;
  ipv4_cidr?: string | null | undefined;
  ipv6_cidr?: string | null | undefined;
}

/** Shortest prefixes: a wider range holds much of the Internet, which hosts would lose. */
const WIDEST = { 4: 8, 6: 7 } as const;

/** Addresses that mean a host itself, its link or many hosts at once: agents refuse such a VPC. */
const RESERVED = [
  "0.0.0.0/8",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "224.0.0.0/3",
  "::/127",
  "fe80::/10",
  "ff00::/8",
];

/**
 * The ranges of a new VPC: its own two, or undefined for those that all VPCs share. 400 in the forms of
 * stock servers, whose names of the fields differ.
 */
export function wantedRanges(body: RangesWanted): { ipv4: string; ipv6: string } | undefined {
  const { ipv4_cidr: ipv4, ipv6_cidr: ipv6 } = body;
  if (!body.private_cidr) {
    const shared = (given: string | null | undefined, value: string, field: string) => {
      if (!given || given === value) return;
      const error = `must be '${value}' or not set when private_cidr is not enabled`;
      throw new Problem(400, { error, field });
    };
    shared(ipv4, DEFAULT_IPV4_CIDR, "cidr");
    shared(ipv6, DEFAULT_IPV6_CIDR, "cidr_v6");
    return undefined;
  }
  return { ipv4: range(ipv4, 4, "ipv4_cidr"), ipv6: range(ipv6, 6, "cidr_v6") };
}

function range(text: string | null | undefined, family: 4 | 6, field: string): string {
  if (!text) throw new Problem(400, { error: "field not present", field });
  const refuse = (reason?: string) =>
    new Problem(400, {
      error: `invalid CIDR address: ${text}`,
      field,
      ...(reason ? { reason } : {}),
    });
  const cidr = parseCidr(text);
  if (cidr?.family !== family) throw refuse();
  if (cidr.prefix < WIDEST[family]) throw refuse(`it is wider than /${WIDEST[family]}`);
  const reserved = RESERVED.find((other) => {
    const { family, first, last } = parseCidr(other)!;
    return family === cidr.family && cidr.first <= last && cidr.last >= first;
  });
  if (reserved) throw refuse(`it overlaps ${reserved}, which hosts use for other things`);
  return text;
}
