/** That every command of the documents is run, or says why not, and that they name what exists. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { blocksOf, documents, notPrinted, PAGES, partOf } from "../scripts/documents/mod.ts";
import { buildProgram } from "../main.ts";
import { type CommandTree, treeOf } from "../command_line/mod.ts";
import { AGENT_OPTIONS, RELAY_ONBOARD_OPTIONS } from "../agent/options.ts";
import { AGENT_COMMANDS } from "../agent/commands/table.ts";
import { CLIENT_COMMANDS } from "../client/table.ts";
import { CONTROL_COMMANDS, CONTROL_OPTIONS } from "../control/options.ts";
import { RELAY_OPTIONS } from "../relay/options.ts";
import { SERVE_OPTIONS } from "../serve/options.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const read = (path: string) => Deno.readTextFileSync(ROOT + path);
const TEXTS = new Map(documents(ROOT).map((path) => [path, read(path)]));
/** What tests of pages are called: `docs/relay.md` is `relay_test.ts`. */
const testOf = (path: string) =>
  `tests/documents/${
    path.replace(/^docs\//, "").replace(/\.md$/, "").toLowerCase().replaceAll("-", "_")
  }_test.ts`;

/** All commands by their words, `nexd` itself as the empty text, with their flags. */
function commands(tree: CommandTree, path = ""): Map<string, CommandTree> {
  const found = new Map([[path, tree]]);
  for (const below of tree.commands) {
    for (const [words, one] of commands(below, `${path} ${below.name}`.trim())) {
      found.set(words, one);
    }
  }
  return found;
}
const COMMANDS = commands(treeOf(buildProgram()));
/** Those that help does not show. */
const HIDDEN = buildProgram().commands.map((command) => command.name());
const OPTIONS = [
  ...[AGENT_OPTIONS, RELAY_OPTIONS, RELAY_ONBOARD_OPTIONS, CONTROL_OPTIONS, SERVE_OPTIONS],
  ...[...AGENT_COMMANDS, ...CLIENT_COMMANDS, ...CONTROL_COMMANDS].map(({ options }) => options),
].flat();

Deno.test("documents have no command that neither is run nor says why", () => {
  const counts = { run: 0, elsewhere: 0, "not run": 0 };
  const reasons: string[] = [], wrong: string[] = [];
  for (const [path, text] of TEXTS) {
    const blocks = blocksOf(path, text);
    for (const { line, manner, steps } of blocks) {
      counts[manner.kind] += steps.length;
      if (manner.kind === "not run") reasons.push(`  ${path}:${line}: ${manner.reason}`);
      if (manner.kind !== "elsewhere") continue;
      const file = read(manner.file);
      if (file.includes(`blocksOf("${path}"`)) continue; // it takes them from the page
      for (const { command } of steps) {
        const core = command.replace(/^(npx -y )?deno(@\S+)? /, "").replace(
          /^task (\w+).*$/,
          "task $1",
        );
        if (!file.includes(core)) wrong.push(`${path}:${line}: ${manner.file} has no "${core}"`);
      }
    }
    const page = PAGES.find((page) => page.path === path);
    const runs = blocks.some(({ manner }) => manner.kind === "run");
    if (runs !== (page !== undefined)) {
      wrong.push(`${path}: scripts/documents/pages.ts and it differ`);
    }
    if (page && !read(testOf(path)).includes(`playPage("${path}"`)) wrong.push(`${path}: no test`);
  }
  equal(wrong.join("\n"), "");
  // deno-lint-ignore no-console -- what is not tested is to be seen
  console.log(
    `documents: ${counts.run} commands run, ${counts.elsewhere} run by other checks, ` +
      `${counts["not run"]} not run:\n${reasons.join("\n")}`,
  );
  ok(counts.run > 60 && counts["not run"] < counts.run / 3);
});

Deno.test("a document's block is read as commands, with the manner that its comment gives", () => {
  const text = [
    "<!-- run: on relay; HOST=b; with --dry-run; ends 1 -->",
    "",
    "```sh",
    "# on a host that joins",
    "nexd ping HOST   # says how",
    "nexd relayderp \\",
    "  --hostname x",
    "cat >file <<'END'",
    "# kept",
    "END",
    "```",
    "<!-- not run: it needs a public name -->",
    "```console",
    "$ nexd version",
    "0.1.0",
    "```",
    "```ini",
    "[Unit]",
    "```",
  ].join("\n");
  const [first, second, ...more] = blocksOf("page", text);
  const place = "on a host that joins";
  deepEqual(first, {
    page: "page",
    line: 3,
    manner: { kind: "run", hosts: ["relay"], words: [["HOST", "b"]], more: "--dry-run", ends: 1 },
    steps: [
      { command: "nexd ping HOST", output: [], place },
      { command: "nexd relayderp --hostname x", output: [], place },
      { command: "cat >file <<'END'\n# kept\nEND", output: [], place },
    ],
  });
  deepEqual(second!.manner, { kind: "not run", reason: "it needs a public name" });
  deepEqual(second!.steps, [{ command: "nexd version", output: ["0.1.0"] }]);
  deepEqual(more, []);
  for (const [comment, message] of [["run: by hand", /by hand/], ["not run: no", /not run: no/]]) {
    let said = "";
    try {
      blocksOf("page", `<!-- ${comment} -->\n\`\`\`sh\nx\n\`\`\``);
    } catch (error) {
      said = (error as Error).message;
    }
    ok((message as RegExp).test(said), `${comment}: ${said}`);
  }
});

Deno.test("what a document shows is compared with what was printed, but for numbers and gaps", () => {
  deepEqual(notPrinted(["b  100.64.0.2  1.1 ms", "…"], "x\n b 100.64.0.17   23 ms\n"), []);
  deepEqual(notPrinted(["b … ms"], "c 3 ms"), ["b … ms"]);
});

Deno.test("a command of a document stays in the foreground when it starts a part", () => {
  const parts = [
    ["nexd serve --hostname x", "plane"],
    ["npx -y deno@2.9.6 task control --hostname x", "plane"],
    ["npx -y deno@2.9.6 task relay --hostname x", "relay"],
    ["NEXD_REG_KEY=x nexd router --advertise-cidr 10.0.0.0/8", "agent"],
    ["npx -y deno@2.9.6 task agent --reg-key x", "agent"],
    ["sudo nexd --reg-key x", "agent"],
    ["npx -y deno@2.9.6 task agent status", undefined],
    ["nexd relay-region list", undefined],
    ["nexd --output json vpc list", undefined],
    ["nexd install --reg-key x", undefined],
    ["nexd relayderp --help", undefined],
    ["curl https://nexd", undefined],
  ] as const;
  for (const [command, part] of parts) equal(partOf(command), part, command);
});

Deno.test("documents name only commands of nexd that exist, and all of them", () => {
  const code = [...TEXTS].filter(([path]) => !/CHANGELOG|migration/.test(path)).flatMap((
    [path, text],
  ) =>
    [
      ...[...text.matchAll(/`([^`\n]+)`/g)].map(([, inline]) => inline!),
      ...blocksOf(path, text).flatMap(({ steps }) => steps.map(({ command }) => command)),
    ].map((code) => ({ path, code }))
  );
  const unknown: string[] = [];
  for (const { path, code: text } of code) {
    const words = text.replace(/^sudo /, "").match(/^nexd ((?:[a-z][a-z0-9-]*(?: |$))+)/)?.[1]
      ?.trim();
    if (words === undefined) continue;
    const known = [...COMMANDS.keys(), ...HIDDEN].some((name) =>
      name !== "" &&
      (words === name || words.startsWith(`${name} `) || name.startsWith(`${words} `))
    );
    if (!known) unknown.push(`${path}: ${text}`);
  }
  equal(unknown.join("\n"), "");
  const all = [...TEXTS.values()].join("\n");
  const missing = [...COMMANDS].filter(([name, { commands: below }]) =>
    name !== "" && below.length === 0 && !all.includes(`nexd ${name}`) && !all.includes(`\`${name}`)
  ).map(([name]) => name);
  equal(missing.join("\n"), "");
});

/** Flags of programs of others, and of the project's own tasks, by what calls them. */
const OTHERS =
  /(?<![\w-])(npx|deno (task (?!agent|relay|control|serve)|run|test|compile|bundle|check|info)|curl|sudo -u|openssl|pg_|psql|systemctl|systemd-|journalctl|docker|podman|apt|dpkg|rpm|dnf|brew|derper|--v8-flags|nexctl|install|sh|tests?:|wireguard|git|sha256sum|tar|go)\b[^`\n]*/g;
/** Flags of the project's tasks and of other programs that texts name alone. */
const ALSO = [
  ...[
    "hosts",
    "nat",
    "keep",
    "json",
    "suite",
    "full",
    "filter",
    "seconds",
    "seed",
    "minutes",
    "env",
  ],
  ...[
    "all",
    "inspect",
    "help",
    "version",
    "memory-saver-mode",
    "min-semi-space-size",
    "shell",
    "privileged",
    "publish",
    "executable",
    "target",
    "unpack-to",
    "cap-add",
    "prefix",
    "from",
    "uninstall",
    "version",
    "check",
    "ignore-missing",
    "repo",
    "kind",
    "quiet",
    "expose-gc",
  ],
];

Deno.test("documents name only flags and variables that nexd has, and every flag has a help text", () => {
  const known = new Set([...OPTIONS.map(({ name }) => name), "log-level", "log-format", ...ALSO]);
  const tasks = sourcesOf("scripts").join("\n");
  for (const { flags } of COMMANDS.values()) {
    for (const { flag, help } of flags) {
      known.add(flag.replace(/^--?/, ""));
      ok(help.length > 3, flag);
    }
  }
  const unknown: string[] = [];
  for (const [path, text] of TEXTS) {
    // What others have instead, what was, and what was decided against is not what ours has.
    if (/^(docs\/(migration|decisions(-\w+)?)|CHANGELOG)\.md$/.test(path)) continue;
    const ours = text.replaceAll(/<!--[^]*?-->/g, "").replaceAll(OTHERS, "");
    for (const [, name] of ours.matchAll(/(?<![\w-])--([a-z][a-z0-9-]+)/g)) {
      // Those of the project's own tasks are read where the task is.
      if (!known.has(name!) && !tasks.includes(`--${name}`)) unknown.push(`${path}: --${name}`);
    }
  }
  equal(unknown.join("\n"), "");
});

Deno.test("documents name only variables that the code reads", () => {
  const sources = [
    "agent",
    "client",
    "control",
    "relay",
    "serve",
    "proxy",
    "scripts",
    "tests",
    "command_line",
  ].flatMap(sourcesOf);
  const code = [
    ...sources,
    read("main.ts"),
    ...OPTIONS.map((option) => "env" in option ? option.env ?? "" : ""),
    exists("install.sh") ? read("install.sh") : "",
  ].join("\n");
  const unread = [...TEXTS].filter(([path]) => path !== "docs/migration.md").flatMap((
    [path, text],
  ) =>
    [...text.matchAll(/\b(NEXD|NEXAPI|NEXCTL)_[A-Z0-9_]+\b/g)].map(([name]) => name)
      // `NEXD_TEST_` and the like are prefixes; what is not read is a decision of its own.
      .filter((name) => !name.endsWith("_") && !code.includes(name))
      .filter((name) => !["NEXD_PPROF_PORT", "NEXD_PROXY_DEBUG_TRAFFIC"].includes(name))
      .map((name) => `${path}: ${name}`)
  );
  equal(unread.join("\n"), "");
});

Deno.test("documents for contributors name files that exist", () => {
  const wrong: string[] = [];
  for (const [path, text] of TEXTS) {
    if (!["docs/extending.md", "docs/architecture.md"].includes(path)) continue;
    const places =
      /^(?:agent|client|command_line|control|docs|proxy|relay|scripts|serve|tests)\/[\w./-]+$/;
    for (const [, name] of text.matchAll(/`([^`\n]+)`/g)) {
      if (places.test(name!) && !/NAME/.test(name!) && !exists(name!)) {
        wrong.push(`${path}: ${name}`);
      }
    }
  }
  equal(wrong.join("\n"), "");
});

/** Texts of the source files of a folder. */
function sourcesOf(folder: string): string[] {
  return [...Deno.readDirSync(ROOT + folder)].flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    return isDirectory ? sourcesOf(path) : /\.(ts|tsx|sh)$/.test(name) ? [read(path)] : [];
  });
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(ROOT + path) !== undefined;
  } catch {
    return false;
  }
}
