import assert from "node:assert/strict";
import { agentFindings } from "./agent.ts";
import { examine, type NetworkReport, type Patient } from "./mod.ts";
import { encodeBindingResponse, parseBindingRequest } from "../../relay/stun/mod.ts";
import { judge, measureNetwork } from "./network.ts";
import { networkFindings } from "./outside.ts";
import { findCaptivePortal, lookAtRelay } from "./relay.ts";
import type { System } from "./system.ts";

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);

const GOOD: NetworkReport = {
  udp: "yes",
  nat: "cone",
  ipv4: "203.0.113.5:1000",
  ipv6_address: false,
  stun: [{ server: "s", seen: "203.0.113.5:1000" }],
  relays: [{ host: "relay.lab", port: 443, https_ms: 1.5 }],
  captive_portal: { found: "no", reason: "" },
};

const PATIENT: Patient = {
  stateDir: "/var/lib/nexd",
  interfaceName: "wg0",
  driver: "auto",
  status: undefined,
  apiUrl: new URL("https://api.control.lab"),
  caCerts: [],
  insecureSkipTlsVerify: false,
  stunServers: [],
  relays: [{ host: "relay.lab", port: 443 }],
  relayCaCerts: [],
};

/** A host on which everything is well, but for the changes. */
function host(change: Partial<System> = {}, programs: Record<string, string> = {}): System {
  const outputs: Record<string, string> = {
    "ip -json -4 route show table all": "[]",
    "ip -json -6 route show table all": "[]",
    "ip -json -4 route get 1.1.1.1": '[{"dev":"eth0"}]',
    "ip -json link show dev eth0": '[{"mtu":1500}]',
    "nft -s list ruleset": "",
    ...programs,
  };
  return {
    os: "linux",
    uid: 0,
    read: (path) =>
      Promise.resolve(path === "/proc/self/status" ? "CapEff:\t000001ffffffffff\n" : undefined),
    stat: () => Promise.resolve(undefined),
    open: () => Promise.resolve(),
    tryWrite: () => Promise.resolve(),
    find: (program) => Promise.resolve(`/bin/${program}`),
    run: (program, args) => {
      const stdout = outputs[[program, ...args].join(" ")];
      return Promise.resolve({
        code: stdout === undefined ? 1 : 0,
        stdout: stdout ?? "",
        stderr: "",
      });
    },
    resolve: () => Promise.resolve(["192.0.2.1"]),
    head: () => Promise.resolve(`HTTP/1.1 404 Not Found\r\ndate: ${new Date(NOW).toUTCString()}`),
    now: () => NOW,
    ...change,
  };
}

/** What is found beside what is well, as `level check: text`. */
async function troubles(
  system: System,
  patient: Partial<Patient> = {},
  report: NetworkReport = GOOD,
): Promise<string[]> {
  const findings = await examine({ ...PATIENT, ...patient }, () => Promise.resolve(report), system);
  for (const { level, remedy } of findings) {
    if (level === "broken" || level === "warning") assert(remedy !== undefined && remedy !== "");
  }
  return findings.filter(({ level }) => level === "broken" || level === "warning")
    .map(({ check, level, text }) => `${level} ${check}: ${text}`);
}

const missing = (...names: string[]) => (program: string) =>
  Promise.resolve(names.includes(program) ? undefined : `/bin/${program}`);

Deno.test("doctor finds nothing wrong with a host that is well", async () => {
  assert.deepEqual(await troubles(host()), []);
});

Deno.test("doctor tells each thing that is wrong on a host, with its remedy", async () => {
  const read = (texts: Record<string, string>): Partial<System> => ({
    read: (path) => Promise.resolve(texts[path] ?? "CapEff:\t000001ffffffffff\n"),
  });
  const file = (mode: number, directory = false) => ({ mode, uid: 0, directory });
  const route = (entry: string) => ({ "ip -json -4 route show table all": `[${entry}]` });
  const cases: [string, System, RegExp[], Partial<Patient>?][] = [
    ["no rights", host(read({ "/proc/self/status": "CapEff:\t0000000000000000\n" })), [
      /broken permissions: CAP_NET_ADMIN is missing/,
      /warning permissions: CAP_NET_RAW is missing/,
    ]],
    [
      "no TUN",
      host({ open: () => Promise.reject(new Deno.errors.NotFound()) }),
      [/broken TUN: \/dev\/net\/tun: it does not exist/],
    ],
    ["no WireGuard", host({ find: missing("wireguard-go", "nexd-wireguard-go") }), [
      /broken WireGuard: there is neither/,
    ]],
    ["kernel asked for", host(), [/broken WireGuard: the kernel has no WireGuard/], {
      driver: "kernel",
    }],
    ["no tools", host({ find: missing("ip", "nft") }), [
      /broken tools: ip is missing/,
      /broken tools: nft is missing/,
    ]],
    [
      "a readable key",
      host({ stat: (path) => Promise.resolve(file(0o644, !path.endsWith("json"))) }),
      [/broken state: others may read the private key/],
    ],
    [
      "a full disk",
      host({
        stat: () => Promise.resolve(file(0o700, true)),
        tryWrite: () => Promise.reject(new Error("No space left")),
      }),
      [/broken state: nothing can be written.*No space left/],
    ],
    ["a left interface", host({}, { "ip link show dev wg0": "" }), [
      /warning interface: wg0 exists, and no agent answers/,
    ]],
    [
      "Tailscale",
      host({}, route('{"dst":"100.100.100.100","dev":"tailscale0","table":"52"}')),
      [/broken routes: 100\.100\.100\.100 leads to tailscale0 \(table 52\)/],
    ],
    [
      "a route into a VPC with a range of its own",
      host(
        read({ "/var/lib/nexd/cache.json": '{"vpc":{"ipv4_cidr":"10.7.0.0/16"}}' }),
        route('{"dst":"10.0.0.0/8","dev":"eth1"},{"dst":"100.64.0.0/10","dev":"eth1"}'),
      ),
      [/broken routes: 10\.0\.0\.0\/8 leads to eth1, .*10\.7\.0\.0\/16$/],
    ],
    ["a small MTU", host({}, { "ip -json link show dev eth0": '[{"mtu":1400}]' }), [
      /warning MTU: 1400 bytes on eth0/,
    ]],
    [
      "no network",
      host({}, { "ip -json -4 route get 1.1.1.1": "[]" }),
      [/broken network: there is no route/],
    ],
    [
      "no such name",
      host({ resolve: () => Promise.reject(Object.assign(new Error(), { code: "ENOTFOUND" })) }),
      [/broken DNS: api\.control\.lab has no address/, /broken DNS: relay\.lab has no address/],
    ],
    [
      "no control plane",
      host({ head: () => Promise.reject(new Error("Connection refused")) }),
      [/broken control plane: api\.control\.lab:443 cannot be reached: Connection refused/],
    ],
    [
      "an unknown CA",
      host({ head: () => Promise.reject(new Error("invalid peer certificate: UnknownIssuer")) }),
      [/broken CA: the certificate of api\.control\.lab:443 is not trusted/],
    ],
    [
      "a certificate of another time",
      host({ head: () => Promise.reject(new Error("invalid peer certificate: Expired")) }),
      [/broken time: the certificate .* is not valid now \(2026-01-02T/],
    ],
    ["a slow clock", host({ now: () => NOW - 60_000 }), [/warning time: 60 s behind/]],
    ["a wrong clock", host({ now: () => NOW + 3_600_000 }), [/broken time: 3600 s ahead of/]],
  ];
  for (const [name, system, wanted, patient] of cases) {
    const found = await troubles(system, patient);
    assert.equal(found.length, wanted.length, `${name}: ${found.join("\n")}`);
    wanted.forEach((pattern, i) => assert.match(found[i]!, pattern, name));
  }
});

Deno.test("doctor tells what the network does not let through", async () => {
  const { https_ms: _, ...silent } = GOOD.relays[0]!;
  const found = await troubles(host(), {}, {
    ...GOOD,
    udp: "blocked",
    relays: [{ ...silent, error: "no answer in 4 s" }, {
      ...silent,
      error: "its certificate is not trusted",
      untrusted: true,
    }],
    captive_portal: { found: "yes", reason: "somebody else answers" },
  });
  assert.deepEqual(found.map((line) => line.split(":")[0]), [
    "broken relay",
    "broken relay",
    "warning UDP",
    "broken portal",
  ]);
});

Deno.test("doctor calls no CA broken that the running agent has and this command was not given", async () => {
  const system = host({ head: () => Promise.reject(new Error("invalid peer certificate: x")) });
  const status = (state: string, url = "https://control.lab") => ({
    status: {
      ...{ status: "Running", interface: "wg0", listen_port: 1, peers: [], skipped: [] },
      control: { url, state },
    },
  });
  assert.deepEqual(await troubles(system, status("connected")), []);
  for (const other of [status("connecting"), status("connected", "https://other.lab")]) {
    assert.match((await troubles(system, other)).join("\n"), /broken CA: the certificate of api/);
  }
});

Deno.test("doctor only warns of a relay when another one answers, or the agent is logged in", () => {
  const relay = { host: "relay.lab", port: 443, error: "not trusted", untrusted: true } as const;
  const levels = (report: NetworkReport, state?: string) =>
    networkFindings(report, {
      status: "Running",
      interface: "wg0",
      listen_port: 1,
      control: { state: "connected" },
      relay: { host: "relay.lab", port: 443, state: state ?? "connecting" },
      peers: [],
      skipped: [],
    }).filter(({ check }) => check === "relay").map(({ level }) => level);
  assert.deepEqual(levels({ ...GOOD, relays: [relay] }), ["broken"]);
  assert.deepEqual(levels({ ...GOOD, relays: [relay] }, "connected"), ["ok"]);
  const other = { ...relay, host: "other.lab" };
  assert.deepEqual(levels({ ...GOOD, relays: [relay, other] }, "connected"), ["ok", "warning"]);
});

Deno.test("doctor goes on when one of its checks fails", async () => {
  const system = host({ find: () => Promise.reject(new Error("no PATH")) });
  const findings = await examine(PATIENT, () => Promise.reject(new Error("no socket")), system);
  const notes = findings.filter(({ text }) => text.startsWith("could not be looked at"));
  assert.deepEqual(notes.map(({ check }) => check), ["WireGuard", "tools", "firewall", "network"]);
  assert(findings.some(({ check, level }) => check === "DNS" && level === "ok"));
});

Deno.test("agentFindings tells what a running agent complains about", () => {
  const status = {
    status: "Running",
    interface: "wg0",
    listen_port: 1,
    control: { state: "connected" },
    peers: [{ hostname: "b", healthy: true, reason: "" }],
    skipped: [],
  };
  assert.deepEqual(agentFindings(status).map(({ level, text }) => `${level} ${text}`), [
    "ok Running, 1 peers reached",
  ]);
  const ill = agentFindings({
    ...status,
    error: "no TUN",
    login: { url: "https://c/d" },
    control: { state: "down", error: "refused" },
    peers: Array.from({ length: 7 }, (_, i) => ({
      hostname: `p${i}`,
      healthy: false,
      reason: "no way",
    })),
  });
  assert.deepEqual(ill.map(({ level }) => level), [
    ...["broken", "broken", "warning"],
    ...Array(6).fill("warning"),
  ]);
});

Deno.test("judge tells blocked UDP from no network, and a public address from a NAT", () => {
  const portal = { found: "unknown", reason: "" } as const;
  const base = { servers: [], errors: [], relays: [], captive_portal: portal };
  const relay = { host: "r", port: 443 };
  const own = [{ address: "203.0.113.5", family: "IPv4" as const }];
  assert.equal(judge(base, []).udp, "unknown");
  assert.equal(judge({ ...base, relays: [{ ...relay, https_ms: 1 }] }, []).udp, "blocked");
  assert.equal(judge({ ...base, relays: [{ ...relay, stun_ms: 1 }] }, []).udp, "yes");
  const reflexive = "203.0.113.5:1";
  assert.equal(judge({ ...base, reflexive, symmetric: false }, own).nat, "none");
  assert.equal(judge({ ...base, reflexive, symmetric: false }, []).nat, "cone");
  assert.equal(judge({ ...base, reflexive, symmetric: true }, own).nat, "symmetric");
  const v6 = (address: string) => judge(base, [{ address, family: "IPv6" }]).ipv6_address;
  assert.deepEqual(["2a01:4f8::1", "fe80::1", "200::1", "::1"].map(v6), [
    true,
    false,
    false,
    false,
  ]);
  const { relays, stun } = judge({
    ...base,
    relays: [{ ...relay, host: "far", https_ms: 90 }, { ...relay, host: "near", stun_ms: 3 }],
    errors: ["STUN server x:3478: its name has no address"],
  }, []);
  assert.deepEqual(relays.map(({ host }) => host), ["near", "far"]);
  assert.deepEqual(stun, [{ server: "x:3478", error: "its name has no address" }]);
});

Deno.test("a captive portal is somebody who answers in the relay's place", async () => {
  const found = async (answer: (request: Request) => Response) => {
    await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, answer);
    return (await findCaptivePortal("127.0.0.1", server.addr.port)).found;
  };
  const challenge = (request: Request) => request.headers.get("x-nexodus-challenge");
  const reply = (request: Request) =>
    new Response(null, {
      status: 204,
      headers: { "x-nexodus-response": `response ${challenge(request)}` },
    });
  assert.equal(await found(reply), "no");
  assert.equal(await found(() => new Response("please sign in")), "yes");
  assert.equal(await found(() => Response.redirect("http://portal/")), "yes");
  const wrong = { "x-nexodus-response": "response other" };
  assert.equal(await found(() => new Response(null, { status: 204, headers: wrong })), "yes");
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  assert.equal((await findCaptivePortal("127.0.0.1", port)).found, "unknown");
  const report = await lookAtRelay({ host: "127.0.0.1", port }, []);
  assert.match(report.error!, /refused/i);
});

Deno.test("the network's part waits for every STUN server, to tell how far each is", async () => {
  const stun = (delay: number) => {
    const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
    (async () => {
      for await (const [datagram, from] of socket) {
        const id = parseBindingRequest(datagram);
        if (id === undefined) continue;
        const answer = encodeBindingResponse(id, { address: "203.0.113.5", port: 1000 });
        setTimeout(() => socket.send(answer, from).catch(() => {}), delay);
      }
    })();
    return socket;
  };
  const servers = [0, 0, 300].map(stun);
  try {
    const report = await measureNetwork({
      stunServers: servers.map(({ addr }) => `127.0.0.1:${(addr as Deno.NetAddr).port}`),
      relays: [],
      relayCaCerts: [],
    });
    assert.equal(report.stun.length, 3);
    assert(report.stun.every(({ rtt_ms }) => rtt_ms! > 0), JSON.stringify(report.stun));
    assert(report.stun[2]!.rtt_ms! >= 290);
    assert.equal(report.nat, "cone");
  } finally {
    for (const socket of servers) socket.close();
  }
});
