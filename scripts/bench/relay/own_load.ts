/**
 * Clients of the relay under measurement: `PORT CA MODE …`. Says "ready", then one line of JSON.
 */
import {
  encodeClientInfo,
  encodeSendPacket,
  FrameReader,
  FrameType,
  generatePrivateKey,
  publicKeyOf,
  upgradeRequest,
} from "../../../relay/derp/mod.ts";
import { takePackets } from "./frames.ts";

const [port, ca, mode, ...rest] = Deno.args;
const caCerts = [await Deno.readTextFile(ca!)];

/** A WireGuard packet of a full-size tunnelled one. */
const PACKET = 1312;
/** Frames in one write, as a batching client sends them. */
const BATCH = 16;
/** Frames of a pair in flight: less than the relay's queue takes, so that nothing is dropped. */
const WINDOW = 128;

interface Client {
  conn: Deno.TlsConn;
  key: Uint8Array;
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

/** Logs in with a fresh key; resolves when the relay has said ServerInfo. */
async function connect(): Promise<Client> {
  const tcp = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
  tcp.setNoDelay(true);
  const conn = await Deno.startTls(tcp, { hostname: "localhost", caCerts });
  await writeAll(conn, upgradeRequest("localhost"));
  const privateKey = generatePrivateKey();
  const buffer = new Uint8Array(1024);
  const reader = new FrameReader(1 << 20);
  // The head and ServerKey come in one record; that is part of the protocol's courtesy.
  const first = buffer.subarray(0, (await conn.read(buffer))!);
  reader.push(first.slice(new TextDecoder("latin1").decode(first).indexOf("\r\n\r\n") + 4));
  const serverKey = reader.next()!.payload.slice(8, 40);
  const info = { version: 2, canAckPings: false };
  await writeAll(conn, encodeClientInfo(privateKey, serverKey, info));
  for (;;) {
    const n = await conn.read(buffer);
    if (n === null) throw new Error("refused");
    reader.push(buffer.slice(0, n));
    if (reader.next()?.type === FrameType.ServerInfo) break;
  }
  return { conn, key: publicKeyOf(privateKey) };
}

/** Calls `each` `count` times, a few at once. */
async function atOnce(count: number, each: () => Promise<void>): Promise<void> {
  let left = count;
  const worker = async () => {
    while (left-- > 0) await each();
  };
  await Promise.all(Array.from({ length: 8 }, worker));
}

let received = 0;
let counting = true;

/** One sender, one receiver, and a window of frames between them. */
async function startPair(): Promise<void> {
  const [from, to] = [await connect(), await connect()];
  const one = encodeSendPacket(to.key, new Uint8Array(PACKET));
  const many = new Uint8Array(one.length * BATCH);
  for (let i = 0; i < BATCH; i++) many.set(one, i * one.length);
  let inFlight = 0;
  let wake: (() => void) | undefined;
  void (async () => {
    while (counting) {
      if (inFlight > WINDOW - BATCH) {
        await new Promise<void>((resolve) => wake = resolve);
        continue;
      }
      inFlight += BATCH;
      await writeAll(from.conn, many);
    }
  })();
  void (async () => {
    const buffer = new Uint8Array(128 * 1024);
    let end = 0;
    for (;;) {
      const n = await to.conn.read(buffer.subarray(end));
      if (n === null) throw new Error("the relay ended a connection");
      const { packets, left } = takePackets(buffer, end + n);
      end = left;
      received += packets;
      inFlight -= packets;
      wake?.();
    }
  })();
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
// deno-lint-ignore no-console -- what this process prints is its result
const say = (value: unknown) => console.log(JSON.stringify(value));

async function run(): Promise<void> {
  const count = Number(rest[0]);
  const started = performance.now();
  switch (mode) {
    case "bulk": {
      for (let i = 0; i < count; i++) await startPair();
      await sleep(1000);
      say("ready");
      const [before, from] = [received, performance.now()];
      await sleep(Number(rest[1]) * 1000);
      say({ frames: received - before, ms: performance.now() - from });
      counting = false;
      break;
    }
    case "logins":
      say("ready");
      await atOnce(count, async () => (await connect()).conn.close());
      say({ ms: performance.now() - started });
      break;
    case "idle": {
      const clients: Client[] = [];
      say("ready");
      await atOnce(count, async () => void clients.push(await connect()));
      await sleep(2000);
      say({ connections: clients.length });
      break;
    }
    default:
      throw new Error(`no mode ${mode}`);
  }
}

await run();
for await (const _ of Deno.stdin.readable);
Deno.exit();
