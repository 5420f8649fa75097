import assert from "node:assert/strict";
import { parseIperf, parseMetrics, parsePing } from "./measure.ts";

Deno.test("parsePing reads counts and times when packets came back", () => {
  const text = `PING 100.64.0.2 (100.64.0.2) 56(84) bytes of data.

--- 100.64.0.2 ping statistics ---
40 packets transmitted, 39 received, +1 errors, 2.5% packet loss, time 412ms
rtt min/avg/max/mdev = 0.804/1.106/3.560/0.241 ms, pipe 2
`;
  assert.deepEqual(parsePing(text), {
    sent: 40,
    received: 39,
    lossPercent: 2.5,
    rtt: { min: 0.804, avg: 1.106, max: 3.56 },
  });
});

Deno.test("parsePing has no times when nothing came back", () => {
  const text = "3 packets transmitted, 0 received, 100% packet loss, time 2047ms\n\n";
  assert.deepEqual(parsePing(text), { sent: 3, received: 0, lossPercent: 100 });
  assert.throws(() => parsePing("ping: connect: Network is unreachable\n"), /unreachable/);
});

Deno.test("parseIperf reads what was received, or repeats iperf3's complaint", () => {
  const end = {
    sum_sent: { bits_per_second: 3e8, retransmits: 4 },
    sum_received: { bits_per_second: 2.5e8, seconds: 3.01 },
  };
  assert.deepEqual(parseIperf(JSON.stringify({ end })), {
    mbitPerS: 250,
    seconds: 3.01,
    retransmits: 4,
  });
  const failed = JSON.stringify({ end: {}, error: "unable to connect to server" });
  assert.throws(() => parseIperf(failed), /unable to connect to server/);
  assert.throws(() => parseIperf("iperf3: not found"), /not found/);
});

Deno.test("parseMetrics reads values with and without labels", () => {
  const metrics = parseMetrics('# HELP a b\na 12\nb{type="x y"} 3.5\n\n');
  assert.deepEqual([...metrics], [["a", 12], ['b{type="x y"}', 3.5]]);
});
