import type { DeviceRow, RegKeyRow } from "../store/mod.ts";

/** Which request something came with, for the audit log. */
export interface Origin {
  /** Of the answer's `X-Request-Id`. */
  requestId: string;
  /** IP address; `""` where the server does not know it. */
  address: string;
}

/** Who makes a request, once the bearer value has been checked. */
export type Principal = Caller & {
  /** The request, where there is one. */
  from?: Origin;
};

type Caller =
  | { kind: "reg-key"; ownerId: string; regKey: RegKeyRow; token: string }
  | { kind: "device"; ownerId: string; device: DeviceRow }
  /** `scopes`: what the user's token may do, where it is limited to that. */
  | {
    kind: "user";
    ownerId: string;
    scopes?: readonly string[];
    /** Whether another issuer's user runs this control plane; of our own the account tells. */
    operator?: boolean;
  };

/**
 * The one VPC that a caller is confined to, or undefined for all VPCs of its owner. A registration
 * key or a device needs only its own, so that is all it sees.
 */
export function confinedTo(principal: Principal): string | undefined {
  if (principal.kind === "device") return principal.device.vpc_id;
  if (principal.kind === "reg-key") return principal.regKey.vpc_id ?? undefined;
  return undefined;
}

/** Whether a caller may have the token of this device: the device itself, or the key that made it. */
export function mayHaveToken(principal: Principal, device: DeviceRow): boolean {
  if (device.deleted_at !== null) return false;
  if (principal.kind === "device") return principal.device.id === device.id;
  return principal.kind === "reg-key" && device.reg_key_id === principal.regKey.id;
}

/** Whether a caller that belongs to the device's owner may change it. */
export function mayChange(principal: Principal, device: DeviceRow): boolean {
  if (principal.kind === "user") return true;
  return mayHaveToken(principal, device);
}
