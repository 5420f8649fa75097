/** The commands for the control plane as processes: over TLS, with a CA, a session and the environment. */

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { skip } from "../scripts/lab/support.ts";
import { cannotMount, NexctlHost } from "./interop/nexctl_host.ts";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));

Deno.test("nexd signs in once, remembers where and with which CA, and signs out", async () => {
  const reason = await cannotMount();
  if (reason !== undefined) return skip(reason);
  await using host = await NexctlHost.start("unused");
  const session = `${host.dir}/home/sessions.json`;
  const nexd = async (args: string[], env: Record<string, string> = {}) => {
    const script = 'mount --bind "$1" /etc/hosts && shift && exec "$@"';
    const { code, stdout, stderr } = await new Deno.Command("unshare", {
      args: [
        ...["--mount", "sh", "-c", script, "sh", `${host.dir}/hosts`],
        ...[Deno.execPath(), "run", "-A", MAIN, ...args],
      ],
      stdin: "null",
      env: { NO_COLOR: "1", NEXD_SESSION_FILE: session, ...env },
      signal: AbortSignal.timeout(60_000),
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, stdout: text(stdout), stderr: text(stderr) };
  };
  const untrusted = await nexd(["vpc", "list"], {
    ...{ NEXD_SERVICE_URL: host.serviceUrl, NEXD_USERNAME: "ada", NEXD_PASSWORD: host.password },
  });
  equal(untrusted.code, 1);
  match(untrusted.stderr, /^nexd: Cannot trust the control plane at .*--ca FILE.*\n$/);
  const login = await nexd(["user", "login", "--service-url", host.serviceUrl], {
    ...{ NEXD_USERNAME: "ada", NEXD_PASSWORD: host.password },
    NEXD_CA: `${host.dir}/certs/ca.crt`,
  });
  deepEqual([login.code, login.stdout], [0, `Signed in to ${host.serviceUrl} as ada\n`]);
  equal(Deno.statSync(session).mode! & 0o777, 0o600);
  // Nothing but the session is needed from here on.
  const list = await nexd(["vpc", "list"]);
  equal(list.code, 0, list.stderr);
  match(list.stdout, /^VPC ID +IPV4 CIDR +IPV6 CIDR +DESCRIPTION\n\S{36} {2}100\.64\.0\.0\/10/);
  for (const line of list.stdout.split("\n")) ok(line.length <= 80, line);
  const debug = await nexd(["--debug", "--output", "json", "user", "get-current"]);
  equal(JSON.parse(debug.stdout).username, "ada");
  match(debug.stderr, /client: GET \/api\/users\/me: \d+ characters after \d+ ms/);
  ok(!/ey[A-Za-z0-9_-]{20}/.test(debug.stderr), "a token is in the log");
  match((await nexd(["user", "logout"])).stdout, /^Signed out of .*signed in as ada\n$/);
  const after = await nexd(["vpc", "list", "--service-url", host.serviceUrl]);
  match(after.stderr, /^nexd: Nobody is signed in to .*; run nexd user login/);
});
