import assert from "node:assert/strict";
import { AgentError } from "../errors.ts";
import {
  type AgentStatus,
  callAgent,
  describeAgent,
  isAnswering,
  renderPeers,
  renderStatus,
  serveControl,
} from "./mod.ts";

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);

const STATUS: AgentStatus = {
  status: "Running",
  version: "1.2.3",
  hostname: "edge-a",
  public_key: "B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw=",
  tunnel_ipv4: "100.64.0.1",
  tunnel_ipv6: "200::1",
  interface: "wg0",
  listen_port: 51820,
  nat: "symmetric",
  reflexive: "203.0.113.5:41000",
  relay_only: false,
  control: { url: "https://control.lab", state: "connected" },
  relay: {
    host: "relay.lab",
    port: 443,
    state: "connected",
    since: new Date(NOW).toISOString(),
    reconnects: 0,
    rttMs: 1.25,
  },
  capture: "linux",
  drops: {},
  peers: [{
    hostname: "edge-b",
    public_key: "K2",
    tunnel_ipv4: "100.64.0.2",
    tunnel_ipv6: "200::2",
    method: "via-derp-relay",
    code: "both-symmetric",
    reason: "both NATs are symmetric: through relay.lab",
    endpoint: "127.0.0.3:9002",
    relay: "relay.lab",
    healthy: true,
    last_handshake_ms: NOW - 12_000,
    rx_bytes: 2048,
    tx_bytes: 100,
    allowed_ips: ["100.64.0.2/32", "200::2/128"],
  }, {
    hostname: "edge-c",
    public_key: "K3",
    tunnel_ipv4: "100.64.0.3",
    tunnel_ipv6: "200::3",
    method: "none",
    code: "no-method",
    reason: "no way",
    endpoint: "",
    healthy: false,
    last_handshake_ms: null,
    rx_bytes: 0,
    tx_bytes: 0,
    allowed_ips: ["100.64.0.3/32"],
  }],
  skipped: [{ hostname: "odd", public_key: "x", code: "bad-key", reason: "its public key is bad" }],
};

async function served(test: (path: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  const path = `${dir}/nexd.sock`;
  const socket = await serveControl(path, () => STATUS);
  try {
    await test(path);
  } finally {
    await socket.close();
    await assert.rejects(Deno.lstat(path), Deno.errors.NotFound);
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("control socket answers the methods of Nexodus' tools and ours", () =>
  served(async (path) => {
    assert.equal(await callAgent(path, "Status"), "Status: Running\n");
    assert.equal(await callAgent(path, "Version"), "1.2.3");
    assert.equal(await callAgent(path, "GetTunnelIPv4"), "100.64.0.1");
    assert.equal(await callAgent(path, "GetTunnelIPv6"), "200::1");
    assert.deepEqual(await describeAgent(path), STATUS);
    const list = JSON.parse(await callAgent(path, "ListPeers"));
    assert.equal(list["relay-present"], true); // a DERP relay is one, too
    assert.equal(list["relay-required"], true);
    assert.deepEqual(list.peers.K2, {
      PublicKey: "K2",
      Endpoint: "127.0.0.3:9002",
      AllowedIPs: ["100.64.0.2/32", "200::2/128"],
      LatestHandshake: "2026-01-02 03:03:53.000 +0000 UTC",
      Tx: 100,
      Rx: 2048,
      Healthy: true,
    });
    assert.equal(list.peers.K3.LatestHandshake, "0001-01-01 00:00:00 +0000 UTC");
  }));

Deno.test("control socket is for this user alone", () =>
  served(async (path) => {
    assert.equal((await Deno.stat(path)).mode! & 0o777, 0o600);
  }));

Deno.test("control socket speaks JSON-RPC 1.0, several requests a connection", () =>
  served(async (path) => {
    using conn = await Deno.connect({ transport: "unix", path });
    const request = (method: string, id: number) => JSON.stringify({ method, params: [""], id });
    await conn.write(new TextEncoder().encode(
      request("NexdCtl.Version", 7) + request("NexdCtl.Nope", 8) + request("constructor", 9) +
        request("NexdCtl.__proto__", 10),
    ));
    let text = "";
    const buffer = new Uint8Array(4096);
    while (text.split("\n").length < 5) {
      text += new TextDecoder().decode(buffer.subarray(0, (await conn.read(buffer))!));
    }
    const replies = text.trim().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(replies[0], { id: 7, result: "1.2.3", error: null });
    assert.deepEqual(replies.slice(1).map((r) => [r.id, r.result, typeof r.error]), [
      [8, null, "string"],
      [9, null, "string"],
      [10, null, "string"],
    ]);
  }));

Deno.test("control socket closes on rubbish and stays up for others", () =>
  served(async (path) => {
    for (const rubbish of ["[]", "GET / HTTP/1.1\r\n\r\n", `{"a":"${"x".repeat(70_000)}"}`]) {
      using conn = await Deno.connect({ transport: "unix", path });
      await conn.write(new TextEncoder().encode(rubbish)).catch(() => 0);
      assert.equal(await conn.read(new Uint8Array(10)).catch(() => null), null);
    }
    assert.equal(await callAgent(path, "Version"), "1.2.3");
  }));

Deno.test("control socket refuses a second agent and replaces what a crashed one left", () =>
  served(async (path) => {
    await assert.rejects(
      serveControl(path, () => STATUS),
      (error) => error instanceof AgentError && error.message.includes(path),
    );
    assert.equal(await callAgent(path, "Version"), "1.2.3");
    // A socket file that nobody listens on, as after kill -9.
    const left = `${path}.left`;
    const run = await new Deno.Command(Deno.execPath(), {
      args: ["eval", `Deno.listen({transport:"unix",path:${JSON.stringify(left)}});Deno.exit()`],
    }).output();
    assert(run.success);
    assert((await Deno.lstat(left)).isSocket);
    assert.equal(await isAnswering(left), false);
    const socket = await serveControl(left, () => STATUS);
    assert.equal(await callAgent(left, "Version"), "1.2.3");
    await socket.close();
  }));

Deno.test("control socket never replaces a file that is no socket", async () => {
  const path = await Deno.makeTempFile();
  await assert.rejects(
    serveControl(path, () => STATUS),
    (error) => error instanceof AgentError && /no socket.*--unix-socket/.test(error.message),
  );
  await Deno.remove(path);
});

Deno.test("client says in one sentence that no agent runs", async () => {
  await assert.rejects(describeAgent("/nonexistent/nexd.sock"), (error) => {
    assert(error instanceof AgentError);
    assert.equal(error.exitCode, 1);
    assert.match(error.message, /not running.*\/nonexistent\/nexd\.sock.*--unix-socket/);
    return true;
  });
});

Deno.test("renderStatus shows who, where, how and why", () => {
  const lines = renderStatus(STATUS, NOW);
  const text = lines.join("\n");
  for (
    const wanted of [
      /^status +Running$/m,
      /^tunnel +100\.64\.0\.1 {2}200::1$/m,
      /^nat +symmetric, seen as 203\.0\.113\.5:41000$/m,
      /^control +https:\/\/control\.lab {2}connected$/m,
      /^relay +relay\.lab:443 {2}connected, 1\.3 ms {2}capture linux$/m,
      /^edge-b +100\.64\.0\.2 +via-derp-relay +127\.0\.0\.3:9002 +relay\.lab +12s ago +2\.0 KiB +100 B +yes +both NATs/m,
      /^edge-c +100\.64\.0\.3 +none +- +- +never +0 B +0 B +no +no way$/m,
      /^not used: odd: its public key is bad$/m,
    ]
  ) assert.match(text, wanted);
  // Columns begin at the same place in each row.
  const table = renderPeers(STATUS, NOW);
  const column = table[0]!.indexOf("METHOD");
  assert.equal(table[1]!.slice(column).indexOf("via-derp-relay"), 0);
  assert.equal(table[2]!.slice(column).indexOf("none"), 0);
  assert.deepEqual(renderPeers({ ...STATUS, peers: [], skipped: [] }, NOW), ["no peers"]);
});

Deno.test("renderStatus says what is wrong", () => {
  const text = renderStatus({
    ...STATUS,
    relay: null,
    tunnel_ipv4: "",
    tunnel_ipv6: "",
    control: { url: "https://c", state: "down", error: "connection refused" },
    error: "no TUN device",
  }, NOW).join("\n");
  assert.match(text, /^control +https:\/\/c {2}down \(connection refused\)$/m);
  assert.match(text, /^status +Running \(no TUN device\)$/m);
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
  assert.equal(line({}), "1 of 2 answered, 3.2 ms, 5s ago");
  assert.equal(
    line({ servers: [], error: "long ".repeat(50), ipv4: { ...family, error: "no answer" } }),
    "0 of 0 answered, 5s ago, failing: no answer",
  );
  line({ servers: [], error: "long ".repeat(50) });
  assert.equal(
    line({ published: "waiting", publish_error: "busy" }),
    "1 of 2 answered, 3.2 ms, 5s ago, not published yet (busy)",
  );
  assert.equal(
    line({ method: "first-result", method_reason: "CAP_NET_RAW is needed: not permitted" }),
    "measured at the start only: CAP_NET_RAW is needed: not permitted",
  );
  const six = lines({}, { reflexive6: "[2001:db8::5]:41000" });
  assert(six.includes("           over IPv6 [2001:db8::5]:41000"), six.join("\n"));
});
