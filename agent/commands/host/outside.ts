/**
 * Who is asked when the network is looked at: what a running agent uses, else what the flags and the
 * environment say, else the public servers.
 *
 * @module
 */
import { parseRelayRegion } from "../../api/mod.ts";
import { type AgentStatus, describeAgent, socketPathOf } from "../../ctl/mod.ts";
import type { RelayAddress } from "../../doctor/mod.ts";
import { keptCas, readHostPort, readList, readSignIn, readText } from "../../onboarding/mod.ts";
import { PUBLIC_RELAY } from "../../options.ts";
import { publicRelaysOf } from "../../peering/mod.ts";
import { readCaFile } from "../../platform/mod.ts";
import type { Values } from "../context.ts";

/** Everything outside of this host that an agent talks to. */
export interface Outside {
  /** What the running agent says; undefined when none runs. */
  status: AgentStatus | undefined;
  stunServers: string[];
  relays: RelayAddress[];
  relayCaCerts: string[];
  /** As a person knows it; undefined when nobody named one. */
  serviceUrl: URL | undefined;
  /** Where its requests go. */
  apiUrl: URL | undefined;
  caCerts: string[];
  insecureSkipTlsVerify: boolean;
  stateDir: string;
}

/** Throws usage errors for flags that cannot be. */
export async function readOutside(values: Values): Promise<Outside> {
  const status = await describeAgent(socketPathOf(values)).catch(() => undefined);
  const named = readText(values, "reg-key") ?? readText(values, "service-url");
  const running = status?.control.url;
  const signIn = await readSignIn(
    named !== undefined || running === undefined ? values : { ...values, "service-url": running },
    { natKind: false },
  );
  const asked = [...new Set(status?.netcheck?.servers.map(({ server }) => server))];
  const relayCa = readText(values, "relay-ca");
  const flag = readHostPort("public-relay", readText(values, "public-relay") ?? PUBLIC_RELAY, 443);
  const known = named !== undefined || running !== undefined;
  return {
    status,
    stunServers: readList(values, "stun-server").length === 0 && asked.length > 0
      ? asked
      : signIn.stunServers,
    // The VPC's own WireGuard relay uses none.
    relays: status?.status === "Running" ? relaysOf(status) : [flag],
    relayCaCerts: [
      ...(relayCa === undefined ? [] : await readCaFile(relayCa)),
      ...(status === undefined ? [] : await toldAuthorities(signIn.stateDir)),
    ],
    serviceUrl: known ? signIn.join.serviceUrl : undefined,
    apiUrl: known ? signIn.join.apiUrl : undefined,
    caCerts: [...signIn.caCerts, ...await keptCas(signIn.stateDir)],
    insecureSkipTlsVerify: signIn.insecureSkipTlsVerify,
    stateDir: signIn.stateDir,
  };
}

/** The authorities of the public relays that the agent was told of. */
async function toldAuthorities(stateDir: string): Promise<string[]> {
  try {
    const { relayRegions } = JSON.parse(await Deno.readTextFile(`${stateDir}/cache.json`));
    const rows = (relayRegions as unknown[]).map(parseRelayRegion);
    return publicRelaysOf(rows.filter((row) => row !== undefined), { host: "", port: 0 })
      .flatMap(({ ca }) => ca ?? []);
  } catch {
    return []; // not readable for this user, or there is none
  }
}

/** Most relays that are looked at. */
const MAX_RELAYS = 16;

/** The relays that an agent knows, the one it is at home at first. */
function relaysOf({ relay, relays = [] }: AgentStatus): RelayAddress[] {
  const all = new Map<string, RelayAddress>();
  for (const one of [...(relay === null ? [] : [relay]), ...relays]) {
    const { host, port } = one;
    all.set(`${host}:${port}`, { host, port });
  }
  return [...all.values()].slice(0, MAX_RELAYS);
}
