import { deepEqual, equal, match, ok } from "node:assert/strict";
import { skip } from "../../scripts/lab/support.ts";
import { libcPath, runRealtime } from "./mod.ts";

const SCHED_RR = 2;

interface Thread {
  name: string;
  policy: number;
  priority: number;
}

/** Tells the answer and the threads of a process and, if it is given a second argument, of a child. */
const NESTED = `
  const { runRealtime } = await import(Deno.args[0]);
  const said = runRealtime("on");
  const threads = [...Deno.readDirSync("/proc/self/task")].map((tid) => {
    const stat = Deno.readTextFileSync("/proc/self/task/" + tid.name + "/stat");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const name = stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")"));
    return { name, priority: Number(fields[37]), policy: Number(fields[38]) };
  });
  const all = [{ said, threads }];
  const [door, code] = Deno.args;
  if (code !== undefined) {
    const args = ["eval", "--quiet", code, door];
    const { stdout } = new Deno.Command(Deno.execPath(), { args }).outputSync();
    all.push(...JSON.parse(new TextDecoder().decode(stdout)));
  }
  console.log(JSON.stringify(all));`;

/** Asks a process of its own for the real-time class; tells the answer, and its child's policy. */
async function ask(mode: string, permissions: string[]): Promise<{ said: string; child: string }> {
  const code = `import { runRealtime } from "${new URL("./mod.ts", import.meta.url)}";
    const said = runRealtime("${mode}", 2) ?? "real-time";
    const args = ["{ print $41 }", "/proc/self/stat"];
    const child = new Deno.Command("awk", { args }).outputSync().stdout;
    console.log(JSON.stringify({ said, child: new TextDecoder().decode(child).trim() }));`;
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "--no-check", "--allow-run=awk", ...permissions, "-"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode(code));
  await writer.close();
  const { stdout } = await process.output();
  return JSON.parse(new TextDecoder().decode(stdout));
}

Deno.test("a process and what it starts are in the real-time class when it is on", async () => {
  const path = libcPath();
  if (path === undefined) return skip("no libc to call");
  const { said, child } = await ask("on", [`--allow-ffi=${path}`]);
  if (said.startsWith("not permitted")) return skip(`the real-time class is ${said}`);
  equal(said, "real-time");
  equal(child, "2");
});

Deno.test("the workers of V8 outrank the program that waits for them, also in a child", async () => {
  const path = libcPath();
  if (path === undefined) return skip("no libc to call");
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--quiet", NESTED, String(new URL("./mod.ts", import.meta.url)), NESTED],
  }).output();
  const said = new TextDecoder().decode(stdout).trim();
  equal(code, 0, said);
  const [own, child] = JSON.parse(said);
  if (own.said?.startsWith("not permitted")) return skip(`the real-time class is ${own.said}`);
  for (const { said, threads } of [own, child]) {
    equal(said, undefined);
    const main = threads.find(({ name }: Thread) => name === "deno");
    deepEqual([main.policy, main.priority], [SCHED_RR, 1]);
    const workers = threads.filter(({ name }: Thread) => name.startsWith("V8"));
    ok(workers.length > 0);
    for (const { policy, priority } of workers) deepEqual([policy, priority], [SCHED_RR, 2]);
  }
});

Deno.test("a process stays in the normal class when it may not call libc or it is off", async () => {
  const without = await ask("auto", []);
  match(without.said, /--allow-ffi/);
  equal(without.child, "0");
  const off = await ask("off", ["--allow-ffi"]);
  match(off.said, /switched off/);
  equal(off.child, "0");
});

Deno.test("a process stays in the normal class when it has one processor and nobody insists", () => {
  if (Deno.build.os !== "linux") return;
  match(runRealtime("auto", 1) ?? "", /one processor/);
});
