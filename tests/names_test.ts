/** Names in the hosts file of real hosts, where it is a mount of its own, as in containers. */
import { equal, match, ok } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { Lab, type LabProcess } from "../scripts/lab/mod.ts";
import { cannotLab } from "../scripts/lab/support.ts";
import { pause } from "./support.ts";

type Host = ReturnType<Lab["host"]>;

const PROGRAM = fileURLToPath(new URL("./names_host.ts", import.meta.url));
const NAME = "custom.relay.test";

function pin(host: Host, owner: string, name: string, address: string): Promise<LabProcess> {
  return host.spawn([Deno.execPath(), "run", "-A", PROGRAM, owner, name, address], {
    log: `names-${owner}-${crypto.randomUUID().slice(0, 8)}`,
    env: { NO_COLOR: "1" },
  });
}

async function sh(host: Host, script: string): Promise<string> {
  const { code, stdout, stderr } = await host.run(["sh", "-c", script]);
  equal(code, 0, stderr);
  return stdout;
}

async function until(what: string, ready: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 5_000; !await ready(); await pause(50)) {
    ok(Date.now() < end, `${what}: not within 5 s`);
  }
}

Deno.test("names are pinned on a host while an agent needs them, whatever others do to the file", async (t) => {
  if (await cannotLab()) return;
  await using lab = await Lab.create({ hosts: 1, nat: "open" });
  const host = lab.host("a");
  const file = () => sh(host, "cat /etc/hosts");
  const before = await file();
  match(await sh(host, "cat /proc/mounts"), / \/etc\/hosts /, "it is no mount here");

  await t.step("the system resolves a pinned name, and forgets it at the end", async () => {
    const agent = await pin(host, "wg0", NAME, "203.0.113.77");
    await agent.waitFor(/is 203.0.113.77 in \/etc\/hosts/, 10_000);
    equal((await sh(host, `getent hosts ${NAME}`)).split(/\s+/)[0], "203.0.113.77");
    agent.kill("SIGTERM");
    equal(await agent.exited, 0);
    equal(await file(), before);
  });

  await t.step("what a killed agent left is gone at the next start, not before", async () => {
    const agent = await pin(host, "wg0", NAME, "203.0.113.77");
    await agent.waitFor(/is 203/, 10_000);
    agent.kill("SIGKILL");
    await agent.exited;
    ok((await file()).includes(NAME));
    const next = await pin(host, "wg0", `other.${NAME}`, "203.0.113.78");
    await next.waitFor(/is 203/, 10_000);
    ok(!(await file()).includes("203.0.113.77"));
    next.kill("SIGTERM");
    await next.exited;
    equal(await file(), before);
  });

  await t.step("two agents and an editor at the same time lose nothing of each other", async () => {
    const one = await pin(host, "wg0", NAME, "203.0.113.77");
    const two = await pin(host, "wg1", `two.${NAME}`, "2001:db8::7");
    await Promise.all([one.waitFor(/is 203/, 10_000), two.waitFor(/is 2001/, 10_000)]);
    await sh(host, 'for i in $(seq 50); do echo "10.0.0.$i n$i" >> /etc/hosts; done');
    // Somebody takes away what is not theirs: it comes back.
    await sh(host, "grep -v nexd /etc/hosts > /run/h && cat /run/h > /etc/hosts");
    await until("both names", async () => {
      const text = await file();
      return text.includes("# END nexd wg0") && text.includes("# END nexd wg1");
    });
    equal((await sh(host, `getent hosts two.${NAME}`)).split(/\s+/)[0], "2001:db8::7");
    for (const agent of [one, two]) agent.kill("SIGTERM");
    await Promise.all([one.exited, two.exited]);
    const added = Array.from({ length: 50 }, (_, i) => `10.0.0.${i + 1} n${i + 1}\n`).join("");
    equal(await file(), before + added);
  });

  await t.step("a file that cannot be written is told, with what to do", async () => {
    await sh(host, "mount -o remount,ro,bind /etc/hosts");
    const agent = await pin(host, "wg0", NAME, "203.0.113.77");
    match(await agent.waitFor(/Cannot change/, 10_000), /add "203.0.113.77 custom.relay.test"/);
    agent.kill("SIGTERM");
    await agent.exited;
  });
});
