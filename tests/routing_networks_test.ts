import { equal, match, ok } from "node:assert/strict";
import { enterFlags } from "../scripts/lab/holder.ts";
import { Lab, type NatKind } from "../scripts/lab/mod.ts";
import { cannotMesh } from "../scripts/lab/support.ts";
import { Mesh } from "../scripts/mesh/mod.ts";

/** Runs a shell script in the lab's own namespace, from which all others can be entered. */
async function inLab(lab: Lab, script: string): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command("nsenter", {
    args: [...enterFlags(lab.initPid), "sh", "-ec", script],
    stdout: "piped",
    stderr: "piped",
  }).output();
  const text = new TextDecoder();
  equal(code, 0, text.decode(stderr));
  return text.decode(stdout);
}

/** Puts a network behind a host, with one machine in it: addresses end in .1 and .2. */
async function addLan(lab: Lab, host: string, v4: string, v6: string, back = false): Promise<void> {
  const lan = `lan-${host}`;
  const inside = `ip netns exec ${lan}`, at = `nsenter --net=/run/netns/${host}`;
  await inLab(
    lab,
    `ip netns add ${lan}
     ${at} ip link add lan type veth peer name eth0 netns ${lan}
     ${at} ip address add ${v4}.1/24 dev lan
     ${at} ip address add ${v6}::1/64 dev lan nodad
     ${at} ip link set lan up
     ${inside} ip link set lo up
     ${inside} ip address add ${v4}.2/24 dev eth0
     ${inside} ip address add ${v6}::2/64 dev eth0 nodad
     ${inside} ip link set eth0 up
     ${back ? `${inside} ip route add default via ${v4}.1` : ""}
     ${back ? `${inside} ip route add default via ${v6}::1` : ""}`,
  );
}

/** Everything on a host that routing may change. */
function look(lab: Lab, host: string): Promise<string> {
  return inLab(
    lab,
    `nsenter --net=/run/netns/${host} sh -c '
       ip -4 rule; ip -6 rule; ip -4 route show table all | grep -v wg0 || true
       nft list tables; cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding
       cat /proc/sys/net/ipv4/conf/all/src_valid_mark; cat /proc/sys/net/ipv6/conf/*/accept_ra'`,
  );
}

async function answers(lab: Lab, host: string, address: string, ms = 10_000): Promise<void> {
  for (const end = Date.now() + ms;;) {
    const { code, stdout } = await lab.host(host).run(["ping", "-n", "-c1", "-W1", address]);
    if (code === 0) return;
    if (Date.now() > end) throw new Error(`${address} does not answer ${host}: ${stdout}`);
  }
}

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
