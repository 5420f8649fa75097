/**
 * Registers this host: registration key or user, VPC, device (or, after a conflict, an update of the
 * device), device token. The order and the bodies are those of Nexodus' agent.
 *
 * @module
 */
import type { AddDevice, Device, Endpoint, UpdateDevice, Vpc } from "../../control/api/types.ts";
import { keyToBase64 } from "../../relay/derp/mod.ts";
import { type Api, ApiFailure } from "../api/mod.ts";
import { cleanText } from "../errors.ts";
import {
  credentialRefused,
  explain,
  GROUP_GONE,
  OnboardRefusal,
  refusalOfCreate,
  REGISTERED,
  type Standing,
} from "./refusals.ts";
import { openSealedToken } from "./sealed_token.ts";

/** What this host tells the control plane about itself. */
export interface SelfDescription {
  publicKey: Uint8Array;
  hostname: string;
  symmetricNat: boolean;
  /** `local` first, then `stun:` when the reflexive address is known. */
  endpoints: Endpoint[];
  /** How this host relays for the others, if it does. */
  relay?: "wireguard" | "derp";
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

/**
 * One pass of the sequence.
 *
 * @throws {OnboardRefusal} when the control plane refuses, with the remedy
 * @throws {ApiFailure} when it cannot be reached or fails
 */
export async function onboard(
  api: Api,
  standing: Standing,
  self: SelfDescription,
  signal?: AbortSignal,
): Promise<Onboarded> {
  const { token } = standing;
  const { vpcId, groupId } = await placeOf(api, standing, signal);
  const vpc = await explain(
    api.getVpc(token, vpcId, signal),
    (failure) => {
      if (failure.status !== 404 && failure.status !== 403) return undefined;
      return standing.kind === "reg-key"
        ? `The VPC ${vpcId} of the registration key is gone; create a new key and pass it with --reg-key`
        : `There is no VPC ${vpcId} for this user; give another --vpc-id`;
    },
  );
  if (self.relay === "wireguard") await checkOnlyRelay(api, token, vpcId, self.publicKey, signal);
  const update: UpdateDevice = { ...changes(self, groupId), vpc_id: vpcId };
  const create: AddDevice = {
    ...update,
    vpc_id: vpcId,
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
    if (existing === undefined || existing === "") throw refusalOfCreate(standing, error);
    device = await explain(
      api.updateDevice(token, existing, update, signal),
      (failure) => refusalOfUpdate(standing, failure, existing),
    );
  }
  checkIsOwn(device, self);
  if (device.bearer_token === undefined) {
    throw new OnboardRefusal(
      `The control plane gave device ${device.id} no token of its own; ` +
        "use the registration key or the user that it was registered with, or delete the device",
    );
  }
  if (self.relay === "wireguard") {
    // A device's own token may not write metadata.
    await api.putMetadata(token, device.id, "relay", { type: "wireguard" }, signal);
  }
  device = await correct(api, token, device, update, signal);
  return { device, vpc, deviceToken: openSealedToken(device.bearer_token!, self.publicKey) };
}

/**
 * Goes on as the device of an earlier registration, with its own token.
 *
 * @returns undefined when the token is not accepted any more
 * @throws {ApiFailure} when the control plane cannot be reached or fails
 */
export async function resume(
  api: Api,
  known: { deviceId: string; deviceToken: string; securityGroupId?: string | undefined },
  self: SelfDescription,
  signal?: AbortSignal,
): Promise<Onboarded | undefined> {
  const { deviceId, deviceToken } = known;
  const update = changes(self, known.securityGroupId);
  try {
    let device = await api.updateDevice(deviceToken, deviceId, update, signal);
    if (device.public_key !== keyToBase64(self.publicKey)) return undefined;
    const vpc = await api.getVpc(deviceToken, device.vpc_id, signal);
    device = await correct(api, deviceToken, device, update, signal);
    const sealed = device.bearer_token;
    return {
      device,
      vpc,
      deviceToken: sealed === undefined ? deviceToken : openSealedToken(sealed, self.publicKey),
    };
  } catch (error) {
    if (error instanceof ApiFailure && error.kind === "status" && !error.transient) {
      return undefined;
    }
    throw error;
  }
}

/** The VPC and the group that the credential stands for. */
async function placeOf(
  api: Api,
  standing: Standing,
  signal: AbortSignal | undefined,
): Promise<{ vpcId: string; groupId: string | undefined }> {
  const refused = (failure: ApiFailure) => credentialRefused(standing, failure);
  if (standing.kind === "user") {
    // Asked for in any case: the first call of a user makes its VPC.
    const user = await explain(api.getUser(standing.token, signal), refused);
    return { vpcId: standing.vpcId ?? user.id, groupId: standing.securityGroupId };
  }
  const key = await explain(api.getRegKey(standing.token, signal), refused);
  if (key.vpc_id === undefined) {
    throw new OnboardRefusal(
      "The registration key belongs to no VPC; create one for a VPC and pass it with --reg-key",
    );
  }
  return { vpcId: key.vpc_id, groupId: key.security_group_id ?? undefined };
}

/** What is said about this host each time. */
function changes(self: SelfDescription, groupId: string | undefined): UpdateDevice {
  const cidrs = self.advertiseCidrs ?? [];
  return {
    ...(cidrs.length === 0 ? {} : { advertise_cidrs: [...cidrs] }),
    ...(groupId === undefined ? {} : { security_group_id: groupId }),
    hostname: self.hostname,
    relay: self.relay !== undefined,
    symmetric_nat: self.symmetricNat,
    ...(self.endpoints.length === 0 ? {} : { endpoints: self.endpoints }),
  };
}

/** What the answer does not show to have been taken over is said once more, by itself. */
async function correct(
  api: Api,
  token: string,
  device: Device,
  wanted: UpdateDevice,
  signal: AbortSignal | undefined,
): Promise<Device> {
  const group = wanted.security_group_id;
  const missing: UpdateDevice = {
    // It was a router before: peers must not go on sending it what it does not carry any more.
    ...(wanted.advertise_cidrs === undefined && (device.advertise_cidrs ?? []).length > 0
      ? { advertise_cidrs: [] }
      : {}),
    // Nexodus' server ignores the group of a device that it creates.
    ...(group !== undefined && group !== device.security_group_id
      ? { security_group_id: group }
      : {}),
  };
  if (Object.keys(missing).length === 0) return device;
  const after = await explain(
    api.updateDevice(token, device.id, missing, signal),
    (failure) => failure.status === 404 ? GROUP_GONE : undefined,
  );
  return { ...device, ...after };
}

function refusalOfUpdate(
  standing: Standing,
  failure: ApiFailure,
  deviceId: string,
): string | undefined {
  const resource = failure.detail.resource ?? "";
  if (resource.startsWith("security_group")) return GROUP_GONE;
  if (failure.status !== 403 && failure.status !== 404) return undefined;
  const [who, whose] = standing.kind === "reg-key"
    ? ["this registration key", "the key"]
    : ["this user", "the user"];
  return `${REGISTERED} already registered as device ${deviceId}, which ${who} ` +
    `may not change; use ${whose} it was registered with, or delete that device`;
}

function checkIsOwn(device: Device, self: SelfDescription): void {
  if (device.public_key === keyToBase64(self.publicKey)) return;
  throw new OnboardRefusal(
    `The control plane answered with device ${device.id}, which is not this host's; ` +
      "check the service URL",
  );
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
  const name = cleanText(other.hostname, 64) || other.id;
  throw new OnboardRefusal(
    `The VPC has a relay already, ${name}; delete that device first, or run nexd without relay`,
  );
}
