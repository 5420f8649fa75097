/**
 * An answer of the API in the form that was asked for.
 *
 * @module
 */
import { ClientError } from "../errors.ts";
import { escaped, inOrder, isHostile, jsonText, parseJson } from "./json.ts";
import { type Row, tableLines, type View } from "./table.ts";

/** How an answer is printed. */
export type Format = "column" | "no-header" | "json" | "json-raw" | "yaml";

/** What is to be printed. */
interface Printed {
  /** The text of the answer; empty where there was none. */
  text: string;
  view: View;
  /** What was done, in words, below a table. */
  done?: string | undefined;
}

/**
 * The text to print, without the last line break; undefined for nothing.
 *
 * @throws {ClientError} when the answer is not what the API answers
 */
export async function render(
  { text, view, done }: Printed,
  { format, full, columns }: { format: Format; full: boolean; columns: number },
): Promise<string | undefined> {
  const empty = text.trim() === "";
  if (format === "column" || format === "no-header") {
    const header = format === "column";
    const width = full || !header ? Infinity : columns;
    const lines = empty ? [] : tableLines(view, rowsOf(text), { full, header, width });
    if (done !== undefined && header) lines.push(...(lines.length > 0 ? ["", done] : [done]));
    return lines.length > 0 ? lines.join("\n") : undefined;
  }
  if (empty) return undefined;
  const value = read(text, (text) => inOrder(parseJson(text)));
  if (format === "json-raw") return escaped(text.trim().replace(/\r\n?/g, "\n"));
  return format === "json" ? escaped(jsonText(value, 2)) : await yamlText(value);
}

function rowsOf(text: string): Row[] {
  const value = read(text, parseJson);
  const rows = Array.isArray(value) ? value : [value];
  return rows.filter((row): row is Row => typeof row === "object" && row !== null);
}

function read<T>(text: string, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (cause) {
    throw new ClientError(
      "The answer of the control plane is not JSON; check the service URL",
      { cause },
    );
  }
}

/** YAML that readers of version 1.1 take for the same. */
async function yamlText(value: unknown): Promise<string> {
  const { Document, visit } = await import("yaml");
  const document = new Document(value, { compat: "yaml-1.1" });
  visit(document, {
    Scalar(_key, node) {
      if (typeof node.value === "string" && isHostile(node.value)) node.type = "QUOTE_DOUBLE";
    },
  });
  return escaped(document.toString({ indentSeq: false, lineWidth: 0 }).replace(/\n$/, ""));
}
