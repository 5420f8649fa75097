/** `nexd serve` as a service: its flags checked before it is one, and a password that nobody prints. */
import { newPassword } from "../control/mod.ts";
import { checkRelayFlags, type Values } from "../relay/mod.ts";
import { serveSettings } from "./settings.ts";

/**
 * What `nexd install` has to know: throws for flags that cannot be used, and makes the password of the
 * first user, as what a service prints is kept in the log of the system.
 *
 * @returns settings for the first start, by variable, and lines for the operator
 */
export async function prepareService(
  values: Values,
): Promise<{ variables: Map<string, string>; lines: string[] }> {
  const { stateDir, control: { admin, oidc }, relay } = serveSettings(values);
  checkRelayFlags(relay);
  const variables = new Map<string, string>();
  const lines = [
    "nexd serve runs as a service: systemctl status nexd-serve",
    `The line that joins a host is in ${joinFile(stateDir)} once it is up`,
  ];
  const first = !await exists(`${stateDir}/control.db`);
  if (first && admin.password === undefined && oidc === undefined) {
    const password = newPassword();
    variables.set("NEXD_SERVE_ADMIN_PASSWORD", password);
    lines.push(`Sign in as ${admin.username} with password ${password}`);
  }
  return { variables, lines };
}

/** Where the line that joins a host is kept. */
export function joinFile(stateDir: string): string {
  return `${stateDir}/join.txt`;
}

/** Keeps the line that joins a host for the operator alone; none where the key is not known. */
export async function keepJoinLine(stateDir: string, line: string | undefined): Promise<void> {
  const path = joinFile(stateDir);
  if (line === undefined) {
    await Deno.remove(path).catch(() => {});
    return;
  }
  const temporary = `${path}.${crypto.randomUUID()}`;
  await Deno.writeTextFile(temporary, `${line}\n`, { mode: 0o600, createNew: true });
  await Deno.rename(temporary, path);
}

/** Whether a service manager started this process: then its output is a log that others read. */
export function isService(): boolean {
  return Deno.env.get("NOTIFY_SOCKET") !== undefined;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
