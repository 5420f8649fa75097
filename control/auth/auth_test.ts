import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { x25519 } from "@noble/curves/ed25519.js";
import fc from "fast-check";
import recorded from "../../tests/vectors/control/sealed-token.json" with { type: "json" };
import {
  deviceToken,
  hashPassword,
  isPublicKey,
  openToken,
  sealToken,
  verdict,
  verifyPassword,
} from "./mod.ts";

Deno.test("a token that a stock server sealed opens with the device's public key", () => {
  assert.equal(openToken(recorded.bearer_token, recorded.public_key), recorded.opened);
});

Deno.test("sealing gives the computed vector when the ephemeral key is fixed", () => {
  const publicKey = "B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw=";
  const e = Buffer.from("64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d48466", "hex");
  assert.equal(
    sealToken("DT:sample-token", publicKey, e),
    "djE=:ZLEBsdC-WocEvQePmJUAH8A-jp-VIvGI3RKNmEbUhGY=:xEqdSSpsVgPgwjRQ5fLndWh3KHmGRr-VAkTd6UxAig==",
  );
});

Deno.test("sealing is fresh each time and opens to any token", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.string(), (secret, token) => {
      const publicKey = Buffer.from(x25519.getPublicKey(secret)).toString("base64");
      const sealed = sealToken(token, publicKey);
      assert.notEqual(sealed, sealToken(token, publicKey));
      assert.match(sealed, /^djE=:[\w-]{43}=:[\w=-]+$/);
      assert.equal(openToken(sealed, publicKey), token);
    }),
    { numRuns: 50 },
  );
});

Deno.test("a public key is refused unless it is 32 bytes of canonical base64 and of full order", () => {
  assert.ok(isPublicKey("B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw="));
  const bad = [
    "",
    "not-a-key",
    "B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw",
    "B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9_AsrhtHHw=",
    "B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHx=",
    " B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw=",
    Buffer.alloc(32).toString("base64"),
    Buffer.alloc(32).fill(1, 0, 1).toString("base64"),
    Buffer.from("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800", "hex")
      .toString("base64"),
    Buffer.alloc(31, 9).toString("base64"),
    Buffer.alloc(33, 9).toString("base64"),
  ];
  for (const key of bad) assert.equal(isPublicKey(key), false, key);
});

Deno.test("a public key is refused when X25519 with it gives zero, and taken when not", () => {
  const scalar = new Uint8Array(32).fill(7);
  const givesZero = (point: Uint8Array) => {
    try {
      return x25519.getSharedSecret(scalar, point).every((byte) => byte === 0);
    } catch {
      return true;
    }
  };
  const number = (value: bigint) => {
    const hex = value.toString(16).padStart(64, "0");
    return Uint8Array.fromHex(hex).reverse();
  };
  const eighth = ["e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"]
    .concat("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157");
  // Around each point of low order, at both ends of the numbers, with the top bit and without it.
  const centres = [3n, 2n ** 255n - 20n, 2n ** 255n - 6n].concat(
    eighth.map((hex) => BigInt(`0x${Uint8Array.fromHex(hex).reverse().toHex()}`)),
  );
  let refused = 0;
  for (const centre of centres) {
    for (let by = -3n; by <= 5n; by++) {
      for (const top of [0n, 2n ** 255n]) {
        const point = number(centre + by + top);
        assert.equal(isPublicKey(point.toBase64()), !givesZero(point), point.toHex());
        refused += givesZero(point) ? 1 : 0;
      }
    }
  }
  assert.equal(refused, 14);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (point) => {
      assert.equal(isPublicKey(point.toBase64()), !givesZero(point));
    }),
    { numRuns: 50 },
  );
});

Deno.test("a device token depends on secret, device and generation", () => {
  const secret = new Uint8Array(32).fill(1);
  const token = deviceToken(secret, "a", 1);
  assert.match(token, /^DT:[A-Za-z0-9+/]{43}=$/);
  assert.equal(deviceToken(secret, "a", 1), token);
  assert.notEqual(deviceToken(secret, "a", 2), token);
  assert.notEqual(deviceToken(secret, "b", 1), token);
  assert.notEqual(deviceToken(new Uint8Array(32), "a", 1), token);
});

Deno.test("a password is verified against its hash alone", async () => {
  const stored = await hashPassword("correct horse");
  assert.match(stored, /^scrypt\$32768\$8\$3\$/);
  assert.ok(!stored.includes("horse"));
  assert.equal(await verifyPassword("correct horse", stored), true);
  assert.equal(await verifyPassword("correct horses", stored), false);
  assert.equal(await verifyPassword("correct horse", "plain"), false);
});

Deno.test("scopes allow what onboarding needs and nothing beside it", () => {
  const id = "5f0c3b1e-8d1a-4c55-9a0e-2b6f7d9c1a10";
  const table: [string, string, "reg-key" | "device", string][] = [
    ["GET", "/api/reg-keys/me", "reg-key", "allow"],
    ["GET", "/api/reg-keys", "reg-key", "refuse"],
    ["GET", `/api/reg-keys/${id}`, "reg-key", "refuse"],
    ["GET", "/api/reg-keys/me", "device", "refuse"],
    ["GET", `/api/vpcs/${id}`, "reg-key", "allow"],
    ["GET", `/api/vpcs/${id}/devices`, "device", "allow"],
    ["POST", "/api/devices", "reg-key", "allow"],
    ["POST", "/api/devices", "device", "refuse"],
    ["POST", `/api/devices/${id}`, "reg-key", "refuse"],
    ["PATCH", `/api/devices/${id}`, "reg-key", "allow"],
    ["PATCH", `/api/devices/${id}`, "device", "allow"],
    ["DELETE", `/api/devices/${id}`, "reg-key", "refuse"],
    ["DELETE", `/api/devices/${id}`, "device", "allow"],
    ["DELETE", `/api/devices/${id}/metadata`, "device", "refuse"],
    ["PUT", `/api/devices/${id}/metadata/relay`, "reg-key", "allow"],
    ["PUT", `/api/devices/${id}/metadata/relay`, "device", "refuse"],
    ["PUT", `/api/devices/${id}/metadata/a/b`, "reg-key", "refuse"],
    ["POST", "/api/events", "device", "allow"],
    ["POST", "/api/events", "reg-key", "refuse"],
    ["POST", `/api/vpcs/${id}/events`, "device", "allow"],
    ["POST", `/api/vpcs/${id}/events`, "reg-key", "refuse"],
    ["GET", "/api/users/me", "reg-key", "refuse"],
    ["GET", "/api/fflags", "device", "refuse"],
    ["HEAD", "/api/devices", "reg-key", "refuse"],
    ["GET", "/api/nothing", "reg-key", "unknown"],
  ];
  for (const [method, path, kind, expected] of table) {
    assert.equal(verdict(kind, method, path), expected, `${kind} ${method} ${path}`);
  }
});

Deno.test("scopes compare whole paths, not parts or depth of them", () => {
  // Weakness 34: `me` or `events` as part of a text, and any depth below devices.
  for (
    const [kind, method, path] of [
      ["reg-key", "GET", "/api/reg-keys/me2"],
      ["reg-key", "GET", "/api/reg-keys/me/x"],
      ["reg-key", "GET", "/api/reg-keys/%6de"],
      ["device", "POST", "/api/vpcs/x/events2"],
      ["device", "POST", "/api/vpcs/x/y/events"],
      ["device", "GET", "/api/devices/x/metadata/k/deep"],
      ["device", "PATCH", "/api/devices/x/metadata/k"],
      ["device", "PATCH", "/api/devices/"],
      ["device", "PATCH", "/api/devices"],
    ] as const
  ) assert.equal(verdict(kind, method, path), "refuse", `${kind} ${method} ${path}`);
});
