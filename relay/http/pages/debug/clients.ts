/** `/debug/clients`: who is connected. */
import { html } from "hono/html";
import type { ClientState, RelaySnapshot } from "../../../state/mod.ts";
import { bytes, count, duration, moment, shortKeyOf } from "../look/human.ts";
import { type Column, type Markup, table } from "../look/layout.ts";
import type { AppState } from "../state.ts";
import { type DebugContext, debugPage, link } from "./frame.ts";

/** Rows on the page. */
const MAX_ROWS = 250;

/** Orders of the table, largest first. */
const ORDERS: Record<string, (client: ClientState) => number> = {
  traffic: (client) => client.receivedBytes + client.sentBytes,
  received: (client) => client.receivedBytes,
  sent: (client) => client.sentBytes,
  since: (client) => -client.since,
  waiting: (client) => client.queuedPackets,
  dropped: (client) => client.droppedPackets,
  senders: (client) => client.uniqueSenders,
};

export function clients(c: DebugContext, state: AppState, snapshot: RelaySnapshot): Response {
  const asked = c.req.query("sort") ?? "";
  const order = Object.hasOwn(ORDERS, asked) ? asked : "traffic";
  const value = ORDERS[order]!;
  const sorted = snapshot.clients.toSorted((a, b) => value(b) - value(a)).slice(0, MAX_ROWS);
  const { connections } = snapshot.gauges;
  const head = (text: string, by: string): Column => ({
    numbers: true,
    head: by === order
      ? html`<span aria-sort="descending">${text} ↓</span>`
      : html`<a href="${link(c, "/debug/clients", { sort: by })}">${text}</a>`,
  });
  const now = Date.now();
  return debugPage(c, state, {
    path: "/debug/clients",
    title: "Clients",
    refresh: 5,
    body: html`<h1>Clients</h1>
<p class="lead">${summary(connections, sorted.length, snapshot.gauges.duplicateKeys)}</p>
<section>${
      table(
        [
          { head: "Key" },
          { head: "From" },
          head("Received", "received"),
          head("Sent", "sent"),
          head("Waiting", "waiting"),
          head("Dropped", "dropped"),
          head("Senders", "senders"),
          head("Here for", "since"),
          { head: "Is" },
        ],
        sorted.map((client) => [
          html`<code title="${client.key}">${shortKeyOf(client.key)}</code>`,
          html`<code>${client.remote}</code>`,
          bytes(client.receivedBytes),
          bytes(client.sentBytes),
          count(client.queuedPackets),
          count(client.droppedPackets),
          count(client.uniqueSenders),
          html`<span title="${moment(client.since)}">${duration(now - client.since)}</span>`,
          tags(client),
        ]),
        "Nobody is connected.",
      )
    }</section>
<p class="soft">Received and sent are seen from the relay. Waiting are packets in the queue to the
client, dropped those that were for it and did not arrive, senders the keys that have sent to it.</p>`,
  });
}

function summary(connections: number, shown: number, duplicates: number): string {
  const parts = [connections === 1 ? "1 connection" : `${count(connections)} connections`];
  if (shown < connections) parts.push(`the first ${count(shown)} of the busiest shown`);
  if (duplicates > 0) {
    parts.push(
      `${count(duplicates)} ${duplicates === 1 ? "key" : "keys"} connected more than once`,
    );
  }
  return parts.join(", ");
}

function tags(client: ClientState): Markup {
  const list = [
    client.home && "home",
    client.mesh && "mesh",
    client.prober && "prober",
    client.websocket && "WebSocket",
    client.duplicate && "duplicate",
  ].filter((tag) => tag !== false);
  return html`${list.map((tag) => html`<span class="tag">${tag}</span>`)}`;
}
