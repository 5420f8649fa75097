/**
 * The hosts on which a document's commands run, as its reader would: in order, with what was printed
 * put where the document has `…`. Each host has files of its own where commands write, so that
 * nothing outside changes.
 *
 * @module
 */

import { equal, ok } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { Lab, LabProcess } from "../lab/mod.ts";
import { underLoad } from "../lab/load.ts";
import { findPostgres, type Postgres } from "../lab/postgres.ts";
import { taskArguments } from "../mesh/mod.ts";
import { type Block, notPrinted, type Step } from "./blocks.ts";
import { programs } from "./programs.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** Directories that each host has for itself, empty at first. */
const OWN = ["/var/lib", "/var/backups", "/usr/local/bin"];
/** Longest command, and longest start of what stays, in ms. */
const COMMAND_MS = 120_000, START_MS = 60_000;
/** Commands that ask an agent or a control plane, among whose flags may stand first. */
const ASKING =
  / (status|ping|peers|doctor|netcheck|debug|exit-node|logout|install|uninstall|completion|version|device|vpc|reg-key|security-group|organization|invitation|user|relay-region|audit|service-network|backup|restore|recover)( |$)/;

/** Subcommands that run with the permissions of a task, as an executable runs them. */
const TASKS = [["serve", "serve"], ["control", "control"], ["relayderp", "relay"]] as const;

/** Parts that run until they are ended, and by what each says that it is up. */
type Part = "plane" | "relay" | "agent";
const UP = {
  plane: /^nexd serves |^Control plane is up |"service_url"/,
  relay: /^Relay .* serves|"listening"/,
};

/** The part that a command starts in the foreground; undefined for a command that ends by itself. */
export function partOf(command: string): Part | undefined {
  const words = command.replace(/^(sudo |[A-Z_]+=\S* )+/, "")
    .replace(/^npx -y deno@\S+ /, "deno ").replace(/^deno task agent\b/, "nexd")
    .replace(/^deno task (control|serve)\b/, "nexd $1")
    .replace(/^deno task relay\b/, "nexd relayderp");
  const [, rest] = words.match(/^nexd( .*|)$/) ?? [];
  if (rest === undefined || / --(help|dry-run|version)\b/.test(rest)) return undefined;
  if (/^ (serve|control)\b/.test(rest)) return "plane";
  if (/^ relayderp\b/.test(rest)) return "relay";
  if (/^ (relay|router)( |$)/.test(rest)) return "agent";
  return /^ --/.test(rest) && !ASKING.test(rest) ? "agent" : undefined;
}

/** What a stage is made of. */
export interface StageOptions {
  lab: Lab;
  /** Names of the document by host of the lab. */
  names: Readonly<Record<string, readonly string[]>>;
  /** Hosts of the lab by how comments in blocks call them. */
  places: Readonly<Record<string, string>>;
  /** Host of commands of which nothing says where they run. */
  usual: string;
  postgres?: Postgres;
}

/** What a host has printed, or the path of the log of what still runs there. */
interface Printed {
  host: string;
  text?: string;
  log?: string;
}

/** A lab's hosts with the programs and names of a document, and what they have printed. */
export class Stage {
  /** What was printed so far, in the order of the commands; of what still runs, the path of its log. */
  readonly #printed: Printed[] = [];
  /** Variables and directory of a host's shell. */
  readonly #shells = new Map<string, { env: Record<string, string>; dir: string }>();
  /** Parts that run in the foreground, by host and kind. */
  readonly #parts = new Map<string, LabProcess>();
  readonly lab: Lab;
  readonly options: StageOptions;

  constructor(options: StageOptions) {
    this.lab = options.lab;
    this.options = options;
  }

  /** Gives the hosts the names of the document, directories of their own, and its programs. */
  async prepare(): Promise<void> {
    const { lab, options: { names, postgres } } = this;
    const bin = `${lab.dir}/bin`;
    await Deno.mkdir(bin);
    const executable = Deno.env.get("NEXD_ACCEPTANCE_EXECUTABLE") ??
      Deno.env.get("NEXD_TEST_EXECUTABLE");
    const places = lab.hosts.flatMap(({ name }) =>
      [name, ...names[name] ?? []].flatMap((host) =>
        [...OWN].map((dir): [string, string] => [`${host}:${dir}`, this.#own(name, dir)])
      )
    );
    const scripts = programs({
      nexd: executable ?? [Deno.execPath(), ...taskArguments("agent")].join(" "),
      tasks: executable !== undefined
        ? []
        : TASKS.map(([name, task]) => [name, [Deno.execPath(), ...taskArguments(task)].join(" ")]),
      deno: Deno.execPath(),
      places,
    });
    for (const [name, script] of Object.entries(scripts)) {
      await Deno.writeTextFile(`${bin}/${name}`, script, { mode: 0o755 });
    }
    const { denoDir } = JSON.parse(
      new TextDecoder().decode(
        (await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output()).stdout,
      ),
    );
    const hosts = lab.hosts.map(({ name, address }) => ({ name, address }));
    const lines = hosts.flatMap(({ name, address }) =>
      names[name] === undefined ? [] : [`${address} ${names[name].join(" ")}`]
    );
    const stun = hosts.slice(0, 2).map(({ address }) => `${address}:3478`).join();
    await Promise.all(hosts.map(async ({ name }) => {
      const dir = `${lab.dir}/home-${name}`;
      await Deno.mkdir(dir);
      // As in a clone; and what was downloaded.
      for (const { name: entry } of Deno.readDirSync(ROOT)) {
        if (!entry.startsWith(".git")) await Deno.symlink(`${ROOT}${entry}`, `${dir}/${entry}`);
      }
      if (executable === undefined) await Deno.copyFile(`${bin}/nexd`, `${dir}/nexd`);
      else await Deno.symlink(executable, `${dir}/nexd`);
      this.#shells.set(name, {
        dir,
        env: {
          HOME: "",
          NEXD_SESSION_FILE: `${dir}.json`,
          NEXD_UNPACK_DIR: `${lab.dir}/unpacked`,
          DENO_DIR: denoDir,
          NO_COLOR: "1",
          PATH: `/usr/local/bin:${bin}:${findPostgres() ?? bin}:${
            Deno.env.get("PATH")
          }:/usr/sbin:/sbin`,
          NEXD_STUN_SERVER: stun,
          ...(postgres === undefined ? {} : {
            PGHOST: socketOf(postgres),
            PGUSER: "postgres",
            PGDATABASE: "postgres",
          }),
        },
      });
      const mounts = OWN.map((path) =>
        `mkdir -p "${this.#own(name, path)}" && mount --bind "${this.#own(name, path)}" ${path}`
      );
      const etc = this.#own(name, "/etc");
      await this.#sh(
        name,
        [
          `mkdir "${etc}"; cp -a /etc/. "${etc}" 2>/dev/null; test -f "${etc}/hosts"`,
          // The lab's hosts file is a mount: the copy is a file like any other.
          ...lines.map((line) => `echo "${line}" >>"${etc}/hosts"`),
          `mount --bind "${etc}" /etc`,
          ...mounts,
        ].join(" && "),
      );
    }));
    if (postgres !== undefined) {
      // The user whom Debian's package makes, and not yet the one whom the document makes.
      await this.#sh("control", 'psql -U nexd -c "CREATE ROLE postgres SUPERUSER LOGIN"');
      await this.#sh("control", 'psql -c "ALTER ROLE nexd RENAME TO tests"');
    }
  }

  #own(host: string, path: string): string {
    return `${this.lab.dir}/${host}${path.replaceAll("/", "-")}`;
  }

  /** Runs a block's commands, unless it says that nothing does. */
  async run({ page, line, manner, steps }: Block): Promise<void> {
    if (manner.kind !== "run") return;
    const runs = (manner.hosts.length === 0 ? [undefined] : manner.hosts)
      .flatMap((host) => steps.map((step, i) => ({ host: host ?? this.#hostOf(step), step, i })));
    for (const { host, step, i } of runs) {
      let { command } = step;
      for (const [word, value] of manner.words) command = replaced(command, word, value);
      const ours = /^[^(]*\b(nexd|deno)/.test(command);
      if (manner.more !== undefined && ours) command += ` ${manner.more}`;
      const last = i === steps.length - 1;
      // Ctrl-C, as `timeout` has it.
      if (manner.seconds !== undefined && last) command = `timeout ${manner.seconds} ${command}`;
      const ends = !last ? 0 : manner.seconds === undefined ? manner.ends : 124;
      try {
        if (manner.first !== undefined && i === 0) await this.step(host, manner.first);
        const printed = await this.step(host, command, ends);
        const missing = notPrinted(step.output, printed);
        equal(missing.length, 0, `it printed\n${printed}\nwithout\n${missing.join("\n")}`);
      } catch (error) {
        throw new Error(`${page}:${line}, on ${host}: ${command}: ${(error as Error).message}`);
      }
    }
  }

  #hostOf({ place }: Step): string {
    if (place === undefined) return this.options.usual;
    const host = this.options.places[place];
    ok(host !== undefined, `no host is known for "${place}"`);
    return host;
  }

  /** Runs one command on a host; what it printed. */
  async step(host: string, given: string, ends = 0): Promise<string> {
    const command = this.#filled(given);
    const shell = this.#shells.get(host)!;
    this.#learnPassword(host);
    const [, variable, value] = command.match(/^export (\w+)='?([^']*)'?$/) ?? [];
    if (variable !== undefined) {
      shell.env[variable] = this.options.postgres === undefined ? value! : value!.replace(
        /@db\.example\.org\/(.*)/,
        `@/$1?host=${encodeURIComponent(socketOf(this.options.postgres))}`,
      );
      return "";
    }
    const [, dir] = command.match(/^cd (\S+)$/) ?? [];
    if (dir !== undefined) {
      shell.dir = dir.startsWith("/") ? dir : `${shell.dir}/${dir}`;
      return "";
    }
    const part = partOf(command);
    if (part !== undefined) {
      await this.#start(host, part, command);
      return "";
    }
    const [, installed] = command.match(/nexd install\b(?!.*--dry-run)(.*)/) ?? [];
    if (installed !== undefined) {
      // Whoever reads ends with Ctrl-C what was tried in the terminal.
      await this.#end(host, /--mode serve/.test(installed) ? "plane" : "agent");
    }
    const printed = await this.#sh(host, command, ends);
    this.#printed.push({ host, text: printed });
    const [, verb, unit] = command.match(/systemctl.* (start|restart|enable --now) (nexd\S*)/) ??
      command.match(/nexd (install)\b(?!.*--dry-run)(.*)/) ?? [];
    if (verb !== undefined) {
      const serves = verb === "install" ? /--mode serve/.test(unit!) : !/^nexd$/.test(unit!);
      if (serves) await this.#upService(host, verb === "install" ? "nexd-serve" : unit!);
      else await this.#upAgent(host);
    }
    return printed;
  }

  /** All that was printed, or what of it is asked for. */
  #text(which: (printed: Printed) => boolean = () => true): string {
    return this.#printed.filter(which)
      .map(({ text, log }) => text ?? Deno.readTextFileSync(log!)).join("\n");
  }

  /** A command with what was printed in place of `…`. */
  #filled(command: string): string {
    const printed = this.#text().split(/[\s'"]+/);
    return command.replaceAll(/[^\s'"]*…[^\s'"]*/g, (word) => {
      const pattern = word.split("…").map((part) => RegExp.escape(part)).join(".+");
      const found = new Set(printed.filter((one) => new RegExp(`^${pattern}$`).test(one)));
      ok(found.size > 0, `${word} was never printed`);
      // Of several the last, as a reader would take it.
      return [...found].at(-1)!;
    });
  }

  async #start(host: string, part: Part, given: string): Promise<void> {
    await this.#end(host, part);
    const { env, dir } = this.#shells.get(host)!;
    const command = given.replace(/^sudo /, "").replace(/^([A-Z_]+=\S* )+/, "env $&");
    const process = await this.lab.host(host).spawn(
      ["sh", "-c", `cd "${dir}" && exec ${command}`],
      { log: `document-${this.#printed.length}`, env },
    );
    this.#printed.push({ host, log: process.log });
    this.#parts.set(`${host} ${part}`, process);
    if (part === "agent") {
      await this.#upAgent(host, () => ok(process.running, process.tail()));
      return;
    }
    await process.waitFor(UP[part], START_MS);
  }

  /** Ends what runs in the foreground, as Ctrl-C does. */
  async #end(host: string, part: Part): Promise<void> {
    const process = this.#parts.get(`${host} ${part}`);
    this.#parts.delete(`${host} ${part}`);
    if (process === undefined || !process.running) return;
    process.kill("SIGTERM");
    equal(await process.exited, 0, process.tail());
  }

  /** What a person types, from then on. */
  #learnPassword(host: string): void {
    const text = this.#text((printed) => printed.host === host);
    const [, name, password] = [...text.matchAll(/as\s+(\S+)\s+with password\s+(\S+)/g)].at(-1) ??
      [];
    if (name === undefined) return;
    const { env } = this.#shells.get(host)!;
    Object.assign(env, { NEXD_USERNAME: name, NEXD_PASSWORD: password });
  }

  /** Waits until the agent of a host answers, or a person has to let it in. */
  async #upAgent(host: string, look: () => void = () => {}): Promise<void> {
    await within(START_MS, `the agent of ${host}`, async () => {
      look();
      const { code, stdout } = await this.#raw(host, "nexd status");
      return code === 0 && /running|WaitingForAuth/i.test(stdout);
    });
  }

  /** Waits until a service has said that it is up. */
  async #upService(host: string, unit: string): Promise<void> {
    await within(START_MS, `${unit} on ${host}`, async () => {
      const { stdout } = await this.#raw(host, `journalctl -u ${unit}`);
      const { code } = await this.#raw(host, `systemctl is-active ${unit}`);
      equal(code, 0, `${unit} ended: ${stdout}`);
      const up = stdout.split("\n").some((line) => Object.values(UP).some((is) => is.test(line)));
      if (up) this.#printed.push({ host, text: stdout });
      return up;
    });
  }

  async #sh(host: string, command: string, ends = 0): Promise<string> {
    const { code, stdout, stderr } = await this.#raw(host, command);
    equal(code, ends, `it ended with ${code}: ${stderr}${stdout}`);
    return stdout + stderr;
  }

  #raw(host: string, command: string) {
    const { env, dir } = this.#shells.get(host) ?? { env: {}, dir: "/" };
    return this.lab.host(host).run(["sh", "-c", `cd "${dir}" && ${command}`], {
      env,
      timeoutMs: COMMAND_MS,
    });
  }
}

/** A command with a word of it replaced, not within longer words. */
function replaced(command: string, word: string, value: string): string {
  return command.replaceAll(new RegExp(`(?<![\\w-])${RegExp.escape(word)}(?![\\w-])`, "g"), value);
}

/** Directory of a database server's socket. */
function socketOf(postgres: Postgres): string {
  return decodeURIComponent(postgres.url.match(/host=(.+)$/)![1]!);
}

/** Waits until something is so. */
async function within(limitMs: number, what: string, so: () => Promise<boolean>): Promise<void> {
  const began = Date.now();
  while (!await so()) {
    ok(Date.now() - began < underLoad(limitMs), `${what}: not up within ${limitMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
