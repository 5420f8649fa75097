import { deepEqual, equal, match, ok } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { AGENT_COMMANDS } from "../agent/commands/table.ts";
import { CLIENT_COMMANDS } from "../client/table.ts";
import { COMMANDS } from "../client/commands/mod.ts";
import { taskArguments } from "../scripts/mesh/mod.ts";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));

/** Runs nexd to its end. */
async function nexd(args: string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", MAIN, ...args],
    env: { NO_COLOR: "1", ...env },
    signal: AbortSignal.timeout(30_000),
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** Starts the relay as its task does, and returns the JSON it prints and how it ended on SIGTERM. */
async function relay(args: string[], env: Record<string, string>) {
  const dir = await Deno.makeTempDir();
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...taskArguments("relay"),
      ...["--json", "--addr=127.0.0.1:0", "--http-port", "-1", "--certdir", dir],
      ...["-c", `${dir}/derper.key`, ...args],
    ],
    env: { NO_COLOR: "1", NEXD_DERP_CERT_MODE: "selfsigned", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  try {
    let text = "";
    const decoder = new TextDecoder();
    for await (const chunk of child.stdout) {
      text += decoder.decode(chunk, { stream: true });
      if (!text.includes("\n")) continue;
      const said = JSON.parse(text.slice(0, text.indexOf("\n")));
      child.kill("SIGTERM");
      return { said, code: (await child.status).code };
    }
    throw new Error(`the relay ended: ${JSON.stringify(await child.status)}`);
  } finally {
    await child.status;
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("flags win over the environment and the environment over defaults when both are set", async () => {
  const env = { NEXD_DERP_HOSTNAME: "env.test", NEXD_DERP_RUN_STUN: "false" };
  const fromEnv = await relay([], env);
  equal(fromEnv.said.hostname, "env.test");
  equal(fromEnv.said.stun, undefined);
  equal(fromEnv.code, 0);
  const fromFlags = await relay(["-hostname=flag.test", "--stun", "--stun-port", "0"], env);
  equal(fromFlags.said.hostname, "flag.test");
  ok(fromFlags.said.stun > 0, JSON.stringify(fromFlags.said));
});

Deno.test("every command shows its help when asked", async () => {
  const agents = [...AGENT_COMMANDS, ...CLIENT_COMMANDS.filter((_, i) => i % 7 === 0)]
    .map(({ path }) => path.split(" "));
  for (
    const command of [[], ["control"], ["serve"], ["relay"], ["router"], ["relayderp"], ...agents]
  ) {
    const { code, stdout, stderr } = await nexd([...command, "--help"]);
    equal(code, 0, stderr);
    ok(stdout.startsWith("Usage: nexd"), stdout);
    ok(/--json|Commands:/.test(stdout), stdout);
  }
});

Deno.test("errors are one JSON object on standard error when --json is given", async () => {
  const { code, stdout, stderr } = await nexd(["status", "--json", "--unix-socket", "/none.sock"]);
  equal(code, 1);
  equal(stdout, "");
  const { error, exit_code } = JSON.parse(stderr);
  equal(exit_code, 1);
  ok(error.includes("/none.sock"), error);
});

Deno.test("version prints the project's version when asked", async () => {
  const { version } = JSON.parse(
    await Deno.readTextFile(new URL("../deno.json", import.meta.url)),
  );
  deepEqual(JSON.parse((await nexd(["version", "--json"])).stdout), {
    ...{ version, commit: null, kind: "source" },
    ...{ deno: Deno.version.deno, target: Deno.build.target },
  });
  equal((await nexd(["version"])).stdout, `${version}\n`);
  // Of a build: tests/executable_test.ts.
  const licenses = await nexd(["version", "--licenses"]);
  equal(licenses.code, 2);
  match(licenses.stderr, /^nexd: Cannot print licences: this runs from source/);
});

Deno.test("a refused value cannot break the line it is told in, and a stray BOOL is explained", async () => {
  const named = await nexd([
    "relayderp",
    "--hostname",
    "a\n\u009b31mb",
    "--certmode",
    "selfsigned",
  ]);
  equal(named.code, 2);
  equal(named.stderr.split("\n").length, 2, named.stderr);
  ok(named.stderr.includes("a\\u000a\\u009b31mb"), named.stderr);
  const stray = await nexd(["relayderp", "--stun", "false"]);
  equal(stray.code, 2);
  ok(stray.stderr.endsWith("; a switch takes its value as in --stun=false\n"), stray.stderr);
});

Deno.test("a value in the log cannot begin a line of its own", async () => {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${dir}/a\nb`, { mode: 0o755 });
    const { code, stderr } = await nexd([
      ...[
        "relayderp",
        "--addr",
        "127.0.0.1:0",
        "--http-port",
        "0",
        "--stun=false",
        "--workers",
        "1",
      ],
      ...["--hostname", "relay.example.org", "--acme-directory", "https://127.0.0.1:1/directory"],
      ...["-c", `${dir}/derper.key`, "--run-dir", dir, "--certdir", `${dir}/a\nb`],
    ]);
    equal(code, 1);
    ok(/ relay\.cert: [^\n]*a\\u000ab is for keys and has mode 755/.test(stderr), stderr);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("flags may stand before and between the words of a command, and mean nothing elsewhere", async () => {
  const nobody = /^nexd: Nobody is signed in to https:\/\/127\.0\.0\.1:9; run nexd user login/;
  const flag = "--service-url=https://127.0.0.1:9";
  const ways = [
    [flag, "vpc", "list"],
    ["vpc", flag, "list"],
    ["-output", "yaml", "--debug", "vpc", "list", flag],
    ["organization", "user", "--organization-id", crypto.randomUUID(), "list", flag],
  ];
  const env = { NEXD_SESSION_FILE: "/none/sessions.json" };
  for (const words of ways) {
    const { code, stderr } = await nexd(words, env);
    equal(code, 1, stderr);
    ok(nobody.test(stderr), stderr);
  }
  const json = await nexd(["--output", "json", "vpc", "list", flag], env);
  ok(JSON.parse(json.stderr).error.startsWith("Nobody is signed in"), json.stderr);
  const wrong: [string[], string][] = [
    [["--output", "yaml"], "--output has no meaning for nexd; leave it out"],
    [["--request-ip", "1.2.3.4", "vpc", "list"], "--request-ip has no meaning for nexd vpc list"],
    [["vpc", "--output", "table", "list"], '--output has the value "table"'],
  ];
  for (const [words, text] of wrong) {
    const { code, stderr } = await nexd(words, env);
    equal(code, 2, stderr);
    ok(stderr.includes(text), stderr);
  }
});

Deno.test("every command for the control plane has a function and fits the screen", () => {
  deepEqual(CLIENT_COMMANDS.map(({ path }) => path).sort(), Object.keys(COMMANDS).sort());
  for (const { path, help } of CLIENT_COMMANDS) ok(help.length <= 80, path);
});
