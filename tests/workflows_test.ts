import { deepEqual, equal, match, ok } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { skip } from "../scripts/lab/support.ts";
import { mistakesIn, stepsOf } from "../scripts/release/workflows.ts";
import { NEEDED } from "../scripts/setup/plan.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const read = (path: string) => Deno.readTextFileSync(`${ROOT}${path}`);
const names = (folder: string) =>
  [...Deno.readDirSync(`${ROOT}${folder}`)].map(({ name }) => `${folder}/${name}`).sort();

const WORKFLOWS = names(".github/workflows");
const DENO = read(".ci/run").match(/deno@(\d+\.\d+\.\d+)/)![1]!;
const RULES = {
  tasks: Object.keys(JSON.parse(read("deno.json")).tasks),
  deno: DENO,
  exists: (path: string) => {
    try {
      return Deno.statSync(`${ROOT}${path}`) !== undefined;
    } catch {
      return false;
    }
  },
};

Deno.test("the workflows keep actionlint's rules and the project's when they are read", () => {
  deepEqual(WORKFLOWS.length >= 3, true);
  deepEqual(WORKFLOWS.flatMap((path) => mistakesIn(path, read(path), RULES)), []);
});

Deno.test("a mistake in a workflow is found when it is planted", () => {
  const good = read(".github/workflows/platforms.yml");
  const planted: [string | RegExp, string, RegExp][] = [
    ["needs: compile", "needs: compiling", /needs job "compiling" which does not exist/],
    ["matrix.target }}", "matrix.goal }}", /property "goal" is not defined/],
    ["timeout-minutes: 15", "timeout: 15", /unexpected key "timeout"/],
    ["runs-on: ubuntu-24.04", "runs-on: ubuntu-2404", /label "ubuntu-2404" is unknown/],
    [
      'run: deno task compile --kind compiled --target "$TARGET"',
      'run: deno task compile --kind compiled --target "${{ github.head_ref }}"',
      /potentially untrusted/,
    ],
    ['"$TARGET" --output', '"${{ matrix.target }}" --output', /puts an expression into a script/],
    ["timeout-minutes: 15\n", "\n", /job compile has no timeout-minutes/],
    ["permissions: {}", "permissions: read-all", /permissions is not \{\}/],
    ["    permissions:\n      contents: read\n", "", /does not list its permissions/],
    [/concurrency:\n.*\n.*\n/, "", /there is no concurrency/],
    [/actions\/checkout@\S+ # \S+/, "actions/checkout@v5", /checkout@v5 is not pinned/],
    [" # v5.0.0", "", /has no comment with its version/],
    ["persist-credentials: false", "fetch-depth: 1", /leaves its token/],
    [`deno-version: ${DENO}`, "deno-version: v2.x", /takes another Deno than/],
    ["deno task smoke", "deno task smoulder", /runs the task smoulder, which deno\.json lacks/],
    ["scripts/smoke.ts", "scripts/smoulder.ts", /runs scripts\/smoulder\.ts, which is not there/],
  ];
  for (const [from, to, sentence] of planted) {
    const text = good.replace(from, to);
    ok(text !== good, `${from} is not in the workflow`);
    match(mistakesIn("planted.yml", text, RULES).join("\n"), sentence);
  }
});

Deno.test("shellcheck finds nothing in install.sh, .ci/run and the workflows' scripts", async () => {
  const check = async (args: string[], script?: string) => {
    const child = new Deno.Command("shellcheck", {
      args: ["--norc", ...args],
      cwd: ROOT,
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(script ?? ""));
    await writer.close();
    return new TextDecoder().decode((await child.output()).stdout);
  };
  try {
    match(await check(["--shell=sh", "-"], "x=[1\necho $x\n"), /SC2086/);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return skip("shellcheck is not installed");
  }
  equal(await check(["--shell=sh", "install.sh"]), "");
  // A function of the script reads what is set for its call alone.
  equal(await check(["--shell=bash", "--severity=warning", "--exclude=SC2154", ".ci/run"]), "");
  for (const path of WORKFLOWS) {
    for (const { run, name } of stepsOf(read(path))) {
      if (run === undefined) continue;
      equal(await check(["--shell=bash", "-"], run), "", `${path}: ${name}`);
    }
  }
});

Deno.test("the release's own steps make checksums, installer and formula when they run here", async () => {
  const steps = stepsOf(read(".github/workflows/release.yml")).map(({ run = "" }) => run)
    .filter((run) => run.includes("deno task release --dist") || run.includes("--format brew"));
  equal(steps.length, 2);
  const dir = Deno.makeTempDirSync({ prefix: "nexd-workflow-" });
  try {
    Deno.mkdirSync(`${dir}/dist`);
    Deno.mkdirSync(`${dir}/bin`);
    Deno.symlinkSync(Deno.execPath(), `${dir}/bin/deno`);
    const targets = parse(read(".github/workflows/release.yml")).jobs.executables.strategy.matrix
      .target as string[];
    for (const target of targets) {
      const end = target.includes("windows") ? ".exe" : "";
      Deno.writeTextFileSync(`${dir}/dist/nexd-${target}${end}`, target);
    }
    const run = steps.join("\n").replace("--notes notes.md", `--notes ${dir}/notes.md`);
    const { success, stderr } = await new Deno.Command("bash", {
      args: ["-eo", "pipefail", "-c", run],
      cwd: ROOT,
      env: {
        PATH: `${dir}/bin:${Deno.env.get("PATH")}`,
        DIST: `${dir}/dist`,
        GITHUB_SERVER_URL: "https://github.com",
        GITHUB_REPOSITORY: "example/nexd",
        GITHUB_REF_NAME: "v0.0.0",
      },
    }).output();
    ok(success, new TextDecoder().decode(stderr));
    const sums = Deno.readTextFileSync(`${dir}/dist/SHA256SUMS`);
    for (const name of [...targets, "install.sh", "nexd.cdx.json"]) ok(sums.includes(name), name);
    match(Deno.readTextFileSync(`${dir}/notes.md`), /^### Added$/m);
    match(
      Deno.readTextFileSync(`${dir}/dist/nexd.rb`),
      /url "https:\/\/github\.com\/example\/nexd\/releases\/download\/v0\.0\.0\/nexd-aarch64-apple-darwin"/,
    );
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("the program shows its help, relays and sees the network when the smoke run tries it", async () => {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", `${ROOT}scripts/smoke.ts`],
    env: { NO_COLOR: "1" },
  }).output();
  const out = new TextDecoder().decode(stdout);
  ok(success, out + new TextDecoder().decode(stderr));
  match(out, /^nexd \d.*\nrelay answers after \d+ ms\nnetcheck prints \d+ objects/);
});

Deno.test("the templates for issues have what GitHub's forms need", () => {
  const forms = names(".github/ISSUE_TEMPLATE").filter((path) => !path.endsWith("/config.yml"));
  equal(forms.length, 2);
  for (const path of forms) {
    const { name, description, body } = parse(read(path)) as {
      name: string;
      description: string;
      body: { type: string; id?: string; attributes: Record<string, unknown> }[];
    };
    ok(name.length > 0 && description.length > 0, path);
    const fields = body.filter(({ type }) => type !== "markdown");
    equal(new Set(fields.map(({ id }) => id)).size, fields.length, path);
    for (const { type, id, attributes } of body) {
      ok(["markdown", "textarea", "input", "dropdown", "checkboxes"].includes(type), type);
      if (type === "markdown") equal(typeof attributes.value, "string");
      else {
        match(id!, /^[\w-]+$/);
        equal(typeof attributes.label, "string");
      }
      if (type === "dropdown") ok((attributes.options as string[]).length > 1);
    }
  }
  equal(typeof parse(read(".github/ISSUE_TEMPLATE/config.yml")).blank_issues_enabled, "boolean");
  const { version, updates } = parse(read(".github/dependabot.yml"));
  deepEqual([version, updates[0]["package-ecosystem"]], [2, "github-actions"]);
});

Deno.test("the dev container has what set-up needs, and this Deno", () => {
  const container = JSON.parse(
    read(".devcontainer/devcontainer.json").replace(/^\s*\/\/.*$/gm, ""),
  );
  deepEqual(Object.keys(container).sort(), [
    "build",
    "customizations",
    "name",
    "postCreateCommand",
    "privileged",
    "remoteUser",
    "runArgs",
  ]);
  const [, task] = container.postCreateCommand.match(/^deno task (\S+)$/);
  ok(RULES.tasks.includes(task));
  const image = read(`.devcontainer/${container.build.dockerfile}`);
  ok(image.includes(`deno@${DENO}`));
  const [, list] = image.match(/--no-install-recommends \\\n([\s\S]*?)\n\s*&&/)!;
  const packages = list!.replaceAll("\\", " ").trim().split(/\s+/);
  // hostname is part of every Debian.
  const wanted = new Set(Object.values(NEEDED).filter((name) => name !== "hostname"));
  deepEqual([...wanted].filter((name) => !packages.includes(name)), []);
  for (const path of names(".vscode")) JSON.parse(read(path));
});
