/**
 * What the control socket answers: the methods of Nexodus' tools, and `Describe`, `DescribePeer`
 * and `ExitNodes` of ours, which answer JSON, and `Stop`.
 *
 * @module
 */
import { openPinger, pingPeers } from "../icmp/mod.ts";
import { isDebugOn, setDebug } from "./debug.ts";
import type { ExitNode } from "../routing/mod.ts";
import type { AgentStatus, ExitNodeStatus } from "./types.ts";

/** What the agent lets its tools do. */
export interface Controls {
  describe(): AgentStatus;
  /** Awaited before anything is answered, so that it is not from long ago. Never rejects. */
  fresh?(): Promise<void>;
  exitNodes?(): ExitNode[];
  /** Rejects with the reason when it cannot be. */
  setExitNodeClient?(on: boolean): Promise<void>;
  /** Ends the agent as a signal would: where there are none, a service is ended so. */
  stop?(): void;
  /**
   * What `Version` answers: Nexodus' `nexctl` refuses to talk to any other version than its own.
   * Our tools read the version from `Describe`.
   */
  nexctlVersion?: string;
}

/** How Nexodus' tools call themselves when nobody stamped a version into them. */
export const UNSTAMPED_VERSION = "dev";

/** One method. What it throws becomes the reply's error. */
type Method = (controls: Controls, param: string) => string | Promise<string>;

const noProxy: Method = () => {
  throw new Error("nexd has no L4 proxy; publish the service on its tunnel address instead");
};

/** By name, without `NexdCtl.`; what is not in here has no prototype to be found in either. */
export const METHODS: Readonly<Record<string, Method | undefined>> = {
  __proto__: null as never,
  Status: ({ describe }) => statusText(describe()),
  Version: ({ nexctlVersion }) => nexctlVersion ?? UNSTAMPED_VERSION,
  GetTunnelIPv4: ({ describe }) => describe().tunnel_ipv4,
  GetTunnelIPv6: ({ describe }) => describe().tunnel_ipv6,
  ListPeers: ({ describe }) => listPeers(describe()),
  ConnectivityV4: ({ describe }) => connectivity(describe(), 4),
  ConnectivityV6: ({ describe }) => connectivity(describe(), 6),
  // An agent without rules is the truth; only changes are refused.
  ProxyList: () => "",
  ProxyAddIngress: noProxy,
  ProxyAddEgress: noProxy,
  ProxyRemoveIngress: noProxy,
  ProxyRemoveEgress: noProxy,
  SetDebugOn: async () => {
    await setDebug(true);
    return "Debug logging is on";
  },
  SetDebugOff: async () => {
    await setDebug(false);
    return "Debug logging is off";
  },
  GetDebug: () => isDebugOn() ? "on" : "off",
  EnableExitNodeClient: (controls) => setExitNodeClient(controls, true),
  DisableExitNodeClient: (controls) => setExitNodeClient(controls, false),
  ListExitNodes: (controls) => listExitNodes(exitNodesOf(controls)),
  Describe: ({ describe }) => JSON.stringify(describe()),
  DescribePeer: ({ describe }, key) => {
    const peer = describe().peers.find(({ public_key }) => public_key === key);
    if (peer === undefined) throw new Error("there is no such peer any more");
    return JSON.stringify(peer);
  },
  Stop: ({ stop }) => {
    if (stop === undefined) throw new Error("this agent is ended by a signal");
    stop();
    return "ending";
  },
  ExitNodes: (controls) => JSON.stringify(exitNodesOf(controls)),
};

/** The phase, and below it what a person has to do. */
function statusText({ status, login }: AgentStatus): string {
  if (login === undefined) return `Status: ${status}\n`;
  const code = login.code === undefined ? "" : ` and enter the code ${login.code}`;
  return `Status: ${status}\nTo sign in, open ${login.url}${code}\n`;
}

/**
 * Whether a relay is there and needed. Nexodus' agent forgets relays that are not of the VPC, and its
 * tools then warn of a missing relay while peers are reached through one.
 */
function relayFacts(status: AgentStatus) {
  const forwarding = (peer: AgentStatus["peers"][number]) =>
    peer.healthy && peer.method.startsWith("relay-node-peer");
  return {
    "relay-present": status.relay?.state === "connected" || status.peers.some(forwarding),
    "relay-required": status.peers.some((peer) =>
      peer.method === "via-derp-relay" || peer.method === "via-relay"
    ),
  };
}

/** The peers in the shape of Nexodus' agent. */
function listPeers(status: AgentStatus): string {
  const peers = status.peers.map((peer) => [peer.public_key, {
    PublicKey: peer.public_key,
    Endpoint: peer.endpoint,
    AllowedIPs: peer.allowed_ips,
    LatestHandshake: goTime(peer.last_handshake_ms),
    Tx: peer.tx_bytes,
    Rx: peer.rx_bytes,
    Healthy: peer.healthy,
  }]);
  return JSON.stringify({ ...relayFacts(status), peers: Object.fromEntries(peers) });
}

/** Pings every peer, in the shape of Nexodus' agent. */
async function connectivity(status: AgentStatus, family: 4 | 6): Promise<string> {
  const pinger = openPinger({ device: status.interface });
  try {
    const answers = await pingPeers(pinger, status.peers, family);
    const peers = answers.filter(({ address }) => address !== "").map((
      { peer, address, outcome },
    ) => [address, {
      wg_ip: address,
      is_reachable: outcome.ok,
      hostname: peer.hostname,
      Latency: outcome.ok ? `${outcome.rttMs.toFixed(2)}ms` : "",
      method: peer.method,
    }]);
    return JSON.stringify({ ...relayFacts(status), peers: Object.fromEntries(peers) });
  } finally {
    await pinger.close();
  }
}

function exitNodesOf({ exitNodes }: Controls): ExitNodeStatus[] {
  return (exitNodes?.() ?? []).map((node) => ({
    hostname: node.hostname,
    public_key: node.publicKey,
    endpoint: node.endpoint,
    allowed_ips: node.allowedIps,
    keepalive_seconds: node.keepaliveSeconds,
    healthy: node.healthy,
    in_use: node.inUse,
  }));
}

function listExitNodes(nodes: readonly ExitNodeStatus[]): string {
  return JSON.stringify(nodes.map((node) => ({
    PublicKey: node.public_key,
    Endpoint: node.endpoint,
    AllowedIPs: node.allowed_ips,
    PersistentKeepAlive: String(node.keepalive_seconds),
    AllowedIPsForRelay: null,
  })));
}

async function setExitNodeClient(controls: Controls, on: boolean): Promise<string> {
  if (controls.setExitNodeClient === undefined) {
    throw new Error("this agent cannot use an exit node");
  }
  await controls.setExitNodeClient(on);
  return "null";
}

/** A time as Go prints it (`2006-01-02 15:04:05.999 +0000 UTC`); never is the zero time. */
function goTime(ms: number | null): string {
  if (ms === null) return "0001-01-01 00:00:00 +0000 UTC";
  return `${new Date(ms).toISOString().replace("T", " ").replace("Z", "")} +0000 UTC`;
}
