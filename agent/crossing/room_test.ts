import assert from "node:assert/strict";
import type { HostFacts } from "../host/mod.ts";
import type { Crossing } from "../peering/mod.ts";
import { standIns } from "./mod.ts";

const CROSSING: Crossing = {
  self: [{ own: "100.64.0.1/32", alias: "244.64.0.1/32" }],
  peer: [{ own: "100.64.0.2/32", alias: "244.64.0.2/32" }],
  sending: false,
};
const facts = (...crossings: Crossing[]): HostFacts =>
  ({ plans: crossings.map((crossing) => ({ crossing })) }) as unknown as HostFacts;

/** A packet filter that notes what it is told, and may refuse it. */
function filter(os: typeof Deno.build.os = "linux") {
  const said: string[] = [];
  const state = { refuses: false };
  const room = standIns({
    interfaceName: "wg0",
    os,
    run: (_program, _args, options) => {
      said.push(options?.input ?? "");
      const stderr = state.refuses ? "Error: Could not process rule\nadd rule ..." : "";
      return Promise.resolve({ code: state.refuses ? 1 : 0, stdout: "", stderr });
    },
  });
  return { room, said, state };
}

Deno.test("stand-ins are told to the packet filter when they change, and leave nothing behind", async () => {
  const { room, said } = filter();
  await room.repair?.();
  assert.match(said[0]!, /^add table inet nexd-crossing-wg0\ndelete table/);
  await room.prepare?.(facts());
  assert.equal(said.length, 1);
  await room.prepare?.(facts(CROSSING));
  await room.prepare?.(facts(CROSSING));
  assert.equal(said.length, 2);
  await room.prepare?.(facts({ ...CROSSING, sending: true }));
  assert.match(said[2]!, /leaving oifname "wg0"/);
  await room.prepare?.(facts());
  assert.match(said[3]!, /delete table/);
  await room.prepare?.(facts(CROSSING));
  await room.close();
  await room.close();
  assert.equal(said.length, 6);
  assert.match(said[5]!, /delete table/);
  assert(room.able);
  assert.deepEqual(room.notes(), []);
});

Deno.test("a host without stand-ins says so once and goes on", async () => {
  const { room, state } = filter();
  state.refuses = true;
  await room.prepare?.(facts(CROSSING));
  assert.equal(room.able, false);
  assert.match(room.notes()[0]!, /short gap: nft: Error: Could not process rule$/);
  assert.equal(filter("darwin").room.able, false);
});

Deno.test("room of an interface that nft cannot name costs nobody its peers", async () => {
  const nothing = () => Promise.reject(new Error("there is nothing to run"));
  const room = standIns({ interfaceName: "wg+0", run: nothing, os: "linux" });
  await room.prepare?.(facts(CROSSING));
  assert.equal(room.able, false);
  assert.match(room.notes()[0]!, /Cannot name rules after the interface/);
});
