import assert from "node:assert/strict";
import { relayApp } from "../../mod.ts";
import type { RelaySnapshot } from "../../../state/mod.ts";
import { freshSnapshot, testClient, testState } from "../../testing.ts";
import { DebugRule } from "../mod.ts";
import { trafficStream } from "./traffic.ts";

const HOSTILE = `"><script>alert('x')</script>&amp;`;
const PAGES = ["", "clients", "throughput", "mesh", "certificate", "workers"];

function busySnapshot(): RelaySnapshot {
  const snapshot = freshSnapshot();
  snapshot.clients = [
    testClient({ key: "01".repeat(32), sentBytes: 5000, receivedBytes: 10, home: true }),
    testClient({ key: "02".repeat(32), receivedBytes: 9000, mesh: true, uniqueSenders: 4 }),
  ];
  snapshot.gauges.connections = 2;
  snapshot.mesh = [{
    name: HOSTILE,
    state: "connecting",
    since: 1,
    keys: 0,
    sentPackets: 0,
    droppedPackets: 0,
    error: HOSTILE,
  }];
  return snapshot;
}

async function get(snapshot: RelaySnapshot, path: string, more = {}): Promise<string> {
  const app = relayApp(testState({ snapshot: () => Promise.resolve(snapshot), ...more }));
  const request = new Request(`https://relay.test${path}`);
  return await (await app.fetch(request, { remoteAddress: "127.0.0.1" })).text();
}

Deno.test("the operator's pages are whole without script and anything from elsewhere", async () => {
  await Promise.all(PAGES.map(async (page) => {
    const text = await get(busySnapshot(), `/debug/${page}`);
    assert.match(text, /^<!doctype html>/);
    assert.match(text, /<\/html>\s*$/);
    assert.match(text, /<meta\s+http-equiv="refresh"/);
    assert.equal(text.match(/aria-current="page"/g)?.length, 1, page);
    assert.doesNotMatch(text, /<script|src=|href="(?!\/)|url\(|@import/);
    assert.doesNotMatch(text, /undefined|NaN|\[object/);
  }));
});

Deno.test("the operator's pages escape every value", async () => {
  const snapshot = busySnapshot();
  snapshot.clients.push(testClient({ key: HOSTILE, remote: HOSTILE, sentBytes: 1 }));
  const certificate = () => ({
    mode: HOSTILE,
    names: [HOSTILE],
    notAfter: Date.now() + 1e9,
    issuer: HOSTILE,
    lastError: HOSTILE,
    pinned: HOSTILE,
  });
  const more = { certificate, hostname: HOSTILE, version: HOSTILE, check: () => [HOSTILE] };
  for (const path of [...PAGES.map((page) => `/debug/${page}`), "/"]) {
    const text = await get(snapshot, path, more);
    assert.match(text, /&lt;script&gt;/, path);
    assert.doesNotMatch(text, /<script|'x'/, path);
  }
});

Deno.test("the clients page sorts by what is asked for and bounds its rows", async () => {
  const order = (text: string) => [...text.matchAll(/title="(0[12])/g)].map(([, key]) => key);
  assert.deepEqual(order(await get(busySnapshot(), "/debug/clients")), ["02", "01"]);
  assert.deepEqual(order(await get(busySnapshot(), "/debug/clients?sort=sent")), ["01", "02"]);
  assert.deepEqual(order(await get(busySnapshot(), "/debug/clients?sort=__proto__")), ["02", "01"]);
  const many = freshSnapshot();
  many.clients = Array.from({ length: 1000 }, (_, i) => testClient({ receivedBytes: i }));
  many.gauges.connections = 12_345;
  const text = await get(many, "/debug/clients");
  assert.equal(text.match(/<tr>/g)?.length, 251);
  assert.match(text, /12,345 connections/);
});

Deno.test("the links of a page keep the key that it was asked for with", async () => {
  const keyFile = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(keyFile, `a"b&c`);
    const more = { debug: new DebugRule({ networks: [], keyFile }) };
    for (const path of ["/debug/", "/debug/clients", "/"]) {
      const text = await get(busySnapshot(), `${path}?debugkey=a%22b%26c`, more);
      assert.match(text, /href="\/debug\/\?debugkey=a%22b%26c"/, path);
    }
    assert.doesNotMatch(await get(busySnapshot(), "/debug/", more), /debugkey/);
  } finally {
    await Deno.remove(keyFile);
  }
});

Deno.test("the traffic stream tells of clients whose bytes grew, and ends", async () => {
  const snapshot = busySnapshot();
  let looks = 0;
  const stream = trafficStream(() => {
    looks += 1;
    if (looks === 3) snapshot.clients[0]!.sentBytes += 1;
    return Promise.resolve(structuredClone(snapshot));
  }, { everyMs: 5, endMs: 500 });
  const lines = (await stream().text()).trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(lines, [
    { Sent: 5000, Recv: 10, Key: `nodekey:${"01".repeat(32)}` },
    { Sent: 0, Recv: 9000, Key: `nodekey:${"02".repeat(32)}`, UniqueSenders: 4 },
    { Sent: 5001, Recv: 10, Key: `nodekey:${"01".repeat(32)}` },
  ]);
});

Deno.test("the traffic stream stops looking when its reader leaves, and bounds the readers", async () => {
  const stream = trafficStream(() => Promise.resolve(busySnapshot()), {
    everyMs: 1,
    endMs: 60_000,
  });
  const readers = Array.from({ length: 8 }, () => stream().body!.getReader());
  assert.equal((await readers[0]!.read()).done, false);
  const refused = stream();
  assert.equal(refused.status, 503);
  await refused.text();
  const pending = readers[0]!.read();
  await readers[0]!.cancel();
  assert.equal((await pending).done, true);
  const next = stream();
  assert.equal(next.status, 200);
  await next.body!.cancel();
  for (const reader of readers) await reader.cancel();
});

Deno.test("the traffic stream fails as the state does", async () => {
  const stream = trafficStream(() => Promise.reject(new Error("gone")));
  await assert.rejects(stream().text(), /gone/);
});
