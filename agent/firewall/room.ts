/**
 * Keeps the host's security group in force: decided before each pass, written when it changed, looked
 * at now and then in case somebody else flushed it.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import type { Device, SecurityGroup } from "../../control/api/types.ts";
import { AgentError, cleanText, reasonOf } from "../errors.ts";
import type { HostFacts, HostRoom } from "../host/mod.ts";
import { type RunCommand, runCommand } from "../platform/mod.ts";
import { CLOSED, type Policy, policyOf } from "./rules.ts";
import { removalOf, rulesetOf, tableOf } from "./ruleset.ts";

const log = getLogger(["nexd", "firewall"]);

/** How often the table is looked at while nothing changes, ms. */
const LOOK = 10_000;
/** How long rules that were told before may stay in force while others cannot be written, ms. */
const PATIENCE = 10_000;
/** Pauses before rules that somebody removed are written again, when that was refused, ms. */
const AGAIN = [50, 150];
/** How other languages write "no group". */
const NIL = "00000000-0000-0000-0000-000000000000";
const REMEDY = "run apt-get install nftables";

/** What {@linkcode securityGroups} works with; tests put others in their place. */
export interface SecurityGroupOptions {
  /** The table is named after it. */
  interfaceName: string;
  run?: RunCommand;
  now?: () => number;
  os?: typeof Deno.build.os;
}

/** What is to be in force, and what to tell of it. */
interface Decision {
  policy: Policy;
  /** One line for people: the group and what it does. */
  summary: string;
  problems: string[];
}

/**
 * The room that enforces the device's security group (control-plane contract, "Security groups") on
 * the tunnel interface. A direction without rules is open, one with rules lets through what they
 * name and what belongs to connections already let through.
 *
 * A group that is not known is never taken for one without rules: what was in force stays, and at a
 * first start nothing passes until the control plane has told of it. Only a control plane that tells
 * of no groups at all leaves a host open.
 *
 * `prepare` throws an {@linkcode AgentError} when rules cannot be enforced, so that the host reaches
 * no peers rather than all of them unprotected: at once when nothing is in force, and after
 * {@linkcode PATIENCE} while what was told before is, as an nft that is refused for a moment must
 * cut nobody off.
 */
export function securityGroups(options: SecurityGroupOptions): HostRoom {
  return new SecurityGroupRoom(options);
}

class SecurityGroupRoom implements HostRoom {
  readonly name = "security-group";
  readonly #table: string;
  readonly #run: RunCommand;
  readonly #now: () => number;
  readonly #os: typeof Deno.build.os;
  /** Of a group that was known. */
  #known: Decision | undefined;
  #decision: Decision | undefined;
  /** What the table was last made of; undefined: there is none. */
  #script: string | undefined;
  /** How nft shows it, and when it was last seen so. */
  #listing = "";
  #lookedAt = 0;
  /** What was decided at an earlier pass is in force, whole. */
  #settled = false;
  /** Since when the present decision cannot be put in force, and why. */
  #failingSince: number | undefined;
  #trouble: string | undefined;
  /** Why the table could not be looked at the last time. */
  #unseen: string | undefined;

  constructor({ interfaceName, run, now, os }: SecurityGroupOptions) {
    this.#table = tableOf(interfaceName);
    this.#run = run ?? runCommand;
    this.#now = now ?? (() => performance.now());
    this.#os = os ?? Deno.build.os;
  }

  async repair(): Promise<void> {
    if (this.#os !== "linux") return;
    try {
      await this.#nft(["-f", "-"], removalOf(this.#table));
    } catch (error) {
      // Without nft there is nothing that it could have made.
      if (!(error instanceof AgentError && error.cause instanceof Deno.errors.NotFound)) {
        throw error;
      }
    }
  }

  async prepare(facts: HostFacts): Promise<void> {
    const decision = this.#decide(facts);
    this.#tell(decision);
    const { inbound, outbound } = decision.policy;
    const script = inbound === undefined && outbound === undefined
      ? undefined
      : rulesetOf(this.#table, facts.interfaceName, decision.policy);
    if (await this.#damaged()) this.#settled = false;
    if (script === this.#script && (this.#settled || script === undefined)) return this.#done();
    try {
      if (script === undefined) await this.#remove();
      else if (this.#settled || this.#script === undefined) await this.#install(script);
      else await this.#installAnew(script);
      this.#done();
    } catch (error) {
      this.#failed(decision, script, error);
    }
  }

  notes(): readonly string[] {
    if (this.#decision === undefined) return [];
    const { problems, summary } = this.#decision;
    const trouble = this.#trouble ?? this.#unseen;
    return [...(trouble === undefined ? [] : [trouble]), ...problems, summary];
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async release(): Promise<void> {
    await this.#remove();
  }

  #decide(facts: HostFacts): Decision {
    const id = ownRow(facts).security_group_id;
    if (id === "" || id === NIL) {
      return this.#known = {
        policy: {},
        summary: "the device has no security group",
        problems: [],
      };
    }
    const group = facts.securityGroups.find((row) => row.id === id);
    if (group !== undefined) {
      const { policy, notes } = policyOf(group);
      return this.#known = { policy, summary: summaryOf(group, policy), problems: notes };
    }
    const unknown = `the control plane has not told of security group ${cleanText(id, 40)}`;
    if (this.#known !== undefined) {
      const { policy, summary } = this.#known;
      return { policy, summary, problems: [`${unknown}: the last rules stay in force`] };
    }
    if (facts.synced && facts.securityGroups.length === 0) {
      const summary = "the control plane has no security groups: everything passes";
      return { policy: {}, summary, problems: [] };
    }
    return { policy: CLOSED, summary: "nothing passes until it is known", problems: [unknown] };
  }

  /** Logs what is new. */
  #tell(decision: Decision): void {
    const before = this.#decision;
    this.#decision = decision;
    if (before?.summary !== decision.summary) log.info("{it}", { it: decision.summary });
    for (const problem of decision.problems) {
      if (!before?.problems.includes(problem)) log.warn("{it}", { it: problem });
    }
  }

  /** What is decided is in force. */
  #done(): void {
    this.#settled = true;
    this.#failingSince = this.#trouble = undefined;
  }

  /** What is decided cannot be put in force: throws, unless what is in force will do for a while. */
  #failed(decision: Decision, script: string | undefined, error: unknown): void {
    const told = `Cannot enforce the security group (${decision.summary}): ${reasonOf(error)}`;
    if (this.#trouble !== told) log.warn("{it}", { it: told });
    this.#trouble = told;
    const now = this.#now();
    this.#failingSince ??= now;
    // Rules that should be gone let through less, not more.
    const strict = script === undefined;
    if (strict || (this.#settled && now - this.#failingSince < PATIENCE)) return;
    throw new AgentError(
      `${told}; peers wait for it: mend this, or give the device a group without rules`,
      { cause: error },
    );
  }

  async #install(script: string, before = ""): Promise<void> {
    if (this.#os !== "linux") throw new AgentError(`${this.#os} has no nftables`);
    await this.#nft(["-f", "-"], before + script);
    this.#script = script;
    this.#listing = await this.#list();
    this.#unseen = undefined;
    this.#lookedAt = this.#now();
  }

  /** Installs over what others have left of the table; tries more than once, as nothing is in force. */
  async #installAnew(script: string): Promise<void> {
    // Whatever becomes of it is looked at in the next pass.
    this.#lookedAt = -Infinity;
    for (const pause of AGAIN) {
      try {
        return await this.#install(script, removalOf(this.#table));
      } catch (error) {
        log.debug("{reason}; trying again", { reason: reasonOf(error) });
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
    await this.#install(script, removalOf(this.#table));
  }

  async #remove(): Promise<void> {
    if (this.#script === undefined) return;
    await this.#nft(["-f", "-"], removalOf(this.#table));
    this.#script = undefined;
  }

  /** Whether the table is not as it was left, looked at every {@linkcode LOOK}. */
  async #damaged(): Promise<boolean> {
    if (this.#script === undefined || this.#now() - this.#lookedAt < LOOK) return false;
    this.#lookedAt = this.#now();
    let seen: string;
    try {
      seen = await this.#list();
    } catch (error) {
      const reason = reasonOf(error);
      if (!/No such file/.test(reason)) {
        // The kernel goes on by what it has.
        this.#unseen = `cannot look at its rules: ${reason}`;
        return false;
      }
      seen = "";
    }
    this.#unseen = undefined;
    if (seen === this.#listing) return false;
    log.warn("somebody changed or removed the nftables table {table}: it is made again", {
      table: this.#table,
    });
    return true;
  }

  /** The table without its counters, which change. */
  #list(): Promise<string> {
    return this.#nft(["--stateless", "list", "table", "inet", this.#table]);
  }

  async #nft(args: string[], input?: string): Promise<string> {
    const { code, stdout, stderr } = await this.#run("nft", args, {
      remedy: REMEDY,
      ...(input === undefined ? {} : { input }),
    });
    if (code === 0) return stdout;
    // nft repeats the line and marks the place below the first one.
    throw new AgentError(`nft: ${reasonOf(stderr.split("\n")[0], 160)}`);
  }
}

/** The device as it was told last: the stream's row is newer than the registration's, as a rule. */
function ownRow({ device, devices }: HostFacts): Device {
  const told = devices.find((row) => row.id === device.id);
  return told !== undefined && told.revision >= device.revision ? told : device;
}

function summaryOf(group: SecurityGroup, { inbound, outbound }: Policy): string {
  const count = (direction: string, rules: readonly unknown[] | undefined, given: number) =>
    rules === undefined
      ? `everything may pass ${direction}`
      : `${given} ${given === 1 ? "rule" : "rules"} ${direction}`;
  const name = cleanText(group.description, 40) || group.id;
  return `${name}: ${count("in", inbound, group.inbound_rules?.length ?? 0)}, ` +
    count("out", outbound, group.outbound_rules?.length ?? 0);
}
