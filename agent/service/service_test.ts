import assert from "node:assert/strict";
import { AgentError } from "../errors.ts";
import { Heart, type Notifier, vitalsText } from "./heart.ts";
import { installService, type Service, uninstallService } from "./install.ts";
import { serveUnitText } from "./serve_unit.ts";
import { environmentText, unitText } from "./unit.ts";

const SERVICE: Service = {
  command: ["/usr/local/bin/nexd"],
  variables: new Map([["NEXD_REG_KEY", 'https://h#RK:a"b\\c']]),
};

/** A root directory and a systemctl that only remembers. */
async function withRoot(
  test: (
    root: string,
    options: {
      name: "nexd";
      root: string;
      dryRun: boolean;
      run: (program: string, args: readonly string[]) => Promise<never>;
      tell: (line: string) => void;
    },
    calls: string[],
    told: string[],
  ) => Promise<void>,
): Promise<void> {
  const root = await Deno.makeTempDir();
  const calls: string[] = [], told: string[] = [];
  const run = (program: string, args: readonly string[]) => {
    calls.push([program, ...args].join(" "));
    return Promise.resolve({ code: 0, stdout: "", stderr: "" } as never);
  };
  try {
    await test(
      root,
      { name: "nexd", root, dryRun: false, run, tell: (line) => told.push(line) },
      calls,
      told,
    );
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

Deno.test("install writes unit and settings once, enables, starts, and uninstall takes it back", () =>
  withRoot(async (root, options, calls, told) => {
    await installService(SERVICE, options);
    const unit = `${root}/etc/systemd/system/nexd.service`, env = `${root}/etc/nexd/nexd.env`;
    const text = await Deno.readTextFile(unit);
    assert.match(text, /^ExecStart=\/usr\/local\/bin\/nexd$/m);
    assert.match(text, /^EnvironmentFile=-\/etc\/nexd\/nexd\.env$/m);
    assert(!text.includes("RK:"));
    assert.equal((await Deno.stat(env)).mode! & 0o777, 0o600);
    assert.match(await Deno.readTextFile(env), /^NEXD_REG_KEY="https:\/\/h#RK:a\\"b\\\\c"$/m);
    assert.deepEqual(calls, [
      "systemctl daemon-reload",
      "systemctl enable nexd.service",
      "systemctl start --no-block nexd.service",
    ]);
    assert.equal(told.length, 5);

    // Again, without settings: nothing changes, those of before stay.
    calls.length = told.length = 0;
    await installService({ ...SERVICE, variables: undefined }, options);
    assert.deepEqual(told.slice(0, 2), [`unchanged: ${env}`, `unchanged: ${unit}`]);
    assert.equal(calls.at(-1), "systemctl start --no-block nexd.service");
    await installService({ ...SERVICE, command: ["/opt/nexd"] }, options);
    assert.equal(calls.at(-1), "systemctl restart --no-block nexd.service");

    calls.length = 0;
    await uninstallService(options);
    assert.deepEqual(calls, [
      "systemctl disable --now nexd.service",
      "systemctl daemon-reload",
    ]);
    await assert.rejects(Deno.stat(unit), Deno.errors.NotFound);
    await assert.rejects(Deno.stat(env), Deno.errors.NotFound);
    await uninstallService(options); // there is nothing left to do
    assert.match(told.at(-1)!, /there is no/);
  }));

Deno.test("install keeps nexd serve beside the agent, each with its own unit and settings", () =>
  withRoot(async (root, options, calls) => {
    const serve = { ...options, name: "nexd-serve" as const };
    await installService(SERVICE, options);
    calls.length = 0;
    const command = ["/usr/local/bin/nexd", "serve"];
    const variables = new Map([["NEXD_SERVE_HOSTNAME", "nexd.example.org"]]);
    await installService({ command, variables }, serve);
    const unit = `${root}/etc/systemd/system/nexd-serve.service`;
    const text = await Deno.readTextFile(unit);
    assert.match(text, /^ExecStart=\/usr\/local\/bin\/nexd serve$/m);
    assert.match(text, /^EnvironmentFile=-\/etc\/nexd\/nexd-serve\.env$/m);
    assert.match(text, /^StateDirectory=nexd\/serve$/m);
    assert.equal(calls.at(-1), "systemctl start --no-block nexd-serve.service");
    await uninstallService(serve);
    await assert.rejects(Deno.stat(unit), Deno.errors.NotFound);
    await Deno.stat(`${root}/etc/systemd/system/nexd.service`);
  }));

Deno.test("install with --dry-run changes nothing and shows everything but secrets", () =>
  withRoot(async (root, options, calls, told) => {
    await installService(SERVICE, { ...options, dryRun: true });
    assert.deepEqual(calls, []);
    assert.deepEqual([...Deno.readDirSync(root)], []);
    assert(told.some((line) => line.includes("ExecStart=/usr/local/bin/nexd")));
    assert(told.some((line) => line.startsWith("would run systemctl enable")));
    assert(!told.join("\n").includes("RK:"));
  }));

Deno.test("install leaves a unit alone that it did not write, and says why systemctl failed", () =>
  withRoot(async (root, options) => {
    const unit = `${root}/etc/systemd/system/nexd.service`;
    await Deno.mkdir(`${root}/etc/systemd/system`, { recursive: true });
    await Deno.writeTextFile(unit, "[Unit]\n");
    for (const run of [() => installService(SERVICE, options), () => uninstallService(options)]) {
      await assert.rejects(run(), /not written by nexd install/);
    }
    await Deno.remove(unit);
    const failing = () => Promise.resolve({ code: 1, stdout: "", stderr: "no bus\n" } as never);
    await assert.rejects(
      installService(SERVICE, { ...options, run: failing }),
      (error) => error instanceof AgentError && /daemon-reload failed: no bus/.test(error.message),
    );
  }));

Deno.test("a unit escapes what systemd would read, and refuses what it cannot hold", () => {
  const unit = (command: string[]) =>
    /^ExecStart=(.*)$/m.exec(unitText({ command, environmentFile: "/e" }))![1];
  assert.equal(unit(["/a b/nexd", "--x=%h$Y", 'q"\\']), '"/a b/nexd" --x=%%h$$Y "q\\"\\\\"');
  const homes = (program: string) =>
    /^ProtectHome=(.*)$/m.exec(unitText({ command: [program], environmentFile: "/e" }))![1];
  assert.deepEqual(["/usr/local/bin/nexd", "/home/ada/nexd", "/root/nexd"].map(homes), [
    "yes",
    "read-only",
    "read-only",
  ]);
  assert.throws(() => unit(["/a\nExecStartPre=/bin/evil"]), AgentError);
  assert.throws(() => environmentText(new Map([["A", "x\nB=y"]])), AgentError);
  assert.throws(
    () => unitText({ command: ["/x"], environmentFile: "/e", stateDir: "/a /etc" }),
    AgentError,
  );
});

Deno.test("systemd takes the unit, and finds it well locked up", async (t) => {
  const directory = await Deno.makeTempDir();
  try {
    const analyze = async (...args: string[]) => {
      const { code, stdout, stderr } = await new Deno.Command("systemd-analyze", {
        args,
        env: { SYSTEMD_LOG_LEVEL: "warning", NO_COLOR: "1" },
      }).output();
      return { code, text: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
    };
    try {
      await analyze("--version");
    } catch {
      // deno-lint-ignore no-console -- a test's skip line
      return console.log("skip: systemd-analyze is not installed");
    }
    const commands = {
      compiled: { command: ["/bin/true"] },
      source: {
        command: ["/bin/true", "run", "-A", "/srv/nexd/main.ts", "router"],
        source: { cache: "/root/.cache/deno" },
        stateDir: "/srv/state",
      },
    };
    const both = Object.entries(commands).flatMap(([name, facts]) => [
      [`${name} agent`, unitText, facts] as const,
      [`${name} serve`, serveUnitText, facts] as const,
    ]);
    for (const [name, textOf, facts] of both) {
      await t.step(name, async () => {
        const path = `${directory}/nexd.service`;
        await Deno.writeTextFile(path, textOf({ ...facts, environmentFile: "/etc/nexd/x" }));
        const verified = await analyze("verify", "--man=no", path);
        assert.equal(verified.code, 0, verified.text);
        assert(!verified.text.includes("nexd.service:"), verified.text);
        const { text } = await analyze("security", "--offline=true", "--no-pager", path);
        const level = /exposure level for nexd\.service: ([\d.]+)/.exec(text)?.[1];
        assert(level !== undefined && Number(level) < 5, text.slice(-300));
      });
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a heart says ready once, changes of status, and beats while the agent does", async () => {
  const said: string[] = [];
  const notifier: Notifier = {
    ready: (text) => said.push(`ready ${text}`),
    status: (text) => said.push(`status ${text}`),
    stopping: () => said.push("stopping"),
    alive: () => said.push("alive"),
    watchdogMs: 10,
    close: () => {},
  };
  let vitals = { status: "Starting", control: { state: "registering" }, peers: [] };
  let beats = true;
  const heart = new Heart(notifier, () => vitals, () => beats);
  heart.tell();
  heart.tell();
  vitals = { ...vitals, status: "Running", control: { state: "connected" } };
  heart.tell();
  heart.tell();
  assert.deepEqual(said.filter((line) => line !== "alive"), [
    "status Starting: 0 of 0 peers reached; control plane registering",
    "ready Running: 0 of 0 peers reached; control plane connected",
  ]);
  while (!said.includes("alive")) await new Promise((resolve) => setTimeout(resolve, 5));
  beats = false;
  const before = said.length;
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.equal(said.length, before);
  heart.stop();
  assert.equal(said.at(-1), "stopping");
});

Deno.test("vitalsText says what a person has to do, and how peers are reached", () => {
  const control = { state: "connected" };
  assert.equal(
    vitalsText({ status: "WaitingForAuth", login: { url: "https://c/d" }, control, peers: [] }),
    "waits for somebody to sign in at https://c/d",
  );
  const peers = [
    { healthy: true, method: "reflexive" },
    { healthy: true, method: "via-derp-relay" },
    { healthy: false, method: "none" },
  ];
  assert.equal(
    vitalsText({ status: "Running", control, peers }),
    "Running: 2 of 3 peers reached, 1 through relays; control plane connected",
  );
});
