/** What is known of one VPC, kept up to date by the stream of events. */
import { batch, computed, signal } from "@preact/signals";
import type { Account } from "../../users/types.ts";
import type {
  Device,
  Organization,
  RegKey,
  RelayRegion,
  SecurityGroup,
  User,
  Vpc,
  WatchEvent,
} from "../../api/types.ts";
import { call, Refused, request, session } from "./session.ts";
import { throttled } from "./throttle.ts";

/** Longest event that is read, in characters, and pauses after a stream that broke, in ms. */
const MAX_EVENT = 4_000_000, RETRY = [500, 1_000, 2_000, 5_000, 10_000];
/** A stream that says nothing for this long is dead, ms: the server says something each 15 s. */
const SILENCE = 45_000;

export const me = signal<User | undefined>(undefined);
/** What the user signs in with here; none where another issuer keeps the accounts. */
export const account = signal<Account | undefined>(undefined);
export const organizations = signal<Organization[]>([]);
export const vpcs = signal<Vpc[]>([]);
export const vpcId = signal("");
export const devices = signal<ReadonlyMap<string, Device>>(new Map());
export const groups = signal<ReadonlyMap<string, SecurityGroup>>(new Map());
export const keys = signal<RegKey[]>([]);
export const relays = signal<RelayRegion[]>([]);
/** Counts what was heard of the VPC's paths: that there are others to be read. */
export const pathNotices = signal(0);
/** Whether what is shown is of now. */
export const live = signal<"connecting" | "live" | "broken">("connecting");

/** Devices of the VPC by name. */
export const sortedDevices = computed(() =>
  [...devices.value.values()].sort((a, b) =>
    a.hostname.localeCompare(b.hostname) || a.id.localeCompare(b.id)
  )
);

/** Forgets everything: the next user of this tab must not see it. */
export function clear(): void {
  batch(() => {
    me.value = undefined;
    account.value = undefined;
    organizations.value = [];
    vpcs.value = [];
    vpcId.value = "";
    devices.value = new Map();
    groups.value = new Map();
    keys.value = [];
    relays.value = [];
  });
}

/** Reads what the user has, and chooses a VPC. */
export async function load(): Promise<void> {
  const [user, own, orgs, all] = await Promise.all([
    call<User>("GET", "/api/users/me"),
    ownAccount(),
    call<Organization[]>("GET", "/api/organizations"),
    call<Vpc[]>("GET", "/api/vpcs"),
  ]);
  batch(() => {
    me.value = user;
    account.value = own;
    organizations.value = orgs;
    vpcs.value = all;
    if (!all.some(({ id }) => id === vpcId.value)) {
      vpcId.value = (all.find(({ id }) => id === user.id) ?? all[0])?.id ?? "";
    }
  });
}

async function ownAccount(): Promise<Account | undefined> {
  try {
    return await call<Account>("GET", "/api/accounts/me");
  } catch (error) {
    if (error instanceof Refused && [404, 405].includes(error.status)) return undefined;
    throw error;
  }
}

export async function loadKeys(): Promise<void> {
  keys.value = await call<RegKey[]>("GET", "/api/reg-keys");
}

export async function loadRelays(): Promise<void> {
  relays.value = await call<RelayRegion[]>("GET", "/api/relay-regions");
}

/** Follows a VPC until the signal; what is shown of it stays while there is no connection. */
export async function follow(vpc: string, stop: AbortSignal): Promise<void> {
  devices.value = new Map();
  groups.value = new Map();
  for (let tries = 0; !stop.aborted && session.value === "in"; tries++) {
    live.value = "connecting";
    try {
      await stream(vpc, stop, () => tries = 0);
    } catch (error) {
      if (stop.aborted) return;
      if (error instanceof Refused && error.status === 404) await load().catch(() => {});
    }
    if (stop.aborted) return;
    live.value = "broken";
    await pause(RETRY[Math.min(tries, RETRY.length - 1)]!, stop);
  }
}

async function stream(vpc: string, stop: AbortSignal, good: () => void): Promise<void> {
  const cut = new AbortController();
  let timer = 0;
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => cut.abort(), SILENCE);
  };
  heard();
  try {
    const options = { "vpc-id": vpc };
    const watches = [
      ...["device", "security-group", "paths"].map((kind) => ({ kind, options })),
      { kind: "relay-region" },
    ];
    const any = AbortSignal.any([stop, cut.signal]);
    const response = await request("POST", "/api/events", watches, any);
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    const backlog = new Backlog();
    for (let rest = "";;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      rest += value;
      if (rest.length > MAX_EVENT) throw new Error("an event without an end");
      const lines = rest.split("\n");
      rest = lines.pop()!;
      const events = lines.filter((line) => line !== "")
        .map((line) => JSON.parse(line) as WatchEvent);
      batch(() => events.forEach((event) => backlog.take(event)));
      if (backlog.done) {
        live.value = "live";
        good();
      }
    }
  } finally {
    clearTimeout(timer);
    cut.abort();
  }
}

/** Until a kind's `tail` its rows are gathered, as those shown may be of an older stream. */
class Backlog {
  #devices: Map<string, Device> | undefined = new Map();
  #groups: Map<string, SecurityGroup> | undefined = new Map();

  get done(): boolean {
    return this.#devices === undefined && this.#groups === undefined;
  }

  take(event: WatchEvent): void {
    if (event.kind === "device") {
      if (event.type === "tail") {
        devices.value = this.#devices ?? devices.value;
        this.#devices = undefined;
      } else this.#devices = put(this.#devices, devices, event.type, event.value);
    } else if (event.kind === "security-group") {
      if (event.type === "tail") {
        groups.value = this.#groups ?? groups.value;
        this.#groups = undefined;
      } else this.#groups = put(this.#groups, groups, event.type, event.value);
    } else if (event.kind === "relay-region") {
      soonRelays();
    } else if (event.kind === "paths") {
      // The tail, too: there may have been changes while there was no stream.
      pathNotices.value++;
    }
  }
}

/** Rows of relays have no health with them: they are read anew, once for many events. */
const soonRelays = throttled(loadRelays, { settle: 100, every: 1_000 });

function put<T extends { id: string }>(
  gathered: Map<string, T> | undefined,
  shown: { value: ReadonlyMap<string, T> },
  type: "change" | "delete",
  value: T,
): Map<string, T> | undefined {
  const rows = gathered ?? new Map(shown.value);
  if (type === "delete") rows.delete(value.id);
  else rows.set(value.id, value);
  if (gathered === undefined) shown.value = rows;
  return gathered;
}

function pause(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    stop.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });
}
