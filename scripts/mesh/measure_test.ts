import assert from "node:assert/strict";
import { parseIperf, parseMetrics, parsePing } from "./measure.ts";

const reply = (seq: number, time: number) =>
  `64 bytes from 100.64.0.2: icmp_seq=${seq} ttl=64 time=${time} ms\n`;

Deno.test("parsePing counts the first echoes by number when ping sent more to wait", () => {
  const late = reply(1, 1) + reply(2, 3) + reply(3, 2) + reply(4, 9) +
    "\n--- 100.64.0.2 ping statistics ---\n" +
    "4 packets transmitted, 4 received, 0% packet loss, time 12ms\n";
  assert.deepEqual(parsePing(late, 3), {
    sent: 3,
    received: 3,
    lossPercent: 0,
    rtt: { min: 1, avg: 2, max: 3, p50: 2, p99: 3 },
  });
});

Deno.test("parsePing sees a real loss although a later echo was answered instead", () => {
  const text = reply(1, 1) + reply(3, 1) + reply(3, 1) + reply(4, 1) + reply(5, 1) +
    "From 10.0.0.1 icmp_seq=2 Destination Host Unreachable\n" +
    "5 packets transmitted, 4 received, +1 errors, 20% packet loss, time 40ms\n";
  const { sent, received, lossPercent } = parsePing(text, 4);
  assert.deepEqual({ sent, received, lossPercent }, { sent: 4, received: 3, lossPercent: 25 });
});

Deno.test("parsePing has no times when nothing came back", () => {
  const text = "8 packets transmitted, 0 received, 100% packet loss, time 5047ms\n\n";
  assert.deepEqual(parsePing(text, 3), { sent: 3, received: 0, lossPercent: 100 });
  assert.throws(() => parsePing("ping: connect: Network is unreachable\n", 3), /unreachable/);
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
