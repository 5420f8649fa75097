/** The frame around every page. Values are escaped by the template: all of them are hostile. */
import { html, raw } from "hono/html";
import { STYLE } from "./style.ts";

/** A piece of a page, escaped. */
export type Markup = ReturnType<typeof html>;

/** Two hosts and the relay between them, as the mark of the pages. */
const MARK = `<svg viewBox="0 0 32 32" fill="none" stroke="currentColor" stroke-width="2.2"` +
  ` xmlns="http://www.w3.org/2000/svg" aria-hidden="true"><path d="M8.5 20.5 13 14M19 14l4.5 6.5"/>` +
  `<circle cx="16" cy="10" r="4.6" fill="currentColor" stroke="none"/>` +
  `<circle cx="6.5" cy="23.5" r="3.4"/><circle cx="25.5" cy="23.5" r="3.4"/></svg>`;

/** The mark as a file of its own, for the browser's tab. */
export const ICON = MARK.replace(
  "currentColor",
  "#0b9a93",
).replaceAll("currentColor", "#0b9a93");

export interface Frame {
  title: string;
  /** Links of the page's head; the current one is marked. */
  nav: { href: string; text: string; current: boolean }[];
  /** Where the mark leads. */
  home: string;
  brand: string;
  /** Seconds until the page loads itself again; undefined: never. */
  refresh: number | undefined;
  /** The style sheet's address; undefined: it stands in the page. */
  stylesheet: string | undefined;
  body: Markup;
  footer: Markup | string;
}

export function page(frame: Frame): Markup {
  return html`
    <!doctype html>
    <html lang="en">
      <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    ${frame.refresh === undefined
      ? ""
      : html`<meta http-equiv="refresh" content="${frame.refresh}">`}
    <title>${frame.title}</title>
    ${frame.stylesheet === undefined ? html`<style>${raw(STYLE)}</style>` : html`
      <link rel="icon" href="/icon.svg">
      <link rel="stylesheet" href="${frame.stylesheet}">
    `}
      </head>
      <body>
        <header>
    <a class="brand" href="${frame.home}">${raw(MARK)}<span>${frame.brand}</span></a>
    ${frame.nav.length === 0
      ? ""
      : html`<nav aria-label="Pages">${
        frame.nav.map(({ href, text, current }) =>
          html`
            <a href="${href}" ${current ? raw(' aria-current="page"') : ""}>${text}</a>
          `
        )
      }</nav>`}
        </header>
        <main>
    ${frame.body}
        </main>
        <footer>${frame.footer}</footer>
      </body>
    </html>
  `;
}

/** A figure with its name, and what is to be said about it. */
export interface Figure {
  name: string;
  value: string;
  note?: string | undefined;
  mood?: "good" | "warn" | "bad" | undefined;
}

export function figures(list: Figure[]): Markup {
  return html`<dl class="cards">${
    list.map(({ name, value, note, mood }) =>
      html`
        <div class="card">
          <dt>${name}</dt>
          <dd>${mood === undefined
            ? value
            : html`<span class="state ${mood}">${value}</span>`}${note === undefined
            ? ""
            : html`<span class="note">${note}</span>`}</dd>
        </div>
      `
    )
  }</dl>`;
}

/** A column: its head, and whether it holds numbers. */
export interface Column {
  head: string | Markup;
  numbers?: boolean;
  wrap?: boolean;
}

type Cell = string | Markup;

/** A table that scrolls by itself where the screen is narrow. */
export function table(columns: Column[], rows: Cell[][], empty: string): Markup {
  if (rows.length === 0) return html`<p class="empty">${empty}</p>`;
  const kind = (column: Column | undefined) =>
    column?.numbers ? raw(' class="n"') : column?.wrap ? raw(' class="wrap"') : "";
  return html`
    <div class="scroll">
      <table>
        <thead>
          <tr>${columns.map((column) =>
            html`
              <th scope="col" ${kind(column)}>${column.head}</th>
            `
          )}</tr>
        </thead>
        <tbody>${rows.map((row) =>
          html`
            <tr>${row.map((cell, i) =>
              i === 0
                ? html`
                  <th scope="row" ${kind(columns[i])}>${cell}</th>
                `
                : html`<td${kind(columns[i])}>${cell}</td>`
            )}</tr>
          `
        )}</tbody>
      </table>
    </div>
  `;
}

/** Names and values. */
export function facts(list: [string, Cell][]): Markup {
  return html`<dl class="facts">${
    list.map(([name, value]) =>
      html`
        <dt>${name}</dt>
        <dd>${value}</dd>
      `
    )
  }</dl>`;
}
