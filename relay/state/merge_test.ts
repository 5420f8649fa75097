import assert from "node:assert/strict";
import { emptySnapshot, mergeSnapshots, type RelaySnapshot } from "./mod.ts";

function snapshot(pid: number, keysLocal: number, bytes: number): RelaySnapshot {
  return {
    ...emptySnapshot(),
    counters: { accepts: pid },
    dropped: [1, pid],
    droppedBytes: [0, 0],
    wireguard: [pid],
    gauges: {
      ...emptySnapshot().gauges,
      connections: keysLocal,
      keysLocal,
      keysRemote: 10 - keysLocal,
      keysTotal: 10,
    },
    loginSeconds: { bounds: [1], counts: [pid, 1], sum: 2 },
    framesPerWrite: { bounds: [1], counts: [0, 0], sum: 0 },
    meshUpdateBatchSize: { bounds: [1], counts: [0, 0], sum: 0 },
    meshUpdateLoopCount: { bounds: [1], counts: [0, 0], sum: 0 },
    clients: [{
      key: `${pid}`,
      remote: "",
      since: 0,
      receivedBytes: bytes,
      sentBytes: 0,
      queuedPackets: 0,
      droppedPackets: 0,
      uniqueSenders: 0,
      home: false,
      mesh: false,
      prober: false,
      websocket: false,
      duplicate: false,
    }],
    processes: [{ pid, since: 0, cpuSeconds: 0, rssBytes: 0 }],
  };
}

Deno.test("mergeSnapshots adds counters and lists the busiest client first when workers differ", () => {
  const sum = mergeSnapshots([snapshot(1, 4, 10), snapshot(2, 3, 20)]);
  assert.deepEqual(sum.counters, { accepts: 3 });
  assert.deepEqual(sum.dropped, [2, 3]);
  assert.deepEqual(sum.loginSeconds, { bounds: [1], counts: [3, 2], sum: 4 });
  assert.deepEqual(sum.clients.map((client) => client.key), ["2", "1"]);
  assert.deepEqual(sum.processes.map((process) => process.pid), [1, 2]);
  assert.deepEqual(
    [sum.gauges.keysLocal, sum.gauges.keysTotal, sum.gauges.keysRemote],
    [7, 10, 3],
    "a key that one worker has is remote to the other, and counts once",
  );
});

Deno.test("mergeSnapshots keeps a single worker's snapshot as it is", () => {
  const one = snapshot(1, 4, 10);
  assert.deepEqual(mergeSnapshots([one]), one);
  assert.deepEqual(mergeSnapshots([one, emptySnapshot()]), one);
  assert.deepEqual(mergeSnapshots([]), emptySnapshot());
});
