/**
 * The room that keeps stand-ins for addresses while peers go from behind the VPC's relay to a way of
 * their own, or back; there is nothing of it on the host the rest of the time.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { AgentError, reasonOf } from "../errors.ts";
import type { HostFacts, HostRoom } from "../host/mod.ts";
import { type RunCommand, runCommand } from "../platform/mod.ts";
import { removalOf, rulesOf } from "./rules.ts";

const log = getLogger(["nexd", "crossing"]);

/** What {@linkcode standIns} works with; tests put others in their place. */
export interface StandInsOptions {
  interfaceName: string;
  run?: RunCommand;
  os?: typeof Deno.build.os;
}

/** The room, and what the planner asks of it. */
export interface StandIns extends HostRoom {
  /** Addresses can have stand-ins on this host. */
  readonly able: boolean;
}

/** Makes the room. Where it cannot do its work, peers change their way with a short gap instead. */
export function standIns(options: StandInsOptions): StandIns {
  return new StandInsRoom(options);
}

class StandInsRoom implements StandIns {
  readonly name = "crossing";
  readonly #options: StandInsOptions;
  readonly #run: RunCommand;
  readonly #linux: boolean;
  /** What the table was last made of; undefined: there is none. */
  #rules: string | undefined;
  #refused: string | undefined;

  constructor(options: StandInsOptions) {
    this.#options = options;
    this.#run = options.run ?? runCommand;
    this.#linux = (options.os ?? Deno.build.os) === "linux";
  }

  get able(): boolean {
    return this.#linux && this.#refused === undefined;
  }

  async repair(): Promise<void> {
    if (!this.#linux) return;
    try {
      await this.#nft(removalOf(this.#options.interfaceName));
    } catch (error) {
      this.#refuse(error);
    }
  }

  async prepare({ plans }: HostFacts): Promise<void> {
    const crossings = plans.flatMap(({ crossing }) => crossing === undefined ? [] : [crossing]);
    const { interfaceName } = this.#options;
    // Whatever is wrong here costs a gap, never the peers.
    try {
      const rules = crossings.length === 0 ? undefined : rulesOf(interfaceName, crossings);
      if (rules === this.#rules) return;
      await this.#nft(rules ?? removalOf(interfaceName));
      this.#rules = rules;
    } catch (error) {
      this.#refuse(error);
    }
  }

  notes(): readonly string[] {
    return this.#refused === undefined ? [] : [this.#refused];
  }

  async close(): Promise<void> {
    if (this.#rules === undefined) return;
    await this.#nft(removalOf(this.#options.interfaceName));
    this.#rules = undefined;
  }

  /** It is not tried again: what cannot be done in the middle costs more than what is not begun. */
  #refuse(error: unknown): void {
    this.#refused = `peers change between the VPC's relay and ways of their own with a short gap: ${
      reasonOf(error, 160)
    }`;
    log.info("{it}", { it: this.#refused });
  }

  async #nft(text: string): Promise<void> {
    const { code, stderr } = await this.#run("nft", ["-f", "-"], {
      input: text,
      remedy: "run apt-get install nftables",
    });
    if (code !== 0) throw new AgentError(`nft: ${reasonOf(stderr.split("\n")[0], 160)}`);
  }
}
