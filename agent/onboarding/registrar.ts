/**
 * How this host gets in, each time anew: with its registration key, as a user who signs in, or as the
 * device that it was before.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import type { Api } from "../api/mod.ts";
import { reasonOf } from "../errors.ts";
import type { UnderlayServer } from "../host/mod.ts";
import type { JoinTarget } from "./flags/mod.ts";
import { type LoginPrompt, UserSession } from "./issuer/mod.ts";
import { onboard, type Onboarded, resume, type SelfDescription } from "./onboard.ts";
import { isKeyRefused, isUnauthorized, OnboardRefusal } from "./refusals.ts";
import type { AgentState, StateChange } from "./store/mod.ts";

const log = getLogger(["nexd", "agent"]);

/** What a registrar works with. */
interface RegistrarOptions {
  api: Api;
  join: JoinTarget;
  vpcId?: string | undefined;
  securityGroupId?: string | undefined;
  /** What the sign-in page calls this host. */
  hostname: string;
  /** What was kept of earlier runs. */
  state: Readonly<AgentState>;
  /** Keeps a change of it; trouble with that is for its owner to tell. */
  remember(change: StateChange): void;
  /** Shows what a person has to do; undefined: nothing any more. */
  show?(prompt: LoginPrompt | undefined): void;
  /** Asks for the password of a user; without it there is nobody to ask. */
  askPassword?(username: string, signal: AbortSignal): Promise<string>;
  /** ms since the epoch */
  now?(): number;
}

/** See the top of the file. */
export class Registrar {
  /** This host was registered before, here and by the same user. */
  readonly known: boolean;
  readonly #options: RegistrarOptions;
  readonly #session: UserSession | undefined;
  #device: { deviceId: string; deviceToken: string } | undefined;
  #prompt: LoginPrompt | undefined;

  constructor(options: RegistrarOptions) {
    this.#options = options;
    const { join } = options;
    const state = this.#own(options.state);
    const { deviceId, deviceToken } = state;
    this.known = deviceId !== undefined;
    if (deviceId !== undefined && deviceToken !== undefined) {
      this.#device = { deviceId, deviceToken };
    }
    const { credential } = join;
    if (credential.kind === "reg-key") return;
    this.#session = new UserSession({
      api: options.api,
      credential,
      hostname: options.hostname,
      kept: state,
      // Whose they are goes with them: the next start may be for somebody else.
      remember: (change) => options.remember({ ...change, ...this.#whose() }),
      show: (prompt) => {
        this.#prompt = prompt;
        options.show?.(prompt);
      },
      askPassword: options.askPassword ?? nobodyToAsk,
      now: options.now ?? Date.now,
    });
  }

  /** What a person has to do before this host can go on. */
  get prompt(): LoginPrompt | undefined {
    return this.#prompt;
  }

  /** Servers beside the API that signing in needs, as far as they are known. */
  get servers(): UnderlayServer[] {
    return this.#session?.servers ?? [];
  }

  /** Signs in where a user has to, so that what follows needs no person any more. */
  async signIn(signal: AbortSignal): Promise<void> {
    if (this.#session !== undefined && this.#device === undefined) {
      await this.#session.accessToken(signal);
    }
  }

  /**
   * Registers this host, or goes on as the device that it is.
   *
   * @throws {OnboardRefusal} when it is refused, with the remedy
   * @throws {ApiFailure} when API or issuer cannot be reached
   */
  async register(self: SelfDescription, signal: AbortSignal): Promise<Onboarded> {
    const onboarded = this.#session === undefined
      ? await this.#byKey(self, signal)
      : await this.#byUser(this.#session, self, signal);
    const { device, deviceToken } = onboarded;
    this.#device = { deviceId: device.id, deviceToken };
    this.#options.remember({ ...this.#device, ...this.#whose() });
    return onboarded;
  }

  /** A token that may write this device's metadata, if one is to be had without asking a person. */
  async writeToken(signal: AbortSignal): Promise<string | undefined> {
    const { credential } = this.#options.join;
    if (credential.kind === "reg-key") return credential.token;
    return await this.#session?.quietToken(signal);
  }

  async #byKey(self: SelfDescription, signal: AbortSignal): Promise<Onboarded> {
    const { api, join: { credential } } = this.#options;
    if (credential.kind !== "reg-key") throw new TypeError("there is no registration key");
    try {
      return await onboard(api, credential, self, signal);
    } catch (refusal) {
      // Keys expire and are replaced; the device that one has made stays.
      if (!(refusal instanceof OnboardRefusal) || this.#device === undefined) throw refusal;
      const kept = await resume(api, this.#device, self, signal);
      if (kept === undefined) throw refusal;
      // A good one says where this host belongs.
      if (!isKeyRefused(refusal)) {
        const key = await api.getRegKey(credential.token, signal);
        if (key.vpc_id !== kept.device.vpc_id) throw refusal;
      }
      log.info("{refusal}; this host is still device {id}", {
        refusal: reasonOf(refusal).split(";")[0],
        id: kept.device.id,
      });
      return kept;
    }
  }

  async #byUser(
    session: UserSession,
    self: SelfDescription,
    signal: AbortSignal,
  ): Promise<Onboarded> {
    const { api, vpcId, securityGroupId } = this.#options;
    // A relay has metadata to write, which its device's token may not.
    if (this.#device !== undefined && self.relay !== "wireguard") {
      const kept = await resume(api, { ...this.#device, securityGroupId }, self, signal);
      if (kept === undefined) this.#device = undefined;
      else if (kept.device.vpc_id === (vpcId ?? kept.device.owner_id)) return kept;
    }
    for (let again = true;; again = false) {
      const token = await session.accessToken(signal);
      const standing = {
        kind: "user" as const,
        token,
        ...(vpcId === undefined ? {} : { vpcId }),
        ...(securityGroupId === undefined ? {} : { securityGroupId }),
      };
      try {
        return await onboard(api, standing, self, signal);
      } catch (error) {
        if (!again || !isUnauthorized(error)) throw error;
        session.forget();
      }
    }
  }

  /** Whom secrets belong to. */
  #whose(): Pick<StateChange, "api" | "user"> {
    const { credential, apiUrl } = this.#options.join;
    return {
      api: apiUrl.origin,
      user: credential.kind === "password" ? credential.username : undefined,
    };
  }

  /** What of the state belongs to this control plane and this user: secrets go nowhere else. */
  #own(state: Readonly<AgentState>): Partial<AgentState> {
    const { credential, apiUrl } = this.#options.join;
    const elsewhere = state.api !== undefined && state.api !== apiUrl.origin;
    const other = credential.kind === "password" && state.user !== undefined &&
      state.user !== credential.username;
    if (!elsewhere && !other) return state;
    this.#options.remember({
      deviceId: undefined,
      deviceToken: undefined,
      authToken: undefined,
      login: undefined,
      user: undefined,
      api: undefined,
    });
    log.info("this host joins {where}: what it had elsewhere is forgotten", {
      where: elsewhere ? apiUrl.host : "as another user",
    });
    return {};
  }
}

function nobodyToAsk(username: string): Promise<string> {
  return Promise.reject(
    new OnboardRefusal(
      `The password of user ${username} is missing; give --password or set NEXD_PASSWORD`,
    ),
  );
}
