import assert from "node:assert/strict";
import { Lab, type NatKind } from "./mod.ts";
import { cannotLab } from "./support.ts";
import { UdpProbe } from "./udp_probe.ts";

/** A host's socket A, one of its peer B, and two servers S and T. */
async function stage(lab: Lab) {
  const [a, b, s, t] = await Promise.all([
    UdpProbe.start(lab.host("a"), lab.dir, 4001),
    UdpProbe.start(lab.host("b"), lab.dir, 4001),
    UdpProbe.start(lab.host("relay"), lab.dir, 4001),
    UdpProbe.start(lab.host("control"), lab.dir, 4001),
  ]);
  return { a, b, s, t };
}

/** Sends `text`, then shows whether it arrived before something sent later that must arrive. */
async function passes(from: UdpProbe, to: UdpProbe, at: string, text: string, fence: UdpProbe) {
  await from.send(at, text);
  await to.seenBy(fence); // a full round trip behind it on the same cable
  return await to.wait(text, 0) !== undefined;
}

Deno.test("a symmetric NAT gives every destination another port when one socket sends", async () => {
  if (await cannotLab()) return;
  await using lab = await Lab.create({ hosts: 2, nat: "symmetric" });
  const { a, b, s, t } = await stage(lab);
  const [atS, atT] = [await a.seenBy(s), await a.seenBy(t)];
  assert.equal(atS.split(":")[0], lab.host("a").publicAddress);
  assert.equal(atT.split(":")[0], lab.host("a").publicAddress);
  assert.notEqual(atS, atT);
  assert.equal(await a.seenBy(s), atS, "a mapping lasts");
  assert.equal(await passes(t, a, atS, "unasked", s), false);

  // Hole punching by what the server saw cannot work: both sides are elsewhere for each other.
  const bAtS = await b.seenBy(s);
  for (let round = 0; round < 3; round++) {
    await Promise.all([a.send(bAtS, "punch from a"), b.send(atS, "punch from b")]);
  }
  assert.equal(await passes(a, b, bAtS, "punch from a", s), false);
  assert.equal(await passes(b, a, atS, "punch from b", s), false);
});

Deno.test("a cone NAT keeps one port and lets hole punching through when both sides send", async () => {
  if (await cannotLab()) return;
  await using lab = await Lab.create({ hosts: 2, nat: "cone" });
  const { a, b, s, t } = await stage(lab);
  const atS = await a.seenBy(s);
  assert.equal(atS, `${lab.host("a").publicAddress}:4001`);
  assert.equal(await passes(t, a, atS, "unasked", s), false);
  assert.equal(await a.seenBy(t), atS, "an unasked packet does not take the port");

  const bAtS = await b.seenBy(s);
  assert.equal(await passes(b, a, atS, "too early", s), false);
  assert.equal(await passes(a, b, bAtS, "through the hole", s), true);
  assert.equal(await passes(b, a, atS, "and back", s), true);
});

Deno.test("open hosts reach each other unasked", async () => {
  if (await cannotLab()) return;
  await using lab = await Lab.create({ hosts: 2, nat: "open" });
  const { a, b, s } = await stage(lab);
  assert.equal(await a.seenBy(s), a.address);
  assert.equal(await passes(b, a, a.address, "unasked", s), true);
});

Deno.test("each router is of its own kind when a lab mixes them", async () => {
  if (await cannotLab()) return;
  const nat: NatKind[] = ["symmetric", "open"];
  await using lab = await Lab.create({ hosts: 2, nat });
  const { a, b, s } = await stage(lab);
  assert.notEqual(await a.seenBy(s), `${lab.host("a").publicAddress}:4001`);
  assert.equal(await b.seenBy(s), b.address);
  assert.equal(await passes(a, b, b.address, "to the open one", s), true);
});
