import assert from "node:assert/strict";
import fc from "fast-check";
import { encodeSet, MAX_ANSWER, parseGetAnswer, parseSetAnswer, UapiError } from "./uapi.ts";
import type { PeerSet } from "../backend.ts";
import { uapiRequest } from "./uapi_client.ts";

const KEY = "ab".repeat(32);

const ANSWER = [
  `private_key=${"11".repeat(32)}`,
  "listen_port=51820",
  `public_key=${KEY}`,
  `preshared_key=${"00".repeat(32)}`,
  "protocol_version=1",
  "endpoint=127.0.0.3:9002",
  "last_handshake_time_sec=1700000000",
  "last_handshake_time_nsec=123456789",
  "tx_bytes=18446744073709551615",
  "rx_bytes=42",
  "persistent_keepalive_interval=20",
  "allowed_ip=100.64.0.1/32",
  "allowed_ip=fd00::1/128",
  "errno=0",
  "",
  "",
].join("\n");

Deno.test("uapi reads an answer of wireguard-go and drops the private key", () => {
  const device = parseGetAnswer(ANSWER);
  assert.deepEqual(device, {
    listenPort: 51820,
    fwmark: 0,
    peers: [{
      publicKey: KEY,
      endpoint: "127.0.0.3:9002",
      lastHandshake: 1700000000123,
      rxBytes: 42,
      txBytes: 2 ** 64,
      keepaliveSeconds: 20,
      allowedIps: ["100.64.0.1/32", "fd00::1/128"],
    }],
  });
  assert.equal(JSON.stringify(device).includes("1111"), false);
});

Deno.test("uapi writes a set request line by line", () => {
  const text = encodeSet({ privateKey: KEY, listenPort: 7, fwmark: 0 }, [
    { publicKey: KEY, remove: true, endpoint: "never written" },
    {
      publicKey: KEY,
      updateOnly: true,
      endpoint: "127.0.0.3:9002",
      keepaliveSeconds: 20,
      wake: true,
      replaceAllowedIps: true,
      allowedIps: ["10.0.0.0/8"],
    },
    { publicKey: KEY, keepaliveSeconds: 0, wake: true },
  ]);
  assert.equal(
    text,
    `set=1\nprivate_key=${KEY}\nlisten_port=7\nfwmark=0\n` +
      `public_key=${KEY}\nremove=true\n` +
      `public_key=${KEY}\nupdate_only=true\nendpoint=127.0.0.3:9002\n` +
      "persistent_keepalive_interval=0\npersistent_keepalive_interval=20\n" +
      "replace_allowed_ips=true\nallowed_ip=10.0.0.0/8\n" +
      `public_key=${KEY}\npersistent_keepalive_interval=0\n\n`,
  );
});

Deno.test("uapi refuses to write a value that would be another line", () => {
  assert.throws(() => encodeSet({}, [{ publicKey: KEY, endpoint: "x\nprivate_key=0" }]), UapiError);
});

Deno.test("uapi reads back the peers that it writes", () => {
  const hex = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => bytes.toHex());
  const peer: fc.Arbitrary<PeerSet> = fc.record({
    publicKey: hex,
    endpoint: fc.tuple(fc.ipV4(), fc.integer({ min: 1, max: 65535 })).map((e) => e.join(":")),
    keepaliveSeconds: fc.integer({ min: 0, max: 65535 }),
    wake: fc.boolean(),
    allowedIps: fc.array(fc.ipV4().map((ip) => `${ip}/32`), { maxLength: 5 }),
  });
  fc.assert(fc.property(fc.nat(65535), fc.array(peer), (listenPort, peers) => {
    const text = encodeSet({ listenPort }, peers).slice("set=1\n".length, -1) + "errno=0\n\n";
    const device = parseGetAnswer(text);
    assert.equal(device.listenPort, listenPort);
    assert.deepEqual(
      device.peers.map(({ publicKey, endpoint, keepaliveSeconds, allowedIps }) => ({
        publicKey,
        endpoint,
        keepaliveSeconds,
        allowedIps,
      })),
      peers.map(({ wake: _, ...rest }) => rest),
    );
  }));
});

Deno.test("uapi throws nothing but UapiError at any answer", () => {
  const line = fc.oneof(
    fc.constantFrom(...ANSWER.split("\n")),
    fc.string(),
    fc.tuple(fc.constantFrom("errno", "rx_bytes", "public_key", "listen_port"), fc.string())
      .map((pair) => pair.join("=")),
  );
  fc.assert(fc.property(fc.array(line), (lines) => {
    try {
      parseGetAnswer(lines.join("\n"));
    } catch (error) {
      assert.ok(error instanceof UapiError, String(error));
    }
  }));
});

Deno.test("uapi tells the errno of a refusal", () => {
  parseSetAnswer("errno=0\n\n");
  for (const text of ["errno=-98\n\n", "errno=98\n\n"]) {
    assert.throws(() => parseSetAnswer(text), { name: "UapiError", errno: 98 });
  }
  for (const text of ["", "\n\n", "errno=0\n", "errno=x\n\n", "a=b\nerrno=0\n\n", "errno=0\n\nx"]) {
    assert.throws(() => parseSetAnswer(text), { name: "UapiError", errno: 0 });
  }
});

Deno.test("uapi puts no text of an answer into an error", () => {
  for (const text of [`private_key ${KEY}\n\n`, `public_key=${KEY}ff\nerrno=0\n\n`]) {
    assert.throws(() => parseGetAnswer(text), (error: Error) => !error.message.includes("abab"));
  }
});

/** Serves one connection on a socket of its own with `reply`, and asks it. */
async function ask(
  reply: (conn: Deno.UnixConn) => Promise<void>,
  timeoutMs = 5000,
): Promise<string> {
  const dir = await Deno.makeTempDir({ prefix: "nexd-uapi-" });
  const path = `${dir}/wg.sock`;
  const listener = Deno.listen({ transport: "unix", path });
  const served = listener.accept().then(async (conn) => {
    await conn.read(new Uint8Array(64));
    await reply(conn as Deno.UnixConn).catch(() => {});
    conn.close();
  });
  try {
    return await uapiRequest(path, "get=1\n\n", timeoutMs);
  } finally {
    await served;
    listener.close();
    await Deno.remove(dir, { recursive: true });
  }
}

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("uapi client joins an answer that comes in pieces", async () => {
  const text = await ask(async (conn) => {
    await conn.write(bytes("listen_port=1\nerr"));
    await conn.write(bytes("no=0\n"));
    await conn.write(bytes("\n"));
  });
  assert.equal(parseGetAnswer(text).listenPort, 1);
});

Deno.test("uapi client gives up on silence, on an early end and on an endless answer", async () => {
  await assert.rejects(
    ask(async (conn) => {
      // Silent until the client hangs up.
      while (await conn.read(new Uint8Array(64)) !== null);
    }, 50),
    /No answer .* within 50 ms/,
  );
  await assert.rejects(ask((conn) => conn.write(bytes("a=b\n")).then(() => {})), /closed before/);
  const flood = bytes("allowed_ip=10.0.0.0/8\n".repeat(20_000));
  await assert.rejects(
    ask(async (conn) => {
      for (let sent = 0; sent <= MAX_ANSWER + flood.length;) sent += await conn.write(flood);
    }, 60_000), // the size is what ends it, on a busy machine too
    /longer than/,
  );
});
