/**
 * Keys of probes, from WireGuard's static keys: what two hosts share anyway, and nobody else has. One
 * for each direction, so that no message can be turned round.
 *
 * @module
 */
import { x25519 } from "@noble/curves/ed25519.js";
import { blake2s } from "@noble/hashes/blake2.js";

const text = new TextEncoder();
const KEY_LABEL = text.encode("nexd path probe 1 key");
const HINT_LABEL = text.encode("nexd path probe 1 hint");
const HINT_LENGTH = 8;

/** Keys of one direction. */
interface Direction {
  /** 16 hex digits; shows whoever knows both public keys who speaks to whom, and nobody else. */
  hint: string;
  key: Uint8Array;
}

/** Keys between this host and one peer. */
export class PairKeys {
  /** Hint of what this host sends, and of what the peer does. */
  readonly sent: string;
  readonly received: string;
  readonly #privateKey: Uint8Array;
  readonly #own: Uint8Array;
  readonly #peer: Uint8Array;
  #keys: { send: Uint8Array; receive: Uint8Array } | undefined;

  /** All 32 bytes; what is computed from the private key is computed when it is first needed. */
  constructor(privateKey: Uint8Array, own: Uint8Array, peer: Uint8Array) {
    this.#privateKey = privateKey;
    this.#own = own;
    this.#peer = peer;
    this.sent = hintOf(own, peer);
    this.received = hintOf(peer, own);
  }

  /** True when the costly part is done. */
  get ready(): boolean {
    return this.#keys !== undefined;
  }

  /** What this host's messages are made with. Throws for a peer key that is no point of use. */
  get sending(): Direction {
    return { hint: this.sent, key: this.#derive().send };
  }

  /** What the peer's messages are made with. Throws for a peer key that is no point of use. */
  get receiving(): Direction {
    return { hint: this.received, key: this.#derive().receive };
  }

  #derive(): { send: Uint8Array; receive: Uint8Array } {
    if (this.#keys !== undefined) return this.#keys;
    const secret = x25519.getSharedSecret(this.#privateKey, this.#peer);
    const key = (from: Uint8Array, to: Uint8Array) =>
      blake2s(join(KEY_LABEL, from, to), { key: secret });
    this.#keys = { send: key(this.#own, this.#peer), receive: key(this.#peer, this.#own) };
    secret.fill(0);
    return this.#keys;
  }
}

function hintOf(from: Uint8Array, to: Uint8Array): string {
  return blake2s(join(HINT_LABEL, from, to), { dkLen: HINT_LENGTH }).toHex();
}

function join(...parts: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
