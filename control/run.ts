import { getLogger } from "@logtape/logtape";
import { ensureSelfSigned, loadManual, reasonOf } from "../relay/cert/mod.ts";
import { type ControlSettings, type ControlValues, settings } from "./config.ts";
import { readOidc } from "./oidc/mod.ts";
import { type Control, type ControlConfig, startControl } from "./server.ts";

const log = getLogger(["nexd", "control"]);

/** What the command line gives to a command. */
export interface ControlContext {
  json: boolean;
  /** Of the program. */
  version?: string;
  print(line: string): void;
  /** Aborts on SIGINT and SIGTERM. */
  signal: AbortSignal;
}

/**
 * `nexd control`: starts the control plane, prints how to join hosts, and runs until the signal.
 * Throws errors with an `exitCode` for what the user can put right.
 */
export async function runControl(values: ControlValues, context: ControlContext): Promise<void> {
  const config = settings(values);
  const control = await startControl({
    hostname: config.hostname,
    addr: config.addr,
    stateDir: config.stateDir,
    databaseUrl: config.databaseUrl,
    admin: config.admin,
    rateLimit: config.rateLimit,
    proxies: config.proxies,
    publicPort: config.publicPort,
    corsOrigins: config.corsOrigins,
    oidc: await readOidc(config.oidc),
    audit: config.audit,
    version: context.version,
    certificate: certificateSource(config),
  });
  try {
    for (const line of context.json ? [asJson(control)] : asProse(control, config)) {
      context.print(line);
    }
    await new Promise<void>((resolve) => {
      if (context.signal.aborted) return resolve();
      context.signal.addEventListener("abort", () => resolve(), { once: true });
    });
  } finally {
    await control.close();
  }
}

function certificateSource(config: ControlSettings): ControlConfig["certificate"] {
  const { certDir, hostname } = config;
  const [api, auth] = [`api.${hostname}`, `auth.${hostname}`];
  if (config.certMode === "manual") {
    return () =>
      loadManual(certDir, hostname, [api, auth]).catch(async (error) => {
        // Registration keys need no sign-in, so a certificate for the two older names will do.
        const certificate = await loadManual(certDir, hostname, [api]);
        log.warn("users cannot sign in: {reason}", { reason: reasonOf(error) });
        return certificate;
      });
  }
  return () => ensureSelfSigned(certDir, [hostname, api, auth]);
}

function asJson(control: Control): string {
  return JSON.stringify({
    service_url: control.serviceUrl,
    ...(control.issuer === undefined ? { username: control.username } : { issuer: control.issuer }),
    ...(control.password === undefined ? {} : { password: control.password }),
    ...(control.regKey === undefined ? {} : { reg_key: control.regKey }),
    ...(control.caPath === undefined ? {} : { ca: control.caPath }),
  });
}

/** What the terminal shows once the control plane is up. */
export function asProse(control: Control, config: Pick<ControlSettings, "stateDir">): string[] {
  const lines = [
    `Control plane is up at ${control.serviceUrl}, its state is in ${config.stateDir}`,
  ];
  if (control.issuer !== undefined) {
    lines.push(`Users sign in at ${control.issuer}`);
  } else if (control.first) {
    lines.push(`First user: ${control.username}, password: ${control.password} (shown only now)`);
  } else {
    lines.push(`First user: ${control.username}; the password was shown at the first start`);
  }
  const ca = control.caPath === undefined ? "" : ` --ca ${control.caPath}`;
  if (control.regKey === undefined && control.issuer !== undefined) {
    lines.push("Registration keys are made by users: nexd reg-key create, or the dashboard");
  } else if (control.regKey === undefined) {
    lines.push("The registration key was shown at the first start, only its hash is kept");
  } else {
    lines.push("Join a host with:");
    lines.push(`  nexd --reg-key '${control.serviceUrl}#${control.regKey}'${ca}`);
  }
  lines.push("Or, as a user, by a link that is then shown:");
  lines.push(`  nexd --service-url ${control.serviceUrl}${ca}`);
  if (control.caPath !== undefined) {
    lines.push(
      `The certificate comes from a private CA made for this control plane. Copy ` +
        `${control.caPath} to each host and name it with --ca, or let the whole host trust it ` +
        `(Debian: copy it to /usr/local/share/ca-certificates/nexd.crt, run ` +
        `update-ca-certificates).`,
    );
  }
  return lines;
}
