import { hsalsa, xsalsa20poly1305 } from "@noble/ciphers/salsa.js";
import { NONCE_LENGTH, TAG_LENGTH } from "../constants.ts";
import { DerpError } from "../error.ts";
import { AgreementKey } from "./agreement.ts";

/** "expand 32-byte k" as four little-endian words: Salsa20's constant for 32-byte keys. */
const SIGMA = Uint32Array.of(0x61707865, 0x3320646e, 0x79622d32, 0x6b206574);

/**
 * The NaCl `crypto_box` between two long-term keys: X25519, HSalsa20 with a zero nonce to make
 * the key, XSalsa20-Poly1305 for each message. Both directions have the same key; random nonces
 * keep messages apart. Written down in Bernstein's "Cryptography in NaCl".
 *
 * Making one costs a scalar multiplication (about 50 microseconds): keep it for the login.
 */
export class BoxKey {
  readonly #key: Uint8Array;

  /**
   * @param privateKey own private key: 32 bytes, or what was made of them before
   * @param peerPublicKey the other side's public key, 32 bytes
   * @throws {DerpError} when a length is wrong or the public key is a low-order point
   */
  constructor(privateKey: Uint8Array | AgreementKey, peerPublicKey: Uint8Array) {
    const own = privateKey instanceof AgreementKey ? privateKey : new AgreementKey(privateKey);
    const shared = own.agree(peerPublicKey);
    this.#key = hsalsa20(shared);
    shared.fill(0);
  }

  /**
   * Seals a message.
   *
   * @param nonce 24 bytes, never used twice with these two keys; random when left out
   * @returns `nonce(24) tag(16) ciphertext`
   */
  seal(plain: Uint8Array, nonce?: Uint8Array): Uint8Array {
    const used = nonce ?? crypto.getRandomValues(new Uint8Array(NONCE_LENGTH));
    if (used.length !== NONCE_LENGTH) {
      throw new DerpError(`Cannot seal box: nonce of ${used.length} bytes, not ${NONCE_LENGTH}`);
    }
    const box = xsalsa20poly1305(this.#key, used).encrypt(plain);
    const sealed = new Uint8Array(NONCE_LENGTH + box.length);
    sealed.set(used);
    sealed.set(box, NONCE_LENGTH);
    return sealed;
  }

  /**
   * Opens `nonce(24) tag(16) ciphertext`.
   *
   * @throws {DerpError} when it is too short, altered, or sealed with other keys
   */
  open(sealed: Uint8Array): Uint8Array {
    if (sealed.length < NONCE_LENGTH + TAG_LENGTH) {
      throw new DerpError(`Cannot open box: ${sealed.length} bytes are too few`);
    }
    // Copies, because the cipher wants its own alignment and the caller may reuse its buffer.
    const nonce = sealed.slice(0, NONCE_LENGTH);
    try {
      return xsalsa20poly1305(this.#key, nonce).decrypt(sealed.slice(NONCE_LENGTH));
    } catch {
      throw new DerpError("Cannot open box: it was altered or sealed with other keys");
    }
  }
}

/** HSalsa20 of a 32-byte key and the zero nonce. */
function hsalsa20(key: Uint8Array): Uint8Array {
  const words = new Uint32Array(8);
  const view = new DataView(key.buffer, key.byteOffset, key.byteLength);
  for (let i = 0; i < 8; i++) words[i] = view.getUint32(4 * i, true);
  const out = new Uint32Array(8);
  hsalsa(SIGMA, words, new Uint32Array(4), out);
  words.fill(0);
  return new Uint8Array(out.buffer);
}
