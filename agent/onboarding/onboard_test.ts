import assert from "node:assert/strict";
import { generatePrivateKey, keyToBase64, publicKeyOf } from "../../relay/derp/mod.ts";
import { ensureSelfSigned } from "../../relay/cert/mod.ts";
import { ApiClient, ApiFailure, Backoff } from "../api/mod.ts";
import { AgentError } from "../errors.ts";
import { FakeControl, json, REG_KEY, VPC_ID } from "../testing/fake_control.ts";
import { onboard, OnboardRefusal, persist } from "./mod.ts";

async function recorded(name: string) {
  const url = new URL(`../../tests/vectors/control/${name}.json`, import.meta.url);
  return JSON.parse(await Deno.readTextFile(url)).exchanges as {
    from: string;
    method: string;
    url: string;
    request_headers: Record<string, string>;
    request_body?: Record<string, unknown>;
    status: number;
    response_body?: unknown;
  }[];
}

interface Setup extends AsyncDisposable {
  control: FakeControl;
  api: ApiClient;
  ca: string;
  key: Uint8Array;
}

async function setup(options: { trust?: boolean } = {}): Promise<Setup> {
  const dir = await Deno.makeTempDir();
  const tls = await ensureSelfSigned(dir, ["127.0.0.1"]);
  const control = new FakeControl(tls);
  const api = new ApiClient({
    apiUrl: control.url,
    caCerts: options.trust === false ? [] : [tls.ca],
    version: "dev",
  });
  return {
    control,
    api,
    ca: tls.ca,
    key: publicKeyOf(generatePrivateKey()),
    async [Symbol.asyncDispose]() {
      api.close();
      await control.close();
      await Deno.remove(dir, { recursive: true });
    },
  };
}

const CREDENTIAL = { kind: "reg-key", token: REG_KEY } as const;

const self = (publicKey: Uint8Array) => ({
  publicKey,
  hostname: "edge-a",
  symmetricNat: true,
  endpoints: [
    { source: "local", address: "192.168.1.11:56847" },
    { source: "stun:", address: "198.51.100.10:51021" },
  ],
});

const refusal = (pattern: RegExp) => (error: unknown) =>
  error instanceof OnboardRefusal && error.exitCode === 1 && pattern.test(error.message);

Deno.test("onboard sends what the recorded agent sent, in its order", async () => {
  await using t = await setup();
  const { device, vpc, deviceToken } = await onboard(t.api, CREDENTIAL, self(t.key));
  assert.equal(device.ipv4_tunnel_ips[0]!.address, "100.64.0.1");
  assert.equal(vpc.ipv4_cidr, "100.64.0.0/10");
  assert.equal(deviceToken, `DT:${device.id}`);

  const theirs = (await recorded("agent-regkey-onboarding"))
    .filter((e) => e.from === "198.51.100.10" && !e.url.endsWith("/api/events")).slice(0, 3);
  assert.deepEqual(
    t.control.log.map((line) => line.replace(VPC_ID, "VPC")),
    theirs.map((e) => `${e.method} ${new URL(e.url).pathname.replace(/[0-9a-f-]{36}/, "VPC")}`),
  );
  const ours = t.control.seen[2]!.body as Record<string, unknown>;
  const wanted = theirs[2]!.request_body!;
  assert.deepEqual(Object.keys(ours).sort(), Object.keys(wanted).sort());
  for (const field of ["endpoints", "relay", "symmetric_nat"] as const) {
    assert.deepEqual(ours[field], wanted[field]);
  }
  assert.match(t.control.seen[0]!.userAgent, /^nexd\/dev \((linux|darwin|windows); \w+\)$/);
});

Deno.test("onboard updates the existing device after a conflict and opens its token", async () => {
  await using t = await setup();
  const first = await onboard(t.api, CREDENTIAL, self(t.key));
  t.control.seen.length = 0;
  const again = await onboard(t.api, CREDENTIAL, {
    ...self(t.key),
    hostname: "edge-b",
    requestIp: "100.64.9.9",
  });
  assert.equal(again.device.id, first.device.id);
  assert.equal(again.device.ipv4_tunnel_ips[0]!.address, "100.64.0.1");
  assert.equal(again.deviceToken, first.deviceToken);
  assert.equal(t.control.log.at(-1), `PATCH /api/devices/${first.device.id}`);
  const theirs = (await recorded("agent-restart-409")).find((e) => e.method === "PATCH")!;
  const ours = t.control.seen.at(-1)!.body as Record<string, unknown>;
  assert.deepEqual(Object.keys(ours).sort(), Object.keys(theirs.request_body!).sort());
});

Deno.test("onboard asks for the requested address in the VPC's range", async () => {
  await using t = await setup();
  await onboard(t.api, CREDENTIAL, { ...self(t.key), requestIp: "100.64.9.9" });
  const body = t.control.seen.at(-1)!.body as Record<string, unknown>;
  assert.deepEqual(body.ipv4_tunnel_ips, [{ address: "100.64.9.9", cidr: "100.64.0.0/10" }]);
});

Deno.test("onboard names the remedy when the registration key is unknown or expired", async () => {
  await using t = await setup();
  await assert.rejects(
    onboard(t.api, { kind: "reg-key", token: "RK:other" }, self(t.key)),
    refusal(/unknown or has expired.*--reg-key/),
  );
  assert.deepEqual(t.control.log, ["GET /api/reg-keys/me"]);
  // The key may expire between two calls too.
  t.control.intercept = ({ method }) =>
    method === "POST" ? new Response(null, { status: 401 }) : undefined;
  await assert.rejects(onboard(t.api, CREDENTIAL, self(t.key)), refusal(/expired/));
});

Deno.test("onboard names the remedy when a single-use key is exhausted", async () => {
  await using t = await setup();
  const answer = (await recorded("agent-single-use-key")).find((e) => e.status === 400)!;
  t.control.intercept = ({ method }) =>
    method === "POST" ? json(400, answer.response_body) : undefined;
  await assert.rejects(
    onboard(t.api, CREDENTIAL, self(t.key)),
    refusal(/single-use.*already.*--reg-key/),
  );
});

Deno.test("onboard says so when the key is for another VPC, or its VPC is gone", async () => {
  await using t = await setup();
  t.control.intercept = ({ method }) =>
    method === "POST"
      ? json(400, { error: "does not match the reg key vpc_id", field: "vpc_id" })
      : undefined;
  await assert.rejects(onboard(t.api, CREDENTIAL, self(t.key)), refusal(/another VPC/));
  t.control.intercept = ({ path }) =>
    path.startsWith("/api/vpcs/") ? json(404, { error: "not found" }) : undefined;
  await assert.rejects(onboard(t.api, CREDENTIAL, self(t.key)), refusal(/VPC .* is gone/));
  t.control.intercept = ({ path }) =>
    path === "/api/reg-keys/me" ? json(200, { id: "k", service_network_id: "n" }) : undefined;
  await assert.rejects(onboard(t.api, CREDENTIAL, self(t.key)), refusal(/no VPC/));
});

Deno.test("onboard says so when the device belongs to another key", async () => {
  await using t = await setup();
  await onboard(t.api, CREDENTIAL, self(t.key));
  t.control.intercept = ({ method }) =>
    method === "PATCH" ? json(403, { error: "reg key does not have access" }) : undefined;
  await assert.rejects(onboard(t.api, CREDENTIAL, self(t.key)), refusal(/may not change/));
});

Deno.test("onboard refuses an answer about another device or without a token", async () => {
  await using t = await setup();
  const { device } = await onboard(t.api, CREDENTIAL, self(t.key));
  t.control.intercept = ({ method }) =>
    method === "PATCH"
      ? json(200, { ...device, public_key: keyToBase64(new Uint8Array(32)) })
      : undefined;
  await assert.rejects(onboard(t.api, CREDENTIAL, self(t.key)), refusal(/not this host's/));
  t.control.intercept = ({ method }) =>
    method === "PATCH" ? json(200, { ...device, bearer_token: undefined }) : undefined;
  await assert.rejects(onboard(t.api, CREDENTIAL, self(t.key)), refusal(/no token/));
  t.control.intercept = ({ method }) =>
    method === "PATCH" ? json(200, { ...device, bearer_token: "djE=:AAAA:AAAA" }) : undefined;
  await assert.rejects(
    onboard(t.api, CREDENTIAL, self(t.key)),
    (error) => error instanceof AgentError && !(error instanceof ApiFailure),
  );
});

Deno.test("onboard tells a wrong CA from everything else and names --ca", async () => {
  await using t = await setup({ trust: false });
  await assert.rejects(onboard(t.api, CREDENTIAL, self(t.key)), (error) => {
    assert(error instanceof ApiFailure);
    assert.equal(error.kind, "certificate");
    assert.equal(error.transient, false);
    assert.match(error.message, /issuer is not trusted.*--ca FILE/);
    return true;
  });
});

Deno.test("api client skips verification for itself alone when told to", async () => {
  await using t = await setup({ trust: false });
  const open = new ApiClient({ apiUrl: t.control.url, insecureSkipTlsVerify: true });
  const { deviceToken } = await onboard(open, CREDENTIAL, self(t.key));
  assert.match(deviceToken, /^DT:/);
  await assert.rejects(onboard(t.api, CREDENTIAL, self(t.key)), ApiFailure);
  open.close();
});

Deno.test("api client says why nobody can be reached", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const ask = async (url: string, pattern: RegExp, kind: string) => {
    const api = new ApiClient({ apiUrl: new URL(url) });
    await assert.rejects(api.getRegKey("RK:x"), (error) => {
      assert(error instanceof ApiFailure);
      assert.match(error.message, pattern);
      assert.equal(error.kind, kind);
      assert.equal(error.transient, true);
      return true;
    });
    api.close();
  };
  await ask(`https://127.0.0.1:${port}`, /connection refused/, "unreachable");
  const plain = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => new Response(),
  );
  await ask(`https://127.0.0.1:${plain.addr.port}`, /does not speak TLS/, "tls");
  await plain.shutdown();
});

Deno.test("api client bounds answers in size and in time, and follows no redirect", async () => {
  await using t = await setup();
  const api = new ApiClient({ apiUrl: t.control.url, caCerts: [t.ca], timeoutMs: 300 });
  t.control.intercept = () => new Response("x".repeat(2 << 20));
  await assert.rejects(api.getRegKey("RK:x"), /larger than/);
  t.control.intercept = () => new Response(new ReadableStream()); // never ends
  await assert.rejects(api.getRegKey("RK:x"), /no answer in time/);
  t.control.intercept = () =>
    new Response(null, { status: 302, headers: { location: "https://127.0.0.1/" } });
  await assert.rejects(api.getRegKey("RK:x"), /answered 302/);
  t.control.intercept = () => new Response("<html>");
  await assert.rejects(api.getRegKey("RK:x"), /not the API of a control plane/);
  t.control.intercept = () => new Response('{"error":"a"}{"error":"b"}', { status: 500 });
  await assert.rejects(api.getRegKey("RK:x"), /answered 500/);
  api.close();
});

Deno.test("api client gives up a stream that does not begin, and none that has begun", async () => {
  await using t = await setup();
  const api = new ApiClient({ apiUrl: t.control.url, caCerts: [t.ca], timeoutMs: 200 });
  const { promise: later, resolve: release } = Promise.withResolvers<Response | undefined>();
  const { signal } = new AbortController();
  t.control.intercept = () => later;
  const began = performance.now();
  await assert.rejects(api.openWatch("DT:x", [], signal), /no answer in time/);
  const took = performance.now() - began;
  release(new Response());
  t.control.intercept = () =>
    new Response(
      new ReadableStream({
        async start(stream) {
          stream.enqueue(new TextEncoder().encode("1"));
          await new Promise((resolve) => setTimeout(resolve, 400));
          stream.enqueue(new TextEncoder().encode("2"));
          stream.close();
        },
      }),
    );
  const stream = await api.openWatch("DT:x", [], signal);
  assert.equal(await new Response(stream).text(), "12");
  api.close();
  assert(took < 5_000, `given up after ${took} ms`);
});

Deno.test("persist gives up on a bad certificate at once and on silence when its time is up", async () => {
  const failure = (kind: "certificate" | "unreachable") =>
    new ApiFailure(`it is ${kind}`, { kind });
  const run = (kind: "certificate" | "unreachable", giveUpAfterMs?: number, attempts = 3) => {
    let count = 0;
    const told: string[] = [];
    return {
      told,
      result: persist(
        () => ++count < attempts ? Promise.reject(failure(kind)) : Promise.resolve(count),
        {
          signal: new AbortController().signal,
          ...(giveUpAfterMs === undefined ? {} : { giveUpAfterMs }),
          onTrouble: (reason) => told.push(reason),
          backoff: new Backoff({ base: 1, max: 2 }),
        },
      ),
    };
  };
  await assert.rejects(run("certificate", 1000).result, /it is certificate/);
  await assert.rejects(
    run("unreachable", 0).result,
    (error) =>
      error instanceof AgentError && /it is unreachable, tried for 0 s; check/.test(error.message),
  );
  // Without a limit everything but a refusal is waited out, and each reason is told once.
  for (const kind of ["certificate", "unreachable"] as const) {
    const { result, told } = run(kind, undefined, 6);
    assert.equal(await result, 6);
    assert.deepEqual(told, [`it is ${kind}`]);
  }
});
