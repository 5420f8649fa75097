/**
 * Requests to a lab's control plane as its first user, with the password that the mesh's
 * environment (`USER_ENV`) sets.
 *
 * @module
 */
import { equal, ok } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { Mesh } from "../scripts/mesh/mod.ts";
import type { ApiAnswer, ApiCall } from "./firewall_host.ts";
import { USER } from "./sign_in.ts";

const PROGRAM = fileURLToPath(new URL("./firewall_host.ts", import.meta.url));

/** Sends requests from the control plane's own host, one after the other; all must succeed. */
export async function callApi(mesh: Mesh, ...calls: ApiCall[]): Promise<ApiAnswer[]> {
  const ca = `${mesh.lab.dir}/control/certs/ca.crt`;
  const { code, stdout, stderr } = await mesh.lab.host("control").run(
    [Deno.execPath(), "run", "-A", PROGRAM, "api", ca, USER.password],
    { input: calls.map((call) => JSON.stringify(call)).join("\n"), env: { NO_COLOR: "1" } },
  );
  equal(code, 0, stderr);
  const answers = stdout.trim().split("\n").map((line) => JSON.parse(line) as ApiAnswer);
  for (const { status, body } of answers) ok(status < 300, JSON.stringify(body));
  return answers;
}
