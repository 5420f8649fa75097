/**
 * What the tests of routing share: scripts in a lab's namespaces, networks behind its hosts, and what
 * routing changes on a host.
 *
 * @module
 */

import { equal } from "node:assert/strict";
import { enterFlags } from "../scripts/lab/holder.ts";
import type { Lab } from "../scripts/lab/mod.ts";

/** Runs a shell script in the lab's own namespace, from which all others can be entered. */
export async function inLab(lab: Lab, script: string): Promise<string> {
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
export async function addLan(
  lab: Lab,
  host: string,
  v4: string,
  v6: string,
  back = false,
): Promise<void> {
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
export function look(lab: Lab, host: string): Promise<string> {
  return inLab(
    lab,
    `nsenter --net=/run/netns/${host} sh -c '
       ip -4 rule; ip -6 rule; ip -4 route show table all | grep -v wg0 || true
       nft list tables; cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding
       cat /proc/sys/net/ipv4/conf/all/src_valid_mark; cat /proc/sys/net/ipv6/conf/*/accept_ra'`,
  );
}

export async function answers(lab: Lab, host: string, address: string, ms = 10_000): Promise<void> {
  for (const end = Date.now() + ms;;) {
    const { code, stdout } = await lab.host(host).run(["ping", "-n", "-c1", "-W1", address]);
    if (code === 0) return;
    if (Date.now() > end) throw new Error(`${address} does not answer ${host}: ${stdout}`);
  }
}

/** Runs a shell script in one namespace of the lab: a host's, or `router-HOST`. */
export function at(lab: Lab, namespace: string, script: string): Promise<string> {
  return inLab(lab, `nsenter --net=/run/netns/${namespace} sh -ec '${script}'`);
}
