import { equal, match } from "node:assert/strict";
import { skip } from "../../scripts/lab/support.ts";
import { libcPath, runRealtime } from "./mod.ts";

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
