/**
 * From behind the VPC's WireGuard relay to a way of the peer's own, and back: the stages that two hosts
 * go through together, and the steps of one of them.
 *
 * @module
 */
export {
  type Alias,
  aliasesOf,
  decodeTold,
  encodeTold,
  type Heard,
  type Stage,
  type Told,
} from "./stages.ts";
export {
  besideRelay,
  conversation,
  isApart,
  landBeside,
  stepAcross,
  wakeAcross,
  yieldToRelay,
} from "./steps.ts";
