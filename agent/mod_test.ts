import assert from "node:assert/strict";
import { serveControl } from "./ctl/mod.ts";
import { AgentError, type Context, runAgent, runPeersList, runStatus } from "./mod.ts";

function context(json: boolean): Context & { lines: string[] } {
  const lines: string[] = [];
  return {
    json,
    signal: new AbortController().signal,
    version: "1.0.0",
    print: (line) => lines.push(line),
    lines,
  };
}

const STATUS = {
  status: "Running" as const,
  version: "1.0.0",
  hostname: "h",
  public_key: "K",
  tunnel_ipv4: "100.64.0.1",
  tunnel_ipv6: "",
  interface: "wg0",
  listen_port: 1,
  nat: "unknown" as const,
  reflexive: "",
  relay_only: false,
  control: { url: "https://control.lab", state: "connected" },
  relay: null,
  capture: "",
  drops: {},
  skipped: [],
  peers: ["b", "c"].map((hostname) => ({
    hostname,
    public_key: `key of ${hostname}`,
    tunnel_ipv4: "100.64.0.2",
    tunnel_ipv6: "",
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

Deno.test("status and peers list print the running agent's words, for people and as JSON", async () => {
  const dir = await Deno.makeTempDir();
  const path = `${dir}/nexd.sock`;
  const socket = await serveControl(path, () => STATUS);
  try {
    const values = { "unix-socket": path };
    const [text, json, peers] = [context(false), context(true), context(true)];
    await runStatus(values, text);
    assert(text.lines.some((line) => /^b +100\.64\.0\.2 +reflexive/.test(line)));
    await runStatus(values, json);
    assert.deepEqual(json.lines.map((line) => JSON.parse(line)), [STATUS]);
    await runPeersList(values, peers);
    assert.deepEqual(peers.lines.map((line) => JSON.parse(line)), STATUS.peers);
    const list = context(false);
    await runPeersList(values, list);
    assert.equal(list.lines.length, 3);
  } finally {
    await socket.close();
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("status fails in one sentence when no agent runs", async () => {
  for (const run of [runStatus, runPeersList]) {
    await assert.rejects(
      run({ "unix-socket": "/nonexistent/nexd.sock" }, context(false)),
      (error) =>
        error instanceof AgentError && error.exitCode === 1 && /not running/.test(error.message),
    );
  }
});

Deno.test("agent refuses a wrong command line before it touches anything", async () => {
  await assert.rejects(
    runAgent({ "reg-key": "http://control.lab#RK:x" }, context(false)),
    (error) => error instanceof AgentError && error.exitCode === 2,
  );
});
