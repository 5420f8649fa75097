/**
 * Where a WireGuard relay met its peers. It is given no endpoints of theirs, because they speak first;
 * but after a new start of the relay they speak to one that is no more, with keys that nobody has,
 * and notice it late. So the relay remembers them and speaks first then: the peers keep their NATs
 * open for its address, of whichever kind they are.
 *
 * @module
 */
import type { PeerStats } from "../../wireguard/mod.ts";

/** See the top of the file. */
export class Met {
  readonly #endpoints = new Map<string, string>();

  /** `ip:port` by public key. */
  get endpoints(): ReadonlyMap<string, string> {
    return this.#endpoints;
  }

  /** Takes over what was saved. */
  remember(saved: Record<string, string>): void {
    for (const [key, endpoint] of Object.entries(saved)) this.#endpoints.set(key, endpoint);
  }

  /** Looks where `peers` (public keys) are now, and forgets all others; true: it is news. */
  see(
    peers: ReadonlySet<string>,
    stats: Iterable<Pick<PeerStats, "publicKey" | "endpoint" | "lastHandshake">>,
  ): boolean {
    const gone = [...this.#endpoints.keys()].filter((key) => !peers.has(key));
    for (const key of gone) this.#endpoints.delete(key);
    let news = gone.length > 0;
    for (const { publicKey, endpoint, lastHandshake } of stats) {
      if (!peers.has(publicKey)) continue;
      if (endpoint === undefined || lastHandshake === undefined) continue;
      news ||= this.#endpoints.get(publicKey) !== endpoint;
      this.#endpoints.set(publicKey, endpoint);
    }
    return news;
  }

  /** What to save; undefined where there is nothing. */
  saved(): Record<string, string> | undefined {
    return this.#endpoints.size === 0 ? undefined : Object.fromEntries(this.#endpoints);
  }
}
