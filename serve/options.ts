/** Flags of `nexd serve`: data only, so that the command line can be built without this room. */
import { CONTROL_OPTIONS } from "../control/options.ts";
import { type Option, RELAY_OPTIONS } from "../relay/options.ts";

/** What of the relay's flags makes sense for a relay beside a control plane, in one process. */
const FROM_RELAY = [
  ...["addr", "http-port", "stun", "stun-port"],
  ...["certmode", "certdir", "acme-email", "acme-eab-kid", "acme-eab-key"],
  ...["acme-directory", "acme-ca", "drain", "allow-list", "rate-config"],
  ...["accept-connection-limit", "accept-connection-burst", "max-connections-per-address"],
  ...["debug-networks", "debug-key-file"],
];

const FROM_CONTROL = [
  ...["database-url", "rate-limit", "cors-origin", "audit-days", "audit-rows"],
  ...["admin-username", "admin-password"],
  ...["oidc-issuer", "oidc-client-id", "oidc-web-client-id", "oidc-audience", "oidc-operator"],
  ...["oidc-ca", "oidc-client-secret-file"],
];

/** What reads otherwise here. */
const OTHERWISE: Record<string, Partial<Option>> = {
  addr: { help: "address to serve the control plane and the relay on" },
  certdir: {
    help:
      "directory of certificates (manual: HOST.crt and HOST.key); otherwise certs in --state-dir",
  },
  "http-port": { hidden: false },
  // Clients have nowhere else to go, and nobody can come back while this one drains.
  drain: { default: "500ms" },
};

const OWN: Option[] = [
  {
    name: "hostname",
    env: "NEXD_SERVE_HOSTNAME",
    kind: "string",
    placeholder: "HOST",
    help: "DNS name of this host; api.HOST and auth.HOST must lead here as well",
  },
  {
    name: "state-dir",
    env: "NEXD_SERVE_STATE_DIR",
    kind: "string",
    placeholder: "DIR",
    help: "where the database, the secrets and the certificates are kept " +
      "(default: /var/lib/nexd/serve for root, else $HOME/.nexodus/serve)",
  },
  {
    name: "certificate-names",
    env: "NEXD_SERVE_CERTIFICATE_NAMES",
    kind: "list",
    placeholder: "NAME,…",
    help: "further names that the certificate shall be for, by which clients reach the relay",
  },
];

/** Taken over from another command, with a variable of this one's. */
function taken(options: readonly Option[], names: readonly string[]): Option[] {
  return names.map((name) => {
    const option = options.find((option) => option.name === name)!;
    const env = option.env?.replace(/^NEXD_(DERP|CONTROL)_/, "NEXD_SERVE_");
    return { ...option, ...(env === undefined ? {} : { env }), ...OTHERWISE[name] };
  });
}

export const SERVE_OPTIONS: Option[] = [
  ...OWN,
  ...taken(RELAY_OPTIONS, FROM_RELAY),
  ...taken(CONTROL_OPTIONS as unknown as Option[], FROM_CONTROL),
];
