/**
 * A client process of the control bench: reads orders as JSON lines and answers each with one.
 *
 * - `create`: registers devices over some connections for some seconds.
 * - `open`: opens an event stream for each token, as fast as they come, and keeps them.
 * - `seen`: when each open stream got the event that holds a text, in ms of the wall clock.
 */
import { TextLineStream } from "./lines.ts";
import { request, type Target, Wire } from "./wire.ts";

/** An order to this process. */
export type Order =
  | { do: "create"; target: Target; regKey: string; vpcId: string; wires: number; seconds: number }
  | { do: "open"; target: Target; tokens: string[]; body: string }
  | { do: "expect"; text: string }
  | { do: "seen"; waitMs: number };

/** Streams whose opening may be under way at a time. */
const OPENING = 64;

const now = () => performance.timeOrigin + performance.now();

/** Open streams: the event that each waits for, and when it came. */
const streams: { wire: Wire; over: boolean }[] = [];
let expected: string | undefined;
let seen: number[] = [];

async function create(order: Order & { do: "create" }): Promise<unknown> {
  const latencies: number[] = [];
  const keys = Array.from({ length: 60_000 }, () => {
    return btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(32))));
  });
  const wires = await Promise.all(
    Array.from({ length: order.wires }, () => Wire.connect(order.target)),
  );
  const start = now();
  const end = start + order.seconds * 1000;
  await Promise.all(wires.map(async (wire) => {
    while (now() < end) {
      const body = JSON.stringify({
        vpc_id: order.vpcId,
        public_key: keys.pop()!,
        hostname: `host-${keys.length}`,
        os: "linux",
      });
      const { status, totalMs, body: text } = await wire.ask(
        request(order.target, "POST", "/api/devices", order.regKey, body),
      );
      if (status !== 201) throw new Error(`registering a device: ${status} ${text}`);
      latencies.push(totalMs);
    }
  }));
  const seconds = (now() - start) / 1000;
  for (const wire of wires) wire[Symbol.dispose]();
  return { count: latencies.length, seconds, latencies };
}

async function open(order: Order & { do: "open" }): Promise<unknown> {
  const start = now();
  const waiting = [...order.tokens];
  let failed = 0;
  let error = "";
  await Promise.all(Array.from({ length: OPENING }, async () => {
    for (let token; (token = waiting.pop()) !== undefined;) {
      try {
        await openOne(order, token);
      } catch (reason) {
        failed++;
        error = String(reason);
      }
    }
  }));
  return { open: streams.filter(({ over }) => !over).length, failed, error, ms: now() - start };
}

async function openOne({ target, body }: Order & { do: "open" }, token: string): Promise<void> {
  const wire = await Wire.connect(target, 4096);
  await wire.send(request(target, "POST", "/api/events", token, body));
  const head = await wire.read();
  if (!head?.startsWith("HTTP/1.1 200")) throw new Error(head?.slice(0, 60) ?? "closed");
  const stream = { wire, over: false };
  streams.push(stream);
  follow(stream);
}

/** Reads a stream for good. */
async function follow(stream: { wire: Wire; over: boolean }): Promise<void> {
  try {
    let last = "";
    for (let text; (text = await stream.wire.read()) !== undefined;) {
      if (expected === undefined) continue;
      if ((last + text).includes(expected)) {
        seen.push(now());
        last = "";
      } else {
        last = text.slice(-expected.length);
      }
    }
  } catch {
    // Cut off.
  }
  stream.over = true;
  stream.wire[Symbol.dispose]();
}

async function allSeen(waitMs: number): Promise<unknown> {
  const until = now() + waitMs;
  const count = () => streams.filter(({ over }) => !over).length;
  while (seen.length < count() && now() < until) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return { open: count(), at: seen };
}

async function obey(order: Order): Promise<unknown> {
  switch (order.do) {
    case "create":
      return await create(order);
    case "open":
      return await open(order);
    case "expect":
      expected = order.text;
      seen = [];
      return {};
    case "seen":
      return await allSeen(order.waitMs);
  }
}

const encoder = new TextEncoder();
const orders = Deno.stdin.readable.pipeThrough(new TextDecoderStream())
  .pipeThrough(new TextLineStream());
for await (const line of orders) {
  const answer = encoder.encode(JSON.stringify(await obey(JSON.parse(line) as Order)) + "\n");
  for (let at = 0; at < answer.length;) at += await Deno.stdout.write(answer.subarray(at));
}
Deno.exit(0);
