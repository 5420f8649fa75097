import { equal, match, ok } from "node:assert/strict";
import { Lab, type NatKind } from "../scripts/lab/mod.ts";
import { cannotMesh } from "../scripts/lab/support.ts";
import { Mesh } from "../scripts/mesh/mod.ts";
import { addLan, answers, look } from "./routing_support.ts";

for (const [nat, way] of [["open", "reflexive"], ["symmetric", "via-derp-relay"]] as const) {
  Deno.test(`networks behind a router are reached over both IP versions when the way is ${way}`, async () => {
    if (await cannotMesh()) return;
    await using lab = await Lab.create({ hosts: 2, nat: nat as NatKind });
    await addLan(lab, "b", "172.20.7", "fd00:20:7");
    const before = [await look(lab, "a"), await look(lab, "b")];
    const args = ["--advertise-cidr", "172.20.7.0/24", "--advertise-cidr", "fd00:20:7::/64"];
    const mesh = await Mesh.start(lab, {
      agents: ["a", "b"],
      hosts: { b: { mode: "router", args: [...args, "--network-router"] } },
    });
    await mesh.waitForPath("a", "b", way, 20_000);
    for (const address of ["172.20.7.2", "fd00:20:7::2"]) await answers(lab, "a", address);
    match((await mesh.status("a")).host!.join(), /networks behind peers: 172.20.7.0\/24/);
    match(await look(lab, "b"), /nexd_routing_wg0/);

    // Killed, it leaves rules behind, which its next life takes away or uses again.
    await mesh.kill("a");
    ok((await look(lab, "a")).includes("lookup 29000"));
    await mesh.startAgent("a");
    for (const address of ["172.20.7.2", "fd00:20:7::2"]) await answers(lab, "a", address);
    await mesh.kill("b");
    for (const host of ["a", "b"]) {
      if (host === "b") await mesh.startAgent("b");
      await mesh.kill(host, "SIGTERM");
      equal(await look(lab, host), before[host === "a" ? 0 : 1]);
    }
  });
}
