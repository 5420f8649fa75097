import { deepEqual } from "node:assert/strict";
import { skip } from "../scripts/lab/support.ts";

/**
 * Which room may use which. Arrows point one way; a room that is not in a list is out of reach for it.
 * `types` lists modules of which only types may be used.
 */
const ROOMS: Record<string, { may: string[]; types?: string[] }> = {
  "main.ts": {
    may: [
      "agent/commands/mod.ts",
      "agent/commands/table.ts",
      "agent/mod.ts",
      "agent/options.ts",
      "agent/relay_node/mod.ts",
      "client/mod.ts",
      "client/table.ts",
      "command_line/mod.ts",
      "control/mod.ts",
      "control/options.ts",
      "relay/mod.ts",
      "relay/ops/mod.ts",
      "relay/options.ts",
      "serve/mod.ts",
      "serve/options.ts",
      "deno.json",
    ],
  },
  "command_line": { may: [] },
  "relay/derp": { may: [] },
  "relay/net": { may: [] },
  "relay/stun": { may: ["relay/net/mod.ts"] },
  "relay/cert": { may: [] },
  "relay": {
    may: [
      "relay/derp/mod.ts",
      "relay/net/mod.ts",
      "relay/stun/mod.ts",
      "relay/stun/server.ts",
      "relay/cert/mod.ts",
    ],
  },
  "proxy": { may: ["relay/derp/mod.ts", "relay/net/mod.ts"] },
  "agent": {
    may: ["proxy/mod.ts", "relay/derp/mod.ts", "relay/net/mod.ts", "relay/stun/mod.ts"],
    types: ["control/api/types.ts"],
  },
  "client": {
    may: ["agent/api/mod.ts", "agent/onboarding/mod.ts", "agent/platform/mod.ts"],
  },
  "control": {
    may: ["relay/cert/mod.ts", "relay/derp/mod.ts", "relay/http/mod.ts", "relay/net/mod.ts"],
  },
  "serve": {
    may: ["control/mod.ts", "control/options.ts", "relay/mod.ts", "relay/options.ts"],
  },
};

const ROOT = new URL("../", import.meta.url);

function* sources(folder: string): Generator<string> {
  for (const entry of Deno.readDirSync(new URL(folder + "/", ROOT))) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) yield* sources(path);
    else if (entry.name.endsWith(".ts") && !entry.name.endsWith("_test.ts")) yield path;
  }
}

/** The most specific room that a file lies in. */
function roomOf(path: string): string | undefined {
  return Object.keys(ROOMS)
    .filter((room) => path === room || path.startsWith(room + "/"))
    .sort((a, b) => b.length - a.length)[0];
}

/** Every relative import of a file, as a path from the project's root, and whether it is for types. */
function imports(path: string): { target: string; typeOnly: boolean }[] {
  const text = Deno.readTextFileSync(new URL(path, ROOT));
  const found = [];
  const pattern =
    /(?:^|\n)\s*(import|export)\s+(type\s)?[^"';]*?from\s+"(\.[^"]+)"|import\("(\.[^"]+)"\)|(?:^|\n)import\s+"(\.[^"]+)"/g;
  for (const match of text.matchAll(pattern)) {
    const specifier = match[3] ?? match[4] ?? match[5]!;
    const target = new URL(specifier, new URL(path, ROOT)).href.slice(ROOT.href.length);
    found.push({ target, typeOnly: match[2] !== undefined });
  }
  return found;
}

function violations(files: Iterable<string>): string[] {
  const wrong: string[] = [];
  for (const file of files) {
    const room = roomOf(file)!;
    const { may, types = [] } = ROOMS[room]!;
    for (const { target, typeOnly } of imports(file)) {
      if (roomOf(target) === room) continue;
      if (may.includes(target) || (typeOnly && types.includes(target))) continue;
      wrong.push(`${file} imports ${target}`);
    }
  }
  return wrong;
}

Deno.test("rooms import only the doors they may when the whole tree is read", () => {
  const files = [
    "main.ts",
    ...["relay", "proxy", "agent", "client", "command_line", "control", "serve"].flatMap((
      r,
    ) => [...sources(r)]),
  ];
  deepEqual(violations(files), []);
});

Deno.test("the import rule sees each kind of import when a file breaks it", () => {
  const path = `relay/derp/import_rule_${crypto.randomUUID()}.ts`;
  const url = new URL(path, ROOT);
  Deno.writeTextFileSync(
    url,
    `import { a } from "../../proxy/mod.ts";\nexport type { B } from "../../agent/mod.ts";\n` +
      `import type {\n  C,\n} from "../../control/api/types.ts";\nawait import("../mod.ts");\n`,
  );
  try {
    deepEqual(
      violations([path]).map((line) => line.split(" ").at(-1)),
      ["proxy/mod.ts", "agent/mod.ts", "control/api/types.ts", "relay/mod.ts"],
    );
  } finally {
    Deno.removeSync(url);
  }
});

Deno.test("the top level holds just the named rooms and files when listed", () => {
  const tracked = new Deno.Command("git", { args: ["ls-files"], cwd: ROOT }).outputSync();
  if (!tracked.success) {
    return skip("not a git checkout, so the tracked files are unknown");
  }
  const top = new Set(
    new TextDecoder().decode(tracked.stdout).trim().split("\n").map((p) => p.split("/")[0]!),
  );
  const named = [
    ".ci",
    ".devcontainer",
    ".editorconfig",
    ".github",
    ".gitignore",
    ".vscode",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "agent",
    "client",
    "command_line",
    "control",
    "deno.json",
    "deno.lock",
    "docs",
    "install.sh",
    "main.ts",
    "proxy",
    "relay",
    "scripts",
    "serve",
    "tests",
  ];
  deepEqual([...top].sort(), named.sort());
});
