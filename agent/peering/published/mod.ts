/**
 * What devices and the control plane say, checked: peers, relays and our own addresses that may be
 * used, and why the rest may not. Whatever is published is hostile until it has been through here.
 *
 * @module
 */
export {
  contains,
  ipOf,
  judgeEndpoint,
  parseAddress,
  parsePrefix,
  type Prefix,
  rangesOf,
} from "./addresses.ts";
export { chooseCandidates, MAX_PEERS, type NetworkWish } from "./candidates.ts";
export { type ExitWish, isDefault } from "./networks.ts";
export { type PublicRelay, publicRelaysOf } from "./public_relays.ts";
export { chooseRelays, type RelayTarget } from "./relays.ts";
export { describeSelf, interfaceAddresses } from "./self.ts";
