import assert from "node:assert/strict";
import { answeredEcho, echoRequest, MARK } from "./packet.ts";
import { openPinger } from "./mod.ts";
import { pingPeers } from "./peers.ts";
import { pingCommand, pingTime } from "./program.ts";
import { IcmpSocket } from "./socket.ts";

const mark = new Uint8Array(MARK).map((_, i) => i + 1);

/** The answer of a host to a request: another type, the same content. */
function answer(family: 4 | 6, request: Uint8Array): Uint8Array {
  const reply = request.slice();
  reply[0] = family === 4 ? 0 : 129;
  return reply;
}

Deno.test("an echo request has a checksum that adds up, and its answer tells its number", () => {
  for (const family of [4, 6] as const) {
    const request = echoRequest(family, { id: 0xbeef, sequence: 7, mark, number: 0xfffffffe });
    assert.equal(answeredEcho(family, request, mark, false), undefined); // a request is no answer
    assert.equal(answeredEcho(family, answer(family, request), mark, false), 0xfffffffe);
    const odd = answer(family, request);
    odd[8]! ^= 1;
    assert.equal(answeredEcho(family, odd, mark, false), undefined); // somebody else's mark
    if (family === 6) continue;
    let sum = 0;
    for (let i = 0; i < request.length; i += 2) sum += request[i]! << 8 | request[i + 1]!;
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    assert.equal(sum, 0xffff);
    const withHeader = new Uint8Array([0x46, ...new Uint8Array(23), ...answer(4, request)]);
    assert.equal(answeredEcho(4, withHeader, mark, true), 0xfffffffe);
  }
});

Deno.test("an answer cut anywhere is no answer, and never throws", () => {
  const whole = new Uint8Array([
    0x45,
    ...new Uint8Array(19),
    ...answer(4, echoRequest(4, { id: 1, sequence: 1, mark, number: 5 })),
  ]);
  for (let length = 0; length < 20 + 8 + MARK + 4; length++) {
    assert.equal(answeredEcho(4, whole.subarray(0, length), mark, true), undefined);
  }
  assert.equal(answeredEcho(4, whole, mark, true), 5);
});

Deno.test("a pinger reaches this host over both IP versions, and tells who does not answer", async () => {
  const pinger = openPinger();
  try {
    const one = await pinger.ping("127.0.0.1", { timeoutMs: 2000 });
    assert(one.ok && one.rttMs >= 0 && one.rttMs < 2000, JSON.stringify(one));
    const six = await pinger.ping("::1", { timeoutMs: 2000 });
    assert(six.ok || /unreachable|address/.test(six.error), JSON.stringify(six));
    assert.deepEqual(await pinger.ping("nobody", { timeoutMs: 10 }), {
      ok: false,
      error: "it has no such address",
    });
    const stop = AbortSignal.abort();
    const ended = await pinger.ping("127.0.0.1", { timeoutMs: 2000, signal: stop });
    assert.deepEqual(ended, { ok: false, error: "interrupted" });
  } finally {
    await pinger.close();
  }
});

Deno.test("a pinger uses the system's ping where no socket can be had", async () => {
  const pinger = openPinger({ programOnly: true });
  const all = await Promise.all(
    Array.from({ length: 3 }, () => pinger.ping("127.0.0.1", { timeoutMs: 2000 })),
  );
  assert(all.every((one) => one.ok || /not installed/.test(one.error)), JSON.stringify(all));
  await pinger.close();
});

Deno.test("the commands of other systems take nothing but an address", () => {
  assert.deepEqual(pingCommand("linux", 6, "200::1", 1500), [
    ...["ping", "-6", "-n", "-c", "1", "-W", "2", "200::1"],
  ]);
  assert.deepEqual(pingCommand("darwin", 4, "10.0.0.1", 3000).slice(0, 3), ["ping", "-n", "-c"]);
  assert.deepEqual(pingCommand("windows", 4, "10.0.0.1", 3000).slice(-3), [
    "-w",
    "3000",
    "10.0.0.1",
  ]);
  assert.throws(() => pingCommand("linux", 4, "-f", 1000), /is no address/);
  assert.equal(pingTime("64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=0.042 ms"), 0.042);
  assert.equal(pingTime("Request timed out."), undefined);
});

/** Lines of ping.exe in several languages, by the resources of Windows 10 and 11. */
const WINDOWS_ANSWERS: [string, number][] = [
  ["Reply from 10.0.0.1: bytes=32 time<1ms TTL=64", 1],
  ["Antwort von 10.0.0.1: Bytes=32 Zeit=14ms TTL=57", 14],
  ["Réponse de 10.0.0.1 : octets=32 temps=14 ms TTL=57", 14],
  ["Ответ от 10.0.0.1: число байт=32 время=14мс TTL=57", 14],
  ["来自 10.0.0.1 的回复: 字节=32 时间=14ms TTL=57", 14],
  ["10.0.0.1 からの応答: バイト数 =32 時間 =14ms TTL=57", 14],
  ["Reply from 200::1: time=3ms", 3],
  ["Antwort von 200::1: Zeit<1ms", 1],
];

Deno.test("the time of an echo is read from Windows' ping in every language", () => {
  for (const [line, time] of WINDOWS_ANSWERS) {
    const output = `\r\nPing 10.0.0.1 mit 32 Bytes:\r\n${line}\r\n\r\n    Minimum = 1ms\r\n`;
    assert.equal(pingTime(output, "windows"), time, line);
  }
  const lost = "\r\nAntwort von 10.0.0.9: Zielhost nicht erreichbar.\r\n" +
    "    Pakete: Gesendet = 1, Empfangen = 1, Verloren = 0\r\n";
  assert.equal(pingTime(lost, "windows"), undefined);
});

Deno.test("a socket on an interface that is not there cannot be had", () => {
  assert.equal(IcmpSocket.open(4, "no-such-if"), undefined);
});

Deno.test("peers are pinged in their order, twice where the first echo is lost", async () => {
  const asked: string[] = [];
  const pinger = {
    ping: (address: string) => {
      asked.push(address);
      const ok = address !== "10.0.0.2" || asked.filter((a) => a === address).length > 1;
      return Promise.resolve(
        ok ? { ok, rttMs: 1 } as const : { ok, error: "no answer in 1 s" } as const,
      );
    },
    close: () => Promise.resolve(),
  };
  const peers = ["10.0.0.1", "10.0.0.2", ""].map((tunnel_ipv4) => ({
    tunnel_ipv4,
    tunnel_ipv6: "",
  }));
  const answers = await pingPeers(pinger, peers, 4);
  assert.deepEqual(answers.map(({ outcome }) => outcome.ok), [true, true, false]);
  assert.deepEqual(asked.filter((a) => a === "10.0.0.2").length, 2);
  assert.deepEqual(answers[2]!.outcome, { ok: false, error: "it has no IPv4 address" });
});
