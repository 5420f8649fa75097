/** What the flags of `nexd serve` come to, for its two halves. */
import { type ControlSettings, controlSettings } from "../control/mod.ts";
import type { Values } from "../relay/mod.ts";

/** The flags, sorted. */
export interface ServeSettings {
  hostname: string;
  stateDir: string;
  databaseUrl: string | undefined;
  control: Pick<ControlSettings, "admin" | "rateLimit" | "corsOrigins" | "oidc" | "audit">;
  /** Names of the certificate beside the hostname. */
  names: string[];
  /** Flags of the relay. */
  relay: Values;
}

/**
 * Sorts and checks the flags that are not the relay's own, which are checked there.
 *
 * @throws ControlError, exit code 2, for one that cannot be used
 */
export function serveSettings(values: Values): ServeSettings {
  const stateDir = text(values["state-dir"]) ?? defaultStateDir();
  const { hostname, admin, databaseUrl, rateLimit, corsOrigins, oidc, audit } = controlSettings({
    ...values,
    "state-dir": stateDir,
    // The relay sees to certificates, and knows more ways to one.
    certmode: "selfsigned",
  });
  const also = values["certificate-names"];
  return {
    hostname,
    stateDir,
    databaseUrl,
    control: { admin, rateLimit, corsOrigins, audit, ...(oidc === undefined ? {} : { oidc }) },
    names: [`api.${hostname}`, `auth.${hostname}`, ...Array.isArray(also) ? also : []],
    relay: {
      ...values,
      hostname,
      certdir: text(values.certdir) ?? `${stateDir}/certs`,
      c: `${stateDir}/relay.key`,
      workers: 1,
    },
  };
}

/** Told by HOME, as asking for the user id needs a permission that nothing else here does. */
function defaultStateDir(): string {
  const home = Deno.env.get(Deno.build.os === "windows" ? "USERPROFILE" : "HOME");
  return home === undefined || home === "" || home === "/root"
    ? "/var/lib/nexd/serve"
    : `${home}/.nexodus/serve`;
}

function text(value: Values[string]): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}
