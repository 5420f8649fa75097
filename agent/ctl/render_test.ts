import assert from "node:assert/strict";
import { renderPeers, renderStatus } from "./render.ts";
import { NOW, STATUS } from "./testing.ts";
import { bytesText, facts, msText, spanText, table, wrap } from "./text.ts";
import type { AgentStatus } from "./types.ts";

Deno.test("renderStatus shows who, where, how, why, and why not better", () => {
  const [relayed, lost] = STATUS.peers;
  const lines = renderStatus({
    ...STATUS,
    relay: { ...STATUS.relay!, reason: "no relay of the VPC is healthy" },
    relays: [
      { host: "relay.lab", port: 443, role: "home", state: "connected", rtt_ms: 1.25 },
      { host: "far.lab", port: 8443, role: "open", state: "connected", rtt_ms: 80 },
      { host: "gone.lab", port: 443, role: "idle", state: "idle", rtt_ms: null, error: "refused" },
    ],
    host: ["firewall: 3 rules of security group default"],
    peers: [
      {
        ...relayed!,
        paths: [{ endpoint: "203.0.113.9:4000", rtt_ms: 12.5, answered_ms: NOW }],
        better: [{ method: "reflexive", reason: "this host's NAT is symmetric" }],
      },
      lost!,
    ],
  }, NOW);
  assert.deepEqual(lines, [
    "status     Running",
    "host       edge-a  B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw=",
    "tunnel     100.64.0.1  200::1",
    "interface  wg0, kernel, UDP port 51820",
    "nat        symmetric, seen as 203.0.113.5:41000",
    "control    https://control.lab  connected",
    "relay      relay.lab:443  connected, 1.25 ms  capture linux",
    "           no relay of the VPC is healthy",
    "others     far.lab:8443  open, connected, 80.0 ms",
    "           gone.lab:443  idle (refused)",
    "changes    firewall: 3 rules of security group default",
    "",
    "PEER    TUNNEL IP   METHOD          SEEN   RX    TX   OK",
    "edge-b  100.64.0.2  via-derp-relay  12s    2.0K  100  yes",
    "    at 127.0.0.3:9002: both NATs are symmetric: through relay.lab",
    "    probes answered: 203.0.113.9:4000 in 12.5 ms",
    "    not reflexive: this host's NAT is symmetric",
    "edge-c  100.64.0.3  none            never  0     0    no",
    "    no way",
    "not used: odd: its public key is bad",
  ]);
});

Deno.test("renderPeers keeps to 80 columns and cuts host names for it", () => {
  const peer = {
    ...STATUS.peers[0]!,
    hostname: "a-host-with-a-name-as-long-as-a-host-name-may-ever-be-0123456789.example",
    tunnel_ipv4: "100.127.255.254",
    method: "relay-node-peer-direct-local",
    rx_bytes: 1023 * 2 ** 30,
  };
  const lines = renderPeers({ ...STATUS, peers: [peer], skipped: [] }, NOW);
  assert.deepEqual(lines, [
    "PEER         TUNNEL IP        METHOD                        SEEN  RX    TX   OK",
    "a-host-wit…  100.127.255.254  relay-node-peer-direct-local  12s   1.0T  100  yes",
  ]);
  for (const line of lines) assert(line.length <= 80, line);
  assert.deepEqual(renderPeers({ ...STATUS, peers: [], skipped: [] }, NOW), ["no peers"]);
});

Deno.test("renderStatus says what is wrong, and how to sign in", () => {
  const text = renderStatus({
    ...STATUS,
    status: "WaitingForAuth",
    login: { url: "https://control.lab/device?code=ABCD", code: "ABCD" },
    relay: null,
    tunnel_ipv4: "",
    tunnel_ipv6: "",
    control: { url: "https://c", state: "down", error: "connection refused" },
    error: "no TUN device",
  }, NOW).join("\n");
  assert.match(text, /^control +https:\/\/c {2}down \(connection refused\)$/m);
  assert.match(text, /^status +WaitingForAuth \(no TUN device\)$/m);
  assert.match(text, /^sign in +https:\/\/control\.lab\/device\?code=ABCD\ncode +ABCD$/m);
  assert.match(text, /^relay +none$/m);
});

Deno.test("renderStatus says how the NAT is known, in 80 columns", () => {
  const family = { nat: "cone", reflexive: "203.0.113.5:41000" } as const;
  const server = { server: "a", family: "ipv4", address: "192.0.2.1:3478", rtt_ms: 3.21 } as const;
  const netcheck: NonNullable<AgentStatus["netcheck"]> = {
    method: "raw-socket",
    interval_ms: 20_000,
    rounds: 3,
    last_round_ms: NOW - 5_000,
    last_good_ms: NOW - 5_000,
    ipv4: family,
    ipv6: { nat: "unknown", reflexive: "" },
    servers: [{ ...server, seen: family.reflexive }, {
      ...server,
      rtt_ms: null,
      error: "no answer",
    }],
    published: "current",
  };
  const lines = (change: Partial<typeof netcheck>, more: Partial<AgentStatus> = {}) =>
    renderStatus({ ...STATUS, ...more, netcheck: { ...netcheck, ...change } }, NOW);
  const line = (change: Partial<typeof netcheck>) => {
    const found = lines(change).find((text) => text.startsWith("stun "))!;
    assert(found.length <= 80, found);
    return found.replace(/^stun +/, "");
  };
  assert.equal(line({}), "1 of 2 answered, 3.21 ms, 5s ago");
  assert.equal(
    line({ servers: [], error: "long ".repeat(50), ipv4: { ...family, error: "no answer" } }),
    "0 of 0 answered, 5s ago, failing: no answer",
  );
  line({ servers: [], error: "long ".repeat(50) });
  assert.equal(
    line({ published: "waiting", publish_error: "busy" }),
    "1 of 2 answered, 3.21 ms, 5s ago, not published yet (busy)",
  );
  assert.equal(
    line({ method: "first-result", method_reason: "CAP_NET_RAW is needed: not permitted" }),
    "measured at the start only: CAP_NET_RAW is needed: not permitted",
  );
  const six = lines({}, { reflexive6: "[2001:db8::5]:41000" });
  assert(six.includes("           over IPv6 [2001:db8::5]:41000"), six.join("\n"));
});

Deno.test("sizes, times and tables are short", () => {
  assert.deepEqual([0, 999, 1000, 1024, 318 * 2 ** 20, 2 ** 60].map(bytesText), [
    ...["0", "999", "1.0K", "1.0K", "318M", "1024P"],
  ]);
  assert.deepEqual([0, 119_000, 300_000, 8_000_000, 9e8].map(spanText), [
    ...["0s", "119s", "5m", "2h", "10d"],
  ]);
  assert.deepEqual([0.1234, 12.34, 123.4].map(msText), ["0.12 ms", "12.3 ms", "123 ms"]);
  assert.deepEqual(table(["A", "B"], [["x\u001b[31m\ny", "z"]]), [
    "A         B",
    "x [31m y  z",
  ]);
  assert.deepEqual(wrap("one two three", { columns: 9, indent: "  " }), ["  one two", "  three"]);
  assert.deepEqual(facts([["a", "b c"], ["", "d"]], 14), ["a          b c", "           d"]);
});
