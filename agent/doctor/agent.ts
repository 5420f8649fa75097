/**
 * What a running agent complains about.
 *
 * @module
 */
import { cleanText } from "../errors.ts";
import { about, type Finding } from "./finding.ts";

/** Most peers that are told. */
const MAX_TOLD = 5;

/** What the doctor reads of an agent's status. */
export interface AgentFacts {
  status: string;
  interface: string;
  listen_port: number;
  error?: string;
  login?: { url: string };
  control: { url?: string; state: string; error?: string };
  relay?: RelayFacts | null;
  relays?: readonly RelayFacts[];
  peers: readonly { hostname: string; healthy: boolean; reason: string }[];
  skipped: readonly { hostname: string; reason: string }[];
}

/** A relay, as the agent sees it. */
interface RelayFacts {
  host: string;
  port: number;
  state: string;
}

/** Whether the agent is connected to a control plane, which it may trust by a CA of its own flags. */
export function isConnected(status: AgentFacts | undefined, apiUrl: URL): boolean {
  const { url, state } = status?.control ?? {};
  if (url === undefined || state !== "connected" || !URL.canParse(url)) return false;
  return [new URL(url).host, `api.${new URL(url).host}`].includes(apiUrl.host);
}

/** Whether the agent is logged in at a relay. */
export function isLoggedIn(status: AgentFacts | undefined, host: string, port: number): boolean {
  const all = [...(status?.relay ? [status.relay] : []), ...(status?.relays ?? [])];
  return all.some((one) => one.host === host && one.port === port && one.state === "connected");
}

/** From its status to findings. */
export function agentFindings(status: AgentFacts | undefined): Finding[] {
  const say = about("agent");
  if (status === undefined) {
    return [say.note("none runs", "start nexd, or nexd install; --unix-socket says where it is")];
  }
  const findings: Finding[] = [];
  if (status.login !== undefined) {
    findings.push(say.broken("waits for somebody to sign in", `open ${status.login.url}`));
  }
  if (status.error !== undefined) {
    findings.push(say.broken(cleanText(status.error), "see its log (journalctl -u nexd)"));
  }
  if (status.control.state !== "connected") {
    findings.push(say.warning(
      `control plane: ${status.control.state}${
        status.control.error === undefined ? "" : ` (${cleanText(status.control.error, 120)})`
      }`,
      "known peers are reached all the same; changes come when it is back",
    ));
  }
  const lost = status.peers.filter(({ healthy }) => !healthy);
  for (const { hostname, reason } of lost.slice(0, MAX_TOLD)) {
    const name = cleanText(hostname, 40);
    findings.push(
      say.warning(`${name} is not reached: ${cleanText(reason)}`, `see nexd ping ${name}`),
    );
  }
  if (lost.length > MAX_TOLD) {
    const more = lost.length - MAX_TOLD;
    findings.push(say.warning(`${more} more peers are not reached`, "see nexd peers list"));
  }
  for (const { hostname, reason } of status.skipped.slice(0, MAX_TOLD)) {
    findings.push(say.note(`${cleanText(hostname, 40)} is not used: ${cleanText(reason)}`));
  }
  if (findings.some(({ level }) => level !== "note")) return findings;
  return [say.ok(`${status.status}, ${status.peers.length} peers reached`), ...findings];
}
