/**
 * From the flags of `nexd relayderp --onboard` to settings; whatever is wrong with them is said here,
 * before anything listens.
 *
 * @module
 */
import ipaddr from "ipaddr.js";
import { readSignIn, type SignIn, type Values } from "../onboarding/mod.ts";
import { usageError } from "../errors.ts";

/** Everything an on-boarded relay has from the command line. */
export interface OnboardSettings extends SignIn {
  /** Address that clients outside dial; undefined: what STUN sees. */
  publicIp?: string;
  /** Address published as the local endpoint; undefined: that of the default route. */
  localEndpointIp?: string;
  version: string;
}

/** Checks the values of `RELAY_ONBOARD_OPTIONS`. Throws usage errors naming the flag. */
export async function readOnboardSettings(
  values: Values,
  version: string,
): Promise<OnboardSettings> {
  const publicIp = address(values, "public-ip");
  const localEndpointIp = address(values, "local-endpoint-ip");
  return {
    ...await readSignIn(values, { natKind: false }),
    ...(publicIp === undefined ? {} : { publicIp }),
    ...(localEndpointIp === undefined ? {} : { localEndpointIp }),
    version,
  };
}

/** Where the list of the VPC's devices is kept, beside the relay's other state. */
export function deviceListFile({ stateDir }: Pick<OnboardSettings, "stateDir">): string {
  return `${stateDir}/relay-devices.json`;
}

function address(values: Values, name: string): string | undefined {
  const value = values[name];
  if (typeof value !== "string" || value === "") return undefined;
  const valid = ipaddr.IPv4.isValidFourPartDecimal(value) ||
    (value.includes(":") && !value.includes("%") && ipaddr.IPv6.isValid(value));
  const range = valid ? ipaddr.process(value).range() : "";
  if (!valid || ["unspecified", "multicast", "broadcast"].includes(range)) {
    throw usageError(`--${name} ${value.slice(0, 60)} is not the IP address of a host`);
  }
  return ipaddr.process(value).toString();
}
