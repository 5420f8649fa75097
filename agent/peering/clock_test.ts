import assert from "node:assert/strict";
import { SteadyClock } from "./clock.ts";
import { HANDSHAKE_LIFE, plan } from "./mod.ts";
import { PEER, PEER_KEY, SELF } from "./testing.ts";

const HOUR = 3_600_000;

/** A clock whose two sources a test turns by hand. */
function clockAt(wall: number): { clock: SteadyClock; time: { wall: number; running: number } } {
  const time = { wall, running: 5_000 };
  const clock = new SteadyClock({ wall: () => time.wall, running: () => time.running });
  return { clock, time };
}

Deno.test("steady time goes on when the clock on the wall is set", () => {
  const { clock, time } = clockAt(1e12);
  assert.equal(clock.now(), 1e12);
  time.running += 100;
  time.wall -= HOUR;
  assert.equal(clock.now(), 1e12 + 100);
  assert.equal(clock.toWall(1e12), 1e12 - HOUR - 100);
});

Deno.test("a handshake is as old as the time since it was first seen", () => {
  const { clock, time } = clockAt(1e12);
  const seen = (lastHandshake?: number) =>
    clock.observe([{ publicKey: "k", ...(lastHandshake === undefined ? {} : { lastHandshake }) }])
      .get("k")!.lastHandshake;
  assert.equal(seen(), undefined);
  assert.equal(seen(1e12 - 30_000), 1e12 - 30_000);
  for (const jump of [HOUR, -3 * HOUR]) {
    time.wall += jump;
    time.running += 2_000;
    assert.equal(seen(1e12 - 30_000), 1e12 - 30_000);
  }
  // A new one, by a clock that was set between it and this look.
  time.running += 2_000;
  const before = clock.now() - 2_000;
  const next = seen(time.wall - HOUR)!;
  assert(next >= before && next <= clock.now());
  time.running += 2_000;
  assert.equal(seen(time.wall + HOUR), clock.now());
});

Deno.test("a healthy peer stays healthy, and a dead one is given up, when the clock jumps by hours", () => {
  for (const jump of [7 * HOUR, -7 * HOUR]) {
    const { clock, time } = clockAt(1e12);
    let history: Parameters<typeof plan>[0]["history"] = new Map();
    let handshake = time.wall, rxBytes = 100, txBytes = 100;
    const pass = (ms: number) => {
      time.running += ms;
      time.wall += ms;
      const result = plan({
        self: SELF,
        peers: [PEER],
        relay: "relay.lab",
        loopback: new Map([[PEER_KEY, "127.0.0.3:9002"]]),
        observed: clock.observe([{
          publicKey: PEER_KEY,
          lastHandshake: handshake,
          rxBytes,
          txBytes,
          endpoint: PEER.reflexive!,
        }]),
        history,
        now: clock.now(),
        wall: clock.wall(),
      });
      history = result.history;
      assert(result.wakeAt > clock.now());
      return result.plans[0]!;
    };
    pass(0);
    handshake = time.wall + 500;
    for (let i = 0; i < 5; i++) {
      rxBytes += 100;
      pass(2_000);
    }
    assert(pass(2_000).healthy);
    time.wall += jump;
    for (let i = 0; i < 10; i++) {
      rxBytes += 100;
      assert(pass(2_000).healthy, `jump ${jump}`);
    }
    let left = 0;
    for (; left < HANDSHAKE_LIFE; left += 2_000) {
      txBytes += 1_000;
      if (pass(2_000).method === "via-derp-relay") break;
    }
    assert(left < 20_000, `dead for ${left} ms after a jump of ${jump}`);
  }
});
