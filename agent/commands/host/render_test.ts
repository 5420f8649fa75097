import assert from "node:assert/strict";
import type { Finding } from "../../doctor/mod.ts";
import { renderFindings } from "./doctor.ts";
import { renderNetwork } from "./netcheck.ts";

Deno.test("renderNetwork shows what the network lets through, in 80 columns", () => {
  const lines = renderNetwork({
    udp: "blocked",
    nat: "unknown",
    ipv6_address: true,
    stun: [{ server: "stun.example:3478", error: "no answer" }],
    relays: [
      { host: "relay.example", port: 443, https_ms: 12.34 },
      { host: "other.example", port: 8443, error: "its certificate is bad", untrusted: true },
    ],
    captive_portal: { found: "yes", reason: "somebody else answers for relay.example with 302" },
  });
  assert.deepEqual(lines, [
    "UDP        BLOCKED: no STUN server answers, but a relay does over TCP",
    "IPv4       no answer",
    "IPv6       no answer, though this host has an address",
    "NAT        unknown",
    "STUN       0 of 1 servers answered",
    "           stun.example:3478: no answer",
    "portal     yes: somebody else answers for relay.example with 302",
    "nearest    relay.example",
    "",
    "RELAY               HTTPS    STUN",
    "relay.example:443   12.3 ms  -",
    "other.example:8443  -        -",
    "other.example: its certificate is bad; give its CA with --relay-ca or",
    "NEXD_RELAY_CA",
  ]);
});

Deno.test("renderFindings shows each finding with its remedy, in colours where they are wanted", () => {
  const findings: Finding[] = [
    { check: "TUN", level: "ok", text: "/dev/net/tun" },
    {
      check: "permissions",
      level: "broken",
      text: "CAP_NET_ADMIN is missing, so no interface can be made, and that is the end of it",
      remedy: "run nexd as root",
    },
  ];
  assert.deepEqual(renderFindings(findings, { color: false, columns: 80 }), [
    "ok       TUN          /dev/net/tun",
    "broken   permissions  CAP_NET_ADMIN is missing, so no interface can be made, and",
    "                      that is the end of it",
    "                      -> run nexd as root",
    "",
    "1 broken, 0 warnings, 0 notes, 1 ok",
  ]);
  assert(renderFindings(findings, { color: true, columns: 80 })[1]!.startsWith("\x1b[31mbroken"));
});
