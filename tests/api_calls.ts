/**
 * Requests to a lab's control plane as its first user, whose password the mesh's environment sets.
 *
 * @module
 */
import { equal, ok } from "node:assert/strict";
import type { Mesh } from "../scripts/mesh/mod.ts";
import type { ApiAnswer, ApiCall } from "./firewall_host.ts";

const PROGRAM = new URL("./firewall_host.ts", import.meta.url).pathname;

/** Password of the first user. */
export const PASSWORD = "a-password-for-the-lab";

/** What gives the first user that password. */
export const ADMIN_ENV = { NEXD_ADMIN_PASSWORD: PASSWORD };

/** Sends requests from the control plane's own host, one after the other; all must succeed. */
export async function callApi(mesh: Mesh, ...calls: ApiCall[]): Promise<ApiAnswer[]> {
  const ca = `${mesh.lab.dir}/control/certs/ca.crt`;
  const { code, stdout, stderr } = await mesh.lab.host("control").run(
    [Deno.execPath(), "run", "-A", PROGRAM, "api", ca, PASSWORD],
    { input: calls.map((call) => JSON.stringify(call)).join("\n"), env: { NO_COLOR: "1" } },
  );
  equal(code, 0, stderr);
  const answers = stdout.trim().split("\n").map((line) => JSON.parse(line) as ApiAnswer);
  for (const { status, body } of answers) ok(status < 300, JSON.stringify(body));
  return answers;
}
