/**
 * Agents on kernel WireGuard, whole: run inside a machine that has it by `tests/kernel_test.ts`, and
 * wherever else the kernel has it. One slow processor is enough.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Lab, type NatKind } from "../../scripts/lab/mod.ts";
import { cannotLab, skip } from "../../scripts/lab/support.ts";
import { Mesh } from "../../scripts/mesh/mod.ts";

const PATH_MS = 60_000;

async function cannot(): Promise<boolean> {
  if (await cannotLab()) return true;
  await using lab = await Lab.create({ hosts: 1, nat: "open" });
  const { code } = await lab.host("a").run(["ip", "link", "add", "wg9", "type", "wireguard"]);
  if (code !== 0) skip("needs kernel WireGuard");
  return code !== 0;
}

async function inMesh(nat: NatKind, test: (mesh: Mesh, lab: Lab) => Promise<void>): Promise<void> {
  if (await cannot()) return;
  await using lab = await Lab.create({ hosts: 2, nat });
  const mesh = new Mesh(lab, { agents: ["a", "b"] });
  // One at a time: they would only wait for each other's processor.
  await mesh.startControl();
  await mesh.startRelay();
  for (const name of ["a", "b"]) {
    await mesh.startAgent(name);
    const { stdout } = await lab.host(name).run(["ip", "-details", "link", "show", "wg0"]);
    assert.match(stdout, /^ {4}wireguard/m, "the kernel drives it");
  }
  await test(mesh, lab);
  for (const name of ["a", "b"]) {
    await mesh.kill(name, "SIGTERM");
    assert.notEqual((await lab.host(name).run(["ip", "link", "show", "wg0"])).code, 0);
    assert.equal((await lab.host(name).run(["ls", "/run/nexd"])).stdout, "");
  }
}

async function pingBothWays(mesh: Mesh, methods: string[]): Promise<void> {
  for (const [from, to] of [["a", "b"], ["b", "a"]] as const) {
    await mesh.waitForPath(from, to, methods, PATH_MS);
    const { received } = await mesh.ping(from, to, { count: 10, intervalMs: 100 });
    assert.ok(received >= 9, `${from} to ${to}: ${received} of 10`);
  }
}

Deno.test("kernel WireGuard carries pings both ways through the relay", async () => {
  await inMesh("symmetric", async (mesh) => {
    await pingBothWays(mesh, ["via-derp-relay"]);
    const { peers } = await mesh.status("a");
    assert.match(peers[0]?.endpoint ?? "", /^127\.0\.0\.\d+:9002$/);
  });
});

Deno.test("kernel WireGuard carries pings both ways directly, also when made anew", async () => {
  await inMesh("open", async (mesh, lab) => {
    await pingBothWays(mesh, ["direct-local", "reflexive"]);
    assert.equal((await lab.host("a").run(["ip", "link", "delete", "wg0"])).code, 0);
    const deadline = Date.now() + PATH_MS;
    while ((await lab.host("a").run(["ip", "link", "show", "wg0"])).code !== 0) {
      assert.ok(Date.now() < deadline, "the interface is back");
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    let received = 0;
    while (received < 9) {
      assert.ok(Date.now() < deadline, `pings after the interface was deleted: ${received} of 10`);
      ({ received } = await mesh.ping("a", "b", { count: 10, intervalMs: 100 }));
    }
  });
});
