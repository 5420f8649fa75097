/** The ways between the hosts of a VPC, as their agents tell them. */
import { signal } from "@preact/signals";
import type { DevicePaths, PeerPath } from "../../../api/types.ts";
import { call } from "../session.ts";
import { vpcId } from "../state.ts";
import { throttled } from "../throttle.ts";

/** How often they are read anew while somebody looks, if nothing is heard of them, ms. */
export const EVERY = 30_000;

/** What each device told last; who is not in it tells nothing. */
export const told = signal<ReadonlyMap<string, DevicePaths>>(new Map());

/** The devices that somebody looks at. */
let looked: readonly string[] = [];

/** Has what these devices tell read, and anew upon {@linkcode readPaths}; of none: nothing. */
export function lookAt(ids: readonly string[]): void {
  looked = ids;
  readPaths();
}

/** Reads it, at most once a second. */
export const readPaths = throttled(async () => {
  if (looked.length > 0 && !document.hidden) await loadPaths(vpcId.value, looked);
}, { settle: 0, every: 1_000 });

async function loadPaths(vpc: string, ids: readonly string[]): Promise<void> {
  const filter = encodeURIComponent(JSON.stringify({ device_id: ids }));
  const rows = await call<DevicePaths[]>("GET", `/api/vpcs/${vpc}/paths?filter=${filter}`);
  if (vpc === vpcId.value) told.value = new Map(rows.map((row) => [row.device_id, row]));
}

/** The way between two hosts: `unknown` where neither tells, `none` where nothing gets through. */
export interface Way {
  path: "direct" | "relayed" | "none" | "unknown";
  relay?: string;
  latency?: number;
  reason: string;
  /** What the other side says, where it is another way. */
  back?: string;
}

/** The way from one host to another: by its own word, or else by the other's. */
export function wayBetween(from: string, to: string): Way {
  const mine = find(from, to), theirs = find(to, from);
  const peer = mine ?? theirs;
  if (peer === undefined) {
    return { path: "unknown", reason: "neither host tells: other agents do not" };
  }
  const way = of(peer), other = theirs && of(theirs);
  const latency = way.latency ?? (other?.path === way.path ? other.latency : undefined);
  return {
    ...way,
    ...(latency === undefined ? {} : { latency }),
    ...(other === undefined || other.path === way.path ? {} : { back: NAMES[other.path] }),
  };
}

/** Names of ways, for people. */
export const NAMES: Record<Way["path"], string> = {
  direct: "direct",
  relayed: "relayed",
  none: "no connection",
  unknown: "unknown",
};

/** A round trip, for people. */
export function msText(ms: number): string {
  return ms < 10 ? `${Math.round(ms * 10) / 10} ms` : `${Math.round(ms)} ms`;
}

function find(from: string, to: string): PeerPath | undefined {
  return told.value.get(from)?.peers.find(({ device_id }) => device_id === to);
}

function of({ path, healthy, reason, relay, latency_ms }: PeerPath): Way {
  const shown = healthy ? path : "none";
  return {
    path: shown,
    reason: healthy || path === "none"
      ? reason
      : `tried ${path}: nothing has come back (${reason})`,
    ...(relay ? { relay } : {}),
    ...(typeof latency_ms === "number" && healthy ? { latency: latency_ms } : {}),
  };
}
