/** Traffic of unmodified agents with an unmodified server, replayed by meaning. */
import assert from "node:assert/strict";
import conflict from "../../tests/vectors/control/agent-restart-409.json" with { type: "json" };
import errors from "../../tests/vectors/control/errors.json" with { type: "json" };
import ipam from "../../tests/vectors/control/ipam.json" with { type: "json" };
import onboarding from "../../tests/vectors/control/agent-regkey-onboarding.json" with {
  type: "json",
};
import singleUse from "../../tests/vectors/control/agent-single-use-key.json" with { type: "json" };
import watchErrors from "../../tests/vectors/control/watch-errors.json" with { type: "json" };
import { openToken } from "../auth/mod.ts";
import { createRegKey } from "../tenants.ts";
import { TestControl } from "../testing.ts";
import type { Device, WatchEvent } from "./types.ts";

interface Exchange {
  method: string;
  url: string;
  request_headers: Record<string, string>;
  request_body?: unknown;
  status: number;
  response_headers: Record<string, string>;
  // deno-lint-ignore no-explicit-any
  response_body?: any;
  stream?: { event: WatchEvent }[];
}

const VPC = "c3d363a3-10be-4a69-8556-cb8356b3941d";
const DEV_KEY = "RK:dev-admin-reg-key";

/** A control plane with the user and the key of the recordings. */
async function asRecorded(): Promise<Replay> {
  const control = await TestControl.start();
  await control.addUser("admin", "user", VPC);
  await control.store.write((write) =>
    createRegKey(write, {
      ownerId: VPC,
      vpcId: VPC,
      id: VPC,
      description: "well known development reg key",
      token: DEV_KEY,
    })
  );
  return new Replay(control);
}

/** Sends recorded requests and compares the answers, with ids and tokens put in their place. */
class Replay {
  readonly #ids = new Map<string, string>();
  readonly #tokens = new Map<string, string>();

  constructor(readonly control: TestControl) {}

  /** The recorded value with our ids, and without what differs from run to run. */
  expected(value: unknown): unknown {
    let text = JSON.stringify(value ?? null);
    for (const [theirs, ours] of this.#ids) text = text.replaceAll(theirs, ours);
    return comparable(JSON.parse(text));
  }

  bearer(exchange: Exchange): string | undefined {
    const header = exchange.request_headers["authorization"];
    const token = header?.replace(/^Bearer /, "");
    if (token === undefined || token.startsWith("RK:")) return token;
    if (token.startsWith("<oidc")) return "user";
    return this.#tokens.get(token) ?? (header!.startsWith("Bearer ") ? token : `raw ${header}`);
  }

  /** Takes our token as the one that `exchange` presents. */
  learnToken(exchange: Exchange, device: Device): void {
    const theirs = exchange.request_headers["authorization"]!.replace(/^Bearer /, "");
    this.#tokens.set(theirs, openToken(device.bearer_token!, device.public_key));
  }

  async send(exchange: Exchange): Promise<{ status: number; body: unknown; headers: Headers }> {
    let path = new URL(exchange.url).pathname;
    for (const [theirs, ours] of this.#ids) path = path.replaceAll(theirs, ours);
    const body = exchange.request_body;
    const answer = await this.control.call(exchange.method, path, this.bearer(exchange), body);
    const theirId = exchange.response_body?.id;
    if (theirId && answer.body?.id) this.#ids.set(theirId, answer.body.id);
    return { ...answer, body: answer.body ?? (answer.text || null) };
  }

  /** Sends and expects the recorded status, content type and body; returns our body. */
  async same(exchange: Exchange): Promise<unknown> {
    const where = `${exchange.method} ${exchange.url}`;
    const { status, body, headers } = await this.send(exchange);
    assert.equal(status, exchange.status, `${where}: ${JSON.stringify(body)}`);
    assert.deepEqual(comparable(body), this.expected(exchange.response_body), where);
    const types = exchange.response_headers;
    // Errors that the gateway wrote there lack the charset; everything of ours has it.
    const type = (types["content-type"] ?? types["Content-Type"])
      ?.replace(/^application\/json$/, "application/json; charset=utf-8");
    assert.equal(headers.get("content-type") ?? undefined, type, where);
    return body;
  }
}

/** Values that cannot be the same twice become their kind. */
function comparable(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (key, inner) => {
    if (key === "bearer_token" && String(inner).startsWith("djE=:")) return "<sealed>";
    if (key === "revision" && typeof inner === "number") return "<revision>";
    if (key === "online_at" && inner !== null) return "<time>";
    if (key === "trace_id") return "<trace>";
    return inner;
  });
}

/** Reads a stream and compares it kind by kind, as kinds may interleave in any order. */
async function sameStream(replay: Replay, exchange: Exchange, strip: (e: WatchEvent) => unknown) {
  const body = exchange.request_body as { kind: string }[];
  const stream = await replay.control.watch(replay.bearer(exchange)!, body);
  assert.equal(stream.response.headers.get("content-type"), "application/json;stream=watch");
  const got = await stream.untilTails(body.length);
  for (const { kind } of body) {
    const theirs = exchange.stream!.map(({ event }) => event);
    const tail = theirs.findIndex((event) => event.kind === kind && event.type === "tail");
    const backlog = theirs.slice(0, tail + 1).filter((event) => event.kind === kind);
    assert.deepEqual(
      got.filter((event) => event.kind === kind).map((event) => comparable(strip(event))),
      backlog.map((event) => replay.expected(strip(event))),
    );
  }
  return stream;
}

/** Tokens of other devices are not ours to compare: stock servers hand them around (weakness 28). */
function withoutTokens(event: WatchEvent): unknown {
  return JSON.parse(
    JSON.stringify(event),
    (key, inner) => key === "bearer_token" ? undefined : inner,
  );
}

Deno.test("two agents onboard with a registration key as recorded", async () => {
  const replay = await asRecorded();
  await using _control = replay.control;
  let device: Device | undefined;
  let first: Awaited<ReturnType<typeof sameStream>> | undefined;
  for (const exchange of onboarding.exchanges as unknown as Exchange[]) {
    if (exchange.stream) {
      replay.learnToken(exchange, device!);
      const stream = await sameStream(replay, exchange, withoutTokens);
      first ??= stream;
    } else {
      const body = await replay.same(exchange);
      if (exchange.method === "POST") device = body as Device;
    }
  }
  // What the first agent then learnt of the second.
  const news = await first!.next();
  assert.ok(news.kind === "device" && news.type === "change");
  assert.equal(news.value.id, device!.id);
});

Deno.test("an agent that restarts meets the conflict, patches, and is let in as recorded", async () => {
  const replay = await asRecorded();
  await using _control = replay.control;
  const before = onboarding.exchanges as unknown as Exchange[];
  const created = before.filter((e) => e.method === "POST" && !e.stream);
  for (const exchange of created) await replay.same(exchange);
  const exchanges = (conflict.exchanges as unknown as Exchange[])
    .filter((exchange) => exchange.url.startsWith("https://api.") && !exchange.stream);
  assert.deepEqual(exchanges.map((e) => e.status), [200, 200, 409, 200]);
  for (const exchange of exchanges.slice(0, 3)) await replay.same(exchange);
  // Here no stream is open yet, so only the presence differs from the recording.
  const { status, body } = await replay.send(exchanges[3]!);
  assert.equal(status, 200);
  const offline = { ...exchanges[3]!.response_body, online: false, online_at: null };
  assert.deepEqual(comparable(body), replay.expected(offline));
});

Deno.test("a single-use key is exhausted as recorded", async () => {
  const control = await TestControl.start();
  await using _control = control;
  const replay = new Replay(control);
  const exchanges = singleUse.exchanges as unknown as Exchange[];
  const [, , made] = exchanges;
  const ownerId = made!.response_body.owner_id;
  await control.addUser("nina", "user", ownerId);
  await control.store.write((write) =>
    createRegKey(write, {
      ownerId,
      vpcId: ownerId,
      description: "once",
      token: made!.response_body.bearer_token,
      singleUse: true,
    })
  );
  // In the recording other devices had taken the first addresses.
  for (let i = 0; i < 5; i++) await control.register();
  for (const exchange of exchanges.slice(3)) {
    if (exchange.stream) continue;
    if (exchange.url.endsWith("/me")) {
      const { status, body } = await replay.send(exchange);
      const theirs = {
        ...exchange.response_body,
        device_id: (body as Device & { device_id: string }).device_id,
      };
      assert.deepEqual([status, comparable(body)], [200, replay.expected(theirs)]);
      continue;
    }
    if (exchange.status === 201) {
      const { status, body } = await replay.send(exchange);
      assert.equal(status, 201);
      assert.deepEqual(comparable(body), replay.expected(exchange.response_body));
      continue;
    }
    await replay.same(exchange);
  }
});

Deno.test("refusals are those that were recorded", async () => {
  const replay = await asRecorded();
  await using _control = replay.control;
  const served = (errors.exchanges as unknown as Exchange[]).filter(
    ({ url, status, request_body }) => {
      const path = new URL(url).pathname;
      // Resources that this server does not have, lists that depend on what was there before, and
      // where it is stricter: a bearer that is nothing is 401 and not 500, a bad key is refused.
      return !/\/(organizations|vpcs|sites|device\/.*)$/.test(path) && status !== 500 &&
        !(status === 200 && path === "/api/devices") && status !== 201 &&
        !(path === "/api/devices" && JSON.stringify(request_body)?.includes("not json"));
    },
  );
  assert.ok(served.length >= 18, `${served.length}`);
  for (const exchange of served) {
    if (exchange.url.endsWith("/api/devices") && exchange.method === "POST") {
      const { status, body } = await replay.send(exchange);
      const theirs = exchange.response_body;
      // The VPC of one request belongs to another user there; here all is one user's.
      if (theirs.resource) continue;
      assert.equal(status, exchange.status);
      const error = (body as { error: string }).error;
      assert.ok(error.startsWith(theirs.error), error);
      assert.equal((body as { field?: string }).field, theirs.field);
      continue;
    }
    await replay.same(exchange);
  }
});

Deno.test("addresses are given out as recorded, except that failures cost none", async () => {
  const control = await TestControl.start();
  await using _control = control;
  const replay = new Replay(control);
  const exchanges = ipam.exchanges as unknown as Exchange[];
  const vpc = (exchanges[0]!.request_body as { vpc_id: string }).vpc_id;
  await control.addUser("lena", "user", vpc);
  // The recording starts with the first addresses taken.
  await control.register({}, control.user);
  const given: string[] = [];
  for (const exchange of exchanges) {
    const { status, body } = await replay.send(exchange);
    // Weakness 41: what the caller got wrong was a 500.
    assert.equal(status, exchange.status === 500 ? 400 : exchange.status);
    if (status === 201) given.push((body as Device).allowed_ips.join(" "));
  }
  assert.deepEqual(given, [
    "100.64.5.5/32 200::2/128",
    "100.64.0.2/32 200::3/128",
    "100.64.0.3/32 200::4/128",
    "100.64.0.4/32 200::5/128",
    "100.64.0.5/32 200::6/128",
    "100.64.0.6/32 200::7/128",
    "100.64.0.7/32 200::8/128",
    "100.64.0.8/32 200::9/128",
    "100.64.0.9/32 200::2/128",
  ]);
});

Deno.test("watches are refused as recorded, and the refusals end", async () => {
  const replay = await asRecorded();
  await using _control = replay.control;
  await replay.control.addUser("sol", "user-sol", "596877c2-3dfb-4d29-b95a-d49d232a3673");
  const { token } = await replay.control.register({ vpc_id: VPC }, DEV_KEY);
  for (const exchange of watchErrors.exchanges as unknown as Exchange[]) {
    const { status, response_body: theirs, request_body } = exchange;
    if (status === 200) continue;
    const answer = await replay.control.call("POST", "/api/events", token, request_body);
    assert.equal(answer.status, status, answer.text);
    if (!Array.isArray(request_body)) assert.match(answer.body.error, /^request json is invalid: /);
    else assert.deepEqual(answer.body, theirs);
  }
});
