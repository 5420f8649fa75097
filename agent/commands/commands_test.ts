import assert from "node:assert/strict";
import { type AgentStatus, serveControl } from "../ctl/mod.ts";
import { AgentError } from "../errors.ts";
import { type CommandContext, COMMANDS } from "./mod.ts";
import { findPeer, renderPings } from "./peers/mod.ts";

/** A context that keeps what is printed. */
function context(change: Partial<CommandContext> = {}): CommandContext & { lines: string[] } {
  const lines: string[] = [];
  return {
    json: false,
    args: [],
    color: false,
    columns: 80,
    signal: new AbortController().signal,
    version: "1.0.0",
    print: (line) => lines.push(line),
    self: { executable: "/usr/bin/nexd", module: undefined },
    tree: () => ({ name: "nexd", description: "", flags: [], args: [], commands: [] }),
    serve: {
      options: [],
      command: ["/usr/bin/nexd", "serve"],
      prepare: () => Promise.resolve({ variables: new Map(), lines: [] }),
    },
    lines,
    ...change,
  };
}

const STATUS: AgentStatus = {
  status: "Running",
  version: "1.0.0",
  hostname: "h",
  public_key: "K",
  tunnel_ipv4: "100.64.0.1",
  tunnel_ipv6: "",
  interface: "lo",
  listen_port: 1,
  nat: "unknown",
  reflexive: "",
  relay_only: false,
  control: { url: "https://control.lab", state: "connected" },
  relay: null,
  capture: "",
  drops: {},
  skipped: [{ hostname: "odd", public_key: "odd key", code: "bad-key", reason: "its key is bad" }],
  peers: ["b", "c"].map((hostname, i) => ({
    hostname,
    public_key: `key of ${hostname}`,
    tunnel_ipv4: `127.0.0.${i + 2}`,
    tunnel_ipv6: i === 0 ? "200::2" : "",
    method: "reflexive",
    code: "both-cone",
    reason: "because",
    endpoint: "203.0.113.2:1",
    healthy: true,
    last_handshake_ms: null,
    rx_bytes: 0,
    tx_bytes: 0,
    allowed_ips: [],
  })),
};

/** Runs a test against a socket of an agent that is not there. */
async function withAgent(
  test: (values: { "unix-socket": string }) => Promise<void>,
  describe: () => AgentStatus = () => STATUS,
): Promise<void> {
  const dir = await Deno.makeTempDir();
  let inUse = false;
  const gate = {
    hostname: "gate",
    publicKey: "G",
    endpoint: "203.0.113.9:1",
    allowedIps: ["0.0.0.0/0"],
    keepaliveSeconds: 20,
    healthy: true,
  };
  const socket = await serveControl(`${dir}/nexd.sock`, {
    describe,
    exitNodes: () => [{ ...gate, inUse }],
    setExitNodeClient: (on) => Promise.resolve(void (inUse = on)),
  });
  try {
    await test({ "unix-socket": `${dir}/nexd.sock` });
  } finally {
    await socket.close();
    await Deno.remove(dir, { recursive: true });
  }
}

const run = async (name: string, values: Record<string, unknown>, to: CommandContext) =>
  await COMMANDS[name]!(values as never, to) ?? 0;

Deno.test("status and peers list print the running agent's words, for people and as JSON", () =>
  withAgent(async (values) => {
    const [text, json, peers, list] = [
      context(),
      context({ json: true }),
      context({ json: true }),
      context(),
    ];
    await run("status", values, text);
    assert(text.lines.some((line) => /^b +127\.0\.0\.2 +reflexive/.test(line)));
    await run("status", values, json);
    assert.deepEqual(json.lines.map((line) => JSON.parse(line)), [STATUS]);
    await run("peersList", values, peers);
    assert.deepEqual(peers.lines.map((line) => JSON.parse(line)), STATUS.peers);
    await run("peersList", values, list);
    assert.equal(list.lines.length, 4);
  }));

Deno.test("commands fail in one sentence when no agent runs", async () => {
  for (const name of ["status", "peersList", "peersPing", "peersPing6", "ping", "exitNodeList"]) {
    await assert.rejects(
      run(name, { "unix-socket": "/nonexistent/nexd.sock" }, context({ args: ["b"] })),
      (error) =>
        error instanceof AgentError && error.exitCode === 1 && /not running/.test(error.message),
    );
  }
});

Deno.test("findPeer takes a host name, a tunnel address and the start of a key, and one peer only", () => {
  const [b, c] = STATUS.peers as [AgentStatus["peers"][0], AgentStatus["peers"][0]];
  const find = (word: string, status: AgentStatus = STATUS) => findPeer(status, word);
  assert.equal(find("b"), b);
  assert.equal(find("B"), b);
  assert.equal(find("127.0.0.3"), c);
  assert.equal(find("200:0:0::0002"), b);
  assert.equal(find("key of c"), c);
  assert.throws(() => find("key of"), /names 2 peers.*127\.0\.0\.2, 127\.0\.0\.3/);
  assert.throws(() => find("key"), /no peer key; there are b, c$/);
  assert.throws(() => find("100.64.0.1"), /this host itself/);
  assert.throws(() => find("odd"), /its key is bad/);
  assert.throws(() => find("x", { ...STATUS, peers: [] }), /no other device/);
  const full = { ...STATUS, peers: [{ ...b, hostname: "web.example.org" }, c] };
  assert.equal(find("web", full).hostname, "web.example.org");
});

Deno.test("ping shows each answer with its path, the change of it, and a summary", async () => {
  let method = "via-derp-relay", asked = 0;
  const describe = () => {
    // The first question is for the peer itself, each echo asks once more.
    if (++asked > 2) method = "reflexive";
    const [b, ...rest] = STATUS.peers;
    const path = method === "reflexive" ? {} : { endpoint: "127.0.0.3:9002", relay: "relay.lab" };
    return { ...STATUS, peers: [{ ...b!, method, ...path }, ...rest] };
  };
  await withAgent(async (values) => {
    const to = context({ args: ["b"] });
    const flags = { ...values, count: 10, timeout: 2000, interval: 10, "until-direct": true };
    assert.equal(await run("ping", flags, to), 0);
    const [first, change, second, summary, ...more] = to.lines.map((line) =>
      line.replace(/[\d.]+ \/ [\d.]+ \/ [\d.]+/, "N / N / N").replace(/[\d.]+ ms/, "N ms")
    );
    assert.deepEqual([first, change, second, summary, more], [
      "b (127.0.0.2): N ms via DERP relay relay.lab",
      "-- path changed: via-derp-relay -> reflexive: because",
      "b (127.0.0.2): N ms via 203.0.113.2:1 (reflexive)",
      "2 of 2 answered, 0 % lost, N / N / N ms (least / average / most)",
      [],
    ]);
  }, describe);
});

Deno.test("ping fails when nobody answers, and tells it as JSON", () =>
  withAgent(async (values) => {
    const to = context({ args: ["b"], json: true });
    const flags = { ...values, count: 1, timeout: 50, interval: 10, ipv6: true };
    assert.equal(await run("ping", flags, to), 1);
    const [echo, summary] = to.lines.map((line) => JSON.parse(line));
    assert.equal(echo.ok, false);
    assert.equal(echo.address, "200::2");
    assert.deepEqual([summary.sent, summary.received], [1, 0]);
    await assert.rejects(
      run("ping", { ...values, count: -1, timeout: 1, interval: 10 }, context({ args: ["b"] })),
      (error) => error instanceof AgentError && error.exitCode === 2,
    );
  }));

Deno.test("peers ping answers for each peer, and its status tells whether all did", () =>
  withAgent(async (values) => {
    const all = context();
    assert.equal(await run("peersPing", values, all), 0);
    assert.match(all.lines.join("\n"), /^b +127\.0\.0\.2 +[\d.]+ ms +203\.0\.113\.2:1 \(refl/m);
    const six = context({ json: true });
    assert.equal(await run("peersPing6", values, six), 1);
    assert.deepEqual(six.lines.map((line) => JSON.parse(line).ok), [false, false]);
  }));

Deno.test("renderPings keeps to 80 columns", () => {
  const peer = {
    hostname: "a-host-with-a-very-long-name-indeed-0123456789",
    method: "relay-node-peer-direct-local",
    endpoint: "[2001:db8:1234:5678:9abc:def0:1234:5678]:51820",
  };
  const lines = renderPings([
    { peer, address: "200:1:2:3:4:5:6:7", outcome: { ok: true, rttMs: 12.345 } },
    { peer, address: "", outcome: { ok: false, error: "it has no IPv6 address" } },
  ]);
  assert.deepEqual(lines, [
    "PEER                         ADDRESS            ANSWER                  PATH",
    "a-host-with-a-very-long-na…  200:1:2:3:4:5:6:7  12.3 ms                 [2001:d…",
    "a-host-with-a-very-long-na…  -                  it has no IPv6 address  [2001:d…",
  ]);
  for (const line of lines) assert(line.length <= 80, line);
});

Deno.test("exit-node lists who offers to be one, and switches it on and off", () =>
  withAgent(async (values) => {
    const list = async () => {
      const to = context();
      await run("exitNodeList", values, to);
      return to.lines;
    };
    assert.deepEqual(await list(), [
      "EXIT NODE  HEALTHY  IN USE  ENDPOINT",
      "gate       yes      no      203.0.113.9:1",
    ]);
    const on = context();
    await run("exitNodeEnable", values, on);
    assert.deepEqual(on.lines, ["All traffic of this host goes through gate"]);
    assert.match((await list())[1]!, /^gate +yes +yes/);
    const off = context({ json: true });
    await run("exitNodeDisable", values, off);
    assert.deepEqual(off.lines, ['{"exit_node_client":false}']);
  }));
