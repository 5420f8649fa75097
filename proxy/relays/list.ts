/** The list of relays: what is kept of each, and what is told of it. */
import { type RelayAddress, relayName } from "../connection/mod.ts";
import type { RelayStatus } from "../client/mod.ts";
import type { HomeReason, SeatReason } from "./choice.ts";
import type { Seat } from "./seat.ts";

/** A relay that failed is home again after this time, twice as long each time. Milliseconds. */
const HOLD_MS = 5_000, HOLD_MAX_MS = 60_000;

/** What is kept of a relay of the list, logged in or not. */
export interface Known {
  relay: RelayAddress;
  id: string;
  tier: number;
  rttMs: number | undefined;
  measuredAt: number;
  failures: number;
  /** Why it could not be reached when it was tried last. */
  error: string | undefined;
  seat: Seat | undefined;
  reason: SeatReason | undefined;
}

/** A relay as status tells it. */
export interface ListedRelay extends Omit<RelayStatus, "state" | "since"> {
  address?: string;
  /** `home`; `open`: logged in beside; `leaving`: not needed or listed any more; `idle`: not in use. */
  role: "home" | "open" | "leaving" | "idle";
  state: RelayStatus["state"] | "silent" | "idle";
  since?: string;
  /** Why this role. */
  reason?: HomeReason | SeatReason;
}

/** Knowledge of relays that were in the list before is kept; what is there twice counts once. */
export function listOf(relays: readonly RelayAddress[], before: readonly Known[]): Known[] {
  const list: Known[] = [];
  const regions: (number | undefined)[] = [];
  for (const relay of relays) {
    const id = identity(relay), name = relayName(relay);
    if (list.some((known) => relayName(known.relay) === name)) continue;
    if (!regions.includes(relay.region)) regions.push(relay.region);
    const tier = regions.indexOf(relay.region);
    const old = before.find((known) => known.id === id);
    if (old !== undefined) list.push(Object.assign(old, { tier }));
    else {
      list.push({
        ...{ relay, id, tier, rttMs: undefined, measuredAt: -Infinity, failures: 0 },
        ...{ error: undefined, seat: undefined, reason: undefined },
      });
    }
  }
  return list;
}

/** A relay as status tells it. */
export function statusOf(
  known: Pick<Known, "relay"> & Partial<Pick<Known, "rttMs" | "error">>,
  seat: Seat | undefined,
  home: boolean,
  reason?: HomeReason | SeatReason,
): ListedRelay {
  const { host, port, address } = known.relay;
  const where = { host, port, ...(address === undefined ? {} : { address }) };
  if (seat === undefined) {
    return {
      ...where,
      role: "idle",
      state: "idle",
      reconnects: 0,
      ...(known.rttMs === undefined ? {} : { rttMs: Math.round(known.rttMs * 100) / 100 }),
      ...(known.error === undefined ? {} : { error: known.error }),
    };
  }
  const status = seat.client.status();
  const silent = seat.connected && !seat.healthy && seat.client.pongs > 0;
  return {
    ...status,
    ...where,
    role: home ? "home" : seat.idleSince === undefined ? "open" : "leaving",
    state: silent ? "silent" : status.state,
    ...(reason === undefined ? {} : { reason }),
  };
}

/** How long a relay has to be healthy before it is trusted to stay so, milliseconds. */
export function holdOf(failures: number): number {
  return failures === 0 ? 0 : Math.min(HOLD_MS * 2 ** Math.min(failures - 1, 8), HOLD_MAX_MS);
}

/** What makes a relay another one: all of where it is and whom to trust there. */
function identity({ host, port, address, ca, plain }: RelayAddress): string {
  return JSON.stringify([host, port, address ?? "", ca ?? null, plain ?? false]);
}
