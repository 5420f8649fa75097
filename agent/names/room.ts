/**
 * Keeps relays' names pinned in the hosts file for as long as the agent runs.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { cleanText, reasonOf } from "../errors.ts";
import type { HostFacts, HostRoom } from "../host/mod.ts";
import { hostsFilePath } from "../platform/mod.ts";
import { othersOf, ownerToken, ownNames, type Pin, withBlock, withoutBlock } from "./block.ts";
import { editFile, sameStamp, type Stamp, stamp } from "./file.ts";
import { readName, readTarget, refusedName } from "./judge.ts";

const log = getLogger(["nexd", "names"]);

/** Most names of an agent. */
const MAX_PINS = 32;
/** After a failure the file is tried again when it changed, or after this time, ms. */
const RETRY = 30_000;

/** What {@linkcode hostsFile} works with; tests put others in their place. */
export interface HostsFileOptions {
  /** The hosts file; the platform's when left out. */
  path?: string;
  /** Who pins: an interface or a state directory. Two owners on a host have a block each. */
  owner: string;
  /** Names that must never be pinned, such as the API's host. */
  forbidden: readonly string[];
  hostname?: () => string;
  now?: () => number;
}

/**
 * The room that pins the names of relays (`pin` in the facts) to their addresses. It has a block of
 * its own in the file, changes no other line, and takes the block away at the end or, after a crash,
 * at the next start. A name or an address that could redirect anything but a relay is refused, and
 * told in the notes; so is a file that cannot be changed, as the agent can do without.
 */
export function hostsFile(options: HostsFileOptions): HostRoom {
  return new HostsFileRoom(options);
}

class HostsFileRoom implements HostRoom {
  readonly name = "hosts-file";
  readonly #path: string;
  readonly #owner: string;
  readonly #options: HostsFileOptions;
  readonly #now: () => number;
  /** What is in the file, as text; `""`: nothing of ours. */
  #written = "";
  #stamp: Stamp | undefined;
  #failedAt: number | undefined;
  #notes: string[] = [];

  constructor(options: HostsFileOptions) {
    this.#options = options;
    this.#path = options.path ?? hostsFilePath();
    this.#owner = ownerToken(options.owner);
    this.#now = options.now ?? Date.now;
  }

  async repair(): Promise<void> {
    await this.#clear();
  }

  async apply(facts: HostFacts): Promise<void> {
    const { pins, problems } = this.#judge(facts);
    const wanted = JSON.stringify([pins, problems]);
    if (pins.length === 0 && this.#written === "") {
      this.#tell(problems);
      return;
    }
    try {
      const now = await stamp(this.#path);
      const failed = this.#failedAt !== undefined && this.#now() - this.#failedAt >= RETRY;
      if (wanted === this.#written && sameStamp(now, this.#stamp) && !failed) return;
      this.#written = wanted;
      this.#stamp = now;
      await this.#write(pins, problems);
      this.#failedAt = undefined;
    } catch (error) {
      this.#failedAt = this.#now();
      this.#tell([...problems, `${reasonOf(error)}; ${remedyOf(pins)}`]);
    }
  }

  notes(): readonly string[] {
    return this.#notes;
  }

  async close(): Promise<void> {
    if (this.#written === "") return;
    await this.#clear();
    this.#written = "";
    this.#notes = [];
  }

  async #write(pins: readonly Pin[], problems: readonly string[]): Promise<void> {
    const notes: string[] = [...problems];
    let used: Pin[] = [];
    this.#stamp = await editFile(this.#path, (text) => {
      notes.length = problems.length;
      const own = ownNames(text ?? "", this.#owner);
      used = pins.filter(({ host }) => {
        if (own.has(host)) notes.push(`${host} is not pinned: it is a name of this host`);
        return !own.has(host);
      });
      for (const { host, address } of used) {
        const other = othersOf(text ?? "", this.#owner, host)
          .find((line) => line.address !== address && sameFamily(line.address, address));
        if (other === undefined) continue;
        const is = cleanText(other.address, 45);
        notes.push(
          `line ${other.line} of ${this.#path} gives ${host} as ${is}, not ${address}: ` +
            "remove it if it is not meant",
        );
      }
      if (text === undefined && used.length === 0) return undefined;
      return withBlock(text, this.#owner, used, lineEnd());
    }, { removeEmpty: (text) => withoutBlock(text, this.#owner).made });
    for (const { host, address } of used) notes.push(`${host} is ${address} in ${this.#path}`);
    this.#tell(notes);
  }

  /** Removes the block. */
  async #clear(): Promise<void> {
    this.#stamp = await editFile(
      this.#path,
      (text) => text === undefined ? undefined : withoutBlock(text, this.#owner).text,
      { removeEmpty: (text) => withoutBlock(text, this.#owner).made },
    );
  }

  #judge(facts: HostFacts): { pins: Pin[]; problems: string[] } {
    const pins: Pin[] = [], problems: string[] = [];
    const refuse = (host: string, problem: string) =>
      problems.push(`${cleanText(host, 80)} is not pinned: ${problem}`);
    const host = (this.#options.hostname ?? Deno.hostname)().toLowerCase();
    const own = new Set([host, host.split(".")[0]!]);
    const forbidden = [...this.#options.forbidden, ...facts.servers.map((server) => server.host)];
    const ranges = [facts.vpc.ipv4_cidr, facts.vpc.ipv6_cidr];
    const wanted = facts.relays.filter((relay) => relay.pin);
    const resolved = new Set(
      facts.relays.filter((relay) => !relay.pin).map(({ host }) => host.toLowerCase()),
    );
    for (const relay of wanted.slice(0, MAX_PINS)) {
      const read = readName(relay.host);
      if ("problem" in read) {
        refuse(relay.host, read.problem);
        continue;
      }
      const refused = resolved.has(read.name)
        ? "another relay has this name, and DNS its address"
        : refusedName(read.name, forbidden, own);
      const target = readTarget(relay.address ?? "", ranges);
      if (refused !== undefined || "problem" in target) {
        refuse(read.name, refused ?? ("problem" in target ? target.problem : ""));
        continue;
      }
      const rival = pins.find((pin) =>
        pin.host === read.name && sameFamily(pin.address, target.address)
      );
      if (rival === undefined) pins.push({ host: read.name, address: target.address });
      else if (rival.address !== target.address) {
        refuse(read.name, `another relay has it, at ${rival.address}`);
      }
    }
    if (wanted.length > MAX_PINS) problems.push(`only ${MAX_PINS} names are pinned`);
    return { pins, problems };
  }

  /** Keeps the notes and logs what is new in them. */
  #tell(notes: readonly string[]): void {
    for (const note of notes) {
      if (!this.#notes.includes(note)) log.info("{note}", { note });
    }
    this.#notes = [...notes];
  }
}

function sameFamily(a: string, b: string): boolean {
  return a.includes(":") === b.includes(":");
}

function remedyOf(pins: readonly Pin[]): string {
  if (pins.length === 0) return "remove the lines that end in # nexd by hand";
  return `add ${pins.slice(0, 4).map(({ address, host }) => `"${address} ${host}"`).join(", ")} ` +
    "to it by hand, or to the DNS";
}

function lineEnd(): string {
  return Deno.build.os === "windows" ? "\r\n" : "\n";
}
