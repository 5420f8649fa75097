/**
 * The local control socket: JSON-RPC 1.0 over a unix stream socket, as Nexodus' tools speak it,
 * plus `Describe` with everything as one JSON text. Only this user and root can connect (0600).
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { JsonObjectDecoder } from "../api/mod.ts";
import { AgentError, reasonOf } from "../errors.ts";
import type { AgentStatus } from "./types.ts";

const log = getLogger(["nexd", "ctl"]);

/** Largest request, bytes; most connections; how long an idle one may stay, ms. */
const MAX_REQUEST = 64 << 10, MAX_CONNECTIONS = 16, IDLE_LIMIT = 30_000;

/** The open socket. */
interface ControlSocket {
  /** Closes it, ends its connections and removes the file. */
  close(): Promise<void>;
}

/** True when an agent answers on the socket. */
export async function isAnswering(path: string): Promise<boolean> {
  try {
    const conn = await Deno.connect({ transport: "unix", path });
    conn.close();
    return true;
  } catch {
    return false;
  }
}

/**
 * Opens the control socket; a file left by a crashed agent is replaced.
 *
 * @throws {AgentError} when another agent answers there or the path cannot be used
 */
export async function serveControl(
  path: string,
  describe: () => AgentStatus,
): Promise<ControlSocket> {
  if (await isAnswering(path)) {
    throw new AgentError(
      `Another agent is running: it answers on ${path}; stop it, or choose another --unix-socket, ` +
        "--state-dir and --interface",
    );
  }
  let listener: Deno.UnixListener;
  try {
    const left = await Deno.lstat(path).catch(() => undefined);
    if (left !== undefined && left.isSocket !== true) throw new Error("a file that is no socket");
    if (left !== undefined) await Deno.remove(path);
    // The mode has to be right from the first moment: the umask is the only way to say it.
    const mask = Deno.umask(0o177);
    try {
      listener = Deno.listen({ transport: "unix", path });
    } finally {
      Deno.umask(mask);
    }
  } catch (error) {
    throw new AgentError(
      `Cannot open the control socket ${path}: ${reasonOf(error)}; ` +
        "run as root or choose another --unix-socket",
      { cause: error },
    );
  }
  const connections = new Set<Deno.Conn>();
  const accepting = (async () => {
    for await (const conn of listener) {
      if (connections.size >= MAX_CONNECTIONS) {
        conn.close();
        continue;
      }
      connections.add(conn);
      void serve(conn, describe)
        .catch((error) => log.debug("control connection: {error}", { error: reasonOf(error) }))
        .finally(() => {
          connections.delete(conn);
          close(conn);
        });
    }
  })();
  return {
    async close() {
      listener.close();
      for (const conn of connections) close(conn);
      await accepting.catch(() => {});
      await Deno.remove(path).catch(() => {});
    },
  };
}

function close(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch { /* closed already */ }
}

async function serve(conn: Deno.Conn, describe: () => AgentStatus): Promise<void> {
  const decoder = new JsonObjectDecoder(MAX_REQUEST);
  const buffer = new Uint8Array(4096);
  const encoder = new TextEncoder();
  while (true) {
    const timer = setTimeout(() => close(conn), IDLE_LIMIT);
    try {
      const n = await conn.read(buffer);
      if (n === null) return;
      for (const request of decoder.push(buffer.subarray(0, n))) {
        const bytes = encoder.encode(`${JSON.stringify(answer(request, describe))}\n`);
        for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
      }
    } finally {
      clearTimeout(timer);
    }
  }
}

/** One reply: `{"id", "result": string | null, "error": string | null}`. */
function answer(request: Record<string, unknown>, describe: () => AgentStatus): unknown {
  const id = request.id ?? null;
  const name = typeof request.method === "string" ? request.method : "";
  const method = name.startsWith("NexdCtl.") ? METHODS[name.slice("NexdCtl.".length)] : undefined;
  if (method === undefined) {
    return { id, result: null, error: `rpc: can't find method ${name.slice(0, 100)}` };
  }
  try {
    return { id, result: method(describe()), error: null };
  } catch (error) {
    return { id, result: null, error: reasonOf(error) };
  }
}

const METHODS: Record<string, ((status: AgentStatus) => string) | undefined> = {
  __proto__: null as never,
  Status: (status) => `Status: ${status.status}\n`,
  Version: (status) => status.version,
  GetTunnelIPv4: (status) => status.tunnel_ipv4,
  GetTunnelIPv6: (status) => status.tunnel_ipv6,
  ListPeers: listPeers,
  Describe: (status) => JSON.stringify(status),
};

/** The peers in the shape of Nexodus' agent; a DERP relay counts as a relay. */
function listPeers(status: AgentStatus): string {
  const peers = status.peers.map((peer) => [peer.public_key, {
    PublicKey: peer.public_key,
    Endpoint: peer.endpoint,
    AllowedIPs: peer.allowed_ips,
    LatestHandshake: goTime(peer.last_handshake_ms),
    Tx: peer.tx_bytes,
    Rx: peer.rx_bytes,
    Healthy: peer.healthy,
  }]);
  return JSON.stringify({
    "relay-present": status.relay?.state === "connected",
    "relay-required": status.nat === "symmetric" ||
      status.peers.some((peer) => peer.method === "via-derp-relay"),
    peers: Object.fromEntries(peers),
  });
}

/** A time as Go prints it (`2006-01-02 15:04:05.999 +0000 UTC`); never is the zero time. */
function goTime(ms: number | null): string {
  if (ms === null) return "0001-01-01 00:00:00 +0000 UTC";
  return `${new Date(ms).toISOString().replace("T", " ").replace("Z", "")} +0000 UTC`;
}
