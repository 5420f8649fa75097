/**
 * What the tests of this room share: a control plane without a socket, over a database in memory or,
 * with NEXD_TEST_POSTGRES, in PostgreSQL.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { type ApiDeps, createApp, type RateOptions, Rates } from "./api/mod.ts";
import type { AddDevice, Device, Watch, WatchEvent } from "./api/types.ts";
import {
  DEFAULT_STREAM_LIMITS,
  DEFAULT_STREAM_TIMES,
  Feed,
  type OnlineTimes,
  OnlineTracker,
  type StreamLimits,
  StreamRegistry,
  type StreamTimes,
} from "./events/mod.ts";
import { hashPassword, openToken, type PasswordCost, regKeyToken } from "./auth/mod.ts";
import { DEFAULT_HOLD, Holder, type HoldOptions } from "./http/mod.ts";
import { type Issuer, openIssuer } from "./issuer/mod.ts";
import { Metrics } from "./metrics/mod.ts";
import { type OidcOptions, openExternalIssuer } from "./oidc/mod.ts";
import type { Store } from "./store/mod.ts";
import { openTestStore } from "./store/testing.ts";
import { createRegKey, createUser } from "./tenants.ts";
import { createAccount, type GateOptions } from "./users/mod.ts";

/** URL of the issuer. */
export const ISSUER = "https://auth.control.test";

/** URL of the dashboard. */
export const DASHBOARD = "https://control.test/ui/";

/** Hashes the passwords of tests in no time. */
export const QUICK: PasswordCost = { N: 16, r: 8, p: 1 };

/** An answer, read. */
export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  // deno-lint-ignore no-explicit-any
  body: any;
}

export interface TestOptions {
  hold?: Partial<HoldOptions>;
  stream?: Partial<StreamTimes>;
  limits?: Partial<StreamLimits>;
  online?: Partial<OnlineTimes>;
  gate?: Partial<GateOptions>;
  rates?: RateOptions;
  origins?: readonly string[];
  /** Another issuer in the place of our own. */
  oidc?: Omit<OidcOptions, "store" | "dashboard">;
  /** Of the issuer, ms since the epoch. */
  now?: () => number;
  /** In place of an empty one; without a user `ada`. */
  store?: Store;
}

/** The application over an empty database, with one user `ada` and one registration key. */
export class TestControl {
  /** Credentials for `call`: the registration key, and the user. */
  regKey = "";
  readonly user = "user-token-of-ada";
  userId = "";
  readonly #users = new Map<string, string>();
  readonly #streams = new Set<TestStream>();
  #close: () => void = () => {};

  private constructor(readonly deps: ApiDeps, readonly app: ReturnType<typeof createApp>) {}

  static async start(options: TestOptions = {}): Promise<TestControl> {
    const store = options.store ?? await openTestStore();
    const online = new OnlineTracker(store, { graceMs: 20, startGraceMs: 20, ...options.online });
    const secret = randomBytes(32);
    const metrics = new Metrics("test");
    const refused = () => metrics.signInRefused();
    const dashboard = () => DASHBOARD;
    const external = options.oidc && openExternalIssuer({
      ...{ store, dashboard, refused },
      ...(options.now ? { now: options.now } : {}),
      ...options.oidc,
    });
    const issuer: Issuer = external ?? await openIssuer({
      ...{ store, secret, dashboard, refused },
      url: () => ISSUER,
      ...(options.gate ? { gate: options.gate } : {}),
      ...(options.now ? { now: options.now } : {}),
    });
    const deps: ApiDeps = {
      store,
      secret,
      issuer,
      metrics,
      feed: new Feed(store, (ms) => metrics.passedOn(ms)),
      online,
      streams: new StreamRegistry({ ...DEFAULT_STREAM_LIMITS, ...options.limits }, online),
      holder: new Holder({ ...DEFAULT_HOLD, delayMs: [0, 0], ...options.hold }),
      streamTimes: { ...DEFAULT_STREAM_TIMES, ...options.stream },
      rates: options.rates && new Rates({
        limited: (by) => metrics.limited(by),
        ...options.rates,
      }),
      origins: options.origins,
      users: (bearer, from) => {
        const userId = control.#users.get(bearer);
        return userId === undefined ? issuer.users(bearer, from) : Promise.resolve({ userId });
      },
    };
    const control = new TestControl(deps, createApp(deps));
    control.#close = () => external?.close();
    control.userId = await control.addUser("ada", control.user);
    control.regKey = await control.addRegKey();
    return control;
  }

  get store(): Store {
    return this.deps.store;
  }

  /** Makes a user whose bearer value is `token`; the id is also that of the default VPC. */
  async addUser(username: string, token: string, id?: string): Promise<string> {
    const userId = await this.store.write((write) =>
      createUser(write, { username, ...(id ? { id } : {}) })
    );
    this.#users.set(token, userId);
    return userId;
  }

  /** Makes the user who runs this control plane. */
  async addOperator(username: string, token: string): Promise<string> {
    const { db } = this.store;
    const subject = await this.addClosedAccount(username);
    const id = await this.addUser(username, token);
    await db.updateTable("accounts").set({ operator: 1 }).where("id", "=", subject).execute();
    await db.updateTable("users").set({ subject }).where("id", "=", id).execute();
    return id;
  }

  /** Makes an account that no password opens. */
  async addClosedAccount(username: string): Promise<string> {
    const account = { username, passwordHash: "" };
    return (await this.store.write((write) => createAccount(write, account))).id;
  }

  /** Makes an account that signs in with a password; its user is made when it is first seen. */
  async addAccount(username: string, password: string): Promise<string> {
    const passwordHash = await hashPassword(password, QUICK);
    const { id } = await this.store.write((write) =>
      createAccount(write, { username, passwordHash, fullName: "Ada Ferrer" })
    );
    return id;
  }

  /** Sends a form, as a client at `from`. */
  async form(
    path: string,
    fields: Record<string, string>,
    { from = "192.0.2.1", headers = {} }: { from?: string; headers?: Record<string, string> } = {},
  ): Promise<Answer> {
    const response = await this.app.request(`${ISSUER}${path}`, {
      method: "POST",
      headers,
      body: new URLSearchParams(fields),
    }, { remoteAddr: { transport: "tcp", hostname: from, port: 1 } });
    return await read(response);
  }

  async addRegKey(key: Partial<Parameters<typeof createRegKey>[1]> = {}): Promise<string> {
    const id = crypto.randomUUID();
    const { token } = await this.store.write((write) =>
      createRegKey(write, {
        id,
        token: regKeyToken(this.deps.secret, id),
        ownerId: this.userId,
        vpcId: key.ownerId ?? this.userId,
        description: "",
        ...key,
      })
    );
    return token;
  }

  /** Sends a request with a bearer value, or with the whole header after `raw `. */
  async call(method: string, path: string, bearer?: string, body?: unknown): Promise<Answer> {
    return await read(await this.fetch(method, path, bearer, body));
  }

  async fetch(method: string, path: string, bearer?: string, body?: unknown): Promise<Response> {
    const headers: Record<string, string> = {};
    if (bearer?.startsWith("raw ")) headers["authorization"] = bearer.slice(4);
    else if (bearer !== undefined) headers["authorization"] = `Bearer ${bearer}`;
    if (body !== undefined) headers["content-type"] = "application/json";
    return await this.app.request(`https://api.control.test${path}`, {
      method,
      headers,
      ...(body === undefined
        ? {}
        : { body: typeof body === "string" ? body : `${JSON.stringify(body)}\n` }),
    });
  }

  /** Registers a device, with the registration key unless told otherwise. */
  async register(
    fields: Partial<AddDevice> = {},
    bearer: string = this.regKey,
  ): Promise<{ device: Device; token: string }> {
    const body = { vpc_id: this.userId, public_key: newKey(), ...fields };
    const { status, body: device, text } = await this.call("POST", "/api/devices", bearer, body);
    assert.equal(status, 201, text);
    const sealed = (device as Device).bearer_token;
    return { device, token: sealed ? openToken(sealed, body.public_key) : "" };
  }

  /** Opens a watch stream that is closed with the control plane. */
  async watch(
    bearer: string,
    watches: (Omit<Watch, "kind"> & { kind: string })[],
    path = "/api/events",
  ): Promise<TestStream> {
    const response = await this.fetch("POST", path, bearer, watches);
    assert.equal(response.status, 200);
    const stream = new TestStream(response);
    this.#streams.add(stream);
    return stream;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stream of this.#streams) await stream.close();
    this.#close();
    this.deps.streams.abortAll();
    this.deps.online.close();
    this.deps.holder.releaseAll();
    this.deps.feed.close();
    await this.store.close();
  }
}

async function read(response: Response): Promise<Answer> {
  const text = await response.text();
  const isJson = response.headers.get("content-type")?.match(/^application\/(problem\+)?json/);
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: isJson ? JSON.parse(text) : undefined,
  };
}

/** A watch response, read event by event. */
export class TestStream {
  /** Everything that was received, heartbeats too. */
  raw = "";
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #rest = "";

  constructor(readonly response: Response) {
    this.#reader = response.body!.getReader();
  }

  /** The next event; fails when the stream ends or stays silent for `timeoutMs`. */
  async next(timeoutMs = 3000): Promise<WatchEvent> {
    for (;;) {
      const end = this.#rest.indexOf("\n\n");
      if (end >= 0) {
        const text = this.#rest.slice(0, end).trim();
        this.#rest = this.#rest.slice(end + 2);
        if (text !== "") return JSON.parse(text) as WatchEvent;
      } else if (!await this.receive(timeoutMs)) {
        throw new Error("the stream ended");
      }
    }
  }

  /** Events up to and including the `count`th `tail`. */
  async untilTails(count = 1): Promise<WatchEvent[]> {
    const events: WatchEvent[] = [];
    while (count > 0) {
      const event = await this.next();
      events.push(event);
      if (event.type === "tail") count--;
    }
    return events;
  }

  /** Reads one chunk; false at the end, an error when cut off or late. */
  async receive(timeoutMs = 3000): Promise<boolean> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error("the stream is silent")), timeoutMs);
    });
    try {
      const { done, value } = await Promise.race([this.#reader.read(), late]);
      if (done) return false;
      const text = new TextDecoder().decode(value);
      this.raw += text;
      this.#rest += text;
      return true;
    } finally {
      clearTimeout(timer);
    }
  }

  async close(): Promise<void> {
    await this.#reader.cancel().catch(() => {});
  }
}

/** A new public key; the private key does not matter to the control plane. */
export function newKey(): string {
  return Buffer.from(randomBytes(32)).toString("base64");
}
