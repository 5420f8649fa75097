/** `/debug/mesh`: links to other relays of the region, and between this relay's workers. */
import { html } from "hono/html";
import type { LinkState, RelaySnapshot } from "../../../state/mod.ts";
import { count, duration } from "../look/human.ts";
import { figures, type Markup, table } from "../look/layout.ts";
import type { AppState } from "../state.ts";
import { type DebugContext, debugPage } from "./frame.ts";

const MOODS = { connected: "good", connecting: "warn", self: "soft", closed: "bad" } as const;

export function links(c: DebugContext, state: AppState, snapshot: RelaySnapshot): Response {
  const { gauges, counters } = snapshot;
  return debugPage(c, state, {
    path: "/debug/mesh",
    title: "Mesh",
    refresh: 5,
    body: html`<h1>Mesh</h1>
${
      figures([
        { name: "Mesh key", value: state.meshKey ? "Set" : "Not set" },
        { name: "Clients here", value: count(gauges.keysLocal) },
        { name: "Clients elsewhere", value: count(gauges.keysRemote) },
        { name: "Watchers", value: count(gauges.watchers) },
        { name: "Forwarded out", value: count(counters["forwardedOut"] ?? 0), note: "packets" },
        { name: "Forwarded in", value: count(counters["forwardedIn"] ?? 0), note: "packets" },
      ])
    }
<section><h2>Other relays of the region</h2>${
      linkTable(
        snapshot.mesh,
        state.meshKey
          ? "No other relay is listed; --mesh-with names them."
          : "This relay is in no mesh; it takes a mesh key and --mesh-with.",
      )
    }</section>
<section><h2>Workers of this relay</h2>${
      linkTable(snapshot.siblings, "This relay has one worker.")
    }</section>`,
  });
}

function linkTable(list: readonly LinkState[], empty: string): Markup {
  const now = Date.now();
  return table(
    [
      { head: "Name", wrap: true },
      { head: "State" },
      { head: "For", numbers: true },
      { head: "Keys", numbers: true },
      { head: "Packets sent", numbers: true },
      { head: "Dropped", numbers: true },
    ],
    list.slice(0, 250).map((one) => [
      html`<code>${one.name}</code>${
        one.error === undefined ? "" : html`<span class="note">${one.error}</span>`
      }`,
      html`<span class="state ${MOODS[one.state] ?? "soft"}">${one.state}</span>`,
      one.since > 0 ? duration(now - one.since) : "",
      count(one.keys),
      count(one.sentPackets),
      count(one.droppedPackets),
    ]),
    empty,
  );
}
