import assert from "node:assert/strict";
import { configure, getConfig, reset } from "@logtape/logtape";
import { AgentError } from "../errors.ts";
import { callAgent, describeAgent, describePeer, isAnswering, serveControl } from "./mod.ts";
import { STATUS } from "./testing.ts";

async function served(test: (path: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  const path = `${dir}/nexd.sock`;
  const socket = await serveControl(path, { describe: () => STATUS });
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
    assert.equal(await callAgent(path, "Version"), "dev"); // nexctl wants its own
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
      request("NexdCtl.GetTunnelIPv6", 7) + request("NexdCtl.Nope", 8) + request("constructor", 9) +
        request("NexdCtl.__proto__", 10),
    ));
    let text = "";
    const buffer = new Uint8Array(4096);
    while (text.split("\n").length < 5) {
      text += new TextDecoder().decode(buffer.subarray(0, (await conn.read(buffer))!));
    }
    const replies = text.trim().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(replies[0], { id: 7, result: "200::1", error: null });
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
    assert.equal(await callAgent(path, "GetTunnelIPv4"), "100.64.0.1");
  }));

Deno.test("control socket refuses a second agent and replaces what a crashed one left", () =>
  served(async (path) => {
    await assert.rejects(
      serveControl(path, { describe: () => STATUS }),
      (error) => error instanceof AgentError && error.message.includes(path),
    );
    assert.equal(await callAgent(path, "GetTunnelIPv4"), "100.64.0.1");
    // A socket file that nobody listens on, as after kill -9.
    const left = `${path}.left`;
    const run = await new Deno.Command(Deno.execPath(), {
      args: ["eval", `Deno.listen({transport:"unix",path:${JSON.stringify(left)}});Deno.exit()`],
    }).output();
    assert(run.success);
    assert((await Deno.lstat(left)).isSocket);
    assert.equal(await isAnswering(left), false);
    const socket = await serveControl(left, { describe: () => STATUS });
    assert.equal(await callAgent(left, "GetTunnelIPv4"), "100.64.0.1");
    await socket.close();
  }));

Deno.test("control socket never replaces a file that is no socket", async () => {
  const path = await Deno.makeTempFile();
  await assert.rejects(
    serveControl(path, { describe: () => STATUS }),
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

Deno.test("control socket gives one peer, and says when it is gone", () =>
  served(async (path) => {
    assert.deepEqual(await describePeer(path, "K3"), STATUS.peers[1]);
    await assert.rejects(describePeer(path, "K9"), /refused: there is no such peer/);
  }));

Deno.test("control socket survives every kind of request that makes no sense", () =>
  served(async (path) => {
    const odd = [
      { method: "NexdCtl.ProxyAddIngress", params: ["tcp:x"], id: 1 },
      { method: "NexdCtl.ProxyRemoveEgress", params: [{}], id: {} },
      { method: "NexdCtl.EnableExitNodeClient", params: null, id: null },
      { method: "NexdCtl.DescribePeer", params: [[["__proto__"]]], id: [] },
      { method: { toString: "x" }, params: 3, id: 4 },
      { method: "NexdCtl.constructor", params: [""], id: 5 },
      { id: 6 },
    ];
    using conn = await Deno.connect({ transport: "unix", path });
    await conn.write(new TextEncoder().encode(odd.map((one) => JSON.stringify(one)).join("")));
    let text = "";
    const buffer = new Uint8Array(4096);
    while (text.split("\n").length <= odd.length) {
      text += new TextDecoder().decode(buffer.subarray(0, (await conn.read(buffer))!));
    }
    for (const line of text.trim().split("\n")) {
      const reply = JSON.parse(line);
      assert.equal(reply.result, null);
      assert.equal(typeof reply.error, "string");
    }
    assert.match(text, /no L4 proxy/);
    assert.equal(await callAgent(path, "ProxyList"), "");
  }));

Deno.test("control socket switches debug logging on and back", async () => {
  await configure({
    reset: true,
    sinks: {},
    loggers: [
      { category: ["logtape"], lowestLevel: "error" },
      { category: ["nexd"], lowestLevel: "warning" },
    ],
  });
  try {
    await served(async (path) => {
      assert.equal(await callAgent(path, "GetDebug"), "off");
      assert.match(await callAgent(path, "SetDebugOn"), /on/);
      assert.equal(await callAgent(path, "GetDebug"), "on");
      assert.match(await callAgent(path, "SetDebugOff"), /off/);
      assert.equal(await callAgent(path, "GetDebug"), "off");
      assert.equal(getConfig()!.loggers[1]!.lowestLevel, "warning");
    });
  } finally {
    await reset();
  }
});

Deno.test("control socket tells what to do while somebody has to sign in", async () => {
  const dir = await Deno.makeTempDir();
  const login = { url: "https://control.lab/device", code: "ABCD-EFGH" };
  const socket = await serveControl(`${dir}/s`, {
    describe: () => ({ ...STATUS, status: "WaitingForAuth", login }),
    nexctlVersion: "2024.1",
    exitNodes: () => [],
    setExitNodeClient: (on) => on ? Promise.reject(new Error("no exit node")) : Promise.resolve(),
  });
  try {
    assert.equal(
      await callAgent(`${dir}/s`, "Status"),
      "Status: WaitingForAuth\n" +
        "To sign in, open https://control.lab/device and enter the code ABCD-EFGH\n",
    );
    assert.equal(await callAgent(`${dir}/s`, "Version"), "2024.1");
    assert.equal(await callAgent(`${dir}/s`, "ListExitNodes"), "[]");
    await assert.rejects(callAgent(`${dir}/s`, "EnableExitNodeClient"), /refused: no exit node/);
    assert.equal(await callAgent(`${dir}/s`, "DisableExitNodeClient"), "null");
  } finally {
    await socket.close();
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("a relay that is connected is never told to be missing", async () => {
  const dir = await Deno.makeTempDir();
  let peers = STATUS.peers;
  const socket = await serveControl(`${dir}/s`, {
    describe: () => ({ ...STATUS, peers, relay: { ...STATUS.relay!, state: "connecting" } }),
  });
  const facts = async () => {
    const { peers: _, ...rest } = JSON.parse(await callAgent(`${dir}/s`, "ListPeers"));
    return rest;
  };
  try {
    assert.deepEqual(await facts(), { "relay-present": false, "relay-required": true });
    peers = STATUS.peers.slice(1); // only one that no way leads to
    assert.deepEqual(await facts(), { "relay-present": false, "relay-required": false });
  } finally {
    await socket.close();
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("control socket pings each peer, and tells it in the words of Nexodus' agent", async () => {
  const dir = await Deno.makeTempDir();
  const [reached, away] = STATUS.peers;
  // This host stands for the one that answers.
  const peers = [{ ...reached!, tunnel_ipv4: "127.0.0.1", tunnel_ipv6: "" }, {
    ...away!,
    tunnel_ipv4: "no address",
  }];
  const status = { ...STATUS, interface: Deno.build.os === "linux" ? "lo" : "lo0", peers };
  const socket = await serveControl(`${dir}/s`, { describe: () => status });
  try {
    const four = JSON.parse(await callAgent(`${dir}/s`, "ConnectivityV4"));
    assert.equal(four["relay-present"], true);
    assert.equal(four["relay-required"], true);
    const { Latency, ...one } = four.peers["127.0.0.1"];
    assert.deepEqual(one, {
      wg_ip: "127.0.0.1",
      is_reachable: true,
      hostname: "edge-b",
      method: "via-derp-relay",
    });
    assert.match(Latency, /^\d+\.\d\dms$/);
    assert.deepEqual(four.peers["no address"], {
      wg_ip: "no address",
      is_reachable: false,
      hostname: "edge-c",
      Latency: "",
      method: "none",
    });
    // By IPv6 a peer without such an address is not there.
    status.peers = peers.slice(0, 1);
    assert.deepEqual(JSON.parse(await callAgent(`${dir}/s`, "ConnectivityV6")).peers, {});
  } finally {
    await socket.close();
    await Deno.remove(dir, { recursive: true });
  }
});
