/**
 * The answering side of a WireGuard session, as far as an idle one needs it: it answers initiations
 * and makes keepalives. Nothing is checked that only an attacker would get wrong.
 *
 * WireGuard: Next Generation Kernel Network Tunnel, 5.4 (messages) and 5.4.3 (responder).
 *
 * @module
 */
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { x25519 } from "@noble/curves/ed25519.js";
import { blake2s } from "@noble/hashes/blake2.js";
import { hmac } from "@noble/hashes/hmac.js";
import { concatBytes } from "@noble/hashes/utils.js";

const text = new TextEncoder();
const EMPTY = new Uint8Array();
const NOISE = blake2s(text.encode("Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"));
const START = blake2s(concatBytes(NOISE, text.encode("WireGuard v1 zx2c4 Jason@zx2c4.com")));
const MAC1 = text.encode("mac1----");
const NO_PRESHARED_KEY = new Uint8Array(32);

/** Bytes of an initiation and of a response. */
export const INITIATION_LENGTH = 148;
const RESPONSE_LENGTH = 92;

/** First outputs of the key derivation. */
function derive(chain: Uint8Array, input: Uint8Array, outputs: number): Uint8Array[] {
  const secret = hmac(blake2s, chain, input);
  const keys: Uint8Array[] = [];
  for (let i = 1; i <= outputs; i++) {
    keys.push(hmac(blake2s, secret, concatBytes(keys.at(-1) ?? EMPTY, Uint8Array.of(i))));
  }
  return keys;
}

function mix(hash: Uint8Array, data: Uint8Array): Uint8Array {
  return blake2s(concatBytes(hash, data));
}

/** 12 bytes: the counter in the last eight, little-endian. */
function nonce(counter: number): Uint8Array {
  const bytes = new Uint8Array(12);
  new DataView(bytes.buffer).setBigUint64(4, BigInt(counter), true);
  return bytes;
}

/** One peer's end: a new session with each initiation. */
export class Responder {
  readonly #privateKey: Uint8Array;
  readonly #publicKey: Uint8Array;
  #index = 0;
  #receiver = EMPTY;
  #sending: Uint8Array | undefined;
  #counter = 0;

  /** @param privateKey 32 bytes */
  constructor(privateKey: Uint8Array) {
    this.#privateKey = privateKey;
    this.#publicKey = x25519.getPublicKey(privateKey);
  }

  /** The response to an initiation. Throws when it is not for this peer. */
  answer(initiation: Uint8Array): Uint8Array {
    const at = (from: number, length: number) => initiation.subarray(from, from + length);
    const ephemeral = at(8, 32), sealed = at(40, 48), stamp = at(88, 28);
    let [chain] = derive(NOISE, ephemeral, 1) as [Uint8Array];
    let hash = mix(mix(START, this.#publicKey), ephemeral);
    let key: Uint8Array;
    [chain, key] = derive(chain, this.#agree(this.#privateKey, ephemeral), 2) as [
      Uint8Array,
      Uint8Array,
    ];
    const initiator = chacha20poly1305(key, nonce(0), hash).decrypt(sealed);
    hash = mix(hash, sealed);
    [chain] = derive(chain, this.#agree(this.#privateKey, initiator), 2) as [Uint8Array];
    hash = mix(hash, stamp);

    const own = x25519.utils.randomSecretKey(), public_ = x25519.getPublicKey(own);
    const response = new Uint8Array(RESPONSE_LENGTH);
    const view = new DataView(response.buffer);
    response[0] = 2;
    view.setUint32(4, ++this.#index, true);
    response.set(at(4, 4), 8);
    response.set(public_, 12);
    [chain] = derive(chain, public_, 1) as [Uint8Array];
    hash = mix(hash, public_);
    [chain] = derive(chain, this.#agree(own, ephemeral), 1) as [Uint8Array];
    [chain] = derive(chain, this.#agree(own, initiator), 1) as [Uint8Array];
    let tau: Uint8Array;
    [chain, tau, key] = derive(chain, NO_PRESHARED_KEY, 3) as [Uint8Array, Uint8Array, Uint8Array];
    hash = mix(hash, tau);
    response.set(chacha20poly1305(key, nonce(0), hash).encrypt(EMPTY), 44);
    const macKey = blake2s(concatBytes(MAC1, initiator));
    response.set(blake2s(response.subarray(0, 60), { key: macKey, dkLen: 16 }), 60);
    this.#receiver = at(4, 4).slice();
    this.#sending = derive(chain, EMPTY, 2)[1];
    this.#counter = 0;
    return response;
  }

  /** The next keepalive of the session; undefined while there is none. */
  keepalive(): Uint8Array | undefined {
    if (this.#sending === undefined) return undefined;
    const counter = this.#counter++;
    const packet = new Uint8Array(32);
    packet[0] = 4;
    packet.set(this.#receiver, 4);
    new DataView(packet.buffer).setBigUint64(8, BigInt(counter), true);
    packet.set(chacha20poly1305(this.#sending, nonce(counter)).encrypt(EMPTY), 16);
    return packet;
  }

  #agree(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
    return x25519.getSharedSecret(privateKey, publicKey);
  }
}
