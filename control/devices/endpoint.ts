import { parseAddress } from "../ipam/mod.ts";

/** What stock agents publish in place of an address that they could not find out. */
const NONE = "invalid AddrPort";

/**
 * Whether a device may publish this text as an endpoint's address: `ip:port`, `[ip6]:port`, or what stock
 * agents write when they know none. Others hand it to WireGuard, which would look up any name in it.
 */
export function isEndpointAddress(text: string): boolean {
  if (text === NONE) return true;
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  if (!match || Number(match[3]) > 65535) return false;
  const [, v6, v4] = match;
  return parseAddress(v6 ?? v4!)?.family === (v6 === undefined ? 4 : 6);
}
