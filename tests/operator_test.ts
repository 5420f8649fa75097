/**
 * `docs/control.md` as an operator reads it: its commands, in their order, on the hosts that it says.
 * What its lines print is put where it has `…`, and it is the service manager: what `systemctl` is told
 * happens to the `nexd serve` that was started last.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { Lab, type LabProcess } from "../scripts/lab/mod.ts";
import { findPostgres, type Postgres, startPostgres } from "../scripts/lab/postgres.ts";
import { AGENT_COMMANDS } from "../agent/commands/table.ts";
import { AGENT_OPTIONS, RELAY_ONBOARD_OPTIONS } from "../agent/options.ts";
import { CLIENT_COMMANDS } from "../client/table.ts";
import { CONTROL_COMMANDS, CONTROL_OPTIONS } from "../control/options.ts";
import { SERVE_OPTIONS } from "../serve/options.ts";
import { cannotMesh, skip } from "../scripts/lab/support.ts";
import { taskArguments } from "../scripts/mesh/mod.ts";
import { until } from "./interop/support.ts";

const TEXT = Deno.readTextFileSync(new URL("../docs/control.md", import.meta.url));
const NAMES = ["nexd.example.org", "api.nexd.example.org", "auth.nexd.example.org"];
/** Hosts of the lab by how the document calls them. */
const HOSTS: Readonly<Record<string, string>> = {
  "": "control",
  "on a host that joins": "a",
  "on the second host": "relay",
};
/** Directories that each host has for itself. */
const OWN = ["/var/lib", "/var/backups"];
/** Longest command, and longest start of what stays, in ms. */
const COMMAND_MS = 120_000, START_MS = 90_000;

interface Line {
  host: string;
  command: string;
  /** Why it is not run as it stands, or how it is. */
  untested?: string;
  tested?: string;
}

/** Lines of all shell blocks, in their order. */
function linesOf(text: string): Line[] {
  return [...text.matchAll(/```sh\n([^]*?)```/g)].flatMap(([, block]) => {
    let host = HOSTS[""]!;
    return block!.trimEnd().split("\n").flatMap((line): Line[] => {
      if (line.startsWith("# ")) {
        host = HOSTS[line.slice(2)] ?? "";
        return [];
      }
      const [command = "", note = ""] = line.split(/ # /);
      const [, untested] = note.match(/^not tested: (.+)/) ?? [];
      const [, tested] = note.match(/^tested: (.+)/) ?? [];
      return [{ host, command, ...(untested ? { untested } : {}), ...(tested ? { tested } : {}) }];
    });
  });
}

/** The hosts of the document, and what they have printed. */
class Operator {
  readonly #printed: string[] = [];
  readonly #logs: string[] = [];
  /** Variables of a host's shell. */
  readonly #env = new Map<string, Record<string, string>>();
  /** The control plane of a host, and the command that started it. */
  readonly #planes = new Map<string, { process: LabProcess; command: string }>();

  /** Directory of the database server's socket. */
  readonly #socket: string;

  constructor(readonly lab: Lab, readonly postgres: Postgres) {
    this.#socket = decodeURIComponent(postgres.url.match(/host=(.+)$/)![1]!);
  }

  /** Gives the hosts the names of the document, directories of their own, and its programs. */
  async prepare(): Promise<void> {
    const { lab } = this;
    const bin = `${lab.dir}/bin`;
    const nexd = [Deno.execPath(), ...taskArguments("agent")].join(" ");
    const programs = {
      nexd: `exec ${nexd} "$@"`,
      sudo: `if [ "$1" = -u ]; then shift 2; fi; exec "$@"`,
      // The other host's directories are at hand.
      scp: `exec cp -r "$(echo "$2" | sed 's,^[^:]*:/var/lib,${
        this.#own("control", OWN[0]!)
      },')" "$3"`,
    };
    await Deno.mkdir(bin);
    for (const [name, script] of Object.entries(programs)) {
      await Deno.writeTextFile(`${bin}/${name}`, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    }
    const { denoDir } = JSON.parse(
      new TextDecoder().decode(
        (await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output()).stdout,
      ),
    );
    for (const name of Object.values(HOSTS)) {
      this.#env.set(name, {
        HOME: "",
        DENO_DIR: denoDir,
        NO_COLOR: "1",
        PATH: `${bin}:${findPostgres()}:${Deno.env.get("PATH")}:/usr/sbin:/sbin`,
        NEXD_SESSION_FILE: `${lab.dir}/session-${name}.json`,
        NEXD_STUN_SERVER: NAMES.slice(0, 2).map((host) => `${host}:3478`).join(),
        PGHOST: this.#socket,
        PGUSER: "postgres",
        PGDATABASE: "postgres",
      });
      const mounts = OWN.map((path) =>
        `mkdir -p "${this.#own(name, path)}" && mount --bind "${this.#own(name, path)}" ${path}`
      );
      const names = `echo "${lab.host("control").address} ${NAMES.join(" ")}" >>/etc/hosts`;
      await this.#sh(name, [...mounts, names].join(" && "));
    }
  }

  /** The user whom Debian's package makes, and not yet the one whom the document makes. */
  async prepareDatabase(): Promise<void> {
    await this.#sh("control", 'psql -U nexd -c "CREATE ROLE postgres SUPERUSER LOGIN"');
    await this.#sh("control", 'psql -c "ALTER ROLE nexd RENAME TO tests"');
  }

  #own(host: string, path: string): string {
    return `${this.lab.dir}/${host}${path.replaceAll("/", "-")}`;
  }

  /** Runs a line of the document. */
  async run(line: Line): Promise<void> {
    if (line.untested !== undefined) return;
    const { host, tested } = line;
    let command = this.#filled(line.command);
    if (tested?.startsWith("--")) command += ` ${tested}`;
    const [, variable, value] = command.match(/^export (\w+)='(.*)'$/) ?? [];
    if (variable !== undefined) {
      this.#env.get(host)![variable] = value!.replace(
        /@db\.example\.org\/(.*)/,
        `@/$1?host=${encodeURIComponent(this.#socket)}`,
      );
      return;
    }
    const [, told] = command.match(/^sudo systemctl (\w+) nexd-serve$/) ?? [];
    if (told !== undefined) return await this.#manage(host, told);
    if (/^nexd (serve|control) /.test(command)) return await this.#startPlane(host, command);
    if (/^nexd --reg-key /.test(command)) return await this.#startAgent(host, command);
    this.#printed.push(await this.#sh(host, command));
  }

  /** A command with what was printed in place of `…`. */
  #filled(command: string): string {
    const printed = [...this.#printed, ...this.#logs.map((log) => Deno.readTextFileSync(log))]
      .join("\n").split(/[\s']+/);
    return command.replaceAll(/[^\s']*…[^\s']*/g, (word) => {
      const pattern = word.split("…").map((part) => RegExp.escape(part)).join(".+");
      const found = new Set(printed.filter((one) => new RegExp(`^${pattern}$`).test(one)));
      equal(found.size, 1, `${word} was printed as ${[...found].join(", ") || "nothing"}`);
      return [...found][0]!;
    });
  }

  async #manage(host: string, told: string): Promise<void> {
    const { process, command } = this.#planes.get(host)!;
    if (told === "stop" || told === "restart") {
      process.kill("SIGTERM");
      equal(await process.exited, 0, process.tail());
    }
    if (told === "start" || told === "restart") await this.#startPlane(host, command);
  }

  async #startPlane(host: string, command: string): Promise<void> {
    const before = this.#planes.get(host)?.process;
    before?.kill("SIGTERM");
    await before?.exited;
    const process = await this.#spawn(host, command);
    this.#planes.set(host, { process, command });
    await process.waitFor(/^nexd serves |^Control plane is up /, START_MS);
    const [, password] = Deno.readTextFileSync(process.log).match(/with password +(\S+)/) ?? [];
    // What a person types.
    if (password) this.#env.get(host)!["NEXD_PASSWORD"] ??= password;
    this.#env.get(host)!["NEXD_USERNAME"] = "admin";
  }

  async #startAgent(host: string, command: string): Promise<void> {
    const process = await this.#spawn(host, command);
    await until("the host to have joined", START_MS, async () => {
      ok(process.running, process.tail());
      const { code, stdout } = await this.#raw(host, "nexd status");
      return code === 0 && /Running|running/.test(stdout);
    });
  }

  async #spawn(host: string, command: string): Promise<LabProcess> {
    const process = await this.lab.host(host).spawn(["sh", "-c", `exec ${command}`], {
      log: `operator-${this.#logs.length}`,
      env: this.#env.get(host)!,
    });
    this.#logs.push(process.log);
    return process;
  }

  /** Runs a command, which has to succeed; what it printed. */
  async #sh(host: string, command: string): Promise<string> {
    const { code, stdout, stderr } = await this.#raw(host, command);
    equal(code, 0, `${host}: ${command}: ${stderr}${stdout}`);
    return stdout;
  }

  #raw(host: string, command: string) {
    const env = this.#env.get(host)!;
    return this.lab.host(host).run(["sh", "-c", command], { env, timeoutMs: COMMAND_MS });
  }

  /** Host names of the devices that the operator sees, and whether each is online. */
  async devices(): Promise<[string, boolean][]> {
    const list = JSON.parse(await this.#sh("control", "nexd device list --output json"));
    return list.map(({ hostname, online }: { hostname: string; online: boolean }) =>
      [hostname, online] as [string, boolean]
    );
  }
}

/** Whether what the document takes for granted is there; prints a reason where it is not. */
async function cannotOperate(): Promise<boolean> {
  if (await cannotMesh()) return true;
  const missing =
    ["curl", "psql", "createuser"].find((name) =>
      !`${Deno.env.get("PATH")}:${findPostgres()}`.split(":").some((dir) =>
        exists(`${dir}/${name}`)
      )
    ) ?? OWN.find((path) => !exists(path));
  if (missing !== undefined) skip(`there is no ${missing}`);
  return missing !== undefined;
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path) !== undefined;
  } catch {
    return false;
  }
}

Deno.test("docs/control.md names only flags that a command has, and says why a command is not tested", () => {
  const options = [
    ...[AGENT_OPTIONS, RELAY_ONBOARD_OPTIONS, CONTROL_OPTIONS, SERVE_OPTIONS],
    ...[...AGENT_COMMANDS, ...CLIENT_COMMANDS, ...CONTROL_COMMANDS].map(({ options }) => options),
  ].flat();
  const known = new Set([...options.map(({ name }) => name), "json", "log-format", "onboard"]);
  // Programs of others in its blocks have flags of their own.
  const ours = TEXT.replaceAll(/^(sudo -u|curl) .*$/gm, "");
  const named = [...ours.matchAll(/(?<![\w-])--([a-z][a-z-]+)/g)].map(([, name]) => name!);
  ok(named.length > 40);
  deepEqual(named.filter((name) => !known.has(name)), []);
  deepEqual(linesOf(TEXT).filter(({ untested }) => untested !== undefined).map((l) => l.command), [
    "nexd serve --hostname nexd.example.org",
    "sudo systemctl reload nexd-serve",
    "sudo install -m 755 nexd /usr/local/bin/nexd",
  ]);
});

Deno.test("docs/control.md takes an operator from nothing to a service, an upgrade, a restore and PostgreSQL", async () => {
  const lines = linesOf(TEXT);
  ok(lines.length > 30 && lines.every(({ host }) => host !== ""), "blocks without a known host");
  if (await cannotOperate()) return;
  const postgres = await startPostgres();
  try {
    await using lab = await Lab.create({ hosts: 1, nat: "cone" });
    const operator = new Operator(lab, postgres);
    await operator.prepare();
    await operator.prepareDatabase();
    for (const line of lines) await operator.run(line);
    await until(
      "the host to be back after all of it",
      START_MS,
      async () => JSON.stringify(await operator.devices()) === JSON.stringify([["a", true]]),
    );
    deepEqual(await operator.devices(), [["a", true]]);
  } finally {
    await postgres.stop();
  }
});
