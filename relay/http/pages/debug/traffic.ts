/** `/debug/traffic`, a stream of JSON lines, and `/debug/throughput`, the same to look at. */
import { html } from "hono/html";
import type { ClientState, RelaySnapshot } from "../../../state/mod.ts";
import { DEBUG_HEADERS } from "../answers.ts";
import { bytes, count, shortKeyOf } from "../look/human.ts";
import { figures, table } from "../look/layout.ts";
import type { AppState } from "../state.ts";
import { type DebugContext, debugPage } from "./frame.ts";

/** The reference relay's times: a sample every two seconds, an end after thirty. */
export const TRAFFIC_TIMES = { everyMs: 2_000, endMs: 30_000 };

/** Streams at the same time; each asks for a snapshot every two seconds. */
const MAX_STREAMS = 8;

/** Rows on the page. */
const MAX_ROWS = 100;

/** One connection of a key: with a duplicate there are several. */
const identity = (client: ClientState) => `${client.key} ${client.remote}`;

/** Connections whose bytes grew since `before`, which is then what they are now. */
function grown(before: Map<string, number>, clients: readonly ClientState[]): ClientState[] {
  const busy: ClientState[] = [];
  const earlier = new Map(before);
  before.clear();
  for (const client of clients) {
    const sum = client.receivedBytes + client.sentBytes;
    before.set(identity(client), sum);
    if (sum > (earlier.get(identity(client)) ?? 0)) busy.push(client);
  }
  return busy;
}

function line(client: ClientState): string {
  const key = /^[0-9a-f]{64}$/.test(client.key) ? `nodekey:${client.key}` : client.key;
  return JSON.stringify({
    Sent: client.sentBytes,
    Recv: client.receivedBytes,
    Key: key,
    ...(client.uniqueSenders > 0 && { UniqueSenders: client.uniqueSenders }),
  }) + "\n";
}

/** Makes the stream's handler: bytes of each busy connection since it began, again and again. */
export function trafficStream(
  snapshot: () => Promise<RelaySnapshot>,
  times = TRAFFIC_TIMES,
): () => Response {
  let streams = 0;
  return () => {
    if (streams >= MAX_STREAMS) {
      return new Response("too many traffic streams\n", { status: 503, headers: DEBUG_HEADERS });
    }
    streams += 1;
    const seen = new Map<string, number>();
    const encoder = new TextEncoder();
    const end = performance.now() + times.endMs;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let wake: () => void = () => {};
    let open = true;
    const finish = () => {
      if (open) streams -= 1;
      open = false;
      clearTimeout(timer);
      wake();
    };
    const pause = () =>
      new Promise<void>((resolve) => {
        wake = resolve;
        timer = setTimeout(resolve, Math.min(times.everyMs, Math.max(0, end - performance.now())));
      });
    let first = true;
    const body = new ReadableStream<Uint8Array>({
      // Pulled: who does not read is not sampled for, either.
      async pull(controller) {
        try {
          while (open) {
            if (!first) await pause();
            first = false;
            if (!open) return;
            if (performance.now() >= end) break;
            const busy = grown(seen, (await snapshot()).clients);
            if (busy.length === 0) continue;
            return controller.enqueue(encoder.encode(busy.map(line).join("")));
          }
          finish();
          controller.close();
        } catch (error) {
          finish();
          controller.error(error);
        }
      },
      cancel: finish,
    }, { highWaterMark: 0 });
    return new Response(body, {
      headers: { ...DEBUG_HEADERS, "content-type": "text/plain; charset=utf-8" },
    });
  };
}

/** How long the page looks. */
const LOOK_MS = 1_000;

/** Two looks at the relay, a second apart; shared by all who ask in that second. */
export class Throughput {
  readonly #snapshot: () => Promise<RelaySnapshot>;
  readonly #lookMs: number;
  #looking: Promise<Looks> | undefined;

  constructor(snapshot: () => Promise<RelaySnapshot>, lookMs = LOOK_MS) {
    this.#snapshot = snapshot;
    this.#lookMs = lookMs;
  }

  look(): Promise<Looks> {
    return this.#looking ??= this.#look().finally(() => this.#looking = undefined);
  }

  async #look(): Promise<Looks> {
    const from = performance.now();
    const before = await this.#snapshot();
    await new Promise((resolve) => setTimeout(resolve, this.#lookMs));
    const after = await this.#snapshot();
    return { before, after, seconds: (performance.now() - from) / 1000 };
  }
}

interface Looks {
  before: RelaySnapshot;
  after: RelaySnapshot;
  seconds: number;
}

export function throughputPage(c: DebugContext, state: AppState, looks: Looks): Response {
  const { before, after, seconds } = looks;
  const rate = (field: string) =>
    Math.max(0, (after.counters[field] ?? 0) - (before.counters[field] ?? 0)) / seconds;
  const sum = (list: number[]) => list.reduce((total, n) => total + n, 0);
  const dropped = Math.max(0, sum(after.dropped) - sum(before.dropped)) / seconds;
  const earlier = new Map(before.clients.map((client) => [identity(client), client]));
  const rows = after.clients.map((client) => {
    const was = earlier.get(identity(client));
    return {
      client,
      received: Math.max(0, client.receivedBytes - (was?.receivedBytes ?? 0)) / seconds,
      sent: Math.max(0, client.sentBytes - (was?.sentBytes ?? 0)) / seconds,
    };
  })
    .filter((row) => row.received + row.sent > 0)
    .sort((a, b) => b.received + b.sent - a.received - a.sent)
    .slice(0, MAX_ROWS);
  const most = rows.length === 0 ? 1 : rows[0]!.received + rows[0]!.sent;
  return debugPage(c, state, {
    path: "/debug/throughput",
    title: "Traffic",
    refresh: 5,
    body: html`<h1>Traffic</h1>
<p class="lead">Over the ${seconds.toFixed(1)} s before this page was made.</p>
${
      figures([
        {
          name: "Received",
          value: `${bytes(rate("bytesReceived"))}/s`,
          note: `${count(rate("packetsReceived"))} packets/s`,
        },
        {
          name: "Sent",
          value: `${bytes(rate("bytesSent"))}/s`,
          note: `${count(rate("packetsSent"))} packets/s`,
        },
        {
          name: "Dropped",
          value: `${count(dropped)}/s`,
          note: "packets",
          mood: dropped > 0 ? "warn" : "good",
        },
        {
          name: "Waiting",
          value: count(after.gauges.queuedPackets),
          note: `packets, ${bytes(after.gauges.queuedBytes)}`,
        },
      ])
    }
<section>${
      table(
        [
          { head: "Key" },
          { head: "From" },
          { head: "Beside the busiest" },
          { head: "Received", numbers: true },
          { head: "Sent", numbers: true },
          { head: "Senders", numbers: true },
        ],
        rows.map(({ client, received, sent }) => [
          html`<code title="${client.key}">${shortKeyOf(client.key)}</code>`,
          html`<code>${client.remote}</code>`,
          html`<meter min="0" max="1" value="${
            ((received + sent) / most).toFixed(3)
          }">of the busiest</meter>`,
          `${bytes(received)}/s`,
          `${bytes(sent)}/s`,
          count(client.uniqueSenders),
        ]),
        "No client sent or received anything in that time.",
      )
    }</section>`,
  });
}
