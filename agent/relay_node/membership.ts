/**
 * The relay's life as a device: registered, published, and told who the others are.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import type { Device } from "../../control/api/types.ts";
import { keyToBase64 } from "../../relay/derp/mod.ts";
import { type Api, ApiFailure, pause, runWatch, WatchCache } from "../api/mod.ts";
import { AgentError, reasonOf } from "../errors.ts";
import {
  askPassword,
  ControlLink,
  type ControlState,
  isRegisteredToOthers,
  type Onboarded,
  OnboardRefusal,
  Registrar,
  type StateStore,
} from "../onboarding/mod.ts";
import { KeyReader, otherRelays } from "./devices.ts";
import { type Surroundings, type Whereabouts, whereabouts } from "./endpoints.ts";
import type { JoinOptions, RelayMetadata, VpcEvents } from "./join.ts";

const log = getLogger(["nexd", "agent"]);

/** Times, ms; tests shorten them. */
export interface RelayTimes {
  /** How long a first start tries to reach the control plane. */
  firstStart: number;
  /** First pause after a refused token. */
  refused: number;
  /** How often the outside address is looked at. */
  look: number;
}
const TIMES: RelayTimes = { firstStart: 15_000, refused: 5_000, look: 60_000 };

/** Changes within this time are one list, ms. */
const COALESCE = 50;

/** Most devices of a VPC that a relay serves. */
const MAX_DEVICES = 65_536;

/** What tests put something else in the place of. */
export interface RelayDoors extends Surroundings {
  api: Api;
  times?: Partial<RelayTimes>;
}

/** See the top of the file. */
export class Membership {
  readonly publicKey: string;
  readonly #options: JoinOptions;
  readonly #store: StateStore;
  readonly #on: VpcEvents;
  readonly #doors: RelayDoors;
  readonly #times: RelayTimes;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #link: ControlLink;
  readonly #registrar: Registrar;
  #metadata: RelayMetadata;
  /** The metadata that was published last, as text. */
  #published: string | undefined;
  #where: Whereabouts = { endpoints: [] };
  #cache: WatchCache | undefined;
  #vpcId = "";
  readonly #keys = new KeyReader();
  #devices = "";
  #told = false;
  #telling: ReturnType<typeof setTimeout> | undefined;
  #rivals = "";
  #running: Promise<unknown> = Promise.resolve();

  constructor(options: JoinOptions, store: StateStore, on: VpcEvents, doors: RelayDoors) {
    this.#options = options;
    this.#store = store;
    this.#on = on;
    this.#doors = doors;
    this.#times = { ...TIMES, ...doors.times };
    this.#metadata = options.metadata;
    this.#signal = AbortSignal.any([options.signal, this.#stop.signal]);
    this.publicKey = keyToBase64(store.state.publicKey);
    const { join, vpcId, securityGroupId } = options;
    this.#registrar = new Registrar({
      api: doors.api,
      join,
      vpcId,
      securityGroupId,
      hostname: this.#hostname,
      state: store.state,
      remember: (change) => {
        store.update(change).catch((error) => {
          log.warn("cannot save: {reason}", { reason: reasonOf(error) });
        });
      },
      show: (prompt) => {
        if (prompt === undefined) return;
        log.warn("sign in at {url} to let this relay in; its code is {code}", { ...prompt });
      },
      askPassword,
    });
    this.#link = new ControlLink({
      signIn: (signal) => this.#registrar.signIn(signal),
      register: (signal) => this.#register(signal),
      registered: (onboarded) => this.#registered(onboarded),
      watch: (token, signal, onState) =>
        runWatch({
          api: doors.api,
          token,
          cache: this.#cache!,
          signal,
          onChange: () => this.#tellSoon(),
          onState,
        }),
      now: Date.now,
      refusedPause: this.#times.refused,
    });
    this.#link.onState = (state) => this.#on.state?.(stateText(state));
  }

  /** Registers, or, if that was done before, leaves it for later. Returns the device's id. */
  async start(): Promise<string> {
    const known = this.#store.state.deviceId;
    await this.#look();
    let first: Onboarded | undefined;
    if (known === undefined) {
      first = await this.#link.join(this.#signal, this.#times.firstStart);
      if (first === undefined) throw new AgentError("The relay was stopped before it had joined");
    }
    this.#running = Promise.all([this.#link.follow(this.#signal, first), this.#keepLooking()]);
    return first?.device.id ?? known!;
  }

  update(metadata: RelayMetadata): void {
    this.#metadata = metadata;
    const { deviceId } = this.#store.state;
    if (deviceId === undefined) return;
    this.#publish(deviceId, this.#signal).catch((error) => {
      if (!this.#signal.aborted) {
        log.warn("Cannot publish the relay's metadata: {reason}", { reason: reasonOf(error) });
      }
    });
  }

  async close(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#telling);
    await this.#running;
    clearTimeout(this.#telling);
    await this.#store.save().catch(() => {});
  }

  /** As the others see this device: a relay may run without the permission to ask for the host's. */
  get #hostname(): string {
    return this.#options.hostname || this.#metadata.hostname;
  }

  /** One try: with the registration key or user, or as the device that was registered before. */
  async #register(signal: AbortSignal): Promise<Onboarded> {
    let onboarded: Onboarded;
    try {
      onboarded = await this.#registrar.register({
        publicKey: this.#store.state.publicKey,
        hostname: this.#hostname,
        symmetricNat: false,
        endpoints: this.#where.endpoints,
        relay: "derp",
      }, signal);
    } catch (error) {
      const known = this.#store.state.deviceId !== undefined;
      const gone = error instanceof OnboardRefusal && !isRegisteredToOthers(error);
      if (known && gone) this.#expelled(reasonOf(error));
      throw error;
    }
    await this.#publish(onboarded.device.id, signal);
    return onboarded;
  }

  /**
   * Key and token are refused: the device was deleted, perhaps while the relay was not there to hear of
   * it. The last run's list is for a control plane that is away, not for one that says no.
   */
  #expelled(reason: string): void {
    if (this.#told && this.#devices === "") return;
    log.error("the relay is no device of its VPC any more and serves nobody of it: {reason}", {
      reason,
    });
    this.#told = true;
    this.#devices = "";
    this.#on.devices([]);
  }

  /**
   * Tells the agents about the relay. Control planes take this from the registration key only; when
   * that has expired, what was published before stands.
   */
  async #publish(deviceId: string, signal: AbortSignal): Promise<void> {
    const text = JSON.stringify(this.#metadata);
    if (text === this.#published) return;
    const { deviceToken } = this.#store.state;
    const value = { ...this.#metadata };
    let refusal: unknown;
    for (const token of [await this.#registrar.writeToken(signal), deviceToken]) {
      if (token === undefined) continue;
      try {
        await this.#doors.api.putMetadata(token, deviceId, "relay", value, signal);
        this.#published = text;
        return;
      } catch (error) {
        if (!(error instanceof ApiFailure) || error.kind !== "status" || error.transient) {
          throw error;
        }
        if (error.status === 400) {
          throw new OnboardRefusal(
            `The control plane refuses the relay's metadata: ${reasonOf(error)}; ` +
              "check --hostname and --certmode",
            { cause: error },
          );
        }
        refusal ??= error;
      }
    }
    log.warn(
      "the relay's name, port and CA are not published: {reason}; agents go on with what was " +
        "published before. Give a valid registration key",
      { reason: reasonOf(refusal) },
    );
  }

  async #registered({ device, vpc, deviceToken }: Onboarded): Promise<void> {
    if (this.#cache === undefined || this.#vpcId !== vpc.id) {
      this.#cache = new WatchCache(vpc.id, {}, MAX_DEVICES);
      this.#vpcId = vpc.id;
    }
    log.info("the relay is device {id} of VPC {vpc}", { id: device.id, vpc: vpc.id });
    await this.#store.update({ deviceId: device.id, deviceToken });
    // Nothing may have changed since nobody was served.
    this.#tellSoon();
  }

  /** Many devices that come online at once are one list. */
  #tellSoon(): void {
    this.#telling ??= setTimeout(() => {
      this.#telling = undefined;
      this.#tell();
    }, COALESCE);
  }

  /** The list, once it is whole. A relay that is no device of the VPC any more serves nobody of it. */
  #tell(): void {
    const cache = this.#cache!;
    if (!cache.synced) return;
    const devices = cache.devices();
    const member = devices.some((device) => device.public_key === this.publicKey);
    const keys = member ? this.#keys.read(devices, this.publicKey) : [];
    const text = keys.join();
    if (member) this.#noteRivals(devices);
    if (text === this.#devices && (text !== "" || this.#told)) return;
    if (!member) log.warn("the relay's device is gone from the VPC: nobody is served");
    this.#devices = text;
    this.#told = true;
    this.#on.devices(keys);
  }
  /** Two relays of one VPC do not talk to each other: agents agree on one. */
  #noteRivals(devices: Device[]): void {
    const rivals = otherRelays(devices, this.#cache!.metadata(), this.publicKey).join(", ");
    if (rivals !== this.#rivals && rivals !== "") {
      log.warn("the VPC has other relays ({rivals}): agents use one of them, the same for all", {
        rivals,
      });
    }
    this.#rivals = rivals;
  }

  async #look(): Promise<void> {
    const { port, publicIp, localEndpointIp, stunServers } = this.#options;
    const remembered = this.#store.state.reflexive;
    this.#where = await whereabouts({
      port,
      stunServers,
      ...(publicIp === undefined ? {} : { publicIp }),
      ...(localEndpointIp === undefined ? {} : { localEndpointIp }),
      ...(remembered === undefined ? {} : { remembered }),
    }, this.#doors);
    const { reflexive } = this.#where;
    if (reflexive !== undefined && reflexive !== remembered) {
      await this.#store.update({ reflexive });
    }
  }

  /** The outside address may change while the relay runs. Never throws. */
  async #keepLooking(): Promise<void> {
    while (!this.#signal.aborted) {
      await pause(this.#times.look, this.#signal);
      if (this.#signal.aborted) return;
      try {
        const before = JSON.stringify(this.#where.endpoints);
        await this.#look();
        const { deviceId, deviceToken } = this.#store.state;
        if (deviceId === undefined || deviceToken === undefined) continue;
        await this.#publish(deviceId, this.#signal);
        const { endpoints } = this.#where;
        if (JSON.stringify(endpoints) === before || endpoints.length === 0) continue;
        log.info("the relay's address is now {address}", { address: endpoints.at(-1)?.address });
        await this.#doors.api.updateDevice(deviceToken, deviceId, { endpoints }, this.#signal);
      } catch (error) {
        if (this.#signal.aborted) return;
        log.warn("Cannot publish the relay's address: {reason}", { reason: reasonOf(error) });
      }
    }
  }
}

function stateText({ state, error }: ControlState): string {
  return error === undefined ? state : `${state}: ${error}`;
}
