/**
 * The flags of `nexd relayderp`, as data. Names and environment are those of the Go nexd where it has
 * them, else the reference relay's names.
 */

/** One flag of a command. */
export interface Option {
  name: string;
  /** A second spelling, one letter. */
  alias?: string;
  env?: string;
  kind: "string" | "boolean" | "integer" | "list";
  default?: string | number | boolean;
  help: string;
  hidden?: boolean;
  choices?: string[];
  placeholder?: string;
}

const LISTENING: Option[] = [
  {
    name: "addr",
    alias: "a",
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
    help: "name, or IP address, that clients dial and the certificate is for",
  },
  {
    name: "http-port",
    env: "NEXD_DERP_HTTP_PORT",
    kind: "integer",
    default: 80,
    placeholder: "PORT",
    help: "port of the plain HTTP companion beside TLS, -1 for none",
    hidden: true,
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
    env: "NEXD_DERP_CONFIG_PATH",
    kind: "string",
    placeholder: "FILE",
    help: "file of the relay's private key, made at the first start",
    hidden: true,
  },
  {
    name: "dev",
    env: "NEXD_DERP_DEV_MODE",
    kind: "boolean",
    default: false,
    hidden: true,
    help: "plain HTTP on :3340 with a throw-away key",
  },
  {
    name: "derp",
    env: "NEXD_DERP_RUN_DERP",
    kind: "boolean",
    default: true,
    help: "serve DERP; false leaves the pages and probes of a relay that is being retired",
  },
  {
    name: "home",
    env: "NEXD_DERP_HOME",
    kind: "string",
    placeholder: "blank|URL",
    help: "what / shows: nothing for the relay's page, blank, or a URL to redirect to",
  },
];

const CERTIFICATES: Option[] = [
  {
    name: "certmode",
    env: "NEXD_DERP_CERT_MODE",
    kind: "string",
    default: "letsencrypt",
    choices: ["manual", "letsencrypt", "gcp", "selfsigned"],
    help: "where the certificate comes from",
  },
  {
    name: "certdir",
    env: "NEXD_DERP_CERT_DIR",
    kind: "string",
    placeholder: "DIR",
    help:
      "directory of certificates (manual: NAME.crt and NAME.key); otherwise /var/lib/nexd/certs",
  },
  {
    name: "acme-email",
    env: "NEXD_DERP_ACME_EMAIL",
    kind: "string",
    placeholder: "ADDRESS",
    help: "mail address of the ACME account; certmode gcp needs it",
  },
  {
    name: "acme-eab-kid",
    env: "NEXD_DERP_ACME_EAB_KID",
    kind: "string",
    placeholder: "ID",
    help: "key id of the ACME external account; certmode gcp needs it",
  },
  {
    name: "acme-eab-key",
    env: "NEXD_DERP_ACME_EAB_KEY",
    kind: "string",
    placeholder: "BASE64",
    help: "key of the ACME external account; certmode gcp needs it; better in the environment",
  },
  {
    name: "acme-ip-certs",
    env: "NEXD_DERP_ACME_IP_CERTS",
    kind: "boolean",
    default: false,
    help: "let --hostname be an IP address with certmode letsencrypt (short-lived certificates)",
  },
  {
    name: "acme-directory",
    env: "NEXD_DERP_ACME_DIRECTORY",
    kind: "string",
    placeholder: "URL",
    help: "another ACME server's directory",
  },
  {
    name: "acme-ca",
    env: "NEXD_DERP_ACME_CA",
    kind: "string",
    placeholder: "FILE",
    help: "PEM file of extra CAs trusted for the ACME server itself",
  },
];

const PROCESSES: Option[] = [
  {
    name: "workers",
    env: "NEXD_DERP_WORKERS",
    kind: "integer",
    placeholder: "N",
    help: "worker processes; otherwise one a core; 1 serves in the main process",
  },
  {
    name: "realtime",
    env: "NEXD_DERP_REALTIME",
    kind: "string",
    default: "off",
    choices: ["auto", "on", "off"],
    help: "forward before all else on this host; auto: with two processors or more",
  },
  {
    name: "drain",
    env: "NEXD_DERP_DRAIN",
    kind: "string",
    default: "5s",
    placeholder: "DURATION",
    help: "how long a stopping relay goes on forwarding for clients that have not left",
  },
  {
    name: "run-dir",
    env: "NEXD_DERP_RUN_DIR",
    kind: "string",
    placeholder: "DIR",
    help: "where workers and a replacement find each other; otherwise /run/nexd or the like",
  },
];

const MESH: Option[] = [
  {
    name: "mesh-psk-file",
    env: "NEXD_DERP_MESH_PSK_FILE",
    kind: "string",
    placeholder: "FILE",
    help: "file of the region's mesh key, 64 hex digits",
    hidden: true,
  },
  {
    name: "mesh-with",
    env: "NEXD_DERP_MESH_WITH",
    kind: "list",
    placeholder: "HOST[:PORT][/DIALHOST],…",
    help: "relays of the same region to mesh with; the own name may be among them",
    hidden: true,
  },
  {
    name: "mesh-ca",
    env: "NEXD_DERP_MESH_CA",
    kind: "string",
    placeholder: "FILE",
    help: "PEM file of extra CAs trusted for the relays of --mesh-with",
  },
  {
    name: "bootstrap-dns-names",
    env: "NEXD_DERP_BOOTSTRAP_DNS_NAMES",
    kind: "list",
    placeholder: "NAME,…",
    help: "names whose addresses are shown at /bootstrap-dns",
    hidden: true,
  },
  {
    name: "unpublished-bootstrap-dns-names",
    env: "NEXD_DERP_UNPUBLISHED_BOOTSTRAP_DNS_NAMES",
    kind: "list",
    placeholder: "NAME[/TXTNAME],…",
    help: "names that /bootstrap-dns answers only when asked for by name",
    hidden: true,
  },
];

const ADMISSION: Option[] = [
  {
    name: "verify-clients",
    env: "NEXD_DERP_VERIFY_CLIENTS",
    kind: "boolean",
    default: false,
    help: "admit only clients that the local tailscaled knows",
    hidden: true,
  },
  {
    name: "socket",
    env: "NEXD_DERP_SOCKET",
    kind: "string",
    placeholder: "PATH",
    help: "tailscaled's socket, for --verify-clients",
  },
  {
    name: "verify-client-url",
    env: "NEXD_DERP_VERIFY_CLIENT_URL",
    kind: "string",
    placeholder: "URL",
    help: "ask this URL whether to admit a client",
  },
  {
    name: "verify-client-url-fail-open",
    env: "NEXD_DERP_VERIFY_CLIENT_URL_FAIL_OPEN",
    kind: "boolean",
    default: false,
    help: "admit clients while --verify-client-url cannot be reached",
  },
  {
    name: "allow-list",
    env: "NEXD_DERP_ALLOW_LIST",
    kind: "string",
    placeholder: "FILE",
    help: "admit only the public keys in this file, one a line; changes take effect at once",
  },
  {
    name: "onboard",
    env: "NEXD_DERP_ONBOARD",
    kind: "boolean",
    default: false,
    help: "join a VPC as its relay and admit exactly its devices",
  },
];

const LIMITS: Option[] = [
  {
    name: "accept-connection-limit",
    env: "NEXD_DERP_ACCEPT_CONN_LIMIT",
    kind: "string",
    placeholder: "N",
    help: "new connections a second, over all workers; otherwise no limit",
  },
  {
    name: "accept-connection-burst",
    env: "NEXD_DERP_ACCEPT_CONN_BURST",
    kind: "string",
    placeholder: "N",
    help: "new connections at once; otherwise as many as --accept-connection-limit",
  },
  {
    name: "max-connections-per-address",
    env: "NEXD_DERP_MAX_CONNECTIONS_PER_ADDRESS",
    kind: "integer",
    placeholder: "N",
    help: "connections of one IPv4 address or IPv6 /64, 0 for no limit; otherwise 4096",
  },
  {
    name: "tcp-keepalive-time",
    env: "NEXD_DERP_TCP_KEEPALIVE_TIME",
    kind: "string",
    default: "10m0s",
    placeholder: "DURATION",
    help: "silence after which TCP asks whether the other side is there",
  },
  {
    name: "tcp-user-timeout",
    env: "NEXD_DERP_TCP_USER_TIMEOUT",
    kind: "string",
    default: "15s",
    placeholder: "DURATION",
    help: "time without acknowledgement after which TCP gives a connection up",
  },
  {
    name: "tcp-write-timeout",
    env: "NEXD_DERP_TCP_WRITE_TIMEOUT",
    kind: "string",
    default: "2s",
    placeholder: "DURATION",
    help: "a client that takes nothing for this long is closed, 0 for never",
  },
  {
    name: "rate-config",
    env: "NEXD_DERP_RATE_CONFIG",
    kind: "string",
    placeholder: "FILE",
    help: "JSON file that limits what each client may send; read again on SIGHUP",
  },
  {
    name: "debug-networks",
    env: "NEXD_DERP_DEBUG_NETWORKS",
    kind: "list",
    placeholder: "CIDR,…",
    help: "networks that may see /debug/ beside loopback",
  },
  {
    name: "debug-key-file",
    env: "NEXD_DERP_DEBUG_KEY_FILE",
    kind: "string",
    placeholder: "FILE",
    help: "file whose content, given as ?debugkey=, opens /debug/",
  },
];

export const RELAY_OPTIONS: Option[] = [
  ...LISTENING,
  ...CERTIFICATES,
  ...PROCESSES,
  ...MESH,
  ...ADMISSION,
  ...LIMITS,
];
