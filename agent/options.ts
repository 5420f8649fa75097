/**
 * The flags of `nexd` (the agent) and of the commands that ask a running agent. Pure data: the
 * command line is built from these tables. Names, environment and defaults follow Nexodus' agent
 * where it has them.
 *
 * @module
 */

/** One flag: its spelling, environment name, kind and help text. */
export interface OptionSpec {
  name: string;
  /** A second spelling, one letter. */
  alias?: string;
  env?: string;
  kind: "string" | "boolean" | "integer" | "list";
  default?: string | number | boolean | string[];
  help: string;
  hidden?: true;
  choices?: string[];
  placeholder?: string;
}

const UNIX_SOCKET: OptionSpec = {
  name: "unix-socket",
  kind: "string",
  placeholder: "PATH",
  help: "control socket; otherwise /var/run/nexd.sock, without root $HOME/.nexodus/nexd.sock",
};

/** The public relay that is known without being told. */
export const PUBLIC_RELAY = "relay.nexodus.io";

/** Flags of `nexd`, and of `nexd relay` and `nexd router`, which are the agent in another mode. */
export const AGENT_OPTIONS: OptionSpec[] = [
  {
    name: "service-url",
    env: "NEXD_SERVICE_URL",
    kind: "string",
    placeholder: "URL",
    help: "control plane, https only; otherwise https://try.nexodus.io",
  },
  {
    name: "reg-key",
    env: "NEXD_REG_KEY",
    kind: "string",
    placeholder: "KEY",
    help: "registration key: https://host#RK:… or, with --service-url, RK:…",
  },
  {
    name: "username",
    env: "NEXD_USERNAME",
    kind: "string",
    placeholder: "NAME",
    help: "sign in as this user; with neither this nor a key, a link to sign in with is shown",
  },
  {
    name: "password",
    env: "NEXD_PASSWORD",
    kind: "string",
    placeholder: "TEXT",
    help: "the user's password; left out, it is asked for on the terminal",
  },
  {
    name: "vpc-id",
    env: "NEXD_VPC_ID",
    kind: "string",
    placeholder: "UUID",
    help: "join this VPC; otherwise the user's own (a registration key names its VPC)",
  },
  {
    name: "security-group-id",
    env: "NEXAPI_SECURITY_GROUP_ID",
    kind: "string",
    placeholder: "UUID",
    help: "security group of this host; otherwise the VPC's default group",
  },
  {
    name: "ca",
    env: "NEXD_CA",
    kind: "string",
    placeholder: "FILE|sha256:HEX",
    help: "PEM file of extra CAs trusted for the control plane, or the fingerprint of its own",
  },
  {
    name: "insecure-skip-tls-verify",
    env: "NEXD_INSECURE_SKIP_TLS_VERIFY",
    kind: "boolean",
    default: false,
    help: "do not check the control plane's certificate (relays are still checked)",
  },
  {
    name: "state-dir",
    env: "NEXD_STATE_DIR",
    kind: "string",
    placeholder: "DIR",
    help: "keys and state; otherwise /var/lib/nexd, without root $HOME/.nexodus",
  },
  {
    name: "stun-server",
    env: "NEXD_STUN_SERVER",
    kind: "list",
    placeholder: "HOST:PORT",
    help: "STUN server; repeat it, at least two; otherwise public servers",
  },
  {
    name: "nexctl-version",
    env: "NEXD_NEXCTL_VERSION",
    kind: "string",
    hidden: true,
    placeholder: "VERSION",
    help: "version that nexctl is told this agent has; otherwise dev",
  },
  {
    name: "stun-interval",
    env: "NEXD_STUN_INTERVAL",
    kind: "integer",
    default: 0,
    hidden: true,
    placeholder: "MS",
    help: "milliseconds between STUN rounds; otherwise 20000",
  },
  {
    name: "listen-port",
    env: "NEXD_LISTEN_PORT",
    kind: "integer",
    default: 0,
    placeholder: "PORT",
    help: "WireGuard's UDP port; 0: the remembered one, else a random one",
  },
  {
    name: "request-ip",
    env: "NEXD_REQUESTED_IP",
    kind: "string",
    placeholder: "IPV4",
    help: "ask for this tunnel address at the first registration",
  },
  {
    name: "local-endpoint-ip",
    env: "NEXD_LOCAL_ENDPOINT_IP",
    kind: "string",
    placeholder: "IP",
    help: "address published as the local endpoint; otherwise that of the default route",
  },
  {
    name: "relay-only",
    env: "NEXD_RELAY_ONLY",
    kind: "boolean",
    default: false,
    help: "never connect directly: every peer through the relay",
  },
  {
    name: "exit-node-client",
    env: "NEXD_EXIT_NODE_CLIENT",
    kind: "boolean",
    default: false,
    help: "send all traffic through the VPC's exit node (Linux)",
  },
  {
    name: "public-relay",
    env: "NEXD_PUBLIC_RELAY",
    kind: "string",
    placeholder: "HOST[:PORT]",
    help: "DERP relay to use beside those of the VPC; otherwise those that the control plane " +
      "tells of, or relay.nexodus.io",
  },
  {
    name: "relay-ca",
    env: "NEXD_RELAY_CA",
    kind: "string",
    placeholder: "FILE",
    help: "PEM file of extra CAs trusted for relays",
  },
  {
    name: "interface",
    env: "NEXD_INTERFACE",
    kind: "string",
    default: "wg0",
    placeholder: "NAME",
    help: "name of the WireGuard interface",
  },
  UNIX_SOCKET,
  {
    name: "wireguard-driver",
    env: "NEXD_WIREGUARD_DRIVER",
    kind: "string",
    default: "auto",
    choices: ["auto", "kernel", "wireguard-go"],
    help: "WireGuard to use; auto: the kernel's where there is one",
  },
  {
    name: "realtime",
    env: "NEXD_REALTIME",
    kind: "string",
    default: "auto",
    choices: ["auto", "on", "off"],
    help: "run with wireguard-go before all else; auto: with two processors or more",
  },
  {
    name: "use-wireguard-go",
    env: "NEXD_USE_WIREGUARD_GO",
    kind: "string",
    placeholder: "BOOL",
    hidden: true,
    help: "any value but 0 and false: as --wireguard-driver wireguard-go",
  },
  {
    name: "derp-dev-mode",
    env: "NEXD_DERP_DEV_MODE",
    kind: "string",
    placeholder: "BOOL",
    hidden: true,
    help: "any value but 0 and false: relays that name no port are dialled on 3340",
  },
  {
    name: "capture",
    env: "NEXD_PROXY_CAPTURE",
    kind: "string",
    default: "auto",
    choices: ["auto", "portable", "linux"],
    hidden: true,
    help: "how the proxy reads WireGuard's packets",
  },
];

/** Flags of `nexd relay`: those of the agent, on a port that firewalls can be told. */
export const RELAY_MODE_OPTIONS: OptionSpec[] = AGENT_OPTIONS.map((option) =>
  option.name === "listen-port"
    ? { ...option, default: 51820, help: "WireGuard's UDP port; 0: the remembered or a random one" }
    : option
);

/** Flags of `nexd router`: those of the agent, and the networks behind this host. */
export const ROUTER_OPTIONS: OptionSpec[] = [
  ...AGENT_OPTIONS,
  {
    name: "advertise-cidr",
    env: "NEXD_REQUESTED_ADVERTISE_CIDR",
    kind: "list",
    placeholder: "CIDR",
    help: "network behind this host that peers reach through it; repeat it for more",
  },
  {
    name: "child-prefix",
    kind: "list",
    placeholder: "CIDR",
    hidden: true,
    help: "the old name of --advertise-cidr",
  },
  {
    name: "network-router",
    env: "NEXD_NET_ROUTER_NODE",
    kind: "boolean",
    default: false,
    help: "forward between the VPC and the advertised networks (Linux)",
  },
  {
    name: "disable-nat",
    env: "NEXD_DISABLE_NAT",
    kind: "boolean",
    default: false,
    help: "with --network-router: keep the peers' addresses; the networks need a route back",
  },
  {
    name: "exit-node",
    env: "NEXD_EXIT_NODE",
    kind: "boolean",
    default: false,
    help: "let exit-node clients reach the Internet through this host (Linux)",
  },
];

/** Those of the agent's flags that an on-boarded relay has too. */
const SIGN_IN = new Set([
  "service-url",
  "reg-key",
  "username",
  "password",
  "vpc-id",
  "security-group-id",
  "ca",
  "insecure-skip-tls-verify",
  "state-dir",
  "stun-server",
  "local-endpoint-ip",
]);

/**
 * Flags of `nexd relayderp` for `--onboard`: how it signs in to the control plane, where it keeps its
 * identity, and the address that it publishes.
 */
export const RELAY_ONBOARD_OPTIONS: OptionSpec[] = [
  ...AGENT_OPTIONS.filter(({ name }) => SIGN_IN.has(name)).map((option) =>
    option.name === "stun-server"
      ? { ...option, help: "STUN server; repeat it for more; otherwise public servers" }
      : option
  ),
  {
    name: "public-ip",
    env: "NEXD_DERP_PUBLIC_IP",
    kind: "string",
    placeholder: "IP",
    help: "address published for clients outside; otherwise the one that STUN sees",
  },
];

/** Flags of `nexd status` and `nexd peers list`. */
export const STATUS_OPTIONS: OptionSpec[] = [UNIX_SOCKET];
