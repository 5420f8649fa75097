/**
 * Asks a running agent over its control socket.
 *
 * @module
 */
import { JsonObjectDecoder } from "../api/mod.ts";
import { AgentError, reasonOf } from "../errors.ts";
import { SUPERUSER } from "../platform/mod.ts";
import { LOCAL, type Local, type LocalConn } from "./local.ts";
import { isAnswering } from "./server.ts";
import type { AgentStatus, ExitNodeStatus, PeerStatus } from "./types.ts";

/** Largest answer, bytes, and how long it may take when nothing else is said, ms. */
const MAX_ANSWER = 64 << 20, TIMEOUT = 5_000;

/**
 * Calls one method and returns its result text.
 *
 * @param options `param`: its argument; `timeoutMs`: how long it may take; `local`: the way there
 * @throws {AgentError} when no agent answers there, or it reports an error
 */
export async function callAgent(
  path: string,
  method: string,
  { param = "", timeoutMs = TIMEOUT, local = LOCAL } = {},
): Promise<string> {
  let conn: LocalConn;
  try {
    conn = await local.connect(path);
  } catch (error) {
    if (error instanceof AgentError) throw error;
    const denied = error instanceof Deno.errors.PermissionDenied;
    throw new AgentError(
      denied
        ? `Cannot ask the agent on ${path}: permission denied; run as ${SUPERUSER}`
        : `The agent is not running: nobody answers on ${path}; ` +
          "start nexd, or give its --unix-socket",
      { cause: error },
    );
  }
  const timer = setTimeout(() => conn.close(), timeoutMs);
  try {
    const request = JSON.stringify({ method: `NexdCtl.${method}`, params: [param], id: 1 });
    await conn.write(new TextEncoder().encode(`${request}\n`));
    const decoder = new JsonObjectDecoder(MAX_ANSWER);
    const buffer = new Uint8Array(64 << 10);
    for (let n; (n = await conn.read(buffer)) !== null;) {
      const [reply] = decoder.push(buffer.subarray(0, n));
      if (reply === undefined) continue;
      if (typeof reply.result === "string") return reply.result;
      throw new AgentError(`The agent refused: ${reasonOf(reply.error)}`);
    }
    throw new Error("it closed the connection");
  } catch (error) {
    if (error instanceof AgentError) throw error;
    throw new AgentError(`The agent on ${path} gave no answer: ${reasonOf(error)}`, {
      cause: error,
    });
  } finally {
    clearTimeout(timer);
    try {
      conn.close();
    } catch { /* the time limit closed it */ }
  }
}

/** Everything a running agent tells. */
export async function describeAgent(path: string): Promise<AgentStatus> {
  return JSON.parse(await callAgent(path, "Describe"));
}

/** One peer of a running agent, as it is now. */
export async function describePeer(path: string, publicKey: string): Promise<PeerStatus> {
  return JSON.parse(await callAgent(path, "DescribePeer", { param: publicKey }));
}

/** The exit nodes that a running agent knows. */
export async function describeExitNodes(path: string): Promise<ExitNodeStatus[]> {
  return JSON.parse(await callAgent(path, "ExitNodes"));
}

/** How long an agent may take to put back what it changed, ms. */
const STOP_LIMIT = 20_000;

/**
 * Has a running agent end as by a signal, and waits until it has; false when none runs.
 *
 * @throws {AgentError} when it does not end
 */
export async function stopAgent(path: string, local: Local = LOCAL): Promise<boolean> {
  if (!await isAnswering(path, local)) return false;
  await callAgent(path, "Stop", { local }).catch((error) => {
    // Its end may come before its answer.
    if (/refused/.test(String(error))) throw error;
  });
  for (const end = Date.now() + STOP_LIMIT; await isAnswering(path, local);) {
    if (Date.now() > end) {
      throw new AgentError(`The agent on ${path} does not end; end its process by hand`);
    }
    await new Promise((done) => setTimeout(done, 100));
  }
  return true;
}

/** How long an agent may take to send everything another way, ms. */
const SWITCH_LIMIT = 12_000;

/**
 * Has a running agent send everything through the VPC's exit node, or no longer.
 *
 * @throws {AgentError} with the agent's reason when it cannot be
 */
export async function switchExitNodeClient(path: string, on: boolean): Promise<void> {
  const method = on ? "EnableExitNodeClient" : "DisableExitNodeClient";
  await callAgent(path, method, { timeoutMs: SWITCH_LIMIT });
}
