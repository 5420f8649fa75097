/** `/debug/workers`: the processes of the relay and what they spend. */
import { html } from "hono/html";
import type { RelaySnapshot } from "../../../state/mod.ts";
import { bytes, duration, moment } from "../look/human.ts";
import { facts, table } from "../look/layout.ts";
import type { AppState } from "../state.ts";
import { type DebugContext, debugPage } from "./frame.ts";

export function workers(c: DebugContext, state: AppState, snapshot: RelaySnapshot): Response {
  const now = Date.now();
  return debugPage(c, state, {
    path: "/debug/workers",
    title: "Workers",
    refresh: 5,
    body: html`<h1>Workers</h1>
<section>${
      table(
        [
          { head: "Process" },
          { head: "Runs for", numbers: true },
          { head: "CPU time", numbers: true },
          { head: "CPU, mean", numbers: true },
          { head: "Memory", numbers: true },
        ],
        snapshot.processes.map(({ pid, since, cpuSeconds, rssBytes }) => [
          html`<code>${pid}</code>`,
          html`<span title="${moment(since)}">${duration(now - since)}</span>`,
          `${cpuSeconds.toFixed(1)} s`,
          `${(100 * cpuSeconds / Math.max(1, (now - since) / 1000)).toFixed(1)} %`,
          bytes(rssBytes),
        ]),
        "No worker has told about itself.",
      )
    }</section>
<section><h2>Version</h2>${
      facts([
        ["nexd", state.version],
        ["Deno", Deno.version.deno],
        ["V8", Deno.version.v8],
        ["System", `${Deno.build.os} ${Deno.build.arch}`],
        ["Host name", state.hostname === "" ? "none" : state.hostname],
      ])
    }</section>`,
  });
}
