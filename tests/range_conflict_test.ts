import assert from "node:assert/strict";
import { inMesh } from "./support.ts";

Deno.test("agent lets go of the tunnel while its host is in the VPC's range, and takes it up again", async () => {
  await inMesh({ nat: "open" }, async (mesh, lab) => {
    const methods = ["direct-local", "reflexive"];
    await mesh.waitForPath("a", "b", methods, 20_000);
    const host = lab.host("a");
    const { tunnel_ipv4, tunnel_ipv6 } = await mesh.status("a");
    const link = async () => (await host.run(["ip", "link", "show", "wg0"])).code === 0;
    const until = async (what: string, done: () => Promise<boolean | undefined>) => {
      for (const end = Date.now() + 20_000; !await done();) {
        assert.ok(Date.now() < end, what);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    };

    // The host comes into a network that its peers' addresses are in: their routes go.
    await host.run(["ip", "address", "add", "100.64.0.200/16", "dev", "eth0"]);
    const peer = await mesh.tunnelIp("b");
    const way = async () => (await host.run(["ip", "route", "get", peer])).stdout;
    await until("the peer's route is withdrawn", async () => / dev eth0 /.test(await way()));
    // No interface is made there.
    await host.run(["ip", "link", "delete", "wg0"]);
    await until(
      "the conflict in the status",
      async () => (await mesh.status("a")).error?.includes("100.64.0.0/16 of this host's eth0"),
    );
    const status = await mesh.status("a");
    assert.deepEqual([status.tunnel_ipv4, status.tunnel_ipv6], [tunnel_ipv4, tunnel_ipv6]);
    assert.equal(await link(), false);
    assert.match(await mesh.statusText("a"), /overlap/);

    await host.run(["ip", "address", "del", "100.64.0.200/16", "dev", "eth0"]);
    await until("the interface is back", link);
    await until("pings pass again", async () => {
      return (await mesh.ping("a", "b", { count: 3, intervalMs: 100 })).received === 3;
    });
  });
});
