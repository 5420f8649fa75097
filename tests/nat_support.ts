/**
 * What tests do to the routers of a lab while agents run behind them.
 *
 * @module
 */
import { equal } from "node:assert/strict";
import { enterFlags } from "../scripts/lab/holder.ts";
import type { Lab } from "../scripts/lab/mod.ts";

/** Runs a shell script on the router before an agent's host; without one, on the Internet's. */
export async function onRouter(lab: Lab, host: string | undefined, script: string): Promise<void> {
  const router = host === undefined ? [] : ["nsenter", `--net=/run/netns/router-${host}`];
  const { code, stderr } = await new Deno.Command("nsenter", {
    args: [
      ...enterFlags(lab.initPid),
      ...[...router, "sh", "-ec", script],
    ],
    stdout: "piped",
    stderr: "piped",
  }).output();
  equal(code, 0, new TextDecoder().decode(stderr));
}

/**
 * Gives a router another rule for UDP source ports, and has it forget its connections: masquerading
 * ends with the address that it used.
 */
export function renat(lab: Lab, host: string, rule: string): Promise<void> {
  const { publicAddress } = lab.host(host);
  return onRouter(
    lab,
    host,
    `nft flush chain ip nat postrouting
     nft add rule ip nat postrouting oifname wan meta l4proto udp masquerade ${rule}
     nft add rule ip nat postrouting oifname wan masquerade
     ip address del ${publicAddress}/24 dev wan
     ip address add ${publicAddress}/24 dev wan
     ip route replace default via 203.0.113.1`,
  );
}

/**
 * Gives hosts and the relay IPv6. The hosts' routers let in what answers, and nothing else: the
 * firewalls of two peers open only when both send.
 */
export async function giveIpv6(
  lab: Lab,
  names: string[],
): Promise<{ relay: string; hosts: Record<string, string> }> {
  const relay = "2001:db8::3";
  const setUp = async (host: string, ...lines: string[]) => {
    const { code, stderr } = await lab.host(host).run(["sh", "-ec", lines.join("\n")]);
    equal(code, 0, stderr);
  };
  await setUp("relay", `ip address add ${relay}/64 dev eth0 nodad`);
  const hosts: Record<string, string> = {};
  for (const [i, name] of names.entries()) {
    const network = `2001:db8:${i + 10}::`, wan = `2001:db8::${i + 11}`;
    hosts[name] = `${network}10`;
    const others = names.flatMap((_, other) =>
      other === i ? [] : [`ip route add 2001:db8:${other + 10}::/64 via 2001:db8::${other + 11}`]
    );
    await onRouter(
      lab,
      name,
      `echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
       ip address add ${wan}/64 dev wan nodad
       ip address add ${network}1/64 dev lan nodad
       ip address add fe80::1/64 dev wan nodad
       ip address add fe80::2/64 dev lan nodad
       ${others.join("\n")}
       nft -f - <<END
         table ip6 filter {
           chain forward {
             type filter hook forward priority filter; policy drop;
             iifname "lan" accept
             ct state established,related accept
           }
         }
END`,
    );
    await setUp(
      name,
      `ip address add ${hosts[name]}/64 dev eth0 nodad`,
      `ip route add default via ${network}1`,
    );
    await setUp("relay", `ip route add ${network}/64 via ${wan}`);
  }
  return { relay, hosts };
}

/** Has both hosts drop, without a word, what comes from the other's outside address. */
export async function deafen(lab: Lab): Promise<void> {
  for (const [host, other] of [["a", "b"], ["b", "a"]] as const) {
    const { code, stderr } = await lab.host(host).run(["nft", "-f", "-"], {
      input: `table inet deaf { chain in { type filter hook input priority 0; ip saddr ${
        lab.host(other).publicAddress
      } meta l4proto udp drop; }; }`,
    });
    equal(code, 0, stderr);
  }
}

/** They hear each other again. */
export async function undeafen(lab: Lab): Promise<void> {
  for (const host of ["a", "b"]) {
    equal((await lab.host(host).run(["nft", "delete", "table", "inet", "deaf"])).code, 0);
  }
}
