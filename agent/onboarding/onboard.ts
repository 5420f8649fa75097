/**
 * Registers this host: registration key, VPC, device (or, after a conflict, an update of the
 * device), device token. The order and the bodies are those of Nexodus' agent.
 *
 * @module
 */
import type { AddDevice, Device, Endpoint, Vpc } from "../../control/api/types.ts";
import { keyToBase64 } from "../../relay/derp/mod.ts";
import { type Api, ApiFailure, Backoff, pause } from "../api/mod.ts";
import { AgentError, cleanText } from "../errors.ts";
import type { Credential } from "./join.ts";
import { openSealedToken } from "./sealed_token.ts";

/** What this host tells the control plane about itself. */
interface SelfDescription {
  publicKey: Uint8Array;
  hostname: string;
  symmetricNat: boolean;
  /** `local` first, then `stun:` when the reflexive address is known. */
  endpoints: Endpoint[];
  /** This host relays for the others, by WireGuard. */
  relay?: boolean;
  /** Networks behind this host; left out, it has none. */
  advertiseCidrs?: readonly string[];
  /** Tunnel address to ask for at the first registration. */
  requestIp?: string;
}

/** The outcome: who we are in which VPC, and the token for everything after. */
export interface Onboarded {
  device: Device;
  vpc: Vpc;
  /** `DT:…`; a secret. */
  deviceToken: string;
}

/** The control plane said no: trying again cannot help until somebody changes something. */
export class OnboardRefusal extends AgentError {
  override name = "OnboardRefusal";
}

/**
 * One pass of the sequence.
 *
 * @throws {OnboardRefusal} when the control plane refuses, with the remedy
 * @throws {ApiFailure} when it cannot be reached or fails
 */
export async function onboard(
  api: Api,
  credential: Credential,
  self: SelfDescription,
  signal?: AbortSignal,
): Promise<Onboarded> {
  if (credential.kind !== "reg-key") {
    throw new OnboardRefusal(
      "This build cannot sign in without a registration key; pass one with --reg-key",
    );
  }
  const { token } = credential;
  const key = await explain(api.getRegKey(token, signal), (failure) => {
    if (failure.status === 401 || failure.status === 403) {
      return "The control plane refused the registration key: it is unknown or has expired; " +
        "create a new one there and pass it with --reg-key";
    }
    return undefined;
  });
  if (key.vpc_id === undefined) {
    throw new OnboardRefusal(
      "The registration key belongs to no VPC; create one for a VPC and pass it with --reg-key",
    );
  }
  const vpcId = key.vpc_id;
  const vpc = await explain(
    api.getVpc(token, vpcId, signal),
    (failure) =>
      failure.status === 404 || failure.status === 403
        ? `The VPC ${vpcId} of the registration key is gone; create a new key and pass it with --reg-key`
        : undefined,
  );
  if (self.relay) await checkOnlyRelay(api, token, vpcId, self.publicKey, signal);
  const cidrs = self.advertiseCidrs ?? [];
  const update = {
    ...(cidrs.length === 0 ? {} : { advertise_cidrs: [...cidrs] }),
    vpc_id: vpcId,
    hostname: self.hostname,
    relay: self.relay ?? false,
    symmetric_nat: self.symmetricNat,
    endpoints: self.endpoints,
  };
  const create: AddDevice = {
    ...update,
    public_key: keyToBase64(self.publicKey),
    os: Deno.build.os,
    ...(self.requestIp === undefined
      ? {}
      : { ipv4_tunnel_ips: [{ address: self.requestIp, cidr: vpc.ipv4_cidr }] }),
  };
  let device: Device;
  try {
    device = await api.createDevice(token, create, signal);
  } catch (error) {
    const existing = error instanceof ApiFailure && error.status === 409
      ? error.detail.id
      : undefined;
    if (existing === undefined || existing === "") throw refusalOfCreate(error);
    device = await explain(
      api.updateDevice(token, existing, update, signal),
      (failure) =>
        failure.status === 403 || failure.status === 404
          ? `This host's key is already registered as device ${existing}, which this registration key ` +
            "may not change; use the key it was registered with, or delete that device"
          : undefined,
    );
  }
  if (device.public_key !== keyToBase64(self.publicKey)) {
    throw new OnboardRefusal(
      `The control plane answered with device ${device.id}, which is not this host's; ` +
        "check the service URL",
    );
  }
  if (device.bearer_token === undefined) {
    throw new OnboardRefusal(
      `The control plane gave device ${device.id} no token of its own; ` +
        "use the registration key that it was registered with, or delete the device",
    );
  }
  if (self.relay) {
    // A device's own token may not write metadata.
    await api.putMetadata(token, device.id, "relay", { type: "wireguard" }, signal);
  }
  if (cidrs.length === 0 && (device.advertise_cidrs ?? []).length > 0) {
    // It was a router before: peers must not go on sending it what it does not carry any more.
    await api.updateDevice(token, device.id, { advertise_cidrs: [] }, signal);
    device.advertise_cidrs = [];
  }
  const deviceToken = openSealedToken(device.bearer_token!, self.publicKey);
  return { device, vpc, deviceToken };
}

/** A VPC has one relay: with two, peers could not tell which of them carries what. */
async function checkOnlyRelay(
  api: Api,
  token: string,
  vpcId: string,
  publicKey: Uint8Array,
  signal?: AbortSignal,
): Promise<void> {
  const own = keyToBase64(publicKey);
  const other = (await api.listDevices(token, vpcId, signal)).find((device) =>
    device.relay && device.public_key !== own && device.public_key !== ""
  );
  if (other === undefined) return;
  throw new OnboardRefusal(
    `The VPC has a relay already, ${
      cleanText(other.hostname, 64) || other.id
    }; delete that device ` +
      "first, or run nexd without relay",
  );
}

async function explain<T>(
  call: Promise<T>,
  sentence: (failure: ApiFailure) => string | undefined,
): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (!(error instanceof ApiFailure) || error.kind !== "status" || error.transient) throw error;
    throw new OnboardRefusal(
      sentence(error) ?? `${error.message}; check the service URL and the key`,
      {
        cause: error,
      },
    );
  }
}

function refusalOfCreate(error: unknown): unknown {
  if (!(error instanceof ApiFailure) || error.kind !== "status" || error.transient) return error;
  const { error: said, field } = error.detail;
  if (said?.includes("exhausted")) {
    return new OnboardRefusal(
      "The single-use registration key has already registered a device; " +
        "create a new key and pass it with --reg-key",
      { cause: error },
    );
  }
  if (field === "vpc_id") {
    return new OnboardRefusal(
      "The registration key is for another VPC than the one it names; " +
        "create a new key and pass it with --reg-key",
      { cause: error },
    );
  }
  if (error.status === 401 || error.status === 403) {
    return new OnboardRefusal(
      "The control plane refused the registration key: it is unknown or has expired; " +
        "create a new one there and pass it with --reg-key",
      { cause: error },
    );
  }
  return new OnboardRefusal(
    `The control plane refused to register this host: ${said ?? `status ${error.status}`}` +
      `${field === undefined ? "" : ` (${field})`}`,
    { cause: error },
  );
}

/** How long, and how, {@link persist} tries. */
interface Persistence {
  signal: AbortSignal;
  /** Give up after this long, ms; undefined: never. A bounded try also gives up on a bad certificate. */
  giveUpAfterMs?: number;
  /** Called when the reason of the failure is another than last time. */
  onTrouble(reason: string): void;
  backoff?: Backoff;
}

/**
 * Repeats an onboarding attempt until it succeeds, is refused, or the time is up.
 *
 * @throws what the attempt threw: always a refusal, other failures only in a bounded try
 * @returns undefined when the signal aborted
 */
export async function persist<T>(
  attempt: () => Promise<T>,
  options: Persistence,
): Promise<T | undefined> {
  const { signal, giveUpAfterMs } = options;
  const backoff = options.backoff ?? new Backoff({ base: 1000, max: 15_000 });
  const began = performance.now();
  let last = "";
  while (!signal.aborted) {
    try {
      return await attempt();
    } catch (error) {
      if (signal.aborted) return undefined;
      if (!(error instanceof ApiFailure)) throw error;
      const bounded = giveUpAfterMs !== undefined;
      if (bounded && !error.transient) throw error;
      const delay = Math.max((error.retryAfter ?? 0) * 1000, backoff.next());
      if (bounded && performance.now() - began + delay > giveUpAfterMs) {
        const seconds = Math.round((performance.now() - began) / 1000);
        throw new AgentError(
          `${error.message}, tried for ${seconds} s; check the service URL and the network`,
          { cause: error },
        );
      }
      if (error.message !== last) options.onTrouble(error.message);
      last = error.message;
      await pause(delay, signal);
    }
  }
  return undefined;
}
