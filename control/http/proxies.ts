/** Who asks, where proxies that are trusted stand between. */
import ipaddr from "ipaddr.js";

/** Addresses with the same first bits. */
type Network = [ipaddr.IPv4 | ipaddr.IPv6, number];

/** Proxies whose word counts for whom they pass on. */
export class Proxies {
  readonly #networks: readonly Network[];

  /** @param networks addresses or networks; throws a TypeError that names the first unusable one */
  constructor(networks: readonly string[]) {
    this.#networks = networks.map(parseNetwork);
  }

  /** Whether there are any. */
  get any(): boolean {
    return this.#networks.length > 0;
  }

  /** Whether an address is one of theirs. */
  has(address: string): boolean {
    const parsed = parse(address);
    return parsed !== undefined &&
      this.#networks.some(([network, bits]) =>
        parsed.kind() === network.kind() && parsed.match(network as ipaddr.IPv4 & ipaddr.IPv6, bits)
      );
  }

  /**
   * The address of who sent a request: of the connection, unless that is a proxy's; then the last one
   * in `X-Forwarded-For` that is no proxy's. What stands before it anybody may have written.
   */
  client(request: Request, peer: string): string {
    if (!this.any || !this.has(peer)) return peer;
    const passed = (request.headers.get("x-forwarded-for") ?? "").split(",");
    let client = peer;
    for (let text; (text = passed.pop()) !== undefined;) {
      const address = parse(withoutPort(text.trim()));
      if (!address) return client;
      client = address.toString();
      if (!this.has(client)) return client;
    }
    return client;
  }
}

/** An IPv4 address in the clothes of IPv6 is an IPv4 address. */
function parse(text: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  if (text.includes("%")) return undefined;
  const valid = text.includes(":")
    ? ipaddr.IPv6.isValid(text)
    : ipaddr.IPv4.isValidFourPartDecimal(text);
  return valid ? ipaddr.process(text) : undefined;
}

/** Some proxies add the port: `192.0.2.1:4711`, `[2001:db8::1]:4711`. */
function withoutPort(text: string): string {
  return text.match(/^\[([^\]]*)\](?::\d+)?$/)?.[1] ??
    text.match(/^([\d.]+):\d+$/)?.[1] ?? text;
}

function parseNetwork(text: string): Network {
  const [host = "", length] = text.split("/");
  const address = parse(host);
  const most = address?.kind() === "ipv4" ? 32 : 128;
  const bits = length === undefined ? most : /^\d{1,3}$/.test(length) ? Number(length) : NaN;
  if (!address || !(bits <= most)) throw new TypeError(text);
  return [address, bits];
}
