/**
 * The local control socket: JSON-RPC 1.0 over a unix stream socket, as Nexodus' tools speak it, or a
 * named pipe of Windows. Only this user and root, or an administrator, can connect.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { JsonObjectDecoder } from "../api/mod.ts";
import { AgentError, reasonOf } from "../errors.ts";
import { SUPERUSER } from "../platform/mod.ts";
import { LOCAL, type Local, type LocalConn, type LocalListener } from "./local.ts";
import { type Controls, METHODS } from "./methods.ts";

const log = getLogger(["nexd", "ctl"]);

/** Largest request, bytes; most connections; how long an idle one may stay, ms. */
const MAX_REQUEST = 64 << 10, MAX_CONNECTIONS = 16, IDLE_LIMIT = 30_000;

/** The open socket. */
interface ControlSocket {
  /** Closes it, ends its connections and removes the file. */
  close(): Promise<void>;
}

/** True when an agent answers on the socket. */
export async function isAnswering(path: string, local: Local = LOCAL): Promise<boolean> {
  try {
    const conn = await local.connect(path);
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
  controls: Controls,
  local: Local = LOCAL,
): Promise<ControlSocket> {
  if (await isAnswering(path, local)) {
    throw new AgentError(
      `Another agent is running: it answers on ${path}; stop it, or choose another --unix-socket, ` +
        "--state-dir and --interface",
    );
  }
  let listener: LocalListener;
  try {
    listener = await local.listen(path);
  } catch (error) {
    if (error instanceof AgentError) throw error;
    throw new AgentError(
      `Cannot open the control socket ${path}: ${reasonOf(error)}; ` +
        `run as ${SUPERUSER} or choose another --unix-socket`,
      { cause: error },
    );
  }
  const connections = new Set<LocalConn>();
  const accepting = (async () => {
    for await (const conn of listener) {
      if (connections.size >= MAX_CONNECTIONS) {
        conn.close();
        continue;
      }
      connections.add(conn);
      void serve(conn, controls)
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
      await local.remove(path);
    },
  };
}

function close(conn: LocalConn): void {
  try {
    conn.close();
  } catch { /* closed already */ }
}

async function serve(conn: LocalConn, controls: Controls): Promise<void> {
  const decoder = new JsonObjectDecoder(MAX_REQUEST);
  const buffer = new Uint8Array(4096);
  const encoder = new TextEncoder();
  while (true) {
    const timer = setTimeout(() => close(conn), IDLE_LIMIT);
    try {
      const n = await conn.read(buffer);
      if (n === null) return;
      for (const request of decoder.push(buffer.subarray(0, n))) {
        const bytes = encoder.encode(`${JSON.stringify(await answer(request, controls))}\n`);
        for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
      }
    } finally {
      clearTimeout(timer);
    }
  }
}

/** One reply: `{"id", "result": string | null, "error": string | null}`. */
async function answer(request: Record<string, unknown>, controls: Controls): Promise<unknown> {
  const id = request.id ?? null;
  const name = typeof request.method === "string" ? request.method : "";
  const method = name.startsWith("NexdCtl.") ? METHODS[name.slice("NexdCtl.".length)] : undefined;
  if (method === undefined) {
    return { id, result: null, error: `rpc: can't find method ${name.slice(0, 100)}` };
  }
  const [param] = Array.isArray(request.params) ? request.params : [];
  try {
    await controls.fresh?.();
    const result = await method(controls, typeof param === "string" ? param : "");
    return { id, result, error: null };
  } catch (error) {
    return { id, result: null, error: reasonOf(error) };
  }
}
