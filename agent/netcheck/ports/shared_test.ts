import assert from "node:assert/strict";
import { SharedPort } from "./shared.ts";
import type { StunPort, Take } from "./types.ts";

/** A port that gives what a test says, and counts. */
class FakePort implements StunPort {
  readonly families = [4] as const;
  readonly refused = {};
  give: Take | undefined;
  fail: ((reason: string) => void) | undefined;
  closed = 0;
  listened = 0;

  constructor(readonly port: number) {}

  send(): void {}

  listen(take: Take, failed: (reason: string) => void): void {
    assert.equal(this.give, undefined, "it listens already");
    this.give = take;
    this.fail = failed;
    this.listened++;
  }

  async quiet(): Promise<void> {
    await Promise.resolve();
    this.give = undefined;
  }

  async close(): Promise<void> {
    await this.quiet();
    this.closed++;
  }
}

const PROBE = new Uint8Array([0xd3, 0x6e, 0x78, 0x70, 1]), STUN = new Uint8Array([1, 1, 0, 0]);

Deno.test("a shared port gives each of its users what is for it, and closes behind the last one", async () => {
  const opened: FakePort[] = [];
  const shared = new SharedPort((port) => {
    opened.push(new FakePort(port));
    return opened.at(-1)!;
  });
  const stun = shared.lease(1, "stun"), probe = shared.lease(1, "probe");
  assert.equal(opened.length, 1);
  const got: string[] = [];
  probe.listen((bytes) => got.push(`probe ${bytes.length}`), () => {});
  opened[0]!.give!(STUN, "192.0.2.1", 1); // nobody's
  stun.listen((bytes) => got.push(`stun ${bytes.length}`), () => {});
  for (const bytes of [STUN, PROBE, new Uint8Array(2)]) opened[0]!.give!(bytes, "192.0.2.1", 1);
  assert.deepEqual(got, ["stun 4", "probe 5", "stun 2"]);
  await stun.quiet();
  opened[0]!.give!(STUN, "192.0.2.1", 1);
  assert.equal(got.length, 3);
  await stun.close();
  await stun.close();
  assert.equal(opened[0]!.closed, 0);
  await probe.close();
  assert.equal(opened[0]!.closed, 1);
  const other = shared.lease(2, "stun");
  assert.equal(opened.length, 2);
  await other.close();
});

Deno.test("a shared port listens again for who comes while it is becoming quiet, and tells all of a failure", async () => {
  const port = new FakePort(1);
  const shared = new SharedPort(() => port);
  const stun = shared.lease(1, "stun"), probe = shared.lease(1, "probe");
  stun.listen(() => {}, () => {});
  const quiet = stun.quiet();
  const reasons: string[] = [];
  probe.listen(() => {}, (reason) => reasons.push(reason));
  await quiet;
  assert.equal(port.listened, 2);
  port.fail!("gone");
  assert.deepEqual(reasons, ["gone"]);
  await Promise.resolve();
  await stun.close();
  await probe.close();
  assert.equal(port.closed, 1);
});
