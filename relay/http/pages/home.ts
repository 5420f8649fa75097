/**
 * The page at `/`, for anybody. A stranger learns that the relay works, what it is, and how large
 * its day is, roughly; nothing about any client.
 */
import { html } from "hono/html";
import type { RelaySnapshot } from "../../state/mod.ts";
import { count, duration, roughly } from "./look/human.ts";
import { type Figure, figures, type Markup, page } from "./look/layout.ts";
import type { AppState } from "./state.ts";

const REFRESH_SECONDS = 30;

export interface HomeView {
  state: AppState;
  /** Undefined: the relay's workers did not tell. */
  snapshot: RelaySnapshot | undefined;
  /** Whether this caller may see the operator's pages, and their address. */
  debug: string | undefined;
  /** The port that the caller used, from its `Host` header; undefined for the usual one. */
  port: string | undefined;
}

export function homePage(view: HomeView): Markup {
  const { state } = view;
  const name = state.hostname === "" ? "this host" : state.hostname;
  return page({
    title: state.hostname === "" ? "DERP relay" : `${state.hostname} – DERP relay`,
    brand: "nexd relay",
    home: "/",
    nav: view.debug === undefined
      ? []
      : [{ href: view.debug, text: "Operator's pages", current: false }],
    refresh: REFRESH_SECONDS,
    stylesheet: "/style.css",
    body: html`
      <h1>${state.hostname === "" ? "DERP relay" : state.hostname}</h1>
      <p class="lead">A relay for hosts that cannot reach each other directly. What it carries is
      encrypted from end to end: the relay passes packets on and cannot read them.</p>
      ${figures(live(view))}
      <div class="two">
        <section><h2>Use it with nexd</h2>${howTo(view)}</section>
        <section><h2>What it does</h2>${what(state)}</section>
      </div>
      <section>
        <h2>Trouble, or abuse?</h2>
        <p>The relay takes no traffic to the open internet. A packet reaches only a host that has itself
      logged in here with its key. If something from this address bothers you all the same, write to
      whoever runs ${name}: the registry entry of its address names them. Tell the time and the
      addresses on both sides.</p>
      </section>
    `,
    footer: html`nexd ${state.version} · this page is up to date to within ${REFRESH_SECONDS} s`,
  });
}

function live({ state, snapshot }: HomeView): Figure[] {
  const list: Figure[] = [];
  if (!state.derp) {
    list.push({ name: "Relay", value: "Disabled", note: "DERP is switched off", mood: "warn" });
  } else if (snapshot === undefined) {
    list.push({ name: "Relay", value: "Unsure", note: "it does not tell now", mood: "warn" });
  } else list.push({ name: "Relay", value: "In service", mood: "good" });
  if (snapshot !== undefined) {
    const since = Math.min(...snapshot.processes.map((process) => process.since), Date.now());
    list.push({ name: "Running for", value: duration(Date.now() - since) });
    if (state.derp) {
      list.push({ name: "Hosts connected", value: roughly(snapshot.gauges.keysLocal) });
    }
  }
  list.push({ name: "STUN", value: state.stun() === undefined ? "Off" : "On" });
  const certificate = state.certificate();
  if (certificate !== undefined) list.push(validity(certificate.notAfter));
  return list;
}

function validity(notAfter: number): Figure {
  const name = "Certificate";
  if (notAfter === 0) return { name, value: "None yet", mood: "bad" };
  const left = notAfter - Date.now();
  if (left <= 0) return { name, value: "Expired", mood: "bad" };
  const days = Math.floor(left / 86_400_000);
  return { name, value: "Valid", note: days < 2 ? duration(left) : `${count(days)} more days` };
}

function howTo({ state, port }: HomeView): Markup {
  if (state.hostname === "" || !state.derp) {
    return html`<p>Ask whoever runs it for its name and, if it has a certificate authority of its
own, for that certificate.</p>`;
  }
  const host = state.hostname.includes(":") ? `[${state.hostname}]` : state.hostname;
  const address = port === undefined ? host : `${host}:${port}`;
  const own = state.certificate()?.mode === "selfsigned";
  return html`
    <p>On each of your hosts:</p>
    <pre><code>nexd ${own ? "--relay-ca FILE " : ""}--public-relay ${address}</code></pre>
    <p
      class="soft">${own
        ? "FILE is the relay's own certificate authority, which its operator gives you. "
        : ""}Hosts then talk directly where their networks let them, and through this relay where not.</p>
  `;
}

function what(state: AppState): Markup {
  return html`
    <p>It speaks DERP, on which WireGuard packets travel inside HTTPS${state.stun() === undefined
      ? ""
      : ", and answers STUN, by which a host learns its address as others see it"}.</p>
    <p class="soft">A host is known here by its public key only. Nothing that passes is kept.</p>
  `;
}
