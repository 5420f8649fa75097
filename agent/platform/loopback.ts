/**
 * Addresses of the loopback interface for the proxy's endpoints. Linux and Windows take all of
 * 127.0.0.0/8 for their own; macOS only what the interface has.
 *
 * @module
 */
import { AgentError, reasonOf } from "../errors.ts";
import { type RunCommand, runCommand } from "./command.ts";
import { writeFileAtomic } from "./files.ts";

/** Where the added addresses are noted, until a restart of the system. */
const NOTES = "/var/run/nexd";

/** Loopback addresses that a socket can be bound to. */
export interface LoopbackAliases {
  /** Makes `address` (of 127.0.0.0/8) usable. Throws `AgentError` with the remedy. */
  add(address: string): Promise<void>;
  /** Gives it up again; one that was there before stays. */
  remove(address: string): Promise<void>;
  /** Removes what a crashed agent left. */
  repair(): Promise<void>;
  /** Gives up all. */
  close(): Promise<void>;
}

/** What {@linkcode loopbackAliases} uses of the system; tests stand in for it. */
export interface LoopbackHost {
  os: typeof Deno.build.os;
  run: RunCommand;
  interfaces(): Pick<Deno.NetworkInterfaceInfo, "name" | "address">[];
  note: string;
}

const NOTHING: LoopbackAliases = {
  add: () => Promise.resolve(),
  remove: () => Promise.resolve(),
  repair: () => Promise.resolve(),
  close: () => Promise.resolve(),
};

/**
 * The loopback addresses of this system.
 *
 * @param owner who asks, fit to be in a file's name: two agents of a host have a note each
 */
export function loopbackAliases(
  owner: string,
  host: LoopbackHost = {
    os: Deno.build.os,
    run: runCommand,
    interfaces: Deno.networkInterfaces,
    note: `${NOTES}/loopback-${owner}.json`,
  },
): LoopbackAliases {
  return host.os === "darwin" ? new MacAliases(host) : NOTHING;
}

class MacAliases implements LoopbackAliases {
  readonly #host: LoopbackHost;
  /** Those that we added. */
  readonly #added = new Set<string>();
  #work: Promise<unknown> = Promise.resolve();

  constructor(host: LoopbackHost) {
    this.#host = host;
  }

  add(address: string): Promise<void> {
    return this.#next(async () => {
      checkLoopback(address);
      const { interfaces } = this.#host;
      if (interfaces().some((entry) => entry.name === "lo0" && entry.address === address)) return;
      // Noted first: a crash in between leaves a note of what is not there, and not the reverse.
      this.#added.add(address);
      await this.#write();
      const { code, stderr } = await this.#ifconfig("alias", address);
      if (code === 0) return;
      this.#added.delete(address);
      throw new AgentError(
        `Cannot add ${address} to lo0: ${reasonOf(stderr)}; run nexd as root`,
      );
    });
  }

  remove(address: string): Promise<void> {
    return this.#next(async () => {
      if (!this.#added.delete(address)) return;
      await this.#ifconfig("-alias", address);
      await this.#write();
    });
  }

  repair(): Promise<void> {
    return this.#next(async () => {
      const text = await Deno.readTextFile(this.#host.note).catch(() => "[]");
      for (const address of parseNote(text)) {
        if (!this.#added.has(address)) await this.#ifconfig("-alias", address);
      }
      await this.#write();
    });
  }

  close(): Promise<void> {
    return this.#next(async () => {
      for (const address of this.#added) await this.#ifconfig("-alias", address);
      this.#added.clear();
      await this.#write();
    });
  }

  #next(action: () => Promise<void>): Promise<void> {
    const done = this.#work.then(action);
    this.#work = done.catch(() => {});
    return done;
  }

  #ifconfig(verb: "alias" | "-alias", address: string) {
    const mask = verb === "alias" ? ["netmask", "255.255.255.255"] : [];
    return this.#host.run("/sbin/ifconfig", ["lo0", "inet", address, ...mask, verb]);
  }

  async #write(): Promise<void> {
    const { note } = this.#host;
    if (this.#added.size === 0) return await Deno.remove(note).catch(() => {});
    await Deno.mkdir(note.replace(/\/[^/]*$/, ""), { recursive: true, mode: 0o755 });
    await writeFileAtomic(note, JSON.stringify([...this.#added]) + "\n", 0o600);
  }
}

function parseNote(text: string): string[] {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value.filter((item) => isLoopback(item)).slice(0, 65_536) : [];
  } catch {
    return [];
  }
}

function checkLoopback(address: string): void {
  if (!isLoopback(address)) {
    throw new AgentError(`Not a loopback address: ${reasonOf(address, 40)}`);
  }
}

/** Of 127.0.0.0/8, and not 127.0.0.1, which is everybody's. */
function isLoopback(value: unknown): value is string {
  return typeof value === "string" && value !== "127.0.0.1" &&
    /^127(\.(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/.test(value);
}
