/**
 * The whole examination: every check, each by itself, so that one that fails does not hide another.
 *
 * @module
 */
import { reasonOf } from "../errors.ts";
import { type AgentFacts, agentFindings } from "./agent.ts";
import { about, type Finding } from "./finding.ts";
import {
  checkDriver,
  checkInterface,
  checkPermissions,
  checkStateDir,
  checkTools,
  checkTun,
} from "./local.ts";
import type { NetworkQuestions, NetworkReport } from "./network.ts";
import { checkControl, checkNames, networkFindings } from "./outside.ts";
import { checkFirewall, checkMtu, checkRoutes } from "./routes.ts";
import { type System, THIS_HOST } from "./system.ts";

/** Who is examined. */
export interface Patient extends NetworkQuestions {
  stateDir: string;
  interfaceName: string;
  driver: "auto" | "kernel" | "wireguard-go";
  /** What the running agent says; undefined when none runs. */
  status: AgentFacts | undefined;
  /** Where the control plane's requests go; undefined when nobody named one. */
  apiUrl: URL | undefined;
  /** PEM, trusted for the control plane beside the system's. */
  caCerts: readonly string[];
  insecureSkipTlsVerify: boolean;
}

/** One check: what it is called when it fails itself, and what it does. */
type Check = [name: string, run: () => Promise<Finding[]>];

/**
 * Looks at everything, all at once. Never rejects.
 *
 * @param measure the network's part, which takes seconds
 */
export async function examine(
  patient: Patient,
  measure: (questions: NetworkQuestions) => Promise<NetworkReport>,
  system: System = THIS_HOST,
): Promise<Finding[]> {
  const checks: Check[] = [
    ["permissions", () => checkPermissions(system)],
    ["TUN", () => checkTun(system, patient)],
    ["WireGuard", () => checkDriver(system, patient)],
    ["tools", () => checkTools(system)],
    ["state", () => checkStateDir(system, patient)],
    ["interface", () => checkInterface(system, patient)],
    ["routes", () => checkRoutes(system, patient)],
    ["MTU", () => checkMtu(system)],
    ["firewall", () => checkFirewall(system, patient)],
    ["names", () => checkNames(system, patient)],
    ["control plane", () => checkControl(system, patient)],
    ["network", async () => networkFindings(await measure(patient), patient.status)],
    ["agent", () => Promise.resolve(agentFindings(patient.status))],
  ];
  const found = await Promise.all(checks.map(async ([name, run]) => {
    try {
      return await run();
    } catch (error) {
      return [about(name).note(`could not be looked at: ${reasonOf(error, 150)}`)];
    }
  }));
  return found.flat();
}
