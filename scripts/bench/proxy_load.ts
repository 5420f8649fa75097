/**
 * The load of the proxy bench: WireGuard on one side and the relay on the other, in one process.
 *
 * Packets are sent through the proxy either at a rate, or as fast as they come out at the other
 * end: no more than a window of them is under way, so that little is lost and the proxy's CPU time
 * is spent on packets that arrive.
 */
import {
  batchCalls,
  HEADER,
  MSG_DONTWAIT,
  pinned,
  writePointer,
} from "../../proxy/capture/libc.ts";
import { join, makeCertificate, write } from "../../proxy/testing.ts";
import {
  decodePing,
  encodePong,
  encodeRecvPacket,
  encodeServerInfo,
  encodeServerKey,
  FrameReader,
  FrameType,
  generatePrivateKey,
  HEADER_LENGTH,
  keyToHex,
  MAX_FRAME,
  openClientInfo,
  payloadLength,
  publicKeyOf,
  upgradeResponse,
} from "../../relay/derp/mod.ts";
import { datagramFd, nextFd, setReceiveBuffer } from "../../relay/net/mod.ts";

const PACKET = 1312;
const FRAME = PACKET + 37;
const BATCH = 64;
/**
 * Packets under way at most when there is no rate. Towards WireGuard fewer: what stands in its socket
 * the proxy cuts back, and here nothing is to be lost.
 */
const WINDOW = { out: 512, in: 36 };

/** What to do, a line of JSON on the input. */
interface Job {
  direction: "out" | "in";
  /** Packets per second; 0: as fast as they arrive. */
  rate: number;
  seconds: number;
  endpoints: string[];
}

const calls = batchCalls();
if (calls === undefined) throw new Error("the proxy bench needs Linux and FFI");
const print = (value: unknown) =>
  Deno.stdout.write(new TextEncoder().encode(JSON.stringify(value) + "\n"));

// WireGuard's side.
const guess = nextFd();
const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
const wireguardPort = (socket.addr as Deno.NetAddr).port;
const fd = datagramFd("127.0.0.1", wireguardPort, guess)!;
setReceiveBuffer(fd, 8 << 20);
const slots = pinned(BATCH * 2048);
const names = pinned(BATCH * 16);
const vectors = pinned(BATCH * 16);
const sendHeaders = pinned(BATCH * HEADER.size);
const receiveHeaders = pinned(BATCH * HEADER.size);

function prepare(): void {
  const words = new Uint32Array(vectors.bytes.buffer);
  for (let i = 0; i < BATCH; i++) {
    writePointer(words, i * 4, slots.address + i * 2048);
    words[i * 4 + 2] = PACKET;
    for (const { bytes } of [sendHeaders, receiveHeaders]) {
      const header = new Uint32Array(bytes.buffer, i * HEADER.size, HEADER.size / 4);
      writePointer(header, HEADER.vector / 4, vectors.address + i * 16);
      header[HEADER.vectorLength / 4] = 1;
    }
    const header = new Uint32Array(sendHeaders.bytes.buffer, i * HEADER.size, HEADER.size / 4);
    writePointer(header, HEADER.name / 4, names.address + i * 16);
    header[HEADER.nameLength / 4] = 16;
  }
}

function address(endpoints: string[]): void {
  for (let i = 0; i < BATCH; i++) {
    const [ip, port] = endpoints[i % endpoints.length]!.split(":") as [string, string];
    const octets = ip.split(".").map(Number);
    names.bytes.set([2, 0, Number(port) >> 8, Number(port) & 255, ...octets], i * 16);
  }
}

let received = 0;
function drain(): void {
  for (;;) {
    const n = calls!.recvmmsg(fd, receiveHeaders.bytes, BATCH, MSG_DONTWAIT);
    if (n > 0) received += n;
    if (n < BATCH) return;
  }
}

// The relay's side.
const tls = await makeCertificate("bench.test");
const listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert: tls.cert, key: tls.key });
const keys = Array.from({ length: 16 }, () => publicKeyOf(generatePrivateKey()));

async function accept(): Promise<Deno.Conn> {
  const conn = await listener.accept();
  const privateKey = generatePrivateKey();
  const publicKey = publicKeyOf(privateKey);
  const buf = new Uint8Array(65_536);
  let head = "";
  while (!head.includes("\r\n\r\n")) {
    head += new TextDecoder().decode(buf.subarray(0, (await conn.read(buf))!));
  }
  await write(conn, join(upgradeResponse(publicKey), encodeServerKey(publicKey)));
  const reader = new FrameReader(MAX_FRAME);
  let hello;
  while ((hello = reader.next()) === undefined) {
    reader.push(buf.slice(0, (await conn.read(buf))!));
  }
  const { box } = openClientInfo(privateKey, hello.payload);
  await write(conn, encodeServerInfo(box));
  return conn;
}

let relayed = 0;
/** Counts packets, and answers Pings: a relay that never does is taken for dead. */
async function sink(conn: Deno.Conn): Promise<void> {
  const buf = new Uint8Array(262_144);
  let rest = 0;
  for (let n; (n = await conn.read(buf.subarray(rest)).catch(() => null)) !== null;) {
    const end = rest + n;
    let at = 0;
    while (end - at >= HEADER_LENGTH) {
      const next = at + HEADER_LENGTH + payloadLength(buf, at);
      if (next > end) break;
      if (buf[at] === FrameType.SendPacket) relayed++;
      else if (buf[at] === FrameType.Ping) {
        await write(conn, encodePong(decodePing(buf.slice(at + HEADER_LENGTH, next))));
      }
      at = next;
    }
    buf.copyWithin(0, at, end);
    rest = end - at;
  }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const pause = () => new Promise<void>((resolve) => setTimeout(resolve, 1));

/** Calls `send(n)` to the rate, or to what `arrived` says has come through. */
async function run(
  { rate, seconds, direction }: Job,
  arrived: () => number,
  send: (n: number) => number | Promise<number>,
): Promise<void> {
  const start = performance.now();
  const base = arrived();
  let sent = 0;
  let lost = 0;
  let progress = start;
  let before = base;
  for (let now = start; now < start + seconds * 1000; now = performance.now()) {
    const there = arrived();
    if (there !== before) progress = now;
    before = there;
    // Nothing came for a while: what is missing is lost.
    if (now - progress > 50) {
      lost = sent - (there - base);
      progress = now;
    }
    const wanted = rate > 0
      ? Math.min(WINDOW.out, Math.floor((now - start) / 1000 * rate) - sent)
      : WINDOW[direction] - (sent - lost - (there - base));
    for (let left = wanted; left > 0; left -= BATCH) sent += await send(Math.min(left, BATCH));
    await (rate > 0 ? pause() : turn());
  }
}

prepare();
await print({ port: listener.addr.port, ca: tls.ca, wireguardPort, keys: keys.map(keyToHex) });
const conn = await accept();
void sink(conn);
let text = "";
for await (const chunk of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
  text += chunk;
  if (!text.includes("\n")) continue;
  const job = JSON.parse(text) as Job;
  text = "";
  if (job.direction === "out") {
    address(job.endpoints);
    const send = (n: number) => Math.max(0, calls.sendmmsg(fd, sendHeaders.bytes, n, 0));
    await run(job, () => relayed, send);
  } else {
    // As a relay writes: a batch of frames, of several sources in turn.
    const batch = new Uint8Array(FRAME * BATCH);
    const data = new Uint8Array(PACKET);
    for (let i = 0; i < BATCH; i++) {
      batch.set(encodeRecvPacket(keys[i % job.endpoints.length]!, data), i * FRAME);
    }
    await run(job, () => {
      drain();
      return received;
    }, async (n) => {
      await write(conn, batch.subarray(0, n * FRAME));
      return n;
    });
  }
  await print("done");
}
Deno.exit(0);
