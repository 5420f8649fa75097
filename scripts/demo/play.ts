/**
 * The demo's course, from nothing to proof. Each step shows one line and fills its part of the result.
 *
 * @module
 */

import { Lab } from "../lab/mod.ts";
import { Mesh, type PingResult } from "../mesh/mod.ts";
import type { DemoArguments } from "./arguments.ts";
import { difference, readCounters, searchForPlaintext } from "./proof.ts";
import type { DemoResult, PingRecord } from "./result.ts";
import type { Report, Screen } from "./screen.ts";

/** Longest wait for every pair to have its path, in ms. */
const PATH_MS = 90_000;
const PING_COUNT = 100;
const IPERF_SECONDS = 3;
/** Agents that start, and pairs that ping, at the same time: more would only queue for the CPU. */
const AT_ONCE = 4;

/** What a step finds out and what must come of it. */
interface Stage {
  lab: Lab;
  mesh: Mesh;
  names: string[];
  direct: boolean;
  screen: Screen;
  result: DemoResult;
}

/**
 * Plays the demo in a lab.
 *
 * @throws {Error} at the first step that fails; its line is on the screen by then
 */
export async function play(
  lab: Lab,
  { nat, executable }: DemoArguments,
  screen: Screen,
  result: DemoResult,
): Promise<void> {
  const names = lab.hosts.map((host) => host.name).filter((name) => name.length === 1);
  const mesh = new Mesh(lab, {
    agents: names,
    ...(executable === undefined ? {} : { executable }),
  });
  const stage: Stage = { lab, mesh, names, direct: nat !== "symmetric", screen, result };

  await screen.step("control plane up", async () => {
    await mesh.startControl();
    return `https://control (${lab.host("control").address}), private CA, one registration key`;
  });
  await screen.step("relay up", async () => {
    await mesh.startRelay();
    return `relay:443 (${lab.host("relay").address}), DERP over TLS, STUN on UDP 3478`;
  });
  await screen.step("NAT kinds", () => observeNats(stage, nat));
  await screen.step("agents joined", (report) => joinAgents(stage, report));
  await screen.step("path found", (report) => findPaths(stage, report));

  const before = await readCounters(mesh);
  await screen.step(
    "ping a → b",
    async () => pingText(result.ping.a_to_b = await ping(mesh, "a", "b")),
  );
  await screen.step(
    "ping b → a",
    async () => pingText(result.ping.b_to_a = await ping(mesh, "b", "a")),
  );
  if (names.length > 2) await screen.step("ping all pairs", (report) => pingAll(stage, report));
  await screen.step("iperf3 a → b", (report) => measure(stage, report));
  await showStatus(stage);
  await screen.step("relay's counters", async () => {
    result.relay = difference(before, await readCounters(mesh));
    return stage.direct ? nothingRelayed(stage) : allRelayed(stage);
  });
  if (!stage.direct) await screen.step("ciphertext only", () => proveCiphertext(stage));
}

async function observeNats({ mesh, names, result }: Stage, wanted: string): Promise<string> {
  result.nat = await inTurns(names, async (host) => ({ host, ...await mesh.observeNat(host) }));
  const wrong = result.nat.find(({ kind }) => kind !== wanted);
  if (wrong) throw new Error(`Cannot go on: the NAT of ${wrong.host} is ${wrong.kind}`);
  const [first] = result.nat;
  const ports = first?.seen.map((address) => `:${address.split(":")[1]}`).join(" and ");
  const kinds = {
    symmetric: `symmetric: one socket of a is seen as ${ports} by two servers`,
    cone: `cone: one socket of a is seen as ${first?.seen[0]} by both servers`,
    open: `open: no translation, a is seen as ${first?.seen[0]}`,
  };
  return kinds[wanted as keyof typeof kinds];
}

async function joinAgents({ mesh, names }: Stage, report: Report): Promise<string> {
  let joined = 0;
  const progress = () => report(`${joined} of ${names.length}`);
  progress();
  const addresses = await inTurns(names, async (name) => {
    await mesh.startAgent(name);
    joined++;
    progress();
    return `${name} ${await mesh.tunnelIp(name)}`;
  });
  return addresses.join(", ");
}

async function findPaths({ mesh, names, direct, result }: Stage, report: Report): Promise<string> {
  const wanted = direct ? ["reflexive", "direct-local"] : ["via-derp-relay"];
  const pairs = pairsOf(names);
  let found = 0;
  const progress = () => report(`${found} of ${pairs.length} paths`);
  progress();
  result.paths = await Promise.all(pairs.map(async ([from, to]) => {
    const { method, code, reason, endpoint } = await mesh.waitForPath(from, to, wanted, PATH_MS);
    found++;
    progress();
    return { from, to, method, code, reason, endpoint };
  }));
  const [path] = result.paths;
  const way = direct ? "direct" : "relayed";
  const all = pairs.length > 2 ? `all ${pairs.length} paths ${way}; ` : `${way}: `;
  return `${all}a → b ${path?.method} at ${path?.endpoint}\n${path?.reason}`;
}

async function ping(mesh: Mesh, from: string, to: string, count = PING_COUNT): Promise<PingRecord> {
  return recordOf(await mesh.ping(from, to, { count, intervalMs: 10 }));
}

function recordOf({ sent, received, lossPercent, rtt }: PingResult): PingRecord {
  return {
    sent,
    received,
    loss_percent: lossPercent,
    rtt_ms: rtt ? Math.round(rtt.avg * 1000) / 1000 : null,
  };
}

function pingText({ sent, received, loss_percent, rtt_ms }: PingRecord): string {
  if (received < sent) throw new Error(`${sent - received} of ${sent} pings lost`);
  return `${received} of ${sent} back, ${loss_percent} % loss, ${rtt_ms?.toFixed(2)} ms on average`;
}

async function pingAll({ mesh, names, result }: Stage, report: Report): Promise<string> {
  const pairs = pairsOf(names);
  let done = 0;
  result.ping.pairs = await inTurns(pairs, async ([from, to]) => {
    const record = await ping(mesh, from, to, 5);
    report(`${++done} of ${pairs.length}`);
    return { from, to, ...record };
  });
  const lossy = result.ping.pairs.find((pair) => pair.loss_percent > 0);
  if (lossy) throw new Error(`${lossy.from} → ${lossy.to} lost ${lossy.loss_percent} %`);
  return `${pairs.length} pairs, 5 pings each, none lost`;
}

async function measure({ mesh, result }: Stage, report: Report): Promise<string> {
  report(`TCP, ${IPERF_SECONDS} s`);
  const there = await mesh.iperf("a", "b", { seconds: IPERF_SECONDS });
  report(`TCP, ${IPERF_SECONDS} s, the other way`);
  const back = await mesh.iperf("a", "b", { seconds: IPERF_SECONDS, reverse: true });
  const rounded = (mbit: number) => Math.round(mbit * 10) / 10;
  result.iperf = {
    mbit_per_s: rounded(there.mbitPerS),
    reverse_mbit_per_s: rounded(back.mbitPerS),
    seconds: IPERF_SECONDS,
  };
  const { mbit_per_s, reverse_mbit_per_s } = result.iperf;
  if (!(mbit_per_s > 0 && reverse_mbit_per_s > 0)) throw new Error("nothing came through");
  return `${mbit_per_s} Mbit/s there, ${reverse_mbit_per_s} Mbit/s back (TCP through the tunnel)`;
}

async function showStatus({ mesh, names, screen, result }: Stage): Promise<void> {
  for (const name of names.slice(0, 2)) {
    let text = "";
    await screen.step(`status of ${name}`, async () => {
      text = await mesh.statusText(name);
      const loopback = result.paths.filter((p) => p.from === name && p.endpoint.startsWith("127."));
      return loopback.length > 0
        ? `WireGuard sends to ${loopback.map((p) => p.endpoint).join(", ")}: our proxy`
        : "WireGuard sends straight to its peers";
    });
    screen.block(text.split("\n"));
  }
}

function allRelayed({ result: { relay, ping } }: Stage): string {
  const { packets, bytes, dropped, wireguard_messages: types } = relay;
  // Each echo and each answer is a packet of its own.
  const least = 2 * (ping.a_to_b.received + ping.b_to_a.received);
  if (packets < least) {
    throw new Error(`the relay forwarded ${packets} packets, fewer than the ${least} of the pings`);
  }
  return `${packets} packets (${(bytes / 1e6).toFixed(1)} MB) forwarded since the first ping, ` +
    `${dropped} dropped\nWireGuard messages in: ${typesText(types)}`;
}

function nothingRelayed({ result: { relay } }: Stage): string {
  // What agents say to each other about their paths is not WireGuard's, and comes now and then.
  const { other = 0, ...wireguard } = relay.wireguard_messages;
  const carried = Object.values(wireguard).reduce((sum, count) => sum + count, 0);
  if (carried > 0) {
    throw new Error(
      `the path is said to be direct, yet the relay forwarded ${carried} packets of WireGuard`,
    );
  }
  return other === 0
    ? "the relay forwarded nothing: the path is direct"
    : `the relay forwarded nothing of WireGuard, ${other} probes of paths: the path is direct`;
}

function typesText(types: Record<string, number>): string {
  return Object.entries(types).filter(([, n]) => n > 0)
    .map(([type, n]) => `${n} ${type.replaceAll("_", " ")}`).join(", ") || "none";
}

async function proveCiphertext({ mesh, result }: Stage): Promise<string> {
  const proof = await searchForPlaintext(mesh, "a", "b");
  result.relay.ciphertext_only = proof;
  const size = `${Math.round(proof.searched_bytes / (1 << 20))} MiB`;
  if (!proof.ok) {
    throw new Error(
      `a random mark in the pings was found ${proof.found_in_relay} times in the relay's memory ` +
        `(${size}) and ${proof.found_in_sender} times in the sender's`,
    );
  }
  return `a random 16-byte mark that fills the pings: found ${proof.found_in_sender} times in ` +
    `the sender's memory, 0 times in all ${size} of the relay's while they passed`;
}

function pairsOf(names: string[]): [string, string][] {
  return names.flatMap((from) =>
    names.filter((to) => to !== from).map((to): [string, string] => [from, to])
  );
}

/** Maps with at most {@linkcode AT_ONCE} at work; results keep their order. */
async function inTurns<T, R>(items: T[], run: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let i = next++; i < items.length; i = next++) results[i] = await run(items[i]!);
  }));
  return results;
}
