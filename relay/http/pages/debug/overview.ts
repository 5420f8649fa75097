/** `/debug/`: how the relay is, at a glance, and where more is. */
import { html } from "hono/html";
import { DROP_REASONS } from "../../../server/mod.ts";
import type { RelaySnapshot } from "../../../state/mod.ts";
import { bytes, count, duration, latency, quantile } from "../look/human.ts";
import { type Figure, figures, type Markup, table } from "../look/layout.ts";
import type { AppState } from "../state.ts";
import { expiry } from "./certificate.ts";
import { type DebugContext, debugPage, link } from "./frame.ts";

/** What a drop reason means, for people. */
const REASONS: Record<(typeof DROP_REASONS)[number], string> = {
  unknown_dest: "nobody with the destination's key is here",
  unknown_dest_on_fwd: "another relay sent it here, and its destination is not",
  gone_disconnected: "the destination left while it waited",
  queue_head: "the destination's queue was full; the oldest went",
  queue_tail: "the destination's queue was full; the newest went",
  write_error: "the destination's connection broke",
  dup_client: "the destination's key is used twice, and both send",
  queue_age: "it had waited too long to be of use",
};

const RAW = [
  ["/debug/metrics", "metrics", "Prometheus text, also at /debug/varz"],
  ["/debug/vars", "metrics as JSON", "as expvar has them"],
  ["/debug/check", "consistency check", "compares the relay's tables with each other"],
  ["/debug/traffic", "traffic stream", "a JSON line a client that sends or receives, for 30 s"],
] as const;

export async function overview(
  c: DebugContext,
  state: AppState,
  snapshot: RelaySnapshot,
): Promise<Response> {
  const problems = await state.check();
  return debugPage(c, state, {
    path: "/debug/",
    title: "Overview",
    refresh: 5,
    body: html`
      <h1>${state.hostname === "" ? "Relay" : state.hostname}</h1>
      ${figures(atAGlance(state, snapshot, problems.length))}
      ${problems.length === 0 ? "" : problemList(problems)}
      <div class="two">
        <section><h2>Logins</h2>${logins(snapshot)}</section>
        <section><h2>Dropped packets</h2>${drops(snapshot)}</section>
      </div>
      <section><h2>More to read</h2>${table(
        [{ head: "Page" }, { head: "Holds", wrap: true }],
        RAW.map(([path, text, holds]) => [html`<a href="${link(c, path)}">${text}</a>`, holds]),
        "",
      )}</section>
    `,
  });
}

function problemList(problems: string[]): Markup {
  return html`
    <section>
      <h2 class="bad">The consistency check found</h2>
      <ul>${problems.slice(0, 50).map((problem) => html`<li>${problem}</li>`)}</ul>
    </section>
  `;
}

function atAGlance(state: AppState, snapshot: RelaySnapshot, problems: number): Figure[] {
  const { gauges, counters, processes, dropped } = snapshot;
  const get = (name: string) => counters[name] ?? 0;
  const packets = (name: string) => `${count(get(name))} packets`;
  const since = Math.min(...processes.map((process) => process.since), Date.now());
  const certificate = state.certificate();
  return [
    !state.derp
      ? { name: "Relay", value: "DERP off", mood: "warn" }
      : problems > 0
      ? { name: "Relay", value: "Inconsistent", mood: "bad" }
      : { name: "Relay", value: "In service", mood: "good" },
    { name: "Running for", value: duration(Date.now() - since), note: `nexd ${state.version}` },
    {
      name: "Clients",
      value: count(gauges.keysLocal),
      note: `${count(gauges.connections)} connections, ${count(gauges.home)} at home here`,
    },
    { name: "In the region", value: count(gauges.keysTotal), note: mesh(state, snapshot) },
    {
      name: "Received",
      value: bytes(get("bytesReceived")),
      note: packets("packetsReceived"),
    },
    { name: "Sent", value: bytes(get("bytesSent")), note: packets("packetsSent") },
    {
      name: "Waiting",
      value: count(gauges.queuedPackets),
      note: `packets, ${bytes(gauges.queuedBytes)}`,
    },
    { name: "Dropped", value: count(dropped.reduce((sum, n) => sum + n, 0)), note: "packets" },
    ...(certificate === undefined ? [] : [expiry(certificate)]),
    stun(state),
  ];
}

function mesh(state: AppState, snapshot: RelaySnapshot): string {
  if (!state.meshKey) return "no mesh key";
  const up = snapshot.mesh.filter((one) => one.state === "connected").length;
  return `mesh key set, ${count(up)} ${up === 1 ? "link" : "links"} up`;
}

function stun(state: AppState): Figure {
  const counters = state.stun();
  if (counters === undefined) return { name: "STUN", value: "Off" };
  return {
    name: "STUN",
    value: count(counters.requests.success),
    note: `answers, and ${count(counters.requests.not_stun)} datagrams that were no request`,
  };
}

function logins({ counters, gauges, loginSeconds }: RelaySnapshot): Markup {
  const get = (name: string) => counters[name] ?? 0;
  const within = (part: number) => {
    const seconds = quantile(loginSeconds, part);
    return seconds === undefined ? "–" : `at most ${latency(seconds)}`;
  };
  const rows: [string, string][] = [
    ["Connections taken", count(get("accepts"))],
    ["Half of them ready within", within(0.5)],
    ["99 of 100 ready within", within(0.99)],
    ["Being logged in", count(gauges.loggingIn)],
    ["Refused: not a valid login", count(get("loginsRefused"))],
    ["Refused: not in time", count(get("loginTimeouts"))],
    ["Refused: not admitted", count(get("admissionRefused"))],
    ["Let in unasked", count(get("admissionFailedOpen"))],
    ["Closed at the door: accept limit", count(get("acceptLimited"))],
    ["Closed at the door: one address", count(get("addressLimited"))],
  ];
  return table(
    [{ head: "Since the start", wrap: true }, { head: "Number", numbers: true }],
    rows,
    "",
  );
}

function drops({ dropped, droppedBytes }: RelaySnapshot): Markup {
  const rows = DROP_REASONS.map((reason, r) => {
    const at = (list: number[], kind: number) => list[2 * r + kind] ?? 0;
    return [
      html`<code>${reason}</code><span class="note">${REASONS[reason]}</span>`,
      count(at(dropped, 0)),
      count(at(dropped, 1)),
      bytes(at(droppedBytes, 0) + at(droppedBytes, 1)),
    ];
  });
  return table(
    [
      { head: "Reason", wrap: true },
      { head: "Disco", numbers: true },
      { head: "Other", numbers: true },
      { head: "Bytes", numbers: true },
    ],
    rows,
    "",
  );
}
