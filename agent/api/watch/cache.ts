/**
 * The agent's copy of what the control plane says about its VPC, kept by the watch stream.
 *
 * Rows can come from a file first (the last run's). A change shows at once; what the first complete
 * backlog (`tail`) does not mention is dropped only then, so a stream that breaks half-way, or never
 * sends `tail`, loses nothing.
 *
 * @module
 */
import type {
  Device,
  DeviceMetadata,
  RelayRegion,
  SecurityGroup,
  Watch,
  WatchKind,
} from "../../../control/api/types.ts";
import { cleanText } from "../../errors.ts";
import {
  isObject,
  parseDevice,
  parseMetadata,
  parseRelayRegion,
  parseSecurityGroup,
} from "../wire.ts";

/** Most rows kept of a kind; a VPC of the default range could name more, an agent cannot use them. */
const DEFAULT_MAX_ROWS = 16_384;

/** Most public relays; a control plane of ours has no more. */
const MAX_REGIONS = 64;
/** A control plane that did not tell of public relays may do so after an upgrade, ms. */
const ASK_AGAIN = 3_600_000;

/** The kinds an agent watches. */
type AgentKind = Exclude<WatchKind, "vpc" | "audit-log" | "paths">;

interface Row {
  revision: number;
}

/** The rows of one kind and how far the stream has told them. */
class KindCache<T extends Row> {
  readonly rows = new Map<string, T>();
  revision = 0;
  tail = false;
  #backlog = new Set<string>();
  readonly #parse: (value: unknown) => T | undefined;
  readonly #keyOf: (row: T) => string;
  readonly #gone: (row: T) => boolean;
  readonly #max: number;

  constructor(
    max: number,
    parse: (value: unknown) => T | undefined,
    keyOf: (row: T) => string,
    gone: (row: T) => boolean = () => false,
  ) {
    this.#max = max;
    this.#parse = parse;
    this.#keyOf = keyOf;
    this.#gone = gone;
  }

  /** Rows of an earlier run, held to what the stream's are. */
  seed(rows: readonly unknown[]): void {
    for (const value of rows.slice(0, this.#max)) {
      const row = this.#parse(value);
      if (row !== undefined && !this.#gone(row)) this.rows.set(this.#keyOf(row), row);
    }
  }

  begin(): void {
    if (this.tail) return;
    this.#backlog = new Set();
    this.revision = 0;
  }

  /** Applies a change or delete; true when a row changed. */
  apply(type: "change" | "delete", value: unknown): boolean {
    const row = this.#parse(value);
    if (row === undefined) return false;
    const key = this.#keyOf(row), held = this.rows.get(key);
    if (this.tail && held !== undefined && row.revision < held.revision) return false;
    this.revision = Math.max(this.revision, row.revision);
    if (type === "delete" || this.#gone(row)) {
      this.#backlog.delete(key);
      return this.rows.delete(key);
    }
    if (held === undefined && this.rows.size >= this.#max) return false;
    if (!this.tail) this.#backlog.add(key);
    this.rows.set(key, row);
    return true;
  }

  /** The backlog is complete: drops what it did not mention. */
  complete(): boolean {
    if (this.tail) return false;
    this.tail = true;
    for (const key of [...this.rows.keys()]) if (!this.#backlog.has(key)) this.rows.delete(key);
    this.#backlog = new Set();
    return true;
  }
}

/** What {@link WatchCache.apply} found in an event. */
type Applied = { changed: boolean } | { error: string };

/** Devices, security groups and relay metadata of one VPC. */
export class WatchCache {
  readonly #vpcId: string;
  readonly #kinds: {
    "device": KindCache<Device>;
    "security-group": KindCache<SecurityGroup>;
    "device-metadata": KindCache<DeviceMetadata>;
    "relay-region": KindCache<RelayRegion>;
  };
  readonly #wantsRegions: boolean;
  /** Whether the control plane tells of public relays, and when that was found out. */
  #regions: { told: boolean; at: number } | undefined;
  /** The control plane knows security groups. */
  #groups = true;

  /**
   * @param seed rows of an earlier run, kept until the first backlog is complete
   * @param max most rows of a kind; what comes after that many is left out
   * @param wantsRegions public relays are asked for, where the control plane tells of them
   */
  constructor(
    vpcId: string,
    seed: {
      devices?: Device[];
      securityGroups?: SecurityGroup[];
      metadata?: DeviceMetadata[];
      relayRegions?: RelayRegion[];
    } = {},
    max = DEFAULT_MAX_ROWS,
    wantsRegions = false,
  ) {
    this.#vpcId = vpcId;
    this.#wantsRegions = wantsRegions;
    this.#kinds = {
      "device": new KindCache(max, parseDevice, (row) => row.id, (row) => row.public_key === ""),
      "security-group": new KindCache(max, parseSecurityGroup, (row) => row.id),
      "device-metadata": new KindCache(
        max,
        // Another tenant's rows may be sent for key "relay"; only that key is kept, and only
        // known devices' rows are shown.
        (value) => {
          const row = parseMetadata(value);
          return row?.key === "relay" ? row : undefined;
        },
        (row) => `${row.device_id}/${row.key}`,
      ),
      "relay-region": new KindCache(MAX_REGIONS, parseRelayRegion, (row) => row.id),
    };
    this.#kinds.device.seed(seed.devices ?? []);
    this.#kinds["security-group"].seed(seed.securityGroups ?? []);
    this.#kinds["device-metadata"].seed(seed.metadata ?? []);
    this.#kinds["relay-region"].seed(seed.relayRegions ?? []);
  }

  /** True once the whole backlog of every kind has been seen. */
  get synced(): boolean {
    return this.#asked().every((kind) => this.#kinds[kind].tail);
  }

  /** The devices of the VPC, own device included. */
  devices(): Device[] {
    return [...this.#kinds.device.rows.values()].filter((row) =>
      row.vpc_id === "" || row.vpc_id === this.#vpcId
    );
  }

  /** The device with this id, in whichever VPC. */
  device(id: string): Device | undefined {
    return this.#kinds.device.rows.get(id);
  }

  /**
   * The security groups that are told of: the VPC's, from some control planes those of its whole
   * organization. From one that refuses the kind: those of an earlier run.
   */
  securityGroups(): SecurityGroup[] {
    return [...this.#kinds["security-group"].rows.values()];
  }

  /** Relay metadata of devices that are in {@link devices}. */
  metadata(): DeviceMetadata[] {
    const devices = this.#kinds.device.rows;
    return [...this.#kinds["device-metadata"].rows.values()].filter((row) =>
      devices.has(row.device_id)
    );
  }

  /** The public relays that the control plane tells of; none where it tells of none. */
  relayRegions(): RelayRegion[] {
    return [...this.#kinds["relay-region"].rows.values()];
  }

  /** Whether it has to be found out if the control plane tells of public relays; ms. */
  asksForRegions(now: number): boolean {
    const { told, at } = this.#regions ?? { told: false, at: -Infinity };
    return this.#wantsRegions && !told && now - at >= ASK_AGAIN;
  }

  /** What was found out at a time (ms): rows, or that the control plane does not tell of any. */
  learnRegions(rows: readonly unknown[] | undefined, at: number): void {
    this.#regions = { told: rows !== undefined, at };
    const kind = this.#kinds["relay-region"];
    kind.rows.clear();
    kind.seed(rows ?? []);
  }

  /** The watches to ask for now: the whole backlog first, later only what is newer. */
  watches(): Watch[] {
    return this.#asked().map((kind) => {
      const { tail, revision } = this.#kinds[kind];
      return {
        kind,
        ...(tail ? { at_tail: true } : {}),
        ...(tail && revision > 0 ? { gt_revision: revision } : {}),
        options: kind === "relay-region" ? {} : {
          "vpc-id": this.#vpcId,
          ...(kind === "device-metadata" ? { key: "relay" } : {}),
        },
      };
    });
  }

  /**
   * The control plane refused a watch request because of this field of it. Tells which kind that was,
   * if an agent can do without it: security groups, public relays. It is not asked for again.
   */
  refused(field: string): AgentKind | undefined {
    const at = /^request\[(\d{1,2})\]\.kind$/.exec(field)?.[1];
    const kind = at === undefined ? undefined : this.#asked()[Number(at)];
    if (kind === "security-group") this.#groups = false;
    else if (kind === "relay-region") this.learnRegions(undefined, performance.now());
    else return undefined;
    return kind;
  }

  #asked(): AgentKind[] {
    return (Object.keys(this.#kinds) as AgentKind[]).filter((kind) =>
      kind === "security-group"
        ? this.#groups
        : kind !== "relay-region" || this.#regions?.told === true
    );
  }

  /** A new stream has begun. */
  begin(): void {
    for (const kind of Object.values(this.#kinds)) kind.begin();
  }

  /** Applies one event of the stream. Kinds and types nobody asked for change nothing. */
  apply(event: Record<string, unknown>): Applied {
    if (event.type === "error") {
      const text = isObject(event.value) && typeof event.value.error === "string"
        ? event.value.error
        : "no reason given";
      return { error: cleanText(text, 200) };
    }
    if (typeof event.kind !== "string" || !Object.hasOwn(this.#kinds, event.kind)) {
      return { changed: false };
    }
    const kind = this.#kinds[event.kind as AgentKind];
    if (event.type === "tail") return { changed: kind.complete() };
    if (event.type === "change" || event.type === "delete") {
      return { changed: kind.apply(event.type, event.value) };
    }
    return { changed: false };
  }
}
