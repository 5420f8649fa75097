/**
 * Running `wg` for one interface.
 *
 * @module
 */
import { AgentError, reasonOf } from "../../errors.ts";
import { type RunCommand, runCommand } from "../../platform/mod.ts";
import type { PeerSet, TunnelState } from "../backend.ts";
import { HandshakeTimes, parseDump, setCommands } from "./wg.ts";

/** One interface as `wg` drives it. */
export class WgTool {
  readonly #name: string;
  readonly #program: string;
  readonly #run: RunCommand;
  readonly #times = new HandshakeTimes();

  /** @param program path of the tool, or its name in PATH */
  constructor(name: string, program = "wg", run: RunCommand = runCommand) {
    this.#name = name;
    this.#program = program;
    this.#run = run;
  }

  /** Sets the interface's own values. The key goes to the tool's standard input. */
  async configure(
    settings: { privateKey: Uint8Array; listenPort: number; mark: number },
  ): Promise<void> {
    await this.#call([
      ...["set", this.#name, "fwmark", String(settings.mark)],
      ...(settings.listenPort > 0 ? ["listen-port", String(settings.listenPort)] : []),
      ...["private-key", "/proc/self/fd/0"],
    ], settings.privateKey.toBase64() + "\n");
  }

  async read(): Promise<TunnelState> {
    const state = parseDump(await this.#call(["show", this.#name, "dump"]));
    this.#times.place(state.peers, Date.now());
    return state;
  }

  async apply(changes: PeerSet[]): Promise<void> {
    for (const args of setCommands(this.#name, changes)) await this.#call(args);
  }

  async #call(args: string[], input?: string): Promise<string> {
    const { code, stdout, stderr } = await this.#run(this.#program, args, {
      ...(input !== undefined && { input }),
      remedy: "install WireGuard's tools",
    });
    if (code === 0) return stdout;
    throw new AgentError(`wg ${args[0]} says ${reasonOf(stderr) || `exit code ${code}`}`);
  }
}
