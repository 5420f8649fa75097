/** What agents of every kind leave on a host when they end: nothing. */
import { equal, ok } from "node:assert/strict";
import { ensureSelfSigned } from "../relay/cert/mod.ts";
import { Lab } from "../scripts/lab/mod.ts";
import { cannotMesh } from "../scripts/lab/support.ts";
import { Mesh } from "../scripts/mesh/mod.ts";
import { callApi } from "./api_calls.ts";
import { addLan, at, inLab } from "./routing_support.ts";
import { USER_ENV } from "./sign_in.ts";
import { pause } from "./support.ts";

const HOSTS = ["a", "b", "c", "d"];
/** Name of the DERP relay, which no DNS knows. */
const NAME = "custom.relay.lab";

/** Everything that may be ours on a host, in the terms of the programs that show it. */
const LOOK = `
echo "# links";     ip -o link | sed 's/^[0-9]*: //'
echo "# addresses"; ip -o address | sed 's/^[0-9]*: //'
echo "# rules";     ip -4 rule; ip -6 rule
echo "# routes";    ip -4 route show table all; ip -6 route show table all
echo "# nftables";  nft list ruleset
echo "# settings";  sysctl -a 2>/dev/null | grep ^net | grep -v nf_conntrack_count
echo "# files";     find /run /etc/hosts /etc/resolv.conf -printf '%p %y %m %U %G\\n' | sort
                    cat /etc/hosts /etc/resolv.conf
echo "# sockets";   ss -Hlntu | sort; sed 's/.* //' /proc/net/unix | sort
echo "# processes"
for p in /proc/[0-9]*; do
  [ "$(readlink $p/ns/net)" = "$(readlink /proc/self/ns/net)" ] || continue
  case $(cat $p/comm 2>/dev/null) in deno*|nexd*|wireguard*|wg|nft) cat $p/comm;; esac
done; true
`;

/** What others have made, some of it where ours would be. */
const OTHERS = `
ip rule add to 198.18.0.0/16 lookup 77 priority 29500
ip -6 rule add to 2001:db8:77::/48 lookup 77 priority 29500
ip route add unreachable 198.18.0.0/16 table 77
nft add table inet mine
nft add chain inet mine out '{ type filter hook output priority 5; }'
sysctl -qw net.ipv4.conf.all.rp_filter=2
printf '192.0.2.7 theirs' >>/etc/hosts # and no end of the line
`;

async function shell(lab: Lab, script: string): Promise<Record<string, string>> {
  const texts = HOSTS.map(async (host) => {
    const { code, stdout, stderr } = await lab.host(host).run(["sh", "-ec", script]);
    equal(code, 0, stderr);
    return [host, stdout];
  });
  return Object.fromEntries(await Promise.all(texts));
}

/** Compares line by line: the whole texts are too long to be read. */
function same(now: Record<string, string>, before: Record<string, string>, when: string): void {
  for (const host of HOSTS) {
    const [old = [], next = []] = [before[host]!, now[host]!].map((text) => text.split("\n"));
    const changes = [
      ...next.filter((line) => !old.includes(line)).map((line) => `+ ${line}`),
      ...old.filter((line) => !next.includes(line)).map((line) => `- ${line}`),
    ];
    equal([host, when, ...changes].join("\n"), [host, when].join("\n"));
    equal(now[host], before[host]);
  }
}

Deno.test("hosts are to the last byte what they were when agent, exit node, relay and DERP relay end, also after a crash", async () => {
  if (await cannotMesh()) return;
  await using lab = await Lab.create({ hosts: 4, nat: ["symmetric", "cone", "open", "open"] });
  await addLan(lab, "b", "172.20.7", "fd00:20:7");
  await inLab(lab, "ip address add 203.0.113.200/24 dev wan");
  await at(lab, "b", "ip link set lan addrgenmode none; ip -6 address flush dev lan scope link");
  await shell(lab, OTHERS);
  const before = await shell(lab, LOOK);
  const router = ["--advertise-cidr", "172.20.7.0/24", "--advertise-cidr", "fd00:20:7::/64"];
  await ensureSelfSigned(`${lab.dir}/relay`, ["relay"]);
  await ensureSelfSigned(`${lab.dir}/relay-c`, [NAME]);
  const cas = ["relay", "relay-c"].map((dir) => Deno.readTextFileSync(`${lab.dir}/${dir}/ca.crt`));
  Deno.writeTextFileSync(`${lab.dir}/relay-cas.pem`, cas.join(""));
  const mesh = new Mesh(lab, {
    agents: HOSTS,
    env: USER_ENV,
    agentArgs: ["--relay-ca", `${lab.dir}/relay-cas.pem`],
    hosts: {
      a: { args: ["--exit-node-client"] },
      b: { mode: "router", args: [...router, "--network-router", "--exit-node"] },
      d: { mode: "relay" },
    },
  });
  await Promise.all([mesh.startControl(), mesh.startRelay()]);
  const [groups] = await callApi(mesh, { method: "GET", path: "/api/security-groups" });
  const inbound_rules = ["icmp", "ipv6", "udp"]
    .map((ip_protocol) => ({ ip_protocol, from_port: 0, to_port: 0 }));
  await callApi(mesh, {
    method: "PATCH",
    path: `/api/security-groups/${groups!.body[0].id}`,
    body: { inbound_rules },
  });
  const start = async () => {
    await mesh.startAgent("d"); // a relay of this kind comes first or not at all
    await Promise.all([
      mesh.startVpcRelay("c", { hostname: NAME, args: ["--certmode", "manual"] }),
      ...["a", "b"].map((host) => mesh.startAgent(host)),
    ]);
    let missing: string[] = [];
    for (const end = Date.now() + 25_000;; await pause(500)) {
      const now = await shell(lab, LOOK);
      const wanted: [string, RegExp][] = [
        ["a", new RegExp(` ${NAME} `)],
        ["a", /lookup 290\d\d/],
        ["a", /default dev wg0 table 29/],
        ...["a", "b", "d"].map((host): [string, RegExp] => [host, /nexd-groups-wg0/]),
        ...["a", "b", "d"].map((host): [string, RegExp] => [host, /wireguard-go|wg0: /]),
        ["b", /nexd_routing_wg0/],
        ["b", /net.ipv4.ip_forward = 1/],
        ["d", /net.ipv6.conf.all.forwarding = 1/],
      ];
      missing = wanted.filter(([host, what]) => !what.test(now[host]!)).map((one) => one.join(" "));
      if (missing.length === 0) return;
      ok(Date.now() < end, `${missing.join("; ")}\n${now.a}`);
    }
  };
  const parts = ["a", "b", "d", "relay-c"];
  const end = (signal: Deno.Signal) => Promise.all(parts.map((part) => mesh.kill(part, signal)));

  await start();
  await end("SIGTERM");
  same(await shell(lab, LOOK), before, "after their end");

  // Killed, they leave what the next life takes away.
  await start();
  await end("SIGKILL");
  await start();
  await end("SIGTERM");
  same(await shell(lab, LOOK), before, "after a crash and an end");

  // Told to end while they start.
  for (const first of [300, 900]) {
    await Promise.all(
      ["a", "b", "d"].map(async (host, i) => {
        const started = mesh.startAgent(host).catch(() => {});
        await pause(first + 200 * i);
        mesh.parts.get(host)!.kill("SIGTERM");
        await started;
        await mesh.parts.get(host)!.exited;
      }),
    );
    same(await shell(lab, LOOK), before, `after an end ${first} ms after the start`);
  }
});
