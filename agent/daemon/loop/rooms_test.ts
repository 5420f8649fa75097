import { deepEqual, equal, rejects } from "node:assert/strict";
import { ensureSelfSigned } from "../../../relay/cert/mod.ts";
import { generatePrivateKey, keyToBase64, publicKeyOf } from "../../../relay/derp/mod.ts";
import type { HostFacts, HostRoom } from "../../host/mod.ts";
import { Bench } from "../../testing/bench.ts";
import { fakeDevice } from "../../testing/fake_control.ts";
import { until } from "../../testing/wait.ts";
import { HostRooms } from "./rooms.ts";

const FACTS = {} as HostFacts;

function room(name: string, log: string[], broken: Partial<Record<string, string>> = {}): HostRoom {
  const step = (what: string) => {
    log.push(`${name} ${what}`);
    const reason = broken[what];
    return reason === undefined ? Promise.resolve() : Promise.reject(new Error(reason));
  };
  return {
    name,
    repair: () => step("repair"),
    prepare: () => step("prepare"),
    apply: () => step("apply"),
    notes: () => [`${name} is there`],
    close: () => step("close"),
  };
}

Deno.test("host rooms are called in order and closed in reverse order when an agent lives and ends", async () => {
  const log: string[] = [];
  const rooms = new HostRooms([room("first", log), room("second", log)]);
  await rooms.repair();
  await rooms.prepare(FACTS);
  await rooms.apply(FACTS);
  await rooms.close();
  deepEqual(log, [
    ...["first repair", "second repair", "first prepare", "second prepare"],
    ...["first apply", "second apply", "second close", "first close"],
  ]);
});

Deno.test("host rooms tell a failed step and go on when it is not needed first", async () => {
  const log: string[] = [], broken: Record<string, string> = { apply: "no tool", close: "stuck" };
  const rooms = new HostRooms([room("bad", log, broken), room("good", log)]);
  await rooms.apply(FACTS);
  deepEqual(rooms.notes(), ["bad: no tool", "bad: bad is there", "good: good is there"]);
  delete broken.apply;
  await rooms.apply(FACTS);
  equal(rooms.notes().length, 2);
  await rooms.close();
  equal(log.at(-1), "bad close");
});

Deno.test("host rooms hold back the pass when what must be there first cannot be", async () => {
  const rooms = new HostRooms([room("bad", [], { prepare: "no firewall" })]);
  await rejects(rooms.prepare(FACTS), /no firewall/);
});

Deno.test("agent takes its peers away when what must be there first cannot be any more, and gives them back", async () => {
  await using bench = await Bench.open(ensureSelfSigned);
  const broken: Record<string, string> = {};
  bench.parts.rooms = [room("guard", [], broken)];
  bench.control.put(fakeDevice("peer", keyToBase64(publicKeyOf(generatePrivateKey())), 50));
  const { agent } = await bench.up();
  const { device } = bench.parts;
  await until(() => device.peers.length === 1, "peer");
  broken.prepare = "no firewall";
  agent.wake();
  await until(() => device.peers.length === 0, "none");
  equal(agent.status().error, "no firewall");
  equal(agent.status().peers.length, 1, "status goes on to tell of them");
  delete broken.prepare;
  agent.wake();
  await until(() => device.peers.length === 1, "peer again");
  await until(() => agent.status().error === undefined, "no error");
});

Deno.test("agent lets go of what guards the tunnel only when that is gone", async () => {
  for (const stuck of [false, true]) {
    await using bench = await Bench.open(ensureSelfSigned);
    const log: string[] = [];
    bench.parts.rooms = [{
      ...room("guard", log),
      release: () => Promise.resolve(void log.push("guard released")),
    }];
    const { ended, stop } = await bench.up();
    if (stuck) bench.parts.device.close = () => Promise.reject(new Error("it does not go"));
    stop();
    await ended;
    equal(log.at(-1), stuck ? "guard close" : "guard released");
  }
});
