/**
 * A host for tests of the daemon: a directory, a control plane, and agents that start on it.
 *
 * @module
 */
import { ApiClient } from "../api/mod.ts";
import type { AgentStatus } from "../ctl/mod.ts";
import { Agent, type AgentConfig } from "../daemon/mod.ts";
import { parseJoin } from "../onboarding/mod.ts";
import { FakeControl, REG_KEY } from "./fake_control.ts";
import { FakeParts } from "./fake_parts.ts";
import { until } from "./wait.ts";

/** Makes a certificate and says which CA signed it; `ensureSelfSigned` of the certificates' room. */
type MakeTls = (
  dir: string,
  names: string[],
) => Promise<{ cert: string; key: string; ca: string }>;

/** A started agent; `ended` settles when it does, `running` once its tunnel is up. */
interface StartedAgent {
  agent: Agent;
  ended: Promise<void>;
  stop(): void;
  running: Promise<AgentStatus>;
}

/** See the top of the file. Disposing it ends everything. */
export class Bench implements AsyncDisposable {
  readonly parts = new FakeParts();
  readonly dir: string;
  control: FakeControl;
  readonly tls: { cert: string; key: string; ca: string };
  config: AgentConfig;
  trusted = true;
  readonly #running: { stop: AbortController; ended: Promise<unknown>; api: ApiClient }[] = [];

  private constructor(dir: string, tls: Bench["tls"]) {
    this.dir = dir;
    this.tls = tls;
    this.control = new FakeControl(tls);
    this.config = {
      join: parseJoin({ regKey: `${this.control.url.origin}#${REG_KEY}` }),
      insecureSkipTlsVerify: false,
      caCerts: [],
      stateDir: `${dir}/state`,
      socketPath: `${dir}/nexd.sock`,
      interfaceName: "wgtest",
      listenPort: 0,
      relayOnly: false,
      mode: "agent",
      advertiseCidrs: [],
      networkRouter: false,
      exitNode: false,
      disableNat: false,
      exitNodeClient: false,
      realtime: "off",
      driver: "auto",
      relayPort: 443,
      stunServers: ["192.0.2.1:3478", "192.0.2.2:3478"],
      publicRelay: { host: "relay.lab", port: 443 },
      fixedRelay: true,
      relayCaCerts: ["CA"],
      capture: "auto",
      hostname: "me",
      version: "9.9.9",
    };
  }

  static async open(makeTls: MakeTls): Promise<Bench> {
    const dir = await Deno.makeTempDir();
    return new Bench(dir, await makeTls(`${dir}/tls`, ["127.0.0.1"]));
  }

  /** Starts an agent; `ended` settles when it does. */
  start(): StartedAgent {
    const api = new ApiClient({
      apiUrl: this.config.join.apiUrl,
      caCerts: this.trusted ? [this.tls.ca] : [],
    });
    const agent = new Agent(this.config, this.parts.doors(api), { firstStart: 1500, refused: 50 });
    const stop = new AbortController();
    const running = Promise.withResolvers<AgentStatus>();
    const ended = agent.run(stop.signal, running.resolve);
    ended.catch(running.reject);
    running.promise.catch(() => {});
    this.#running.push({ stop, ended, api });
    return { agent, ended, stop: () => stop.abort(), running: running.promise };
  }

  /** Starts an agent and waits until it has followed the control plane's backlog. */
  async up(): Promise<StartedAgent> {
    const started = this.start();
    await started.running;
    await until(() => started.agent.status().control.state === "connected", "control plane");
    return started;
  }

  /** The content of the state file. */
  state(): Record<string, unknown> {
    return JSON.parse(Deno.readTextFileSync(`${this.dir}/state/state.json`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { stop, ended, api } of this.#running) {
      stop.abort();
      await ended.catch(() => {});
      api.close();
    }
    await this.control.close();
    await Deno.remove(this.dir, { recursive: true });
  }
}
