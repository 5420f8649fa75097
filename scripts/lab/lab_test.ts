import assert from "node:assert/strict";
import { Lab, LabError } from "./mod.ts";
import { isHeld, labRoot } from "./dirs.ts";
import { descendantsOf, isAlive } from "./proc.ts";
import { cannotLab } from "./support.ts";

const exists = (path: string) => {
  try {
    return Deno.statSync(path) !== undefined;
  } catch {
    return false;
  }
};
const until = async (what: string, done: () => boolean) => {
  for (const end = Date.now() + 5_000; !done();) {
    if (Date.now() > end) throw new Error(`Cannot see within 5 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};

Deno.test("a host sees a machine of its own when it looks around", async () => {
  if (await cannotLab()) return;
  await using lab = await Lab.create({ hosts: 2, nat: "symmetric" });
  const sh = async (name: string, script: string) => {
    const { code, stdout, stderr } = await lab.host(name).run(["sh", "-c", script]);
    assert.equal(code, 0, stderr);
    return stdout.trim();
  };
  assert.equal(await sh("a", "hostname"), "a");
  assert.equal(await sh("relay", "hostname"), "relay");
  await sh("a", "touch /run/mine && test -e /var/run/mine && test -d /var/run/wireguard");
  await sh("b", "test ! -e /run/mine");
  assert.match(await sh("a", "getent hosts api.control"), /^203\.0\.113\.2\s/);
  await sh("a", "echo '1.2.3.4 added' >>/etc/hosts && getent hosts added");
  await sh("b", "! getent hosts added");
  assert.equal(await sh("a", "cat /etc/resolv.conf"), "");
  await sh("a", "ping -c1 -W2 relay && ping -c1 -W2 127.0.0.9");
  await sh("b", "! ping -c1 -W1 192.168.1.10");
  assert.ok(!exists("/run/mine"));
});

Deno.test("two labs do not see each other when they stand at the same time", async () => {
  if (await cannotLab()) return;
  const make = () => Lab.create({ hosts: 1, nat: "open" as const });
  const [one, two] = await Promise.all([make(), make()]);
  try {
    assert.notEqual(one.dir, two.dir);
    const server = await one.host("relay").spawn(["sleep", "60"]);
    assert.ok(isAlive(server.pid));
    const list = ["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"];
    assert.match((await one.host("a").run(list)).stdout, /sleep 60/);
    assert.doesNotMatch((await two.host("a").run(list)).stdout, /sleep 60/);
  } finally {
    await Promise.all([one, two].map((lab) => lab[Symbol.asyncDispose]()));
  }
});

Deno.test("run hands over output, input, environment and exit code when a command ends", async () => {
  if (await cannotLab()) return;
  await using lab = await Lab.create({ hosts: 1, nat: "open" });
  const result = await lab.host("a").run(
    ["sh", "-c", 'cat; echo "$MARK with space" "$1" >&2; exit 7', "sh", "it's"],
    { input: "typed", env: { MARK: "marked" } },
  );
  assert.deepEqual(result, { code: 7, stdout: "typed", stderr: "marked with space it's\n" });
  await assert.rejects(lab.host("a").run(["sleep", "60"], { timeoutMs: 50 }), LabError);
});

Deno.test("a lab's processes get the caller's NEXD_ variables and none of the user's", async () => {
  if (await cannotLab()) return;
  Deno.env.set("NEXD_RELAY_ONLY", "true");
  Deno.env.set("LAB_TEST_OTHER", "kept");
  try {
    await using lab = await Lab.create({ hosts: 1, nat: "open" });
    const host = lab.host("a");
    const argv = ["sh", "-c", "env | grep -E '^(NEXD_|LAB_TEST_)' | sort; echo end"];
    const env = { NEXD_INTERFACE: "wg7" };
    const wanted = "LAB_TEST_OTHER=kept\nNEXD_INTERFACE=wg7\nend\n";
    assert.equal((await host.run(argv, { env })).stdout, wanted);
    const spawned = await host.spawn(argv, { env });
    await spawned.waitFor(/^end$/, 2_000);
    assert.equal(Deno.readTextFileSync(spawned.log), wanted);
    const init = Deno.readTextFileSync(`/proc/${lab.initPid}/environ`);
    assert.doesNotMatch(init, /NEXD_/);
  } finally {
    Deno.env.delete("NEXD_RELAY_ONLY");
    Deno.env.delete("LAB_TEST_OTHER");
  }
});

Deno.test("a spawned process is known by its real pid when a test kills it", async () => {
  if (await cannotLab()) return;
  await using lab = await Lab.create({ hosts: 1, nat: "open" });
  const process = await lab.host("a").spawn(["sh", "-c", "echo up; exec sleep 60"]);
  assert.equal(await process.waitFor(/^u/, 2_000), "up");
  await until("exec", () => Deno.readTextFileSync(`/proc/${process.pid}/comm`) === "sleep\n");
  process.kill("SIGKILL");
  assert.equal(await process.exited, 137);
  assert.ok(!isAlive(process.pid));
  await assert.rejects(process.waitFor(/never/, 2_000), /it ended; its output ends:\n {2}up/);
  process.kill("SIGKILL"); // of a dead one: nothing happens
});

Deno.test("an orphan is reaped when its parent is killed", async () => {
  if (await cannotLab()) return;
  await using lab = await Lab.create({ hosts: 1, nat: "open" });
  const parent = await lab.host("a").spawn(["sh", "-c", "sleep 0.2 & echo $!; wait"]);
  await parent.waitFor(/^\d+$/, 2_000);
  const [orphan] = descendantsOf(parent.pid);
  parent.kill("SIGKILL");
  await until("the orphan's entry to go", () => !exists(`/proc/${orphan}`));
});

Deno.test("dispose leaves neither process nor directory when the lab was busy", async () => {
  if (await cannotLab()) return;
  const lab = await Lab.create({ hosts: 1, nat: "cone" });
  await lab.host("a").spawn(["sh", "-c", "trap '' TERM INT HUP; sleep 60; sleep 60"]);
  const pids = [lab.initPid, ...descendantsOf(lab.initPid)];
  await lab[Symbol.asyncDispose]();
  assert.deepEqual(pids.filter(isAlive), []);
  assert.ok(!exists(lab.dir));
  await lab[Symbol.asyncDispose](); // twice is once
});

Deno.test("dispose leaves no wrapper behind when a process was stopped", async () => {
  if (await cannotLab()) return;
  const lab = await Lab.create({ hosts: 1, nat: "open" });
  const process = await lab.host("a").spawn(["sleep", "60"]);
  const wrapper = Number(
    Deno.readTextFileSync(`/proc/${process.pid}/status`).match(/^PPid:\t(\d+)/m)?.[1],
  );
  process.kill("SIGSTOP");
  await until(
    "the wrapper to stop too",
    () => / T /.test(Deno.readTextFileSync(`/proc/${wrapper}/stat`)),
  );
  await lab[Symbol.asyncDispose]();
  assert.equal(await process.exited, 137);
  assert.ok(!isAlive(wrapper));
});

const OWNER = `
  import { Lab } from ${JSON.stringify(import.meta.resolve("./mod.ts"))};
  const lab = await Lab.create({ hosts: 1, nat: "symmetric" });
  await lab.host("a").spawn(["setsid", "sh", "-c", "trap '' TERM HUP; sleep 60; sleep 60"]);
  if (Deno.args[0] === "keep") await lab.keep();
  console.log(JSON.stringify({ dir: lab.dir, id: lab.id, init: lab.initPid }));
  if (Deno.args[0] !== "keep") setInterval(() => {}, 1000);
`;

/** Starts a program that owns a lab; returns when the lab stands. */
async function owner(...args: string[]) {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-config", "--ext=ts", "-", ...args],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(OWNER));
  await writer.close();
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  await reader.cancel();
  const lab = JSON.parse(new TextDecoder().decode(value)) as {
    dir: string;
    id: string;
    init: number;
  };
  return { child, lab, pids: [lab.init, ...descendantsOf(lab.init)] };
}

Deno.test("nothing outlives the program when it is killed, and the next lab sweeps", async () => {
  if (await cannotLab()) return;
  const { child, lab, pids } = await owner();
  assert.ok(pids.every(isAlive));
  assert.ok(isHeld(lab.dir));
  child.kill("SIGKILL");
  await child.status;
  await until("the end of every process", () => !pids.some(isAlive));
  await using _ = await Lab.create({ hosts: 1, nat: "open" });
  assert.ok(!exists(lab.dir), `${lab.dir} under ${labRoot()} is gone`);
});

Deno.test("a kept lab stands without its program until it is ended", async () => {
  if (await cannotLab()) return;
  const { child, lab, pids } = await owner("keep");
  assert.equal((await child.status).code, 0);
  await using _ = await Lab.create({ hosts: 1, nat: "open" }); // sweeps, and must spare it
  assert.ok(pids.every(isAlive));
  await Lab.end(lab.id);
  assert.deepEqual(pids.filter(isAlive), []);
  assert.ok(!exists(lab.dir));
  await assert.rejects(Lab.end(lab.id), /no such lab/);
  await assert.rejects(Lab.end("../etc"), /no such lab/);
});

Deno.test("a lab is refused in one sentence when its size or NAT is impossible", async () => {
  await assert.rejects(Lab.create({ hosts: 17, nat: "open" }), /choose 1 to 16/);
  // deno-lint-ignore no-explicit-any
  await assert.rejects(Lab.create({ hosts: 1, nat: "full" as any }), /symmetric, cone, open/);
});
