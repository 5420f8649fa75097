import { deepEqual, equal, notEqual, ok, rejects, throws } from "node:assert/strict";
import fc from "fast-check";
import { ensureSelfSigned } from "../../self_signed.ts";
import { AcmeSource } from "../acme_source.ts";
import { cannotPebble, Pebble, temporary, until } from "../testing/mod.ts";
import { readClientHello } from "./client_hello.ts";
import { type AlpnGate, openAlpnGate } from "./gate.ts";

const HOST = "relay.test";
const LOCAL = { hostname: "127.0.0.1", port: 0 };

/** The first bytes that Deno's own client sends. */
async function clientBytes(alpnProtocols: string[]): Promise<Uint8Array> {
  using listener = Deno.listen(LOCAL);
  const { port } = listener.addr;
  const client = Deno.connect({ hostname: "127.0.0.1", port }).then(async (tcp) => {
    using tls = await Deno.startTls(tcp, { hostname: HOST, alpnProtocols });
    await tls.handshake();
  }).catch(() => {});
  using conn = await listener.accept();
  const room = new Uint8Array(4096);
  const count = await conn.read(room) ?? 0;
  conn.close();
  await client;
  return room.slice(0, count);
}

/** A challenge's certificate; any will do where nobody validates it. */
async function challenge(directory: string): Promise<{ cert: string; key: string; ca: string }> {
  const { cert, key, ca } = await ensureSelfSigned(directory, [HOST]);
  return { cert, key, ca };
}

/** Greets everybody a gate lets through; returns their addresses. */
function greetAll(
  gate: AsyncIterable<Deno.TlsConn>,
): { seen: Deno.NetAddr[]; done: Promise<void> } {
  const seen: Deno.NetAddr[] = [];
  const done = (async () => {
    const all: Promise<unknown>[] = [];
    for await (const conn of gate) {
      seen.push(conn.remoteAddr as Deno.NetAddr);
      const greet = async () => {
        try {
          const room = new Uint8Array(100);
          const count = await conn.read(room);
          await conn.write(room.subarray(0, count ?? 0));
        } finally {
          conn.close();
        }
      };
      all.push(greet().catch(() => {}));
    }
    await Promise.all(all);
  })();
  return { seen, done };
}

Deno.test("a ClientHello is read when it comes whole, in pieces or in many records", async () => {
  const bytes = await clientBytes(["acme-tls/1"]);
  const hello = readClientHello(bytes)!;
  deepEqual(hello.protocols, ["acme-tls/1"]);
  ok(hello.versions.includes(0x0304) && hello.keyShares.has(29));
  for (const end of [0, 4, 5, 9, bytes.length - 1]) {
    equal(readClientHello(bytes.subarray(0, end)), undefined, String(end));
  }
  const parts: number[] = [];
  const inner = bytes.subarray(5);
  for (let at = 0; at < inner.length; at += 50) {
    const part = inner.subarray(at, at + 50);
    parts.push(22, 3, 1, 0, part.length, ...part);
  }
  deepEqual(readClientHello(Uint8Array.from(parts)), hello);
  throws(() => readClientHello(new TextEncoder().encode("GET / HTTP/1.1\r\n")), RangeError);
  fc.assert(fc.property(
    fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
    (edits) => {
      const damaged = bytes.slice();
      for (const [at, value] of edits) damaged[at] = value;
      try {
        readClientHello(damaged);
      } catch (error) {
        ok(error instanceof RangeError, String(error));
      }
    },
  ));
});

Deno.test("a gate completes the handshake of a client that comes for the challenge", async () => {
  using directory = temporary();
  const made = await challenge(directory.path);
  using gate = openAlpnGate({ ...LOCAL, challenge: made });
  const tcp = await Deno.connect({ hostname: "127.0.0.1", port: gate.addr.port });
  const options = { hostname: HOST, caCerts: [made.ca], alpnProtocols: ["acme-tls/1"] };
  using tls = await Deno.startTls(tcp, options);
  equal((await tls.handshake()).alpnProtocol, "acme-tls/1");
  equal(gate.answered, 1);
});

Deno.test("a gate lets all others through to the usual TLS with their addresses", async () => {
  using directory = temporary();
  const made = await challenge(directory.path);
  const gate = openAlpnGate({
    ...LOCAL,
    challenge: made,
    tls: { ...made, alpnProtocols: ["http/1.1"] },
  });
  const { seen, done } = greetAll(gate);
  const { port } = gate.addr;
  const open = async (alpnProtocols: string[]) => {
    const tcp = await Deno.connect({ hostname: "127.0.0.1", port });
    const local = tcp.localAddr as Deno.NetAddr;
    const tls = await Deno.startTls(tcp, { hostname: HOST, caCerts: [made.ca], alpnProtocols });
    return { tls, local };
  };
  const first = await open(["http/1.1"]);
  const second = await open([]);
  const silent = await Deno.connect({ hostname: "127.0.0.1", port });
  using stranger = await Deno.connect({ hostname: "127.0.0.1", port });
  await stranger.write(new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"));
  silent.close();
  for (const { tls } of [first, second]) await tls.handshake();
  gate.close();
  for (const { tls } of [first, second]) {
    await tls.write(new TextEncoder().encode("still there"));
    const room = new Uint8Array(100);
    equal(new TextDecoder().decode(room.subarray(0, (await tls.read(room))!)), "still there");
    tls.close();
  }
  await done;
  for (const { local } of [first, second]) ok(seen.some(({ port }) => port === local.port));
  equal(gate.answered, 0);
  await rejects(Deno.connect({ hostname: "127.0.0.1", port }));
});

Deno.test("a gate ends a connection with the end that was given out, in the handshake too", async () => {
  using directory = temporary();
  const made = await challenge(directory.path);
  using gate = openAlpnGate({ ...LOCAL, challenge: made, tls: made });
  const client = await Deno.connect({ hostname: "127.0.0.1", port: gate.addr.port });
  await client.write(await clientBytes([]));
  const conn = await gate.accept();
  const timer = setTimeout(() => client.close(), 5_000);
  conn.handshake().catch(() => {});
  const room = new Uint8Array(4096);
  ok(await client.read(room) !== null, "the server's flight");
  conn.close();
  while (await client.read(room) !== null); // fails when only the timer ends it
  clearTimeout(timer);
  client.close();
});

Deno.test("a gate that is full lets the oldest go who has not said hello", async () => {
  using directory = temporary();
  const made = await challenge(directory.path);
  using gate = openAlpnGate({ ...LOCAL, challenge: made, unfinished: 2 });
  const { port } = gate.addr;
  const silent = await Promise.all(
    [0, 1, 2].map(() => Deno.connect({ hostname: "127.0.0.1", port })),
  );
  const tcp = await Deno.connect({ hostname: "127.0.0.1", port });
  const options = { hostname: HOST, caCerts: [made.ca], alpnProtocols: ["acme-tls/1"] };
  using tls = await Deno.startTls(tcp, options);
  equal((await tls.handshake()).alpnProtocol, "acme-tls/1");
  for (const conn of silent) conn.close();
});

Deno.test("a gate without a certificate lets others go", async () => {
  using directory = temporary();
  const made = await challenge(directory.path);
  const gate = openAlpnGate({ ...LOCAL, challenge: made });
  const { done } = greetAll(gate);
  const tcp = await Deno.connect({ hostname: "127.0.0.1", port: gate.addr.port });
  await rejects(async () => {
    using tls = await Deno.startTls(tcp, { hostname: HOST, caCerts: [made.ca] });
    await tls.handshake();
  });
  gate.close();
  await done;
});

for (const hostname of [HOST, "127.0.0.1"]) {
  Deno.test(`a certificate for ${hostname} is issued by TLS-ALPN-01 when no port 80 is served`, async () => {
    if (await cannotPebble()) return;
    using directory = temporary();
    await using pebble = await Pebble.start();
    const gates: AlpnGate[] = [];
    let gate: AlpnGate | undefined;
    await using source = new AcmeSource({
      directory: directory.path,
      hostname,
      ipCerts: true,
      directoryUrl: pebble.directoryUrl,
      ca: pebble.ca,
      http: false,
      times: { pollMs: 50, attemptMs: 30_000 },
      presentAlpn: (challenge) => {
        gate?.close();
        gate = undefined;
        if (challenge === undefined) return;
        gate = openAlpnGate({ hostname: "127.0.0.1", port: pebble.tlsPort, challenge });
        gates.push(gate);
      },
    });
    await source.start();
    deepEqual(source.status().names, [hostname]);
    equal(gates.length, 1);
    ok(gates[0]!.answered >= 1);
    equal(gate, undefined, "ended with the validation");
    await until("the port is free", async () => {
      try {
        (await Deno.connect({ hostname: "127.0.0.1", port: pebble.tlsPort })).close();
        return false;
      } catch {
        return true;
      }
    });
  });
}

Deno.test("a served TLS port renews by TLS-ALPN-01 and lets clients in all the time", async () => {
  if (await cannotPebble()) return;
  using directory = temporary();
  await using pebble = await Pebble.start();
  const where = { hostname: "127.0.0.1", port: pebble.tlsPort, reusePort: true };
  let ahead = 0;
  let served: AlpnGate | Deno.TlsListener | undefined;
  const done: Promise<void>[] = [];
  const visits = { good: 0, gated: 0, reset: 0 };
  /** The new listener accepts before the old one ends. */
  const replace = (next: AlpnGate | Deno.TlsListener | undefined) => {
    const before = served;
    served = next;
    if (next !== undefined) done.push(greetAll(next).done);
    before?.close();
  };
  await using source: AcmeSource = new AcmeSource({
    ...{ directory: directory.path, hostname: HOST, directoryUrl: pebble.directoryUrl },
    ...{ ca: pebble.ca, http: false, now: () => Date.now() + ahead },
    times: { pollMs: 50, attemptMs: 30_000, checkMs: 20, firstRetryMs: 200 },
    presentAlpn: async (challenge) => {
      const tls = source.status().notAfter === 0 ? undefined : source.current;
      if (challenge !== undefined) {
        replace(openAlpnGate({ ...where, challenge, tls }));
        // The kernel may have given a client or two to the listener that closed: they come again.
        while (tls !== undefined && visits.gated === 0) {
          await visit().then(() => visits.gated++, () => visits.reset++);
        }
        return;
      }
      replace(tls === undefined ? undefined : Deno.listenTls({ ...where, ...tls }));
    },
  });
  await source.start();
  replace(Deno.listenTls({ ...where, ...source.current }));
  const changed = Promise.withResolvers<void>();
  source.onChange = (certificate) => {
    ahead = 0;
    replace(Deno.listenTls({ ...where, ...certificate }));
    changed.resolve();
  };
  const first = source.current.cert;
  const root = await pebble.root();
  const visit = async () => {
    const tcp = await Deno.connect({ hostname: "127.0.0.1", port: pebble.tlsPort });
    using tls = await Deno.startTls(tcp, { hostname: HOST, caCerts: [root] });
    await tls.write(new TextEncoder().encode("hello"));
    equal(await tls.read(new Uint8Array(100)), 5);
  };
  await visit();
  let over = false;
  const crowd = (async () => {
    while (!over) await visit().then(() => visits.good++, () => visits.reset++);
  })();
  ahead = 4 * 365 * 86_400_000;
  await changed.promise;
  over = true;
  await crowd;
  notEqual(source.current.cert, first);
  await visit();
  ok(visits.gated > 0 && visits.good > visits.reset, JSON.stringify(visits));
  replace(undefined);
  await Promise.all(done);
});
