/** The flags of `nexd relayderp`, as data: names and environment of the Go nexd. */

/** One flag of a command. */
export interface Option {
  name: string;
  env?: string;
  kind: "string" | "boolean" | "integer" | "list";
  default?: string | number | boolean;
  help: string;
  hidden?: boolean;
  choices?: string[];
  placeholder?: string;
}

export const RELAY_OPTIONS: Option[] = [
  {
    name: "addr",
    env: "NEXD_DERP_LISTEN_ADDR",
    kind: "string",
    default: ":443",
    placeholder: "[HOST]:PORT",
    help: "address to serve DERP and HTTPS on",
  },
  {
    name: "hostname",
    env: "NEXD_DERP_HOSTNAME",
    kind: "string",
    default: "relay.nexodus.io",
    placeholder: "NAME",
    help: "name that clients dial and the certificate is for",
  },
  {
    name: "certmode",
    env: "NEXD_DERP_CERT_MODE",
    kind: "string",
    default: "letsencrypt",
    choices: ["manual", "selfsigned", "letsencrypt"],
    help: "where the certificate comes from",
  },
  {
    name: "certdir",
    env: "NEXD_DERP_CERT_DIR",
    kind: "string",
    placeholder: "DIR",
    help: "directory of certificates (manual: NAME.crt and NAME.key)",
  },
  {
    name: "http-port",
    env: "NEXD_DERP_HTTP_PORT",
    kind: "integer",
    default: 80,
    placeholder: "PORT",
    help: "port of the plain HTTP companion beside TLS, -1 for none",
  },
  {
    name: "stun",
    env: "NEXD_DERP_RUN_STUN",
    kind: "boolean",
    default: true,
    help: "run a STUN server",
  },
  {
    name: "stun-port",
    env: "NEXD_DERP_STUN_PORT",
    kind: "integer",
    default: 3478,
    placeholder: "PORT",
    help: "UDP port of the STUN server",
  },
  {
    name: "c",
    env: "NEXD_DERP_CONFIG",
    kind: "string",
    placeholder: "FILE",
    help: "file of the relay's private key, made at the first start",
  },
  {
    name: "dev",
    env: "NEXD_DERP_DEV",
    kind: "boolean",
    default: false,
    hidden: true,
    help: "plain HTTP on :3340 with a throw-away key",
  },
];
