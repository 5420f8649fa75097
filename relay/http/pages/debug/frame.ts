/** The frame of the operator's pages: their list, and what is the same on all of them. */
import type { Context } from "hono";
import { html } from "hono/html";
import { DEBUG_HEADERS, htmlPage } from "../answers.ts";
import { debugKey } from "../debug_rule.ts";
import { moment } from "../look/human.ts";
import { type Markup, page } from "../look/layout.ts";
import type { AppState, RequestEnv } from "../state.ts";

const PAGES = [
  ["/debug/", "Overview"],
  ["/debug/clients", "Clients"],
  ["/debug/throughput", "Traffic"],
  ["/debug/mesh", "Mesh"],
  ["/debug/certificate", "Certificate"],
  ["/debug/workers", "Workers"],
] as const;

/** A request for one of the operator's pages. */
export type DebugContext = Context<{ Bindings: RequestEnv }>;

/** A link that keeps the caller's key, without which it would lead to a refusal. */
export function link(c: DebugContext, path: string, query: Record<string, string> = {}): string {
  const search = new URLSearchParams(query);
  const key = debugKey(c.req.raw);
  if (key !== "") search.set("debugkey", key);
  return search.size === 0 ? path : `${path}?${search}`;
}

export interface DebugPage {
  path: (typeof PAGES)[number][0];
  title: string;
  /** Seconds until it loads itself again. */
  refresh: number;
  body: Markup;
}

export function debugPage(c: DebugContext, state: AppState, what: DebugPage): Response {
  const name = state.hostname === "" ? "relay" : state.hostname;
  return htmlPage(
    page({
      title: `${what.title} – ${name}`,
      brand: name,
      home: link(c, "/debug/"),
      nav: PAGES.map(([path, text]) => ({
        href: link(c, path),
        text,
        current: path === what.path,
      })),
      refresh: what.refresh,
      stylesheet: undefined,
      body: what.body,
      footer: html`nexd ${state.version} · ${
        moment(Date.now())
      } · loads itself again every ${what.refresh} s`,
    }),
    DEBUG_HEADERS,
  );
}
