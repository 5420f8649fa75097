/**
 * The agent's life: what is started in which order, what keeps running, what is undone at the end.
 *
 * With a cache from the last run the tunnel comes up at once and registration follows behind it;
 * without one the agent registers first. After that three things run side by side: the reconcile
 * loop, the watch stream, and the eyes on the WireGuard daemon.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { keyToBase64 } from "../../relay/derp/mod.ts";
import { type ApiFailure, runWatch, type WatchState } from "../api/mod.ts";
import { type AgentStatus, serveControl } from "../ctl/mod.ts";
import { reasonOf } from "../errors.ts";
import { UNDERLAY_MARK } from "../host/mod.ts";
import {
  ControlLink,
  ensureStateDir,
  type Onboarded,
  readCache,
  type Registrar,
  StateStore,
} from "../onboarding/mod.ts";
import { interfaceAddresses, SteadyClock } from "../peering/mod.ts";
import type { DeviceConfig } from "../wireguard/mod.ts";
import { type AgentConfig, serversOf } from "./config.ts";
import type { Doors, RelayProxy } from "./doors.ts";
import { HostRooms, Met, type Outcome, Pace, Reconciler, Rounds, Tunnel } from "./loop/mod.ts";
import { Membership } from "./membership.ts";
import { Outside } from "./outside/mod.ts";
import { Reporter, reportOf } from "./report/mod.ts";
import { newRegistrar } from "./registrar.ts";
import { Saver } from "./saver.ts";
import { statusOf, type Vitals, vitalsOf } from "./status.ts";
import { Undo } from "./undo.ts";

const log = getLogger(["nexd", "agent"]);

/**
 * MTU of the tunnel, bytes: the largest packet that still fits a 1500-byte path when the outside is
 * IPv6 (40 IP + 8 UDP + 32 WireGuard). The relay path is TCP and could carry more, but a path may
 * change under a connection and the MTU should not.
 */
export const TUNNEL_MTU = 1420;
/** How long who asks for the status waits for one that is not from before the quiet, ms. */
const FRESH_LIMIT = 500;
/** Times that tests shorten, ms. */
interface AgentTimes {
  /** How long a first start tries to reach the control plane. */
  firstStart: number;
  /** First pause after a refused device token. */
  refused: number;
}
const TIMES: AgentTimes = { firstStart: 15_000, refused: 5_000 };

/** One agent. {@link run} may be called once. */
export class Agent {
  readonly #config: AgentConfig;
  readonly #doors: Doors;
  readonly #clock: SteadyClock;
  readonly #times: AgentTimes;
  #store!: StateStore;
  readonly #membership: Membership;
  #proxy: RelayProxy | undefined;
  readonly #tunnel: Tunnel;
  #reconciler: Reconciler | undefined;
  readonly #link: ControlLink;
  readonly #outside: Outside;
  readonly #rounds = new Rounds();
  #renewWatch: () => void = () => {};
  #saver: Saver | undefined;
  #registrar: Registrar | undefined;
  readonly #rooms: HostRooms;
  readonly #met = new Met();
  readonly #pace = new Pace();
  readonly #reporter: Reporter;

  constructor(config: AgentConfig, doors: Doors, times: Partial<AgentTimes> = {}) {
    this.#config = config;
    this.#doors = doors;
    this.#clock = new SteadyClock({ wall: doors.now, running: () => performance.now() });
    this.#times = { ...TIMES, ...times };
    this.#outside = new Outside({
      config,
      doors,
      tunnelRanges: () => this.#membership.ranges,
      onChange: () => {
        this.#membership.describe();
        this.#saver?.soon();
        this.wake();
      },
      onMoved: () => {
        this.#renewWatch();
        this.#proxy?.moved();
      },
      keys: () => this.#store.state,
      now: () => this.#clock.now(),
      onPaths: () => this.wake(),
    });
    this.#membership = new Membership(config, () => this.#outside.facts);
    this.#rooms = new HostRooms(doors.rooms);
    this.#reporter = new Reporter(doors.api, () =>
      reportOf({
        outcome: this.#outcome,
        proxy: this.#proxy?.status(),
        now: this.#clock.now(),
      }));
    this.#tunnel = new Tunnel({
      open: doors.openDevice,
      config: () => this.#deviceConfig(),
      onOpened: ({ listenPort }) => {
        this.#outside.port = listenPort;
        this.#proxy?.setWireguardPort(listenPort);
      },
      onWanted: () => this.wake(),
      now: doors.now,
    });
    this.#link = new ControlLink({
      signIn: (signal) => this.#registrar!.signIn(signal),
      register: (signal) => this.#register(signal),
      registered: (onboarded) => this.#registered(onboarded),
      watch: (token, signal, onState) => this.#follow(token, signal, onState),
      now: doors.now,
      refusedPause: this.#times.refused,
    });
  }

  /** The loop goes round, or has not begun to: what has hung for longer than this will not go on. */
  beats(withinMs: number): boolean {
    return this.#rounds.beats(withinMs);
  }

  /** Something that a pass looks at has changed. */
  wake(): void {
    this.#rounds.wake();
  }

  /** The same in a few words, without the work of all. */
  vitals(): Vitals {
    const running = this.#tunnel.ready, control = this.#link.state;
    const login = this.#registrar?.prompt, { plans } = this.#outcome;
    return vitalsOf({ running, login, control, plans });
  }

  /** What the control socket tells. */
  status(): AgentStatus {
    return statusOf({
      config: this.#config,
      publicKey: this.#membership.publicKey,
      running: this.#tunnel.ready,
      device: this.#tunnel.device,
      listenPort: this.#outside.port,
      self: this.#membership.self,
      nat: this.#outside.nat,
      netcheck: this.#outside.status(),
      control: this.#link.state,
      login: this.#registrar?.prompt,
      proxy: this.#proxy?.status(),
      outcome: this.#outcome,
      error: this.#rounds.error,
      notes: this.#notes(),
      now: this.#doors.now(),
      toWall: (steady) => this.#clock.toWall(steady),
    });
  }

  /**
   * Runs until the signal aborts, then removes everything it made on the host.
   *
   * @param onRunning called once, when the tunnel is up
   * @throws {AgentError} what ended it otherwise, in one sentence
   */
  async run(
    signal: AbortSignal,
    onRunning: (status: AgentStatus) => void = () => {},
  ): Promise<void> {
    const { stateDir, socketPath, interfaceName } = this.#config;
    await using undo = new Undo();
    await ensureStateDir(stateDir);
    const lock = await this.#doors.lock(`${stateDir}/nexd.lock`);
    undo.defer(() => lock.release());
    const socket = await serveControl(socketPath, {
      describe: () => this.status(),
      fresh: () => this.#rounds.fresh(FRESH_LIMIT),
      ...this.#doors.controls,
    });
    undo.defer(() => socket.close());
    if (await this.#doors.cleanLeftover(interfaceName)) {
      log.info("removed what a crashed agent left on {name}", { name: interfaceName });
    }
    await this.#rooms.repair();
    this.#store = await StateStore.open(stateDir);
    this.#membership.publicKey = keyToBase64(this.#store.state.publicKey);
    this.#saver = new Saver(
      this.#store,
      stateDir,
      () => this.#membership.memory(this.#outside.nat, this.#met.saved()),
    );
    undo.defer(() => this.#saver?.close());
    this.#registrar = newRegistrar(this.#config, this.#doors, {
      state: this.#store.state,
      remember: (change) => this.#saver?.update(change),
    });
    const { known } = this.#registrar;
    const cached = known ? await readCache(stateDir, this.#membership.publicKey) : undefined;
    undo.defer(() => this.#outside.close());
    await this.#outside.measure({ port: this.#store.state.port, nat: cached?.nat });
    await this.#store.update({ port: this.#outside.port });
    if (signal.aborted) return;

    let onboarded: Onboarded | undefined;
    if (cached !== undefined) {
      this.#membership.adopt(cached, cached);
      if (cached.met !== undefined) this.#met.remember(cached.met);
    } else {
      // Only a first start fails: later the control plane may be away for as long as it likes.
      onboarded = await this.#link.join(signal, known ? undefined : this.#times.firstStart);
      if (onboarded === undefined) return;
    }
    await this.#startProxy(undo);
    undo.defer(async () => {
      await this.#tunnel.close();
      await this.#rooms.release();
    });
    undo.defer(() => this.#rooms.close());
    undo.defer(() => this.#reporter.close());
    await this.#tunnel.start();
    onRunning(this.status());

    const stop = new AbortController();
    const inner = AbortSignal.any([signal, stop.signal]);
    const following = Promise.all([
      this.#link.follow(inner, onboarded),
      this.#outside.watch(inner),
    ]);
    try {
      await this.#rounds.run(inner, {
        pass: () => this.#pass(inner),
        mayRest: () => this.#tunnel.ready,
        stirs: () => this.#stirs(),
      });
    } finally {
      stop.abort();
      await following;
    }
  }

  get #outcome(): Outcome {
    return this.#reconciler?.outcome ??
      { plans: [], skipped: [], stats: new Map(), relayReason: "" };
  }

  /** Follows the watch stream, on a new connection whenever this host has moved. */
  async #follow(
    token: string,
    signal: AbortSignal,
    onState: (state: WatchState) => void,
  ): Promise<ApiFailure | undefined> {
    while (!signal.aborted) {
      const moved = new AbortController();
      this.#renewWatch = () => moved.abort();
      const refusal = await runWatch({
        api: this.#doors.api,
        token,
        cache: this.#membership.cache!,
        signal: AbortSignal.any([signal, moved.signal]),
        onChange: () => {
          this.#outside.told(this.#membership.own);
          this.#saver?.soon();
          this.wake();
        },
        onState: (state) => {
          if (state.state === "connected") this.#reporter.connected();
          onState(state);
        },
      });
      if (refusal !== undefined) return refusal;
    }
    return undefined;
  }

  #register(signal: AbortSignal): Promise<Onboarded> {
    const { endpoints, symmetric_nat } = this.#outside.say();
    return this.#registrar!.register({
      publicKey: this.#store.state.publicKey,
      hostname: this.#config.hostname,
      symmetricNat: symmetric_nat,
      endpoints,
      ...(this.#config.mode === "relay" ? { relay: "wireguard" as const } : {}),
      advertiseCidrs: this.#config.advertiseCidrs,
      ...(this.#config.requestIp === undefined ? {} : { requestIp: this.#config.requestIp }),
    }, signal);
  }

  /** A registration succeeded: remember it, and who we are now. */
  async #registered(onboarded: Onboarded): Promise<void> {
    const { device, vpc } = onboarded;
    if (this.#membership.adopt({ device, vpc })) this.#tunnel.renew("other tunnel addresses");
    this.wake();
    const got = this.#membership.self?.tunnelIpv4, asked = this.#config.requestIp;
    if (asked !== undefined && got !== asked) {
      log.warn("the control plane did not grant {asked} and gave {got}", { asked, got });
    }
    log.info("registered as {ip} in VPC {vpc}", { ip: got, vpc: vpc.id });
    this.#outside.registered(onboarded.deviceToken, device);
    this.#reporter.registered(onboarded.deviceToken, device.id);
    // Before the proxy is started: a first start asks no relay that it need not know.
    await this.#membership.learnRelays(this.#doors.api, onboarded.deviceToken);
    // At once: a crash right behind it must find what it needs to start without the control plane.
    await this.#saver?.flush();
  }

  async #startProxy(undo: Undo): Promise<void> {
    const { relayCaCerts, capture, mode } = this.#config;
    if (mode === "relay") {
      // It forwards by WireGuard, and reaches nobody through relays.
      this.#reconciler = new Reconciler([], this.#clock);
      return;
    }
    const relays = this.#membership.firstRelays();
    const { loopback } = this.#doors;
    if (loopback !== undefined) {
      await loopback.repair().catch((error) => log.warn("{it}", { it: reasonOf(error) }));
      undo.defer(() => loopback.close());
    }
    const proxy = this.#doors.newProxy({
      privateKey: this.#store.state.privateKey,
      wireguardPort: this.#outside.port,
      relay: relays[0]!,
      caCerts: relayCaCerts,
      assigned: this.#store.state.loopback,
      onAssigned: (loopback) => this.#saver?.update({ loopback }),
      capture,
      ...(loopback === undefined ? {} : { loopback }),
    });
    proxy.onChange = () => this.wake();
    undo.defer(() => proxy.close());
    proxy.setRelays(relays);
    await proxy.start();
    this.#proxy = proxy;
    this.#reconciler = new Reconciler(relays, this.#clock);
  }

  #deviceConfig(): DeviceConfig {
    return {
      name: this.#config.interfaceName,
      privateKey: this.#store.state.privateKey,
      listenPort: this.#outside.port,
      addresses: interfaceAddresses(this.#membership.self!),
      mtu: TUNNEL_MTU,
      mark: UNDERLAY_MARK,
      driver: this.#config.driver,
      realtime: this.#config.realtime,
      ranges: this.#membership.ranges,
    };
  }

  /** One pass; returns how long the next one may wait, ms. */
  async #pass(signal: AbortSignal): Promise<number> {
    await this.#tunnel.ensure(signal);
    if (signal.aborted) return 0;
    const { self, cache, place } = this.#membership;
    const reconciler = this.#reconciler!;
    await reconciler.pass({
      self: self!,
      cache: cache!,
      device: this.#tunnel.device!,
      proxy: this.#proxy,
      publicRelays: this.#membership.publicRelays,
      relayPort: this.#config.relayPort,
      rooms: this.#rooms,
      paths: this.#outside.paths,
      networks: this.#doors.networks?.() ?? {},
      host: { ...place!, servers: serversOf(this.#config, this.#registrar?.servers ?? []) },
      crosses: this.#doors.crosses?.() ?? false,
      seenAt: this.#met.endpoints,
    });
    if (self!.relay) this.#meet(reconciler.outcome);
    this.#reporter.passed();
    this.#stirs();
    const { unsettled, due, outcome } = reconciler;
    return this.#pace.wait({ unsettled, due, peers: outcome.plans.length });
  }

  #stirs(): boolean {
    return this.#pace.stirs(this.#tunnel.device?.carried?.());
  }

  #meet({ plans, stats }: Outcome): void {
    const peers = new Set(plans.map(({ peer }) => peer.publicKey));
    if (this.#met.see(peers, stats.values())) this.#saver?.soon();
  }

  /** What a person should know of this host. */
  #notes(): string[] {
    const unsaved = this.#saver?.notes() ?? [];
    return [...unsaved, ...this.#outside.notes(), ...this.#rooms.notes()];
  }
}
