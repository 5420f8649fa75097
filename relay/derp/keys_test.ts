import { deepEqual, equal, notDeepEqual, throws } from "node:assert/strict";
import fc from "fast-check";
import { loadHandshake } from "../../tests/vectors/mod.ts";
import * as derp from "./mod.ts";
import { DerpError } from "./mod.ts";

const vectors = loadHandshake();
const bytes = (hex: string) => Uint8Array.fromHex(hex);
const anyKey = fc.uint8Array({ minLength: 32, maxLength: 32 });

Deno.test("every text form of a key equals the vectors when written and read", () => {
  for (const key of Object.values(vectors.keys)) {
    const privateKey = derp.clamp(bytes(key.unclampedSeed));
    equal(privateKey.toHex(), key.privateRaw);
    const publicKey = derp.publicKeyOf(privateKey);
    equal(derp.keyToHex(publicKey), key.publicRaw);
    deepEqual(derp.publicKeyOf(bytes(key.unclampedSeed)), publicKey);
    equal(derp.privateKeyText(privateKey), key.privateText);
    equal(derp.nodeKeyText(publicKey), key.publicText);
    equal(derp.keyToBase64(privateKey), key.wireguardPrivateBase64);
    equal(derp.keyToBase64(publicKey), key.wireguardPublicBase64);
    equal(derp.shortKey(publicKey), key.shortString);
    deepEqual(derp.parsePrivateKeyText(key.privateText), privateKey);
    deepEqual(derp.keyFromBase64(key.wireguardPublicBase64), publicKey);
    deepEqual(derp.keyFromHex(key.publicRaw.toUpperCase()), publicKey);
  }
  equal(derp.shortKey(new Uint8Array(32)), "");
});

Deno.test("a public key equals the reference's when computed from its sample", () => {
  const sample = vectors.tailscaleKeyTextExample;
  const privateKey = derp.parsePrivateKeyText(`privkey:${sample.private.replace("privkey:", "")}`);
  equal(derp.nodeKeyText(derp.publicKeyOf(privateKey)), sample.publicFromX25519);
});

Deno.test("a generated private key is clamped and new when made", () => {
  const one = derp.generatePrivateKey();
  deepEqual(derp.clamp(one.slice()), one);
  notDeepEqual(derp.generatePrivateKey(), one);
});

Deno.test("the derper key file equals the reference's when written and is read in any layout", () => {
  const key = bytes(vectors.keys["server"]!.privateRaw);
  equal(derp.formatDerperKeyFile(key), vectors.derperKeyFile);
  deepEqual(derp.parseDerperKeyFile(vectors.derperKeyFile), key);
  deepEqual(derp.parseDerperKeyFile(JSON.stringify(JSON.parse(vectors.derperKeyFile))), key);
  const secret = vectors.keys["server"]!.privateText;
  for (
    const bad of [
      "",
      "{}",
      "null",
      "[]",
      "not json",
      '{"PrivateKey":""}',
      '{"PrivateKey":5}',
      `{"PrivateKey":"${secret}0"}`,
      `{"PrivateKey":"${secret.replace("privkey", "nodekey")}"}`,
      `{"PrivateKey":"${secret}"`,
    ]
  ) {
    throws(() => derp.parseDerperKeyFile(bad), (error) => {
      equal(error instanceof DerpError, true);
      equal(String(error).includes(secret.slice(10, 20)), false, "the key is in the message");
      return true;
    });
  }
});

Deno.test("key texts round-trip when any 32 bytes are written", () => {
  fc.assert(fc.property(anyKey, (key) => {
    deepEqual(derp.keyFromBase64(derp.keyToBase64(key)), key);
    deepEqual(derp.keyFromHex(derp.keyToHex(key)), key);
    deepEqual(derp.parsePrivateKeyText(derp.privateKeyText(key)), key);
    deepEqual(derp.parseDerperKeyFile(derp.formatDerperKeyFile(key)), key);
  }));
});

Deno.test("a key text is refused when it is not the one way to write 32 bytes", () => {
  const good = vectors.keys["clientA"]!.wireguardPublicBase64;
  for (
    const bad of [
      "",
      good.slice(0, -1),
      ` ${good}`,
      `${good}\n`,
      good.slice(0, 42) + "\n=",
      good.replace("/", "_").replace("+", "-").replace(/.$/, ""),
      good.slice(0, 42) + "t=", // bits beyond the 256th
      "A".repeat(40) + "====",
    ]
  ) throws(() => derp.keyFromBase64(bad), DerpError, JSON.stringify(bad));
  for (
    const bad of ["", "00".repeat(31), "00".repeat(33), "0g".repeat(32), "00".repeat(32) + "\n"]
  ) {
    throws(() => derp.keyFromHex(bad), DerpError);
    throws(() => derp.parsePrivateKeyText(`privkey:${bad}`), DerpError);
  }
  fc.assert(fc.property(fc.string(), (text) => {
    for (const read of [derp.keyFromBase64, derp.keyFromHex, derp.parseDerperKeyFile]) {
      throws(() => read(text), DerpError);
    }
  }));
});

Deno.test("keysEqual tells keys apart when one bit differs", () => {
  fc.assert(fc.property(anyKey, fc.integer({ min: 0, max: 255 }), (key, bit) => {
    const other = key.slice();
    equal(derp.keysEqual(key, other), true);
    other[bit >> 3]! ^= 1 << (bit & 7);
    equal(derp.keysEqual(key, other), false);
    equal(derp.keysEqual(key, key.subarray(1)), false);
  }));
});

/** RFC 7748's field prime and the x of two points of order 8, as numbers. */
const P = 2n ** 255n - 19n;
const ORDER_8 = [
  325606250916557431795983626356110631294008115727848805560023387167927233504n,
  39382357235489614581723060781553021112529911719440698176882885853963445705823n,
];

function littleEndian(value: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * i)) & 255n));
}

Deno.test("a public key is called low-order when the curve library refuses it too", () => {
  const low = [0n, 1n, ...ORDER_8, P - 1n, P, P + 1n];
  const privateKey = derp.generatePrivateKey();
  for (const value of low) {
    for (const highBit of [0n, 2n ** 255n]) {
      const key = littleEndian(value + highBit);
      equal(derp.isLowOrderPoint(key), true);
      throws(() => new derp.BoxKey(privateKey, key), DerpError);
    }
  }
  for (const value of [2n, 9n, P - 2n, P + 2n, ORDER_8[0]! + 1n, 2n ** 255n - 1n]) {
    const key = littleEndian(value);
    equal(derp.isLowOrderPoint(key), false);
    new derp.BoxKey(privateKey, key);
  }
});
