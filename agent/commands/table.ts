/**
 * The commands that ask about the agent or this host: their names, words, flags. Pure data, from which
 * the command line is built; what each does is loaded when it runs.
 *
 * @module
 */
import {
  AGENT_OPTIONS,
  type OptionSpec,
  RELAY_MODE_OPTIONS,
  ROUTER_OPTIONS,
  STATUS_OPTIONS,
} from "../options.ts";

/** One command. */
export interface CommandSpec {
  /** Its words, as one types them behind `nexd`. */
  path: string;
  help: string;
  /** Arguments as in a usage line: `<required>`, `[optional]`. */
  args?: string;
  options: OptionSpec[];
  /** Name of its function. */
  run: string;
}

/** Commands that only group others, and what they say about it. */
export const COMMAND_GROUPS: Record<string, string> = {
  peers: "the peers of the agent on this host",
  "exit-node": "send all traffic through a peer, or show who offers that",
  debug: "material for a bug report",
};

/** Flags of the agent, by name. */
const agentFlags = (...names: string[]): OptionSpec[] =>
  AGENT_OPTIONS.filter(({ name }) => names.includes(name));

/** What tells about the control plane and the relays when no agent runs. */
const OUTSIDE = agentFlags(
  ...["service-url", "reg-key", "ca", "insecure-skip-tls-verify"],
  ...["stun-server", "public-relay", "relay-ca"],
);

const COUNT: OptionSpec = {
  name: "count",
  alias: "c",
  kind: "integer",
  default: 10,
  placeholder: "N",
  help: "how many echoes; 0: until it is interrupted",
};

const TIMEOUT: OptionSpec = {
  name: "timeout",
  kind: "integer",
  default: 5000,
  placeholder: "MS",
  help: "how long an answer is waited for, milliseconds",
};

const DRY_RUN: OptionSpec = {
  name: "dry-run",
  kind: "boolean",
  default: false,
  help: "only show what would be done",
};

const ROOT: OptionSpec = {
  name: "root",
  kind: "string",
  placeholder: "DIR",
  hidden: true,
  help: "put a directory before all paths",
};

/** What a service can be, and the words that make it that. */
export const MODES = { agent: [], relay: ["relay"], router: ["router"] } as const;

/** The settings of a service in a mode. */
export function serviceOptions(mode: keyof typeof MODES): OptionSpec[] {
  return mode === "agent" ? AGENT_OPTIONS : mode === "relay" ? RELAY_MODE_OPTIONS : ROUTER_OPTIONS;
}

/** All of them. */
export const AGENT_COMMANDS: CommandSpec[] = [
  {
    path: "status",
    help: "show what the agent on this host does, and why",
    options: STATUS_OPTIONS,
    run: "status",
  },
  {
    path: "peers list",
    help: "list the peers and how each is reached",
    options: STATUS_OPTIONS,
    run: "peersList",
  },
  {
    path: "peers ping",
    help: "send an echo to every peer through the tunnel",
    options: STATUS_OPTIONS,
    run: "peersPing",
  },
  {
    path: "peers ping6",
    help: "the same over IPv6",
    options: STATUS_OPTIONS,
    run: "peersPing6",
  },
  {
    path: "ping",
    args: "<peer>",
    help: "send echoes to a peer (host name, tunnel address or start of its key) and show its path",
    options: [
      ...STATUS_OPTIONS,
      COUNT,
      {
        name: "until-direct",
        kind: "boolean",
        default: false,
        help: "stop as soon as the path is a direct one; failed if it never is",
      },
      TIMEOUT,
      {
        name: "interval",
        kind: "integer",
        default: 1000,
        placeholder: "MS",
        help: "time between two echoes, milliseconds",
      },
      { name: "ipv6", kind: "boolean", default: false, help: "ping its IPv6 address" },
    ],
    run: "ping",
  },
  {
    path: "netcheck",
    help: "show what the network lets through: NAT, UDP, IPv6, relays, captive portal",
    options: [...STATUS_OPTIONS, ...OUTSIDE],
    run: "netcheck",
  },
  {
    path: "doctor",
    help: "look for what is wrong on this host, and say how to mend it",
    options: [
      ...STATUS_OPTIONS,
      ...OUTSIDE,
      ...agentFlags("state-dir", "interface", "wireguard-driver"),
    ],
    run: "doctor",
  },
  {
    path: "debug bundle",
    help: "write what a bug report needs to one file, without secrets",
    options: [
      ...STATUS_OPTIONS,
      ...OUTSIDE,
      ...agentFlags("state-dir", "interface", "wireguard-driver"),
      {
        name: "output",
        kind: "string",
        placeholder: "FILE",
        help: "a new .tar.gz; otherwise nexd-debug-TIME.tar.gz here",
      },
    ],
    run: "debugBundle",
  },
  {
    path: "exit-node list",
    help: "list the peers that offer to be an exit node",
    options: STATUS_OPTIONS,
    run: "exitNodeList",
  },
  {
    path: "exit-node enable",
    help: "send all traffic of this host through the VPC's exit node",
    options: STATUS_OPTIONS,
    run: "exitNodeEnable",
  },
  {
    path: "exit-node disable",
    help: "send only the VPC's traffic through the tunnel",
    options: STATUS_OPTIONS,
    run: "exitNodeDisable",
  },
  {
    path: "logout",
    help: "delete this host's device and keys (nexd user logout ends only your own session)",
    options: agentFlags(
      ...["service-url", "reg-key", "ca", "insecure-skip-tls-verify", "state-dir"],
    ),
    run: "logout",
  },
  {
    path: "install",
    help: "run the agent, or nexd serve, as a service of this system",
    options: [
      ...ROUTER_OPTIONS,
      {
        name: "mode",
        kind: "string",
        default: "agent",
        choices: [...Object.keys(MODES), "serve"],
        help: "what it runs: nexd, nexd relay, nexd router, or nexd serve with its own flags",
      },
      DRY_RUN,
      ROOT,
    ],
    run: "install",
  },
  {
    path: "uninstall",
    help: "end the service and remove what install wrote; keys and state stay",
    options: [
      {
        name: "mode",
        kind: "string",
        default: "agent",
        choices: [...Object.keys(MODES), "serve"],
        help: "which service: the agent in any mode, or serve",
      },
      DRY_RUN,
      ROOT,
    ],
    run: "uninstall",
  },
  {
    path: "completion",
    args: "<shell>",
    help: "print the completion script for bash, zsh or fish",
    options: [],
    run: "completion",
  },
];
