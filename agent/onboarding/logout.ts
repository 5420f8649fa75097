/**
 * Leaving: the device is deleted at the control plane, the session is ended, and nothing secret stays
 * on this host.
 *
 * @module
 */
import { type Api, ApiFailure } from "../api/mod.ts";
import { AgentError, reasonOf } from "../errors.ts";
import { tryLockFile } from "../platform/mod.ts";
import { discover, refreshedToken, revoke } from "./issuer/mod.ts";
import { type AgentState, StateStore } from "./store/mod.ts";

/**
 * Files of an agent's state directory that hold secrets or tell about the VPC, those among them that a
 * crash left half-written.
 */
const FILES = /^(state|cache)\.json(\.corrupt-.*)?$|^\.(state|cache)\.json\.[0-9a-f]{12}$/;
/** How long the control plane has to answer in all, ms. */
const PATIENCE = 20_000;

/** How to log out. */
interface LogoutOptions {
  stateDir: string;
  /** The control plane's API at this origin, such as `https://api.control.example`. */
  api(origin: string): Api;
  signal?: AbortSignal;
}

/** What was done. */
export interface LogoutResult {
  /** The device that this host was; absent when it was none. */
  deviceId?: string;
  /** The control plane has no such device any more. */
  deleted: boolean;
  /** Why it may still have it, with the remedy. */
  reason?: string;
  /** A user's session was ended at the issuer. */
  sessionEnded: boolean;
  /** Files that were removed. */
  removed: string[];
}

/**
 * Logs this host out; doing so again does nothing. The files go in any case: a control plane that is
 * away keeps nobody from taking the secrets off this host.
 *
 * @throws {AgentError} when an agent runs on the state directory, or files cannot be removed
 */
export async function logout(options: LogoutOptions): Promise<LogoutResult> {
  const { stateDir } = options;
  const result: LogoutResult = { deleted: false, sessionEnded: false, removed: [] };
  const files = await secretFiles(stateDir);
  if (files.length === 0) return result;
  const lock = await tryLockFile(`${stateDir}/nexd.lock`);
  if (!("release" in lock)) {
    throw new AgentError(
      `Cannot log out: nexd is running on ${stateDir}${
        lock.pid === undefined ? "" : ` (pid ${lock.pid})`
      }; stop it first`,
    );
  }
  try {
    // Read only if it is there: opening would make new keys.
    const state = files.includes("state.json") ? await readState(stateDir) : undefined;
    if (state !== undefined) await leave(options, state, result);
    for (const name of files) {
      await Deno.remove(`${stateDir}/${name}`).catch((error) => {
        if (error instanceof Deno.errors.NotFound) return;
        throw new AgentError(
          `Cannot remove ${stateDir}/${name}: ${
            reasonOf(error)
          }; remove it by hand, it holds secrets`,
          { cause: error },
        );
      });
      result.removed.push(`${stateDir}/${name}`);
    }
    return result;
  } finally {
    lock.release();
  }
}

async function secretFiles(stateDir: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name, isFile } of Deno.readDir(stateDir)) {
      if (isFile && FILES.test(name)) names.push(name);
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw new AgentError(
      `Cannot read ${stateDir}: ${reasonOf(error)}; run as the user that nexd runs as`,
      { cause: error },
    );
  }
  return names.sort();
}

/** The state; a damaged one has nothing that could be used to leave in order. */
async function readState(stateDir: string): Promise<AgentState | undefined> {
  try {
    return (await StateStore.open(stateDir)).state;
  } catch {
    return undefined;
  }
}

async function leave(
  options: LogoutOptions,
  state: AgentState,
  result: LogoutResult,
): Promise<void> {
  const limit = AbortSignal.timeout(PATIENCE);
  const signal = options.signal ? AbortSignal.any([options.signal, limit]) : limit;
  const { deviceId, authToken } = state;
  if (deviceId === undefined && authToken === undefined) return;
  if (state.api === undefined) {
    // Tokens are sent only to whom they came from.
    if (deviceId !== undefined) result.deviceId = deviceId;
    result.reason =
      "the state does not say of which control plane it is; delete this host's device there";
    return;
  }
  const api = options.api(state.api);
  try {
    if (deviceId !== undefined) {
      result.deviceId = deviceId;
      const reason = await deleteDevice(api, state, deviceId, signal);
      if (reason === undefined) result.deleted = true;
      else result.reason = reason;
    }
    if (authToken?.refreshToken !== undefined) {
      const issuer = await discover(api, signal).catch(() => undefined);
      result.sessionEnded = issuer !== undefined &&
        await revoke(api, issuer, authToken.refreshToken, signal);
    }
  } finally {
    api.close();
  }
}

/** Deletes the device by whatever token may; returns why it could not be. */
async function deleteDevice(
  api: Api,
  { deviceToken, authToken }: AgentState,
  id: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const byHand = `delete device ${id} at the control plane`;
  let reason = `this host has no token that may delete it; ${byHand}`;
  const tokens = [
    () => Promise.resolve(deviceToken),
    () =>
      authToken === undefined ? Promise.resolve(undefined) : refreshedToken(api, authToken, signal),
  ];
  for (const find of tokens) {
    try {
      const token = await find();
      if (token === undefined) continue;
      await api.deleteDevice(token, id, signal);
      return undefined;
    } catch (error) {
      if (!(error instanceof ApiFailure)) {
        reason = `${reasonOf(error)}; ${byHand}`;
      } else if (error.kind !== "status" || error.transient) {
        return `${error.message}; ${byHand}`;
      } else if (error.status === 404) {
        return undefined; // it is gone already
      } else if (error.status === 401) {
        // A device's token ends with it, but its owner may have ended it before.
        reason = `this host's token is not valid any more; if it is still there, ${byHand}`;
      } else {
        reason = `the control plane does not let this host delete it; ${byHand}`;
      }
    }
  }
  return reason;
}
