import { deepEqual, equal, ok } from "node:assert/strict";
import { CLIENT_COMMANDS } from "../client/table.ts";
import { relayParts, replacePart } from "../scripts/docs.ts";

const ROOT = new URL("../", import.meta.url);
const read = (path: string) => Deno.readTextFileSync(new URL(path, ROOT));

/** Rows of all tables, without the blanks that formatting adds. */
function rows(text: string): string[] {
  return text.split("\n").filter((line) => line.startsWith("|") && !/^\|[ :|-]+$/.test(line))
    .map((line) => line.split(/(?<!\\)\|/).map((cell) => cell.trim()).join("|"));
}

function* testFiles(folder: string): Generator<string> {
  for (const entry of Deno.readDirSync(new URL(folder + "/", ROOT))) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) yield* testFiles(path);
    else if (entry.name.endsWith("_test.ts")) yield path;
  }
}

Deno.test("docs/relay-reference.md has every flag and metric when read beside the code", () => {
  let text = read("docs/relay-reference.md");
  const before = rows(text);
  for (const [name, part] of Object.entries(relayParts())) text = replacePart(text, name, part);
  deepEqual(before, rows(text), "run: deno run -A scripts/docs.ts && deno fmt docs");
});

Deno.test("docs/relay-tests.md names only tests that exist", () => {
  const code = [...testFiles("relay"), ...testFiles("tests")].map(read).join("\n");
  const named = [...read("docs/relay-tests.md").matchAll(/"([^"]+)"/g)].map((match) => match[1]!);
  ok(named.length > 40);
  deepEqual(named.filter((name) => !code.includes(`"${name}"`)), []);
});

Deno.test("documents about the agent's tests name only tests that exist, and every mistake of the list", () => {
  const folders = ["agent", "client", "control", "proxy", "relay", "serve", "tests"];
  const code = folders.flatMap((folder) => [...testFiles(folder)]).map(read).join("\n");
  const weaknesses = read("docs/weaknesses.md");
  const ofControl = read("docs/control-tests.md");
  const clauses = read("docs/agent-clauses.md");
  for (const text of [weaknesses, read("docs/agent-tests.md"), clauses, ofControl]) {
    const names = [...text.matchAll(/"([^"]+)"|`([^`]+)`/g)]
      .map(([, plain, template]) => plain ?? template!)
      .filter((name) => name.includes(" ") && name !== "nexctl nexd");
    ok(names.length > 40);
    deepEqual(names.filter((name) => !['"', "`"].some((q) => code.includes(q + name + q))), []);
  }
  const numbers = Array.from({ length: 27 }, (_, i) => String(i + 1));
  numbers.splice(20, 0, "20a", "20b", "20c");
  const found = [...weaknesses.matchAll(/^\| (\d+[a-c]?) +\|/gm)].map(([, number]) => number);
  deepEqual(found, numbers);
  const controls = [...ofControl.matchAll(/^\| (\d+) +\|/gm)].map(([, number]) => Number(number));
  deepEqual(controls, Array.from({ length: 22 }, (_, i) => i + 28));
});

Deno.test("docs/client.md has every command once, with flags that it takes", () => {
  const found = rows(read("docs/client.md")).flatMap((row) => {
    const [, cell = "", what = ""] = row.split("|");
    return [...cell.matchAll(/`([a-z][^`]*)`/g)].map(([, text]) => ({ text: text!, cell, what }));
  });
  for (const { path, options } of CLIENT_COMMANDS) {
    const own = found.filter(({ text }) =>
      text === path || text.startsWith(`${path} -`) ||
      text.startsWith(`${path} [`)
    );
    equal(own.length, 1, path);
    const flags = `${own[0]!.text} ${own[0]!.what}`.match(/--[a-z0-9-]+/g) ?? [];
    const known = options.map(({ name }) => `--${name}`);
    deepEqual(flags.filter((flag) => !known.includes(flag)), [], path);
  }
});

Deno.test("links between documents lead to files and headings that exist", () => {
  const documents = [
    ...["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"],
    ...[...Deno.readDirSync(new URL("docs/", ROOT))].map(({ name }) => `docs/${name}`),
  ].filter((path) => path.endsWith(".md"));
  const anchors = (path: string) =>
    read(path).split("\n").filter((line) => /^#+ /.test(line)).map((line) =>
      line.replace(/^#+ /, "").toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-")
    );
  const broken: string[] = [];
  for (const path of documents) {
    for (const [, link] of read(path).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(link!)) continue;
      const [file = "", heading] = link!.split("#");
      const target = file === ""
        ? path
        : new URL(file, new URL(path, ROOT)).href.slice(ROOT.href.length);
      try {
        Deno.statSync(new URL(target, ROOT));
        if (heading !== undefined && !anchors(target).includes(heading)) throw new Error("heading");
      } catch {
        broken.push(`${path}: ${link}`);
      }
    }
  }
  equal(broken.join("\n"), "");
});
