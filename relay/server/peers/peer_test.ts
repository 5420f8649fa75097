import assert from "node:assert/strict";
import { type Carrier, type Member, Registry } from "./mod.ts";

const KEY = new Uint8Array(32).fill(5);
const present = new Uint8Array(56);
let ids = 0;
const member = (since: number): Member => ({ id: ++ids, key: KEY, since });
const relay = (): Carrier => ({ sibling: false });
const sibling = (): Carrier => ({ sibling: true });

Deno.test("Registry keeps forwarders in the order in which they came", () => {
  const registry = new Registry<Member>();
  const [one, two, three] = [relay(), relay(), relay()];
  const { peer, added } = registry.addRelay(KEY, one);
  assert(added && peer.carrier === one && peer.size === 0);
  assert(!registry.addRelay(KEY, one).added, "the same again is no news");
  registry.addRelay(KEY, two);
  registry.addRelay(KEY, three);
  assert.equal(peer.carrier, one, "the earliest stays preferred");
  assert(registry.removeLink(peer, one));
  assert(!registry.removeLink(peer, one), "removing the unknown is harmless");
  assert.equal(peer.carrier, two);
  registry.addRelay(KEY, one);
  assert.equal(peer.carrier, two, "who comes back comes last");
  for (const link of [two, three, one]) assert(registry.removeLink(peer, link));
  assert(peer.gone && registry.total === 0);
  assert.deepEqual(registry.check(), []);
});

Deno.test("Registry forwards nothing for a key that is connected, and all when it has left", () => {
  const registry = new Registry<Member>();
  const link = relay();
  registry.addRelay(KEY, link);
  const here = member(1);
  const peer = registry.add(here);
  assert.equal(peer.carrier, undefined);
  assert.deepEqual([registry.keys, registry.total], [1, 1]);
  assert(registry.remove(here, peer));
  assert.equal(peer.carrier, link, "the entry survives the local end");
  assert.deepEqual([registry.keys, registry.total, peer.gone], [0, 1, false]);
  registry.add(member(2));
  registry.removeLink(peer, link);
  assert.deepEqual([registry.keys, registry.total, registry.check()], [1, 1, []]);
});

Deno.test("Peer sends to the sibling that wrote later than the connection here", () => {
  const registry = new Registry<Member>();
  const [one, two] = [sibling(), sibling()];
  const here = member(100);
  const peer = registry.add(here);
  registry.addSibling(KEY, one, 50, present);
  assert.equal(peer.carrier, undefined, "it wrote earlier");
  assert(!peer.contended);
  registry.addSibling(KEY, two, 150, present);
  assert.equal(peer.carrier, two);
  assert(peer.contended);
  assert(peer.spoke(here), "siblings must hear of it");
  assert.equal(peer.carrier, undefined);
  assert(peer.stamp > 150);
  assert(!peer.contended, "not worth a look at each frame any more");
  registry.addSibling(KEY, one, peer.stamp + 1, present);
  assert.equal(peer.carrier, one);
  registry.removeLink(peer, one);
  assert.equal(peer.carrier, undefined);
  registry.remove(here, peer);
  assert.equal(peer.carrier, two);
  assert(peer.inRelay);
});

Deno.test("Peer takes a key back though the sibling's clock is ahead", () => {
  const registry = new Registry<Member>();
  const future = Date.now() + 1e9;
  registry.addSibling(KEY, sibling(), future, present);
  const here = member(Date.now());
  const peer = registry.add(here);
  assert.equal(peer.carrier, undefined, "the newcomer is active");
  assert.equal(peer.stamp, future + 1);
});

Deno.test("Peer prefers a sibling to another relay, and tells when its news is none", () => {
  const registry = new Registry<Member>();
  const [far, near] = [relay(), sibling()];
  registry.addRelay(KEY, far);
  const { peer, added } = registry.addSibling(KEY, near, 1, present);
  assert(added);
  assert.equal(peer.carrier, near);
  assert(!registry.addSibling(KEY, near, 2, present.slice()).added, "only its time is new");
  assert(registry.addSibling(KEY, near, 3, new Uint8Array(56).fill(1)).added);
  registry.removeLink(peer, near);
  assert.equal(peer.carrier, far);
  assert(!peer.inRelay && peer.known);
});

Deno.test("Peer takes a key from a sibling no more often than watchers should hear of", async () => {
  const registry = new Registry<Member>();
  const here = member(100);
  const peer = registry.add(here);
  const link = sibling();
  let [taken, rounds] = [0, 0];
  const start = performance.now();
  while (performance.now() - start < 250) {
    registry.addSibling(KEY, link, peer.stamp + 1, present);
    for (let i = 0; i < 100; i++, rounds++) if (peer.spoke(here)) taken += 1;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert(taken >= 2 && taken <= 1 + (performance.now() - start) / 100, `${taken} of ${rounds}`);
  assert.equal(peer.contended, peer.carrier !== undefined);
});
