/** Our client and our control plane, without a network between them. */
import assert from "node:assert/strict";
import { newKey, TestControl } from "../../control/testing.ts";
import { until } from "../testing/wait.ts";
import { ApiClient, ApiFailure, runWatch, WatchCache } from "./mod.ts";

function clientOf(control: TestControl): ApiClient {
  return new ApiClient({
    apiUrl: new URL("https://api.control.test"),
    transport: {
      send: async (url, { method, headers, body }) =>
        await control.app.request(url, {
          method,
          headers,
          ...(body === undefined ? {} : { body }),
        }),
      close: () => {},
    },
  });
}

Deno.test("watch begins with no device and one security group, and tells of a device's coming and going", async () => {
  await using control = await TestControl.start();
  const stop = new AbortController();
  const cache = new WatchCache(control.userId);
  let changes = 0;
  const watching = runWatch({
    api: clientOf(control),
    token: control.user,
    cache,
    signal: stop.signal,
    onChange: () => changes++,
    onState: () => {},
  });
  await until(() => cache.synced, "the backlog");
  assert.deepEqual([cache.devices().length, cache.securityGroups().length], [0, 1]);
  assert.equal(cache.securityGroups()[0]!.id, control.userId);

  const before = changes;
  const { device } = await control.register({ hostname: "comes" }, control.user);
  await until(() => cache.devices().length === 1, "the device", 2_000);
  assert(changes > before);
  assert.equal(cache.devices()[0]!.hostname, "comes");
  assert.equal(
    (await control.call("DELETE", `/api/devices/${device.id}`, control.user)).status,
    200,
  );
  await until(() => cache.devices().length === 0, "its end", 2_000);
  stop.abort();
  await watching;
});

Deno.test("watch tells of public relays as they come and go, from a control plane that has them", async () => {
  await using control = await TestControl.start();
  const operator = "user-token-of-the-operator";
  await control.addOperator("operator", operator);
  const { token } = await control.register();
  const stop = new AbortController();
  const cache = new WatchCache(control.userId, {}, undefined, true);
  const { signal } = stop;
  const watching = runWatch({ api: clientOf(control), token, cache, signal, onChange: () => {} });
  await until(() => cache.synced && cache.watches().length === 4, "the backlog");
  assert.deepEqual(cache.relayRegions(), [], "the built-in one needs no telling");
  const path = "/api/relay-regions";
  const { body: { id } } = await control.call("POST", path, operator, { hostname: "a.test" });
  await until(() => cache.relayRegions().length === 1, "the relay", 2_000);
  await control.call("PATCH", `${path}/${id}`, operator, { drained: true });
  await until(() => cache.relayRegions()[0]?.drained === true, "its draining", 2_000);
  await control.call("DELETE", `${path}/${id}`, operator);
  await until(() => cache.relayRegions().length === 0, "its end", 2_000);
  stop.abort();
  await watching;
});

Deno.test("watch does without public relays at a control plane that has none, and asks no more", async () => {
  for (const status of [403, 404, 503]) {
    const asked: string[] = [];
    const cache = new WatchCache("vpc", {}, undefined, true);
    const stop = new AbortController();
    const api = new ApiClient({
      apiUrl: new URL("https://api.stock.test"),
      transport: {
        send: (url, { method, body }) => {
          asked.push(`${method} ${url.pathname}`);
          if (method === "GET") return Promise.resolve(new Response("no", { status }));
          assert(!String(body).includes("relay-region"));
          if (asked.length > 3) stop.abort();
          const events = new ReadableStream<Uint8Array>({ start: (c) => c.close() });
          return Promise.resolve(new Response(events));
        },
        close: () => {},
      },
    });
    const times = { goodLife: 0 };
    await runWatch({ api, token: "t", cache, signal: stop.signal, onChange: () => {}, times });
    const again = status === 503 ? ["GET /api/relay-regions"] : [];
    assert.deepEqual(
      asked.slice(0, 4),
      [
        "GET /api/relay-regions",
        "POST /api/events",
        ...again,
        "POST /api/events",
        ...(status === 503 ? [] : ["POST /api/events"]),
      ].slice(0, 4),
    );
  }
});

Deno.test("api client says which device has a key when it is registered twice", async () => {
  await using control = await TestControl.start();
  const api = clientOf(control);
  const body = { vpc_id: control.userId, public_key: newKey() };
  const { id } = await api.createDevice(control.user, body);
  await assert.rejects(
    api.createDevice(control.user, body),
    (error) => error instanceof ApiFailure && error.status === 409 && error.detail.id === id,
  );
});
