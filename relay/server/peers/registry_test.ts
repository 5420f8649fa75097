import assert from "node:assert/strict";
import { MAX_RECEIVERS } from "../limits.ts";
import { type Member, Registry } from "./mod.ts";

let ids = 0;
function member(key: number): Member {
  return { id: ++ids, key: new Uint8Array(32).fill(key), since: Date.now() };
}

Deno.test("Registry finds a connection by its key until it is removed", () => {
  const registry = new Registry<Member>();
  const a = member(1);
  const peer = registry.add(a);
  assert.equal(registry.find(a.key, 0), peer);
  assert.equal(peer.active, a);
  assert.equal(registry.remove(a, peer), true);
  assert.equal(registry.find(a.key, 0), undefined);
  assert.equal(peer.gone, true);
  assert.equal(registry.remove(a, peer), false, "twice is harmless");
  assert.deepEqual(registry.check(), []);
});

Deno.test("Registry makes the newcomer active when a key connects twice", () => {
  const registry = new Registry<Member>();
  const [a, b] = [member(1), member(1)];
  const peer = registry.add(a);
  assert.equal(registry.add(b), peer);
  assert.equal(peer.active, b);
  assert.deepEqual(registry.duplicates, { keys: 1, connections: 2 });
  assert.equal(registry.remove(b, peer), false);
  assert.equal(peer.active, a);
  assert.equal(peer.duplicated, false);
  assert.deepEqual(registry.duplicates, { keys: 0, connections: 0 });
});

Deno.test("Registry makes the last speaker active, and falls back to the one before", () => {
  const registry = new Registry<Member>();
  const [a, b, c] = [member(1), member(1), member(1)];
  const peer = registry.add(a);
  registry.add(b);
  registry.add(c);
  assert.equal(peer.active, c);
  peer.spoke(a);
  assert.equal(peer.active, a);
  peer.spoke(b);
  peer.spoke(b);
  registry.remove(b, peer);
  assert.equal(peer.active, a);
  registry.remove(a, peer);
  assert.equal(peer.active, c);
  assert.equal(registry.remove(c, peer), true);
  assert.deepEqual(registry.check(), []);
});

Deno.test("Registry has no active connection when those left have never spoken", () => {
  const registry = new Registry<Member>();
  const [a, b, c] = [member(1), member(1), member(1)];
  const peer = registry.add(a);
  registry.add(b); // The second to connect counts as silent, the third as having spoken.
  registry.add(c);
  registry.remove(c, peer);
  assert.equal(peer.active, a, "the first counts as having spoken");
  const d = member(1);
  registry.add(d);
  registry.remove(a, peer);
  registry.remove(d, peer);
  assert.equal(peer.active, b, "alone is active");
});

Deno.test("Peer forgets the earliest receiver rather than grow without limit", () => {
  const registry = new Registry<Member>();
  const peer = registry.add(member(1));
  const everyone = () => true;
  let looked = 0;
  const counted = () => ++looked > 0;
  const all = 3 * MAX_RECEIVERS;
  for (let id = 0; id < all; id++) {
    assert(peer.sentTo(id, counted));
    assert(!peer.sentTo(id, counted), "no news");
  }
  const ids = [...peer.receivers()];
  assert(ids.length <= MAX_RECEIVERS && ids.length > MAX_RECEIVERS / 2);
  assert.deepEqual(ids, ids.map((_, i) => all - ids.length + i), "the latest stay, in order");
  assert(looked < 10 * all, "a full set is not looked through for each packet");
  for (let id = all; ids.length + id - all < MAX_RECEIVERS; id++) peer.sentTo(id, everyone);
  peer.sentTo(-1, (id) => id > all);
  assert([...peer.receivers()].every((id) => id > all || id === -1), "the dead go first");
});
