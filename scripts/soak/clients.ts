/**
 * Clients of a relay under soak, in a process of their own: `PORT CA PAIRS`. Pairs send as fast as
 * the relay takes it; each lives some seconds and another one follows. Beside them strangers come:
 * logins that leave at once, half handshakes, requests that end in the middle, clients that stop
 * reading. Prints a line of JSON each second; ends with its standard input.
 */

import {
  encodeClientInfo,
  encodeSendPacket,
  FrameReader,
  FrameType,
  generatePrivateKey,
  publicKeyOf,
  upgradeRequest,
} from "../../relay/derp/mod.ts";
import { takePackets } from "../bench/relay/mod.ts";

const [portText, ca, pairsText] = Deno.args;
const port = Number(portText);
const caCerts = [await Deno.readTextFile(ca!)];

/** Frames in one write and in flight. */
const BATCH = 16, WINDOW = 128;
/** Bytes of a packet: full-size, small, and what WireGuard's keep-alive has. */
const SIZES = [1312, 1312, 100, 32];
/** Shortest and longest life of a pair, in ms. */
const LIFE_MS = [2_000, 20_000] as const;
/** Time between strangers, in ms. */
const STRANGER_MS = 40;
/** A pair that gets nothing for this long has lost its window, or its relay. */
const STALL_MS = 5_000;

const counts = { frames: 0, pairs: 0, logins: 0, strangers: 0, stalls: 0, errors: 0 };
let lastError = "";
let ended = false;

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const between = ([from, to]: readonly [number, number]) => from + Math.random() * (to - from);

function tryClose(conn: { close(): void }): void {
  try {
    conn.close();
  } catch {
    // It was closed before.
  }
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

async function dial(): Promise<Deno.TlsConn> {
  const tcp = await Deno.connect({ hostname: "127.0.0.1", port });
  tcp.setNoDelay(true);
  return await Deno.startTls(tcp, { hostname: "localhost", caCerts });
}

/** Logs in with a fresh key; resolves when the relay has said ServerInfo. */
async function login(): Promise<{ conn: Deno.TlsConn; key: Uint8Array }> {
  const conn = await dial();
  try {
    await writeAll(conn, upgradeRequest("localhost", { fastStart: true }));
    const reader = new FrameReader(1 << 20);
    const buffer = new Uint8Array(2048);
    const privateKey = generatePrivateKey();
    for (;;) {
      const n = await conn.read(buffer);
      if (n === null) throw new Error("refused");
      reader.push(buffer.slice(0, n));
      for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
        if (frame.type === FrameType.ServerKey) {
          const info = { version: 2, canAckPings: false };
          await writeAll(conn, encodeClientInfo(privateKey, frame.payload.slice(8, 40), info));
        }
        if (frame.type === FrameType.ServerInfo) {
          counts.logins += 1;
          return { conn, key: publicKeyOf(privateKey) };
        }
      }
    }
  } catch (error) {
    tryClose(conn);
    throw error;
  }
}

/** One pair, for its life. */
async function pair(): Promise<void> {
  const from = await login();
  const to = await login().catch((error) => {
    tryClose(from.conn);
    throw error;
  });
  counts.pairs += 1;
  const size = SIZES[Math.floor(Math.random() * SIZES.length)]!;
  const one = encodeSendPacket(to.key, new Uint8Array(size));
  const many = new Uint8Array(one.length * BATCH);
  for (let i = 0; i < BATCH; i++) many.set(one, i * one.length);
  let inFlight = 0;
  let heard = performance.now();
  let over = false;
  let wake: (() => void) | undefined;
  const end = () => {
    over = true;
    tryClose(from.conn);
    tryClose(to.conn);
    wake?.();
  };
  const life = setTimeout(end, between(LIFE_MS));
  const watch = setInterval(() => {
    if (performance.now() - heard < STALL_MS) return;
    counts.stalls += 1;
    end();
  }, 1_000);
  const sending = (async () => {
    while (!over && !ended) {
      if (inFlight > WINDOW - BATCH) {
        await new Promise<void>((resolve) => wake = resolve);
        continue;
      }
      inFlight += BATCH;
      await writeAll(from.conn, many);
    }
  })();
  const reading = (async () => {
    const buffer = new Uint8Array(128 * 1024);
    let filled = 0;
    while (!over) {
      const n = await to.conn.read(buffer.subarray(filled));
      if (n === null) throw new Error("the relay ended a connection");
      const { packets, left } = takePackets(buffer, filled + n);
      filled = left;
      inFlight -= packets;
      counts.frames += packets;
      if (packets > 0) heard = performance.now();
      wake?.();
    }
  })();
  const failed = await Promise.allSettled([sending, reading.finally(end)]);
  clearTimeout(life);
  clearInterval(watch);
  const error = failed.find((one) => one.status === "rejected")?.reason as Error | undefined;
  if (error !== undefined && /the relay ended/.test(error.message)) throw error;
}

/** Somebody who does not behave. */
async function stranger(): Promise<void> {
  counts.strangers += 1;
  switch (Math.floor(Math.random() * 6)) {
    case 0: { // leaves at once
      tryClose((await login()).conn);
      return;
    }
    case 1: { // never speaks TLS
      const conn = await Deno.connect({ hostname: "127.0.0.1", port });
      await sleep(between([0, 15_000]));
      return tryClose(conn);
    }
    case 2: { // half a request
      const conn = await dial();
      await writeAll(conn, upgradeRequest("localhost").subarray(0, 40));
      await sleep(between([0, 15_000]));
      return tryClose(conn);
    }
    case 3: { // no login
      const conn = await dial();
      await writeAll(conn, upgradeRequest("localhost"));
      await sleep(between([0, 15_000]));
      return tryClose(conn);
    }
    case 4: { // sends to itself and reads nothing
      const { conn, key } = await login();
      const timer = setTimeout(() => tryClose(conn), 6_000);
      const frame = encodeSendPacket(key, new Uint8Array(1312));
      try {
        for (let i = 1;; i++) {
          await writeAll(conn, frame);
          // Writes that are taken at once would else keep this process from everything else.
          if (i % 16 === 0) await sleep(0);
        }
      } finally {
        clearTimeout(timer);
        tryClose(conn);
      }
    }
    default: { // garbage behind the login
      const { conn } = await login();
      await writeAll(conn, crypto.getRandomValues(new Uint8Array(2_000)));
      await sleep(between([0, 2_000]));
      return tryClose(conn);
    }
  }
}

async function pairs(): Promise<void> {
  while (!ended) {
    try {
      await pair();
    } catch (error) {
      counts.errors += 1;
      lastError = (error as Error).message;
      await sleep(200);
    }
  }
}

for (let i = 0; i < Number(pairsText); i++) void pairs();
// A stranger may be shown the door in any way.
setInterval(() => void stranger().catch(() => {}), STRANGER_MS);
setInterval(() => {
  // deno-lint-ignore no-console -- what this process prints is its result
  console.log(JSON.stringify({ ...counts, lastError }));
}, 1_000);
for await (const _ of Deno.stdin.readable);
ended = true;
Deno.exit();
