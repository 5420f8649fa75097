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
