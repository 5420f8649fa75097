/**
 * A DERP relay as a device of a VPC: how it joins, how it says where it is, and whom it serves.
 *
 * The relay has a key pair of its own, kept beside its state, because a device is a WireGuard key to
 * the control plane. It has no WireGuard interface: what it relays is sealed between the agents, it
 * never speaks to them inside the tunnel, and so it needs neither root nor an address of the VPC. The
 * key is not the relay's DERP key either: that one is public to every client, and outlives a VPC.
 *
 * @module
 */
export {
  type JoinedVpc,
  type JoinOptions,
  joinVpc,
  type RelayMetadata,
  type VpcEvents,
} from "./join.ts";
export { deviceListFile, type OnboardSettings, readOnboardSettings } from "./settings.ts";
