/**
 * What the tests of signing in share: a user, and a person who lets hosts in.
 *
 * @module
 */
import { equal } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { Lab } from "../scripts/lab/mod.ts";

const PERSON = fileURLToPath(new URL("./sign_in_person.ts", import.meta.url));

/** The control plane's first user. */
export const USER = { username: "admin", password: "correct horse" } as const;
/** For {@linkcode Mesh}: makes that user. */
export const USER_ENV = { NEXD_ADMIN_PASSWORD: USER.password };
/** Where users of the lab sign in. */
export const SERVICE = ["--service-url", "https://control"];
/** Flags of an agent that signs in with the password. */
export const BY_PASSWORD = [...SERVICE, "--username", USER.username, "--password", USER.password];

/** A person on the control plane's host opens the link and lets the host in. */
export async function letIn(lab: Lab, link: string): Promise<void> {
  const { code, stdout, stderr } = await lab.host("control").run([
    ...[Deno.execPath(), "run", "-A", PERSON, link, `${lab.dir}/control/certs/ca.crt`],
    ...[USER.username, USER.password, "Let it in"],
  ], { env: { NO_COLOR: "1" } });
  equal(`${code} ${stdout}${stderr}`, "0 200 The host may join\n");
}
