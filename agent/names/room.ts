/**
 * Keeps relays' names pinned in the hosts file for as long as the agent runs.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { cleanText, reasonOf } from "../errors.ts";
import type { HostFacts, HostRoom } from "../host/mod.ts";
import { hostsFilePath } from "../platform/mod.ts";
import { type AskDns, askDns, KnownNames } from "./dns.ts";
import { othersOf, ownerToken, ownNames, type Pin, withBlock, withoutBlock } from "./block.ts";
import { editFile, removeLeftovers, sameStamp, type Stamp, stamp } from "./file.ts";
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
  dns?: AskDns;
}

/**
 * The room that pins the names of relays (`pin` in the facts) to their addresses. It has a block of
 * its own in the file, changes no other line, and takes the block away at the end or, after a crash,
 * at the next start. A name or an address that could redirect anything but a relay is refused, and
 * told in the notes; so is a file that cannot be changed, as the agent can do without. A name that the
 * DNS knows is not pinned: it is somebody's, or the relay's and needs no pin.
 */
export function hostsFile(options: HostsFileOptions): HostRoom {
  return new HostsFileRoom(options);
}

/** What is to be pinned, and what of it was refused. */
interface Judged {
  pins: Pin[];
  problems: string[];
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
  readonly #dns: KnownNames;
  /** What the file has of us. */
  #pinned: readonly Pin[] = [];

  constructor(options: HostsFileOptions) {
    this.#options = options;
    this.#path = options.path ?? hostsFilePath();
    this.#owner = ownerToken(options.owner);
    this.#now = options.now ?? Date.now;
    this.#dns = new KnownNames(options.dns ?? askDns, this.#now);
  }

  async repair(): Promise<void> {
    await removeLeftovers(this.#path);
    await this.#clear();
  }

  async apply(facts: HostFacts): Promise<void> {
    const { pins, problems } = await this.#unknownToDns(this.#judge(facts));
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
    this.#dns.close();
    if (this.#written === "") return;
    await this.#clear();
    this.#written = "";
    this.#notes = [];
    this.#pinned = [];
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
    this.#pinned = used;
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

  /** Leaves out what the DNS knows. */
  async #unknownToDns({ pins, problems }: Judged): Promise<Judged> {
    const names = [...new Set(pins.map(({ host }) => host))];
    const found = await this.#dns.addressesOf(names, new Set(this.#pinned.map(({ host }) => host)));
    const told: string[] = [];
    const left = pins.filter(({ host, address }) => {
      // What came late may be our own pin, told by a name server that reads the hosts file.
      const own = new Set(this.#pinned.filter((pin) => pin.host === host).map((p) => p.address));
      const others = found.get(host)!.filter((one) => !own.has(one));
      if (others.length === 0) return true;
      if (!others.includes(address)) {
        told.push(`${host} is not pinned: the DNS knows it, at ${cleanText(others[0]!, 45)}`);
      }
      return false;
    });
    return { pins: left, problems: [...problems, ...told] };
  }

  #judge(facts: HostFacts): Judged {
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
