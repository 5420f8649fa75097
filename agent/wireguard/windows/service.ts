/**
 * The Windows service of one tunnel: WireGuard for Windows runs wireguard-nt in it. A service is
 * ours when it was installed from our own directory.
 *
 * https://git.zx2c4.com/wireguard-windows/about/docs/enterprise.md
 *
 * @module
 */
import { AgentError, reasonOf } from "../../errors.ts";
import type { CommandResult, RunCommand } from "../../platform/mod.ts";

const CHANGE_MS = 15_000;
const POLL_MS = 100;
/** ERROR_SERVICE_DOES_NOT_EXIST, which `sc` gives back as its exit code. */
const NO_SERVICE = 1060;

/** Where things are; from the environment. */
export interface WindowsPaths {
  /** WireGuard for Windows. */
  wireguard: string;
  wg: string;
  sc: string;
  netsh: string;
  /** Only for administrators and the system. */
  directory: string;
}

/** The paths of this system. */
export function windowsPaths(env: (name: string) => string | undefined): WindowsPaths {
  const programs = env("ProgramW6432") ?? env("ProgramFiles") ?? "C:\\Program Files";
  const system = `${env("SystemRoot") ?? "C:\\Windows"}\\System32`;
  return {
    wireguard: `${programs}\\WireGuard\\wireguard.exe`,
    wg: `${programs}\\WireGuard\\wg.exe`,
    sc: `${system}\\sc.exe`,
    netsh: `${system}\\netsh.exe`,
    directory: `${env("ProgramData") ?? "C:\\ProgramData"}\\nexd`,
  };
}

/** Files, as the service needs them; tests stand in for them. */
export interface WindowsFiles {
  /** Makes a directory that only administrators and the system can use. */
  protect(path: string): Promise<void>;
  write(path: string, text: string): Promise<void>;
  remove(path: string): Promise<void>;
}

/** One tunnel's service. */
export class TunnelService {
  readonly #name: string;
  readonly #paths: WindowsPaths;
  readonly #run: RunCommand;
  readonly #files: WindowsFiles;

  constructor(name: string, paths: WindowsPaths, run: RunCommand, files: WindowsFiles) {
    this.#name = name;
    this.#paths = paths;
    this.#run = run;
    this.#files = files;
  }

  get #service(): string {
    return `WireGuardTunnel$${this.#name}`;
  }

  get #file(): string {
    return `${this.#paths.directory}\\${this.#name}.conf`;
  }

  /** Whether there is a service of that name, and whose. */
  async owner(): Promise<"none" | "ours" | "foreign"> {
    const { code, stdout } = await this.#run(this.#paths.sc, ["qc", this.#service]);
    if (code === NO_SERVICE) return "none";
    return stdout.toLowerCase().includes(this.#file.toLowerCase()) ? "ours" : "foreign";
  }

  /** Installs and starts it with a configuration, which holds the private key. */
  async install(configuration: string): Promise<void> {
    const { directory, wireguard, sc } = this.#paths;
    await this.#files.protect(directory);
    await this.#files.write(this.#file, configuration);
    this.#check(
      await this.#run(wireguard, ["/installtunnelservice", this.#file], {
        timeout: CHANGE_MS,
        remedy:
          "install WireGuard for Windows 0.5 or newer from https://www.wireguard.com/install/",
      }),
      "install the tunnel service",
    );
    // The agent makes it anew; after a restart of the system it must not come up by itself.
    await this.#run(sc, ["config", this.#service, "start=", "demand"]);
  }

  /** Removes the key from the disk, once the service has read it. */
  async forget(): Promise<void> {
    await this.#files.remove(this.#file);
  }

  /** Stops and removes it, with its interface, and waits for that. */
  async uninstall(): Promise<void> {
    await this.#run(this.#paths.wireguard, ["/uninstalltunnelservice", this.#name], {
      timeout: CHANGE_MS,
    });
    await this.forget();
    for (const end = Date.now() + CHANGE_MS; await this.owner() !== "none";) {
      if (Date.now() > end) {
        throw new AgentError(`Cannot remove the service ${this.#service}; restart the system`);
      }
      await new Promise((done) => setTimeout(done, POLL_MS));
    }
  }

  #check({ code, stdout, stderr }: CommandResult, what: string): void {
    if (code === 0) return;
    throw new AgentError(
      `Cannot ${what} of ${this.#name}: ${
        reasonOf(stderr || stdout) || `exit code ${code}`
      }; run nexd as administrator`,
    );
  }
}
