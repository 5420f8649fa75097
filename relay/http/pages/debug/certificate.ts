/** `/debug/certificate`: what the relay shows its clients, and how it gets the next one. */
import { html } from "hono/html";
import type { CertificateStatus } from "../../../cert/mod.ts";
import { count, duration, moment } from "../look/human.ts";
import { facts, type Figure, figures, type Markup } from "../look/layout.ts";
import type { AppState } from "../state.ts";
import { type DebugContext, debugPage } from "./frame.ts";

const DAY = 86_400_000;

export function certificate(c: DebugContext, state: AppState): Response {
  const view = state.certificate();
  return debugPage(c, state, {
    path: "/debug/certificate",
    title: "Certificate",
    refresh: 30,
    body: html`<h1>Certificate</h1>${
      view === undefined
        ? html`<p class="lead">This relay speaks plain HTTP. It has no certificate.</p>`
        : details(view)
    }`,
  });
}

/** How long it is still valid. */
export function expiry({ notAfter }: CertificateStatus): Figure {
  if (notAfter === 0) return { name: "Certificate", value: "None yet", mood: "bad" };
  const left = notAfter - Date.now();
  const note = `until ${moment(notAfter)}`;
  if (left <= 0) return { name: "Certificate", value: "Expired", note, mood: "bad" };
  const days = Math.floor(left / DAY);
  return {
    name: "Certificate",
    value: days < 2 ? duration(left) : `${count(days)} days`,
    note,
    // Short-lived certificates are renewed at a third of their days; two are for alarm.
    mood: left < 2 * DAY ? "warn" : "good",
  };
}

function details(view: CertificateStatus): Markup {
  const list: [string, string | Markup][] = [
    ["Names", html`${view.names.map((name) => html`<span class="tag">${name}</span>`)}`],
    ["Issuer", view.issuer === "" ? "unknown" : view.issuer],
    ["Valid until", view.notAfter === 0 ? "there is none yet" : moment(view.notAfter)],
    ["Comes from", view.mode],
  ];
  if (view.nextTry !== undefined) {
    const left = view.nextTry - Date.now();
    list.push([
      "Next renewal",
      `${moment(view.nextTry)}${left > 0 ? `, in ${duration(left)}` : ""}`,
    ]);
  }
  if (view.pinned !== undefined) list.push(["Pin", html`<code>${view.pinned}</code>`]);
  return html`${figures([expiry(view)])}
${
    view.lastError === undefined || view.lastError === "" ? "" : html`
      <section>
        <h2 class="bad">The last attempt failed</h2>
        <p>${view.lastError}</p>
      </section>
    `
  }
<section>${facts(list)}</section>`;
}
