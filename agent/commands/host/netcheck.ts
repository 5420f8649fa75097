/**
 * `nexd netcheck`: what the network lets through, with or without a running agent.
 *
 * @module
 */
import { facts, msText, table, wrap } from "../../ctl/mod.ts";
import { measureNetwork, type NetworkReport } from "../../doctor/mod.ts";
import { cleanText } from "../../errors.ts";
import { type CommandContext, printAll, type Values } from "../context.ts";
import { readOutside } from "./outside.ts";

/** `nexd netcheck`; the exit status is 1 when no peer could be reached, by no way. */
export async function netcheck(values: Values, context: CommandContext): Promise<number> {
  const outside = await readOutside(values);
  const report = await measureNetwork(outside);
  if (context.json) context.print(JSON.stringify(report));
  else printAll(context, renderNetwork(report, context.columns));
  const reachable = report.udp === "yes" ||
    report.relays.some(({ https_ms, error }) => https_ms !== undefined && error === undefined);
  return reachable ? 0 : 1;
}

const UDP = {
  yes: "works",
  blocked: "BLOCKED: no STUN server answers, but a relay does over TCP",
  unknown: "unknown: nobody answers, not even over TCP",
};

const NAT = {
  none: "none: this host has a public address",
  cone: "cone: direct paths work",
  symmetric: "symmetric: direct paths need a peer behind no NAT, or IPv6",
  unknown: "unknown",
};

/** The report for people. */
export function renderNetwork(report: NetworkReport, columns = 80): string[] {
  const { found, reason } = report.captive_portal;
  const answered = report.stun.filter(({ seen }) => seen !== undefined).length;
  const six = report.ipv6 ??
    (report.ipv6_address ? "no answer, though this host has an address" : "none");
  const nearest = report.relays.find(({ error, untrusted }) => error === undefined || untrusted);
  return [
    ...facts([
      ["UDP", UDP[report.udp]],
      ["IPv4", report.ipv4 === undefined ? "no answer" : `seen as ${report.ipv4}`],
      ["IPv6", report.ipv6 === undefined ? six : `seen as ${six}`],
      ["NAT", NAT[report.nat]],
      ["STUN", `${answered} of ${report.stun.length} servers answered`],
      ...report.stun.filter(({ seen }) => seen === undefined).map(({ server, error }) =>
        ["", `${cleanText(server, 60)}: ${error ?? "no answer"}`] as const
      ),
      ["portal", found === "no" ? `no captive portal (${reason})` : `${found}: ${reason}`],
      ["nearest", nearest === undefined ? "no relay answers" : nearest.host],
    ], columns),
    "",
    ...table(
      ["RELAY", "HTTPS", "STUN"],
      report.relays.map((relay) => [
        `${relay.host}:${relay.port}`,
        relay.https_ms === undefined ? "-" : msText(relay.https_ms),
        relay.stun_ms === undefined ? "-" : msText(relay.stun_ms),
      ]),
      { columns },
    ),
    ...report.relays.flatMap(({ host, error, untrusted }) =>
      error === undefined ? [] : wrap(
        `${cleanText(host, 60)}: ${error}${
          untrusted ? "; give its CA with --relay-ca or NEXD_RELAY_CA" : ""
        }`,
        { columns },
      )
    ),
  ];
}
