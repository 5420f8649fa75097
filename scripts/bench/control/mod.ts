/**
 * What the control plane costs: devices registered in a second, a long list, event streams opened
 * and held, one change told to all of them, and a start with many devices.
 *
 * The control plane runs as its command starts it; clients are processes of their own with raw TLS
 * connections. Streams are those of agents that come back after a restart, each with its own device.
 *
 * @module
 */
import { Child } from "../proxy.ts";
import type { CompareOptions } from "../relay/mod.ts";
import type { BenchRow } from "../table.ts";
import type { Order } from "./client.ts";
import { Place, type State } from "./place.ts";
import { seedDevices, type Seeded } from "./seed.ts";
import { Server } from "./server.ts";
import { request, Wire } from "./wire.ts";

/** Client processes: the open files of one would not do for all streams. */
const CLIENTS = 2;
/**
 * Streams that are opened before the others, told of changes as they are later, and not counted: what
 * the first ones cost is code that is compiled, and room for garbage that is not worth collecting yet.
 */
const WARM = 1_000;
/** How long streams have waited when they count as idle, before the memory of them is read, ms. */
const IDLE_MS = 1_000;
/** Times that a change is told and a list is read. */
const REPEATS = 5;

/** A client process with its orders. */
class Client extends Child {
  constructor() {
    super("./control/client.ts");
  }

  async obey<T>(order: Order): Promise<T> {
    await this.send(order);
    return await this.line<T>();
  }
}

const percentile = (sorted: number[], part: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN;
const ascending = (values: number[]) => values.toSorted((a, b) => a - b);

type Goal = { atMost: number } | { atLeast: number };

function row(what: string, unit: string, value: number, goal?: Goal): BenchRow {
  if (goal === undefined) return { what, unit, value };
  const [sign, limit, met] = "atMost" in goal
    ? ["<=", goal.atMost, value <= goal.atMost]
    : [">=", goal.atLeast, value >= goal.atLeast];
  return { what, unit, value, goal: `${sign} ${limit.toLocaleString("en")}`, met };
}

/** Runs the parts, or those with `only` in their name: create, list, streams, start. */
export async function benchControl(options: CompareOptions): Promise<BenchRow[]> {
  const { say, postgres = false } = options;
  await using place = await Place.open(postgres);
  const parts: [string, () => Promise<BenchRow[]>][] = [
    ["create", () => benchCreate(place)],
    ["list", () => benchList(place)],
    ["streams 1,000", () => benchStreams(place, 1_000, say)],
    ["streams 10,000", () => benchStreams(place, 10_000, say)],
    ["start", () => benchStart(place)],
  ];
  const rows: BenchRow[] = [];
  for (const [name, run] of parts) {
    if (options.only !== undefined && !name.includes(options.only)) continue;
    say?.(postgres ? `${name}, PostgreSQL` : name);
    rows.push(...await run());
  }
  return rows;
}

/** A control plane that has been started once, with devices in it; goes away with what it is used for. */
async function withState<T>(
  place: Place,
  devices: number,
  use: (
    state: { state: State; port: number } & Seeded,
    regKey: string,
  ) => Promise<T>,
): Promise<T> {
  await using state = await place.make();
  const port = freeTcpPort();
  const first = await Server.start(state, port);
  await first[Symbol.asyncDispose]();
  const seeded = await seedDevices(state.database, state.secret, devices);
  return await use({ state, port, ...seeded }, first.regKey);
}

function freeTcpPort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

async function benchCreate(place: Place): Promise<BenchRow[]> {
  return await withState(place, 0, async ({ state, port, vpcId }, regKey) => {
    await using server = await Server.start(state, port);
    await using client = new Client();
    const order = { do: "create", target: server.target, regKey, vpcId, wires: 64 } as const;
    await client.obey({ ...order, seconds: 2 });
    const used = await server.cpu();
    const { count, seconds, latencies } = await client.obey<
      { count: number; seconds: number; latencies: number[] }
    >({ ...order, seconds: 6 });
    return [
      row("devices created", "/s", count / seconds, { atLeast: 1000 }),
      row("  CPU of each", "ms", (await server.cpu() - used) * 1000 / count),
      row("  p99 of each", "ms", percentile(ascending(latencies), 0.99)),
    ];
  });
}

async function benchList(place: Place): Promise<BenchRow[]> {
  return await withState(place, 10_000, async ({ state, port, vpcId, tokens }) => {
    await using server = await Server.start(state, port);
    using wire = await Wire.connect(server.target);
    const ask = request(server.target, "GET", `/api/vpcs/${vpcId}/devices`, tokens[0]!);
    const first: number[] = [], total: number[] = [];
    for (let i = 0; i < REPEATS; i++) {
      const answer = await wire.ask(ask);
      if (answer.status !== 200) throw new Error(`listing devices: ${answer.status}`);
      first.push(answer.firstMs);
      total.push(answer.totalMs);
    }
    return [
      row("list of 10,000: first byte, cold", "ms", first[0]!, { atMost: 50 }),
      row("list of 10,000: first byte, p50", "ms", percentile(ascending(first), 0.5), {
        atMost: 50,
      }),
      row("list of 10,000: all of it", "ms", percentile(ascending(total), 0.5)),
    ];
  });
}

async function benchStreams(
  place: Place,
  count: number,
  say: CompareOptions["say"],
): Promise<BenchRow[]> {
  return await withState(place, count + WARM, async ({ state, port, vpcId, tokens, ids }) => {
    await using server = await Server.start(state, port);
    await using clients = new AsyncDisposableStack();
    const all = Array.from({ length: CLIENTS }, () => clients.use(new Client()));
    const options = { "vpc-id": vpcId };
    const body = JSON.stringify([
      { kind: "device", at_tail: true, gt_revision: tokens.length, options },
      { kind: "security-group", at_tail: true, gt_revision: 1, options },
      { kind: "device-metadata", at_tail: true, gt_revision: 0, options },
    ]);
    const openSome = (some: string[]) =>
      Promise.all(
        all.map((client, i) =>
          client.obey<{ open: number; failed: number; error: string; ms: number }>({
            do: "open",
            target: server.target,
            tokens: some.filter((_, n) => n % CLIENTS === i),
            body,
          })
        ),
      );
    using wire = await Wire.connect(server.target);
    // When every open stream got it, ms after it was sent off.
    const tellChange = async () => {
      const text = `change-${crypto.randomUUID()}`;
      for (const client of all) await client.obey({ do: "expect", text });
      const change = request(
        server.target,
        "PATCH",
        `/api/devices/${ids[0]}`,
        tokens[0]!,
        JSON.stringify({ hostname: text }),
      );
      const idleCpu = await server.cpu();
      const start = performance.timeOrigin + performance.now();
      const { status } = await wire.ask(change);
      if (status !== 200) throw new Error(`changing a device: ${status}`);
      const seen = await Promise.all(
        all.map((client) =>
          client.obey<{ open: number; at: number[] }>({ do: "seen", waitMs: 8000 })
        ),
      );
      const at = ascending(seen.flatMap(({ at }) => at).map((at) => at - start));
      return { at, cpuMs: (await server.cpu() - idleCpu) * 1000 };
    };
    await openSome(tokens.slice(0, WARM));
    for (let i = 0; i < REPEATS; i++) await tellChange();
    await idleFor(IDLE_MS);
    const before = await server.rss();
    const used = await server.cpu();
    const opened = await openSome(tokens.slice(WARM));
    const open = opened.reduce((sum, one) => sum + one.open, 0);
    for (const { failed, error } of opened) if (failed > 0) say?.(`${failed} failed: ${error}`);
    const later = open - WARM;
    const rate = later / (Math.max(...opened.map(({ ms }) => ms)) / 1000);
    const openCpu = (await server.cpu() - used) * 1000 / later;
    const perStream = () => server.rss().then((rss) => (rss - before) / later / 1000);
    await idleFor(IDLE_MS);
    const idle = await perStream();
    const half: number[] = [], most: number[] = [], last: number[] = [], cpu: number[] = [];
    let missing = 0;
    for (let i = 0; i < REPEATS; i++) {
      const { at, cpuMs } = await tellChange();
      cpu.push(cpuMs);
      missing += open - at.length;
      half.push(percentile(at, 0.5));
      most.push(percentile(at, 0.99));
      last.push(at.at(-1) ?? NaN);
    }
    await idleFor(IDLE_MS);
    const name = `${count.toLocaleString("en")} streams`;
    const middle = (values: number[]) => percentile(ascending(values), 0.5);
    return [
      row(`${name}: opened`, "", later, { atLeast: count }),
      row(`${name}: opening`, "/s", rate, { atLeast: 500 }),
      row(`${name}: CPU of opening each`, "ms", openCpu),
      row(`${name}: a change, p50`, "ms", middle(half)),
      row(`${name}: a change, p99`, "ms", middle(most), { atMost: 1000 }),
      row(`${name}: a change, all have it`, "ms", middle(last), { atMost: 1000 }),
      row(`${name}: missed it`, "", missing, { atMost: 0 }),
      row(`${name}: CPU of a change`, "ms", middle(cpu)),
      row(`${name}: memory each, idle`, "kB", idle, { atMost: 20 }),
      row(`${name}: memory each, after changes`, "kB", await perStream(), { atMost: 20 }),
    ];
  });
}

function idleFor(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function benchStart(place: Place): Promise<BenchRow[]> {
  return await withState(place, 100_000, async ({ state, port }) => {
    await using empty = await Server.start(state, port);
    return [
      row("start with 100,000 devices", "ms", empty.startMs, { atMost: 2000 }),
      row("  memory then", "MB", await empty.rss() / 1e6),
    ];
  });
}
