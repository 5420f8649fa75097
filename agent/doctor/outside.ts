/**
 * What the agent needs of others: names, the control plane, relays, and a way for UDP.
 *
 * @module
 */
import ipaddr from "ipaddr.js";
import { cleanText, reasonOf } from "../errors.ts";
import { type AgentFacts, isConnected, isLoggedIn } from "./agent.ts";
import { about, type Finding } from "./finding.ts";
import { isAboutCertificate } from "./http.ts";
import type { NetworkReport } from "./network.ts";
import type { RelayAddress } from "./relay.ts";
import type { System } from "./system.ts";

/** Clocks that differ more are told, and are trouble, ms. */
const SKEW_TOLD = 30_000, SKEW_BROKEN = 300_000;

/** Do the names that matter resolve? */
export async function checkNames(
  system: System,
  { apiUrl, relays }: { apiUrl: URL | undefined; relays: readonly RelayAddress[] },
): Promise<Finding[]> {
  const say = about("DNS");
  const hosts = [...(apiUrl === undefined ? [] : [apiUrl.hostname]), ...relays.map((r) => r.host)];
  const names = [...new Set(hosts)].filter((name) => !ipaddr.isValid(name.replace(/^\[|\]$/g, "")));
  return await Promise.all(names.map(async (name) => {
    try {
      const [address = "?"] = await system.resolve(name);
      return say.ok(`${name} is ${address}`);
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      if (code === "ENOTFOUND") {
        return say.broken(
          `${name} has no address`,
          "is it spelled right? a name of your own needs an entry in DNS or the hosts file",
        );
      }
      return say.broken(
        `${name} cannot be looked up: ${reasonOf(code ?? error, 60)}`,
        system.os === "linux"
          ? "no name server answers; see /etc/resolv.conf"
          : "no name server answers; see the system's network settings",
      );
    }
  }));
}

/** Is the control plane there, is it the right one, and does it have our time? */
export async function checkControl(
  system: System,
  { apiUrl, caCerts, insecureSkipTlsVerify, status }: {
    apiUrl: URL | undefined;
    caCerts: readonly string[];
    insecureSkipTlsVerify: boolean;
    status?: AgentFacts | undefined;
  },
): Promise<Finding[]> {
  const say = about("control plane");
  if (apiUrl === undefined) {
    return [say.note("not looked at", "name it with --service-url, or start the agent")];
  }
  const host = apiUrl.hostname.replace(/^\[|\]$/g, "");
  const port = Number(apiUrl.port || 443);
  let head: string;
  try {
    head = await system.head(host, port, "/", caCerts);
  } catch (error) {
    const reason = reasonOf(error, 120);
    const where = `${host}:${port}`;
    if (/Expired|NotValidYet/.test(reason)) {
      return [
        about("time").broken(
          `the certificate of ${where} is not valid now (${new Date(system.now()).toISOString()})`,
          "is this host's clock right (timedatectl)? else the certificate has to be renewed",
        ),
      ];
    }
    if (isAboutCertificate(reason)) {
      if (isConnected(status, apiUrl)) {
        return [say.ok(`${where}: the agent is connected there, by a CA that it was given`)];
      }
      const text = `the certificate of ${where} is not trusted: ${reason}`;
      if (insecureSkipTlsVerify) {
        return [about("CA").warning(text, "give its CA with --ca instead")];
      }
      return [about("CA").broken(text, "give its CA with --ca or NEXD_CA, or install it")];
    }
    return [say.broken(
      `${where} cannot be reached: ${reason}`,
      "is it running, and does a firewall allow TCP there?",
    )];
  }
  const findings = [say.ok(`${host} answers, its certificate is trusted`)];
  const theirs = Date.parse(/^date: *(.+?)\r?$/im.exec(head)?.[1] ?? "");
  if (!Number.isNaN(theirs)) findings.push(timeFinding(system.now() - theirs));
  return findings;
}

/** @param skew own time less the other's, ms; the other's is in whole seconds */
function timeFinding(skew: number): Finding {
  const say = about("time");
  const seconds = Math.round(Math.abs(skew) / 1000);
  if (seconds <= 2) return say.ok("as the control plane's");
  const text = `${seconds} s ${skew > 0 ? "ahead of" : "behind"} the control plane's`;
  const remedy = "set the clock: timedatectl set-ntp true, or ntpdate";
  if (Math.abs(skew) > SKEW_BROKEN) return say.broken(text, remedy);
  return Math.abs(skew) > SKEW_TOLD ? say.warning(text, remedy) : say.ok(text);
}

/** What the measured network means, beside what a running agent knows. */
export function networkFindings(report: NetworkReport, status?: AgentFacts): Finding[] {
  const findings: Finding[] = [];
  const good = ({ host, port, error }: RelayAddress & { error?: string }) =>
    error === undefined || isLoggedIn(status, host, port);
  // One that answers is enough to work with.
  const level = report.relays.some(good) ? "warning" : "broken";
  for (const { host, port, https_ms, error, untrusted } of report.relays) {
    const say = about("relay");
    const where = `${cleanText(host, 60)}:${port}`;
    if (error === undefined) {
      findings.push(say.ok(`${where} answers in ${(https_ms ?? 0).toFixed(1)} ms`));
    } else if (isLoggedIn(status, host, port)) {
      findings.push(say.ok(`${where}: the agent is logged in there`));
    } else if (untrusted) {
      findings.push(say[level](
        `${where}: ${error}`,
        "give its CA with --relay-ca or NEXD_RELAY_CA (a VPC's own relay brings its CA along)",
      ));
    } else {
      findings.push(say[level](
        `${where}: ${error}`,
        `is it running, and does a firewall allow TCP ${port} there?`,
      ));
    }
  }
  findings.push(udpFinding(report));
  if (report.captive_portal.found === "yes") {
    findings.push(
      about("portal").broken(
        `a captive portal: ${report.captive_portal.reason}`,
        "sign in to this network with a browser",
      ),
    );
  }
  return findings;
}

function udpFinding({ udp, nat, stun }: NetworkReport): Finding {
  const say = about("UDP");
  if (udp === "yes") {
    return nat === "symmetric"
      ? say.note("works, behind a symmetric NAT: many peers are reached through relays")
      : say.ok(`works, NAT: ${nat}`);
  }
  const asked = stun.length === 0 ? "nobody was asked" : `${stun.length} STUN servers are silent`;
  return udp === "blocked"
    ? say.warning(
      `blocked (${asked}): every peer is reached through a relay`,
      "allow UDP out and the answers to it, at least to port 3478",
    )
    : say.broken(`nothing comes back (${asked}), over TCP neither`, "is this host connected?");
}
