/** The OpenAPI document as a page of plain HTML: without scripts, and from nowhere else. */
import { createHash } from "node:crypto";
import type { Document, Operation, Schema } from "./document.ts";

const STYLE = `
:root{color-scheme:light dark;font:1rem/1.5 system-ui,sans-serif}
body{margin:0 auto;max-width:60rem;padding:1rem}
code,pre{font:.9rem/1.4 ui-monospace,monospace}
h2{margin:2rem 0 .5rem;border-bottom:1px solid}
details{margin:.25rem 0;padding:.25rem .5rem;border:1px solid color-mix(in srgb,currentColor 25%,transparent);border-radius:.25rem}
summary{cursor:pointer}
summary code{font-weight:600}
.method{display:inline-block;min-width:4.5rem}
h3{font-size:1rem;margin:.5rem 0 0}
table{border-collapse:collapse}
th,td{text-align:left;vertical-align:top;padding:.15rem .75rem .15rem 0}
nav a{margin-right:.75rem}
`;

/** `Content-Security-Policy` of the page: its own style and nothing else. */
export const PAGE_POLICY = `default-src 'none'; style-src 'sha256-${
  createHash("sha256").update(STYLE).digest("base64")
}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

/** The page. */
export function openApiPage(document: Document): string {
  const byTag = new Map<string, string[]>();
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const tag = operation.tags?.[0] ?? "";
      byTag.set(tag, [...byTag.get(tag) ?? [], operationHtml(path, method, operation)]);
    }
  }
  const sections = [...byTag].map(([tag, operations]) =>
    `<section id="${escape(tag)}"><h2>${escape(tag)}</h2>${operations.join("\n")}</section>`
  );
  const schemas = Object.entries(document.components?.schemas ?? {}).map(([name, schema]) =>
    `<details id="schema-${escape(name)}"><summary><code>${escape(name)}</code></summary>${
      schemaHtml(schema)
    }</details>`
  );
  const { title, description = "" } = document.info;
  const links = [...byTag.keys(), "schemas"].map((tag) =>
    `<a href="#${escape(tag)}">${escape(tag)}</a>`
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escape(title)}</h1>
<p>${withCode(description)}</p>
<p>For programs: <a href="doc.json">doc.json</a> (OpenAPI 3.1).</p>
<nav>${links.join("\n")}</nav>
${sections.join("\n")}
<section id="schemas"><h2>Schemas</h2>${schemas.join("\n")}</section>
</body>
</html>
`;
}

function operationHtml(path: string, method: string, operation: Operation): string {
  const parameters = (operation.parameters ?? []).map(({ name, in: where, required, schema }) =>
    `<tr><td><code>${escape(name)}</code></td><td>${escape(where)}${
      required ? ", required" : ""
    }</td><td>${typeHtml(schema ?? {})} ${withCode(schema?.description ?? "")}</td></tr>`
  );
  const body = Object.values(operation.requestBody?.content ?? {})[0]?.schema;
  // Those that routes have in common are told at the top.
  const own = Object.entries(operation.responses ?? {}).filter(([, { $ref }]) => !$ref);
  const answers = own.map(([status, answer]) => {
    const schema = Object.values(answer.content ?? {})[0]?.schema;
    return `<tr><td><code>${escape(status)}</code></td><td>${
      withCode(answer.description ?? "")
    }</td><td>${schema ? typeHtml(schema) : ""}</td></tr>`;
  });
  return `<details><summary><code><span class="method">${method.toUpperCase()}</span>${
    escape(path)
  }</code> ${withCode(operation.summary ?? "")}</summary>
${table("Parameters", parameters)}
${body ? `<h3>Body</h3>${body.$ref ? typeHtml(body) : schemaHtml(body)}` : ""}
${table("Answers", answers)}</details>`;
}

function table(title: string, rows: string[]): string {
  return rows.length === 0 ? "" : `<h3>${title}</h3><table>${rows.join("")}</table>`;
}

/** An object's fields in a table, anything else in a line. */
function schemaHtml(schema: Schema): string {
  if (!schema.properties) return `<p>${typeHtml(schema)}</p>`;
  const rows = Object.entries(schema.properties).map(([name, inner]) =>
    `<tr><td><code>${escape(name)}</code>${
      schema.required?.includes(name) ? "" : " (optional)"
    }</td><td>${typeHtml(inner)}</td><td>${withCode(inner.description ?? "")}</td></tr>`
  );
  return `<table>${rows.join("")}</table>`;
}

/** A type in a few words, with a link to a schema that has a name. */
function typeHtml(schema: Schema): string {
  if (schema.$ref) {
    const name = schema.$ref.split("/").at(-1)!;
    return `<a href="#schema-${escape(name)}">${escape(name)}</a>`;
  }
  const parts = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  if (parts) return parts.map(typeHtml).join(schema.allOf ? " and " : " or ");
  if (schema.enum) return schema.enum.map((value) => code(JSON.stringify(value))).join(" or ");
  if (schema.const !== undefined) return code(JSON.stringify(schema.const));
  if (schema.items) return `list of ${typeHtml(schema.items)}`;
  if (schema.properties) {
    return `{ ${
      Object.entries(schema.properties).map(([name, inner]) =>
        `${escape(name)}: ${typeHtml(inner)}`
      )
        .join(", ")
    } }`;
  }
  const type = [schema.type ?? "anything"].flat().join(" or ");
  const most = schema.maxLength === undefined ? "" : `, at most ${schema.maxLength} characters`;
  return escape(`${schema.format ?? type}${most}`);
}

function code(text: string): string {
  return `<code>${escape(text)}</code>`;
}

/** Text in which backquotes mark code. */
function withCode(text: string): string {
  return text.split("`").map((part, i) => i % 2 === 1 ? code(part) : escape(part)).join("");
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (c) => ENTITIES[c]!);
}
