/**
 * A relay's state as plain data.
 *
 * @module
 */
export { emptySnapshot } from "./empty.ts";
export { mergeSnapshots } from "./merge.ts";
export {
  type ClientState,
  type Gauges,
  type Histogram,
  type LinkState,
  MAX_CLIENTS,
  type ProcessState,
  type RelaySnapshot,
} from "./snapshot.ts";
