import { equal, ok } from "node:assert/strict";
import { Lab } from "../scripts/lab/mod.ts";
import { cannotMesh } from "../scripts/lab/support.ts";
import { Mesh } from "../scripts/mesh/mod.ts";
import { deafen, undeafen } from "./nat_support.ts";
import { pause, pingOn } from "./support.ts";

/** Waits until both hosts reach each other by a method, with nothing of the change left on either. */
async function settled(mesh: Mesh, method: string, timeoutMs: number): Promise<void> {
  for (const end = Date.now() + timeoutMs;;) {
    const both = await Promise.all([["a", "b"], ["b", "a"]].map(async ([host, other]) => {
      const { peers } = await mesh.status(host!);
      const peer = peers.find(({ hostname }) => hostname === other)!;
      const tables = await mesh.lab.host(host!).run(["nft", "list", "tables"]);
      return `${peer.method}, ${peer.code === "probing" ? "changing" : peer.healthy}, ${
        tables.stdout.includes("crossing") ? "stand-ins" : "clean"
      }`;
    }));
    if (both.every((one) => one === `${method}, true, clean`)) return;
    ok(Date.now() < end, `still ${both.join("; ")}`);
    await pause(200);
  }
}

Deno.test("hosts go behind the VPC's WireGuard relay and from there to a direct way without losing a ping", async () => {
  if (await cannotMesh()) return;
  await using lab = await Lab.create({ hosts: 3, nat: ["cone", "cone", "open"] });
  await deafen(lab);
  const mesh = await Mesh.start(lab, { agents: ["a", "b"], hosts: { c: { mode: "relay" } } });
  for (const [host, other] of [["a", "b"], ["b", "a"]] as const) {
    await mesh.waitForPath(host, other, "via-derp-relay", 15_000);
  }
  const ping = await pingOn(mesh, "a", "b", 10);
  const six = await pingOn(mesh, "b", "a", 10, 6);
  await mesh.startAgent("c");
  await settled(mesh, "via-relay", 30_000);
  await undeafen(lab);
  await settled(mesh, "reflexive", 40_000);
  await pause(1_000);
  for (const running of [ping, six]) {
    const { received, lost } = await running.stop();
    ok(received > 1_000);
    equal(lost, 0, `${lost} of ${received + lost} pings lost`);
  }
});
