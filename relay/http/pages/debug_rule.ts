/** Who may see the operator's pages (DERP: `/debug/*`). */
import { sha256 } from "@noble/hashes/sha2.js";
import ipaddr from "ipaddr.js";
import { reasonOf } from "../../cert/mod.ts";
import { keysEqual } from "../../derp/mod.ts";
import { RelayError } from "../../errors.ts";

/** A key file is a line of text; more than this is some other file. */
const MAX_KEY_FILE = 4096;

/** What forwarders say about whom they forward for: the reference's header, the standard's, nginx'. */
const FORWARDED = ["x-forwarded-for", "forwarded", "x-real-ip"];

type Network = [ipaddr.IPv4 | ipaddr.IPv6, number];

/**
 * The rule: loopback and the listed networks may, unless the request came through a forwarder, whose
 * address says nothing about the client; and so may a GET with the operator's key in `?debugkey=`.
 */
export class DebugRule {
  readonly #networks: Network[];
  readonly #keyFile: string | undefined;
  /** What the key file held when it looked like `seen`; undefined: no usable key. */
  #key: Uint8Array | undefined;
  #seen = "";

  /**
   * @param options `networks`: CIDRs (`10.0.0.0/8`) or single addresses
   * @throws RelayError (exit code 2) for a text that is no network
   */
  constructor(options: { networks: string[]; keyFile?: string | undefined }) {
    this.#networks = options.networks.map(parseNetwork);
    this.#keyFile = options.keyFile;
  }

  /** @param remoteAddress the client's IP address, as the socket has it */
  allows(request: Request, remoteAddress: string): boolean {
    if (this.#hasKey(request)) return true;
    if (FORWARDED.some((name) => (request.headers.get(name) ?? "") !== "")) return false;
    const address = parseAddress(remoteAddress);
    if (address === undefined) return false;
    return address.range() === "loopback" ||
      this.#networks.some(([network, bits]) =>
        network.kind() === address.kind() && address.match(network, bits)
      );
  }

  #hasKey(request: Request): boolean {
    if (this.#keyFile === undefined || request.method !== "GET") return false;
    const given = debugKey(request);
    if (given === "") return false;
    const key = this.#readKey(this.#keyFile);
    // Digests, so that neither the content nor the length shows in the time.
    return key !== undefined && keysEqual(key, digest(given));
  }

  /** The digest of the key, read again when the file has changed. */
  #readKey(file: string): Uint8Array | undefined {
    try {
      const { size, mtime, ino } = Deno.statSync(file);
      const seen = `${size} ${mtime?.getTime()} ${ino}`;
      if (seen === this.#seen) return this.#key;
      const text = size > MAX_KEY_FILE ? "" : Deno.readTextFileSync(file).trim();
      this.#key = text === "" ? undefined : digest(text);
      this.#seen = seen;
    } catch {
      this.#key = undefined;
      this.#seen = "";
    }
    return this.#key;
  }
}

/**
 * Looks whether a file holds a key, for the start: later on, a file that has gone opens nothing.
 *
 * @throws RelayError (exit code 2)
 */
export function checkDebugKeyFile(file: string): void {
  let why = "it is empty or no text file";
  try {
    const { isFile, size } = Deno.statSync(file);
    if (isFile && size <= MAX_KEY_FILE && Deno.readTextFileSync(file).trim() !== "") return;
  } catch (error) {
    why = error instanceof Deno.errors.NotFound ? "no such file" : reasonOf(error);
  }
  throw new RelayError(`Cannot use --debug-key-file ${file}: ${why}; put a line of text there`, 2);
}

/** The key in a request's address, or an empty text. */
export function debugKey(request: Request): string {
  const mark = request.url.indexOf("?");
  if (mark < 0) return "";
  return new URLSearchParams(request.url.slice(mark)).get("debugkey") ?? "";
}

function digest(text: string): Uint8Array {
  return sha256(new TextEncoder().encode(text));
}

/** An IPv4 address in the clothes of IPv6 is an IPv4 address. */
function parseAddress(text: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  return ipaddr.isValid(text) ? ipaddr.process(text) : undefined;
}

function parseNetwork(text: string): Network {
  try {
    // The library takes 10 for 0.0.0.10, and 010 for 8: whoever writes so means something else.
    const host = text.split("/")[0]!;
    if (!host.includes(":") && !ipaddr.IPv4.isValidFourPartDecimal(host)) throw new Error("short");
    const [address, bits] = text.includes("/") ? ipaddr.parseCIDR(text) : single(text);
    if (address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress()) {
      if (bits >= 96) return [address.toIPv4Address(), bits - 96];
    }
    return [address, bits];
  } catch {
    throw new RelayError(
      `Cannot use --debug-networks ${text}: not a network; write it as 10.0.0.0/8`,
      2,
    );
  }
}

function single(text: string): Network {
  const address = ipaddr.parse(text);
  return [address, address.kind() === "ipv4" ? 32 : 128];
}
