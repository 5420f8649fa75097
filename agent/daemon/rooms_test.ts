import { deepEqual, equal, rejects } from "node:assert/strict";
import type { HostFacts, HostRoom } from "../host/mod.ts";
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
