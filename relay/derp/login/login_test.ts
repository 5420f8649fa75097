import { deepEqual, equal, ok, throws } from "node:assert/strict";
import fc from "fast-check";
import { x25519 } from "@noble/curves/ed25519.js";
import nacl from "tweetnacl";
import { loadHandshake } from "../../../tests/vectors/mod.ts";
import * as derp from "../mod.ts";
import { AgreementKey, BoxKey, DerpError, HEADER_LENGTH } from "../mod.ts";

const vectors = loadHandshake();
const utf8 = new TextEncoder();
const bytes = (hex: string) => Uint8Array.fromHex(hex);
const privateKey = (name: string) => bytes(vectors.keys[name]!.privateRaw);
const publicKey = (name: string) => bytes(vectors.keys[name]!.publicRaw);
const SERVER = privateKey("server");
const CLIENT = privateKey("clientA");
const MESH = vectors.meshKeyHex;

/** A ClientInfo payload of client A around this text. */
function sealed(json: string | Uint8Array): Uint8Array {
  const plain = typeof json === "string" ? utf8.encode(json) : json;
  const box = new BoxKey(CLIENT, publicKey("server")).seal(plain);
  return derp.encodeFrame(2, publicKey("clientA"), box).subarray(HEADER_LENGTH);
}

const login = (json: string) => derp.openClientInfo(SERVER, sealed(json)).info;

Deno.test("every sealed vector opens, and is sealed to the same bytes when given its nonce", () => {
  let opened = 0;
  for (const frame of vectors.frames) {
    if (frame.json === undefined) continue;
    const payload = bytes(frame.hex).subarray(HEADER_LENGTH);
    const [sender, receiver] = [frame.sender!, frame.receiver!];
    const nonce = bytes(frame.nonce!);
    if (frame.type === "02") {
      const { info, publicKey: key } = derp.openClientInfo(privateKey(receiver), payload);
      deepEqual(key, publicKey(sender));
      const again = derp.encodeClientInfo(privateKey(sender), publicKey(receiver), info, nonce);
      equal(again.toHex(), frame.hex, frame.name);
    } else {
      const info = derp.openServerInfo(
        new BoxKey(privateKey(receiver), publicKey(sender)),
        payload,
      );
      const box = new BoxKey(privateKey(sender), publicKey(receiver));
      equal(derp.encodeServerInfo(box, info, nonce).toHex(), frame.hex, frame.name);
    }
    opened++;
  }
  equal(opened, 7);
});

Deno.test("a negative vector is refused when it arrives as a login", () => {
  for (const { name, hex } of vectors.negatives) {
    const open = () => {
      const reader = new derp.FrameReader(derp.MAX_CLIENT_INFO);
      reader.push(bytes(hex));
      const frame = reader.next()!;
      if (frame.type !== derp.FrameType.ClientInfo) throw new DerpError("wrong first frame");
      derp.openClientInfo(SERVER, frame.payload);
    };
    throws(open, DerpError, name);
  }
});

Deno.test("ServerInfo says just the version when nothing else is asked for", () => {
  const box = new BoxKey(SERVER, publicKey("clientA"));
  const frame = derp.encodeServerInfo(box);
  equal(new TextDecoder().decode(box.open(frame.subarray(HEADER_LENGTH))), '{"version":2}');
  const client = new BoxKey(CLIENT, publicKey("server"));
  deepEqual(derp.openServerInfo(client, frame.subarray(HEADER_LENGTH)), { version: 2 });
});

Deno.test("a login comes back as it was said when any client says it", () => {
  const info = fc.record({
    meshKey: fc.constantFrom(MESH, "0".repeat(64)),
    version: fc.integer({ min: 1, max: 2 ** 31 }),
    canAckPings: fc.boolean(),
    isProber: fc.constant(true),
    appName: fc.string({ minLength: 1, maxLength: derp.MAX_APP_NAME, unit: "binary" })
      .filter((name) => name.length <= derp.MAX_APP_NAME),
  }, { requiredKeys: ["canAckPings"] });
  fc.assert(
    fc.property(info, (said) => {
      const frame = derp.encodeClientInfo(CLIENT, publicKey("server"), said as derp.ClientInfo);
      const heard = derp.openClientInfo(SERVER, frame.subarray(HEADER_LENGTH));
      deepEqual({ ...heard.info }, { ...said });
    }),
    { numRuns: 40 },
  );
});

Deno.test("ClientInfo is read as the reference reads it when its JSON is unusual", () => {
  const plain: derp.ClientInfo = { version: 2, canAckPings: false };
  deepEqual(login('{"VERSION":2,"canackpings":false}'), plain);
  deepEqual(login(' \r\n\t{"version":2,"CanAckPings":false} \n'), plain);
  deepEqual(login('{"version":2,"other":{"version":1.5,"x":[1e9]}}'), plain);
  deepEqual(login('{"version":2,"CanAckPings":null,"AppName":null}'), plain);
  deepEqual(login('{"version":2,"version":3}').version, 3);
  deepEqual(login("{}"), { canAckPings: false });
  deepEqual(login("null"), { canAckPings: false });
  equal(login('{"version":-7}').version, -7);
  equal(login('{"version":4000000000}').version, 4000000000);
  equal(login(`{"meshKey":"${MESH.toUpperCase()}"}`).meshKey, MESH);
  equal(login(`{"MESHKEY":"${"0".repeat(64)}"}`).meshKey, "0".repeat(64));
  equal(login(`{"AppName":"${"x".repeat(5000)}"}`).appName!.length, derp.MAX_APP_NAME);
  deepEqual(login('{"__proto__":{"version":9},"constructor":1,"toString":2}'), {
    canAckPings: false,
  });
});

Deno.test("ClientInfo is refused when its JSON is not what a client may say", () => {
  for (
    const bad of [
      "",
      "{",
      "[]",
      "5",
      "true",
      '"x"',
      "{}x",
      "{} {}",
      "\ufeff{}",
      "{'version':2}",
      '{"version":2,}',
      '{"version":"2"}',
      '{"version":2.5}',
      '{"version":2.0}',
      '{"version":2e0}',
      '{"version":99999999999999999999}',
      '{"version":true}',
      '{"CanAckPings":"true"}',
      '{"CanAckPings":1}',
      '{"IsProber":0}',
      '{"AppName":7}',
      '{"AppName":["x"]}',
      '{"meshKey":""}',
      '{"meshKey":null}',
      '{"meshKey":7}',
      `{"meshKey":"${MESH}0"}`,
      `{"meshKey":"${MESH.slice(1)}"}`,
      `{"meshKey":"${MESH.slice(1)}g"}`,
      `{"meshKey":" ${MESH}"}`,
      "[".repeat(100_000),
      '{"a":'.repeat(40_000) + "1" + "}".repeat(40_000),
    ]
  ) throws(() => login(bad), DerpError, bad.slice(0, 80));
});

Deno.test("ClientInfo is taken at its longest and refused when a byte longer", () => {
  const room = derp.MAX_CLIENT_INFO - derp.KEY_LENGTH - derp.NONCE_LENGTH - derp.TAG_LENGTH;
  const json = utf8.encode('{"version":2}'.padEnd(room));
  equal(derp.openClientInfo(SERVER, sealed(json)).info.version, 2);
  const longer = utf8.encode('{"version":2}'.padEnd(room + 1));
  throws(() => derp.openClientInfo(SERVER, sealed(longer)), /262145 bytes/);
});

Deno.test("a client is refused when its key is a low-order point that anybody could seal for", () => {
  // The box that such a key makes: the shared secret is zero, known to everyone.
  const json = utf8.encode('{"version":2,"CanAckPings":false}');
  for (const first of [0, 1]) {
    const key = new Uint8Array(32);
    key[0] = first;
    const nonce = new Uint8Array(24);
    const box = nacl.secretbox(json, nonce, nacl.box.before(key, SERVER));
    const payload = derp.encodeFrame(2, key, nonce, box).subarray(HEADER_LENGTH);
    throws(() => derp.openClientInfo(SERVER, payload), /low-order/);
  }
});

Deno.test("ServerInfo is read leniently and refused when a number is wrong", () => {
  const server = new BoxKey(SERVER, publicKey("clientA"));
  const client = new BoxKey(CLIENT, publicKey("server"));
  const open = (json: string) => derp.openServerInfo(client, server.seal(utf8.encode(json)));
  deepEqual(open('{"Version":3,"tokenbucketbytespersecond":5,"TokenBucketBytesBurst":6,"n":{}}'), {
    version: 3,
    tokenBucketBytesPerSecond: 5,
    tokenBucketBytesBurst: 6,
  });
  deepEqual(open('{"TokenBucketBytesPerSecond":0,"TokenBucketBytesBurst":0}'), { version: 0 });
  for (const bad of ['{"version":"2"}', '{"TokenBucketBytesBurst":1.5}', "[1]", ""]) {
    throws(() => open(bad), DerpError);
  }
});

Deno.test("login frames throw nothing but DerpError when any byte is changed or lost", () => {
  const client = new BoxKey(CLIENT, publicKey("server"));
  const info = derp.encodeClientInfo(CLIENT, publicKey("server"), { canAckPings: true });
  const good = info.subarray(HEADER_LENGTH);
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const altered = good.slice();
      altered[at]! ^= change;
      // Bit 255 of the key does not count in X25519, but then the key is another key.
      if (at === 31 && change === 0x80) return;
      throws(() => derp.openClientInfo(SERVER, altered), DerpError);
      throws(() => derp.openClientInfo(SERVER, good.subarray(0, at)), DerpError);
    }),
    { numRuns: 60 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
      throws(() => derp.openClientInfo(SERVER, noise), DerpError);
      throws(() => derp.openServerInfo(client, noise), DerpError);
      throws(() => client.open(noise), DerpError);
      try {
        derp.openClientInfo(SERVER, sealed(noise));
      } catch (error) {
        ok(error instanceof DerpError, String(error));
      }
    }),
    { numRuns: 60 },
  );
  fc.assert(
    fc.property(fc.json(), (json) => {
      try {
        login(json);
      } catch (error) {
        ok(error instanceof DerpError, String(error));
      }
    }),
    { numRuns: 60 },
  );
});

Deno.test("the box equals tweetnacl's when keys, nonce and text are any", () => {
  const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
  const nonce = fc.uint8Array({ minLength: 24, maxLength: 24 });
  fc.assert(
    fc.property(key, key, nonce, fc.uint8Array({ maxLength: 2000 }), (a, b, once, plain) => {
      const theirs = nacl.box(plain, once, derp.publicKeyOf(b), a);
      const ours = new BoxKey(a, derp.publicKeyOf(b)).seal(plain, once);
      deepEqual(ours.subarray(0, 24), once);
      deepEqual(ours.subarray(24), theirs);
      deepEqual(new BoxKey(b, derp.publicKeyOf(a)).open(ours), plain);
    }),
    { numRuns: 40 },
  );
});

Deno.test("a derived box key equals the vectors' when a secretbox is opened with it", () => {
  for (const [pair, { boxKey }] of Object.entries(vectors.derivedBoxKeys)) {
    const [client, server] = pair.split("_") as [string, string];
    const box = new BoxKey(privateKey(client), publicKey(server)).seal(utf8.encode("text"));
    const opened = nacl.secretbox.open(box.slice(24), box.slice(0, 24), bytes(boxKey));
    equal(new TextDecoder().decode(opened!), "text", pair);
  }
});

Deno.test("a box is refused when a key or nonce has the wrong length", () => {
  throws(() => new BoxKey(CLIENT, new Uint8Array(31)), DerpError);
  throws(() => new BoxKey(new Uint8Array(33), publicKey("server")), DerpError);
  const box = new BoxKey(CLIENT, publicKey("server"));
  throws(() => box.seal(new Uint8Array(1), new Uint8Array(12)), DerpError);
});

Deno.test("the native key agreement gives what an independent one gives, clamped key or not", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      (own, other) => {
        const peer = x25519.getPublicKey(other);
        deepEqual(
          Uint8Array.from(new AgreementKey(own).agree(peer)),
          x25519.getSharedSecret(own, peer),
        );
        peer[31]! |= 0x80; // Not part of the point.
        deepEqual(
          Uint8Array.from(new AgreementKey(own).agree(peer)),
          x25519.getSharedSecret(own, peer),
        );
      },
    ),
    { numRuns: 40 },
  );
  throws(() => new AgreementKey(new Uint8Array(31)), DerpError);
  throws(() => new AgreementKey(SERVER).agree(new Uint8Array(33)), DerpError);
  throws(() => new AgreementKey(SERVER).agree(new Uint8Array(32)), /low-order/);
});
