/**
 * What a person sees, in a real mesh and a real shell. With NEXD_TEST_GO_NEXCTL, the path of Nexodus'
 * `nexctl`, that asks our agent too.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { Lab } from "../scripts/lab/mod.ts";
import { cannotMesh, skip } from "../scripts/lab/support.ts";
import { Mesh, taskArguments } from "../scripts/mesh/mod.ts";

/** Longest one command may take, ms. */
const LIMIT = 40_000;

/** Runs `nexd …` as a person on a host does. */
async function nexd(mesh: Mesh, host: string, ...args: string[]) {
  const { lab } = mesh;
  return await lab.host(host).run([
    Deno.execPath(),
    ...taskArguments("agent"),
    ...args,
    ...(args.includes("--unix-socket") ? [] : ["--unix-socket", mesh.socketOf(host)]),
  ], {
    env: { NO_COLOR: "1", NEXD_RELAY_CA: `${lab.dir}/relay/ca.crt` },
    timeoutMs: LIMIT,
  });
}

/** The objects that a command prints with `--json`. */
const objects = (text: string) => text.trim().split("\n").map((line) => JSON.parse(line));

Deno.test("commands tell a person about a mesh behind symmetric NATs", async (t) => {
  if (await cannotMesh()) return;
  await using lab = await Lab.create({ hosts: 2, nat: "symmetric" });
  const notified: string[] = [];
  const manager = Deno.listenDatagram({ transport: "unixpacket", path: `${lab.dir}/notify` });
  const listening = (async () => {
    for await (const [bytes] of manager) notified.push(new TextDecoder().decode(bytes));
  })();
  const mesh = await Mesh.start(lab, {
    agents: ["a", "b"],
    hosts: { a: { env: { NOTIFY_SOCKET: `${lab.dir}/notify`, WATCHDOG_USEC: "1000000" } } },
  });
  await mesh.waitForPath("a", "b", "via-derp-relay", 20_000);
  const b = await mesh.tunnelIp("b");
  const onA = (...args: string[]) => nexd(mesh, "a", ...args);

  await t.step("status says why not a better way, in 80 columns", async () => {
    const { code, stdout } = await onA("status");
    equal(code, 0);
    match(stdout, /^ {4}at 127\.0\.0\.\d+:9002: both NATs are symmetric: through relay$/m);
    match(stdout, /^ {4}not reflexive: this host's NAT is symmetric$/m);
    for (const line of stdout.split("\n")) ok(line.length <= 80, line);
  });

  await t.step("ping shows answers and paths, and fails when no path is direct", async () => {
    const { code, stdout } = await onA("ping", "b", "-c", "2", "--interval", "100");
    equal(code, 0);
    match(stdout, new RegExp(`^b \\(${b}\\): [\\d.]+ ms via DERP relay relay$`, "m"));
    match(stdout, /^2 of 2 answered, 0 % lost, /m);
    const direct = await onA("ping", b, "-c", "1", "--until-direct", "--json");
    equal(direct.code, 1);
    deepEqual(objects(direct.stdout).map((one) => one.direct ?? one.received), [false, 1]);
    equal((await onA("ping", "nobody")).code, 1);
  });

  await t.step("peers ping reaches every peer over both IP versions", async () => {
    for (const command of ["ping", "ping6"]) {
      const { code, stdout } = await onA("peers", command, "--json");
      equal(code, 0, stdout);
      deepEqual(objects(stdout).map(({ hostname, ok }) => [hostname, ok]), [["b", true]]);
    }
  });

  await t.step("netcheck tells the NAT, the relay's latency, and blocked UDP", async () => {
    const { code, stdout } = await onA("netcheck", "--json");
    equal(code, 0);
    const [report] = objects(stdout);
    deepEqual([report.udp, report.nat, report.captive_portal.found], ["yes", "symmetric", "no"]);
    equal(report.ipv4.split(":")[0], lab.host("a").publicAddress);
    ok(report.relays[0].https_ms > 0 && report.relays[0].stun_ms > 0, stdout);
    const nft = (script: string) => lab.host("a").run(["nft", script]);
    equal(
      (await nft(
        "add table inet test; add chain inet test out { type filter hook output priority 0; }; " +
          "add rule inet test out oifname eth0 meta l4proto udp drop",
      )).code,
      0,
    );
    try {
      const blocked = objects((await onA("netcheck", "--json")).stdout)[0];
      equal(blocked.udp, "blocked");
      ok(blocked.relays[0].https_ms > 0);
    } finally {
      await nft("delete table inet test");
    }
  });

  await t.step("doctor finds nothing broken, then another route into the VPC's range", async () => {
    const args = ["--ca", `${lab.dir}/control/certs/ca.crt`, "--state-dir", `${lab.dir}/a`];
    const well = await onA("doctor", ...args);
    equal(well.code, 0, well.stdout);
    match(well.stdout, /^ok +time +as the control plane's$/m);
    match(well.stdout, /^0 broken, /m);
    await lab.host("a").run(["ip", "route", "add", "100.64.7.0/24", "dev", "eth0"]);
    const ill = await onA("doctor", "--json", ...args);
    equal(ill.code, 1);
    const broken = objects(ill.stdout).filter(({ level }) => level === "broken");
    deepEqual(broken.map(({ check }) => check), ["routes"]);
    match(broken[0].text, /^100\.64\.7\.0\/24 leads to eth0/);
    ok(broken[0].remedy.length > 10);
    await lab.host("a").run(["ip", "route", "del", "100.64.7.0/24", "dev", "eth0"]);
    // Without --ca this command trusts nobody here, but the agent that runs was told whom to trust.
    const told = await onA("doctor", "--state-dir", `${lab.dir}/a`);
    equal(told.code, 0, told.stdout);
    match(
      told.stdout,
      /^ok +control plane +api\.control:443: the agent is connected there, by a CA$/m,
    );
    const nobody = [
      ...["--unix-socket", `${lab.dir}/none.sock`, "--service-url", "https://control"],
    ];
    const untrusting = await onA("doctor", "--state-dir", `${lab.dir}/a`, ...nobody);
    equal(untrusting.code, 1);
    match(untrusting.stdout, /^broken +CA +the certificate of api\.control:443 is not trusted/m);
  });

  await t.step("a debug bundle has no secret of this host in it", async () => {
    const path = `${lab.dir}/bundle.tar.gz`;
    const { code, stdout } = await onA(
      ...["debug", "bundle", "--output", path, "--state-dir", `${lab.dir}/a`],
      ...["--reg-key", mesh.regKey, "--ca", `${lab.dir}/control/certs/ca.crt`],
    );
    equal(code, 0, stdout);
    equal((await Deno.stat(path)).mode! & 0o777, 0o600);
    const { stdout: bytes } = await new Deno.Command("tar", { args: ["-xOzf", path] }).output();
    const text = new TextDecoder().decode(bytes);
    const state = JSON.parse(await Deno.readTextFile(`${lab.dir}/a/state.json`));
    ok(text.includes(state["public-key"]) && text.includes("via-derp-relay"));
    const secrets = [state["private-key"], state["device-token"], mesh.regKey.split("#")[1]];
    for (const secret of secrets.filter((one) => one !== undefined)) {
      ok(secret.length > 8 && !text.includes(secret), "a secret is in the bundle");
    }
    ok(!/\b(RK|DT):[^<]/.test(text));
  });

  await t.step("exit-node says that there is none", async () => {
    equal((await onA("exit-node", "list")).stdout, "no exit nodes\n");
    const { code, stderr } = await onA("exit-node", "enable");
    equal(code, 1);
    match(stderr, /no exit node in the VPC/);
  });

  await t.step("the service manager hears that the agent is ready, and that it lives", async () => {
    while (!notified.includes("WATCHDOG=1")) await new Promise((done) => setTimeout(done, 20));
    ok(notified.some((text) => /^READY=1\nSTATUS=Running: /.test(text)), notified.join("|"));
  });

  await t.step("Nexodus' nexctl reads, pings and switches our agent", async (t) => {
    const program = Deno.env.get("NEXD_TEST_GO_NEXCTL") ?? "";
    if (program === "") return skip("NEXD_TEST_GO_NEXCTL does not name nexctl");
    const nexctl = async (...args: string[]) => {
      const { stdout, stderr } = await lab.host("a").run(
        [program, "nexd", "--unix-socket", mesh.socketOf("a"), ...args],
        { timeoutMs: LIMIT },
      );
      return stdout + stderr;
    };
    const wanted: [string, RegExp][] = [
      ["version", /nexd version: dev/],
      ["status", /^Status: Running$/m],
      ["get tunnelip", new RegExp(`^${await mesh.tunnelIp("a")}$`, "m")],
      ["get tunnelip --ipv6", /^200::/m],
      ["get debug", /^off$/m],
      ["set debug on", /on/],
      ["get debug", /^on$/m],
      ["set debug off", /off/],
      ["peers list", /127\.0\.0\.\d+:9002 .* true /],
      ["peers ping", new RegExp(`b +\\| ${b} +\\| [\\d.]+ms +\\| via-derp-relay .* Reachable`)],
      ["peers ping6", /b +\| 200::\S+ +\| [\d.]+ms .* Reachable/],
      ["proxy list", /^\s*$/],
      ["proxy add --ingress tcp:80:127.0.0.1:80", /nexd has no L4 proxy/],
      ["proxy add --ingress rubbish", /no L4 proxy|invalid/i],
      ["exit-node list", /ENDPOINT ADDRESS/],
      ["exit-node enable", /no exit node in the VPC/],
      ["exit-node disable", /disabled exit node client/],
    ];
    for (const [command, pattern] of wanted) {
      await t.step(command, async () => {
        const text = await nexctl(...command.split(" "));
        match(text, pattern);
        ok(!text.includes("WARNING"), text);
      });
    }
    equal((await mesh.status("a")).status, "Running");
  });

  manager.close();
  await listening.catch(() => {});
});

Deno.test("ping ends at once when the path is direct", async () => {
  if (await cannotMesh()) return;
  await using lab = await Lab.create({ hosts: 2, nat: "cone" });
  const mesh = await Mesh.start(lab, { agents: ["a", "b"] });
  await mesh.waitForPath("a", "b", "reflexive", 20_000);
  const { code, stdout } = await nexd(mesh, "a", "ping", "b", "--until-direct");
  equal(code, 0);
  match(stdout, /^b \([\d.]+\): [\d.]+ ms via [\d.]+:\d+ \(reflexive\)\n1 of 1 answered/);
});

Deno.test("bash completes commands, flags and values with the printed script", async () => {
  const main = fileURLToPath(new URL("../main.ts", import.meta.url));
  const script = await Deno.makeTempFile();
  try {
    const printed = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", main, "completion", "bash"],
    }).output();
    await Deno.writeFile(script, printed.stdout);
    const completed = async (line: string): Promise<string[]> => {
      const words = line.split(" ");
      const { stdout, stderr } = await new Deno.Command("bash", {
        args: [
          ...["--norc", "-c"],
          'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _nexd; ' +
          'printf "%s\\n" "${COMPREPLY[@]}"',
          ...["bash", script, ...words],
        ],
      }).output();
      equal(new TextDecoder().decode(stderr), "");
      return new TextDecoder().decode(stdout).trim().split("\n");
    };
    const top = await completed("nexd ");
    for (const word of ["status", "peers", "ping", "doctor", "install", "relayderp", "router"]) {
      ok(top.includes(word), `${word} is not among ${top}`);
    }
    ok(!top.some((word) => word.startsWith("-")) && !top.includes("relayderp-worker"), `${top}`);
    deepEqual(await completed("nexd st"), ["status"]);
    deepEqual((await completed("nexd peers ")).sort(), ["list", "ping", "ping6"]);
    deepEqual((await completed("nexd --json peers p")).sort(), ["ping", "ping6"]);
    deepEqual(await completed("nexd ping --until"), ["--until-direct"]);
    deepEqual((await completed("nexd completion ")).sort(), ["bash", "fish", "zsh"]);
    deepEqual((await completed("nexd status --log-format ")).sort(), ["json", "text"]);
    deepEqual(await completed("nexd status --log-format = j"), ["json"]);
  } finally {
    await Deno.remove(script);
  }
});

Deno.test("zsh and fish complete commands with their printed scripts", async (t) => {
  const main = fileURLToPath(new URL("../main.ts", import.meta.url));
  const script = await Deno.makeTempFile();
  const shells: [string, string][] = [
    [
      "zsh",
      'compdef() { : }; source "$1"; compadd() { print -r -- ${(P)2} }\n' +
      'f() { local -a words; words=(nexd peers ""); local CURRENT=3; _nexd }; f',
    ],
    ["fish", 'source $argv[1]; complete -C "nexd peers " | string replace -r "\\t.*" ""'],
  ];
  try {
    for (const [shell, code] of shells) {
      await t.step(shell, async () => {
        const printed = await new Deno.Command(Deno.execPath(), {
          args: ["run", "-A", main, "completion", shell],
        }).output();
        await Deno.writeFile(script, printed.stdout);
        const args = shell === "zsh" ? ["-f", "-c", code, shell, script] : ["-c", code, script];
        let output: Deno.CommandOutput;
        try {
          output = await new Deno.Command(shell, { args }).output();
        } catch {
          return skip(`${shell} is not installed`);
        }
        const words = new TextDecoder().decode(output.stdout).trim().split(/\s+/);
        deepEqual(words.filter((word) => !word.startsWith("-")).sort(), ["list", "ping", "ping6"]);
      });
    }
  } finally {
    await Deno.remove(script);
  }
});

Deno.test("install runs a service by systemctl, shows what it does, and uninstall ends it", async () => {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) return skip("this needs root on Linux");
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${dir}/systemctl`, `#!/bin/sh\necho "$@" >> ${dir}/calls\n`, {
      mode: 0o755,
    });
    const main = fileURLToPath(new URL("../main.ts", import.meta.url));
    const run = async (...args: string[]) => {
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", main, ...args, "--root", dir],
        env: { PATH: `${dir}:${Deno.env.get("PATH")}`, NO_COLOR: "1" },
      }).output();
      equal(code, 0, new TextDecoder().decode(stderr));
      return new TextDecoder().decode(stdout);
    };
    const settings = ["--reg-key", "https://control.example#RK:secret", "--relay-only"];
    ok(!(await run("install", ...settings, "--dry-run")).includes("RK:"));
    await run("install", ...settings, "--mode", "router", "--advertise-cidr", "10.1.0.0/16");
    const unit = await Deno.readTextFile(`${dir}/etc/systemd/system/nexd.service`);
    match(unit, /^ExecStart=\S*deno run (\S+) --no-prompt -A \S+main\.ts router$/m);
    const { tasks } = JSON.parse(await Deno.readTextFile(new URL("../deno.json", import.meta.url)));
    equal(/^ExecStart=\S+ run (\S+)/m.exec(unit)![1], /^deno run (\S+)/.exec(tasks.agent)![1]);
    deepEqual((await Deno.readTextFile(`${dir}/etc/nexd/nexd.env`)).trim().split("\n").slice(1), [
      'NEXD_REG_KEY="https://control.example#RK:secret"',
      'NEXD_RELAY_ONLY="true"',
      'NEXD_REQUESTED_ADVERTISE_CIDR="10.1.0.0/16"',
    ]);
    const served = await run(
      ...["install", "--mode", "serve", "--hostname", "n.example.org"],
      "--dry-run",
    );
    // What keeps the memory of event streams small; it serves as many of them as `nexd control`.
    equal(/ExecStart=\S+ run (\S+)/.exec(served)![1], /^deno run (\S+)/.exec(tasks.control)![1]);
    await run("uninstall");
    deepEqual((await Deno.readTextFile(`${dir}/calls`)).trim().split("\n"), [
      "daemon-reload",
      "enable nexd.service",
      "start --no-block nexd.service",
      "disable --now nexd.service",
      "daemon-reload",
    ]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
