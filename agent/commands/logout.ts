/**
 * `nexd logout`: this host is no device of its VPC any more.
 *
 * @module
 */
import { ApiClient } from "../api/mod.ts";
import { keptCas, logout as leave, readSignIn } from "../onboarding/mod.ts";
import type { CommandContext, Values } from "./context.ts";

/**
 * `nexd logout`; the exit status is 1 when the control plane may still have the device.
 *
 * @throws {AgentError} when an agent runs on the state directory, or files cannot be removed
 */
export async function logout(values: Values, context: CommandContext): Promise<number> {
  const signIn = await readSignIn(values, { natKind: false });
  const caCerts = [...signIn.caCerts, ...await keptCas(signIn.stateDir)];
  const result = await leave({
    stateDir: signIn.stateDir,
    signal: context.signal,
    api: (origin) =>
      new ApiClient({
        apiUrl: origin === undefined ? signIn.join.apiUrl : new URL(origin),
        caCerts,
        insecureSkipTlsVerify: signIn.insecureSkipTlsVerify,
        version: context.version,
      }),
  });
  const gone = result.deviceId === undefined || result.deleted;
  if (context.json) {
    context.print(JSON.stringify({
      ...(result.deviceId === undefined ? {} : { device_id: result.deviceId }),
      deleted: result.deleted,
      ...(result.reason === undefined ? {} : { reason: result.reason }),
      session_ended: result.sessionEnded,
      removed: result.removed,
    }));
    return gone ? 0 : 1;
  }
  if (result.removed.length === 0) context.print("This host is not logged in");
  else context.print(`Logged out: the keys and state in ${signIn.stateDir} are gone`);
  if (result.deleted) context.print(`The control plane has deleted device ${result.deviceId}`);
  if (result.sessionEnded) context.print("Your session has ended");
  if (result.reason !== undefined) context.print(`Not deleted: ${result.reason}`);
  return gone ? 0 : 1;
}
