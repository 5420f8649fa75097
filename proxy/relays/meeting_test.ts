import assert from "node:assert/strict";
import { keyToBase64 } from "../../relay/derp/mod.ts";
import type { DerpClient } from "../client/mod.ts";
import { message } from "../handshakes/testing.ts";
import { ANSWER, ASK, helloKind } from "./hello.ts";
import { Meeting, type Place } from "./meeting.ts";
import type { Seat } from "./seat.ts";

/** A meeting at one relay, with time as the test lets it pass. */
class World {
  now = 1_000_000;
  asked: number[] = [];
  /** What was told of places. */
  readonly told: [string, number][] = [];
  searches = 0;
  readonly seat: Seat;
  readonly meeting: Meeting;
  readonly peers: { where: Place; txPackets: number }[] = [];

  constructor() {
    const client = {
      send: (_key: Uint8Array, data: Uint8Array, length: number) => {
        if (helloKind(data, 0, length) === "ask") this.asked.push(this.now);
      },
      flush: () => {},
    } as unknown as DerpClient;
    const facts = { slot: 0, rank: 0, tier: 0, connected: true, healthy: true, steady: true };
    this.seat = { ...facts, opening: false, client } as unknown as Seat;
    this.meeting = new Meeting({
      seats: () => [this.seat],
      home: () => this.seat,
      peers: () => this.peers,
      now: () => this.now,
      onPlace: ({ key, place }) => this.told.push([keyToBase64(key), place]),
    }, () => this.searches++);
  }

  add(number: number): Place {
    const where = this.meeting.add(new Uint8Array(32).fill(number));
    this.peers.push({ where, txPackets: 0 });
    return where;
  }

  pass(seconds: number): void {
    for (const end = this.now + seconds * 1000; this.now < end;) {
      this.now += 1_000;
      this.meeting.look();
    }
  }
}

Deno.test("meeting goes on asking now and then for a peer that WireGuard has given up", () => {
  const world = new World();
  const where = world.add(1);
  const start = world.now;
  for (let i = 0; i < 18; i++) {
    world.meeting.handshake(where, message(1, i + 1), 148);
    world.pass(5);
  }
  world.pass(10);
  const before = world.asked.length, { searches } = world;
  assert(before >= 6 && before <= 24, String(before));
  world.asked = [];
  world.pass(3600);
  const pauses = world.asked.map((at, i) => (at - (world.asked[i - 1] ?? start)) / 1000);
  assert(pauses.length >= 11 && pauses.length <= 12, String(pauses));
  assert(pauses.slice(1).every((pause) => pause >= 300 && pause <= 302), String(pauses));
  assert(world.searches - searches >= 5, "it is looked for at other relays too");
  assert.deepEqual(world.told, []);

  // It answers: nobody has to ask any more.
  where.heardAt[0] = world.now;
  world.meeting.hello(where, world.seat, "answer");
  assert.deepEqual(world.told, [[keyToBase64(where.key), 0]]);
  world.asked = [];
  world.pass(100);
  assert.deepEqual(world.asked, []);
});

Deno.test("meeting lets peers rest, and doubts and forgets one in time all the same", () => {
  const world = new World();
  const wheres = [world.add(1), world.add(2), world.add(3)];
  const hear = (where: Place) => {
    where.heardAt[0] = world.now;
    world.meeting.hello(where, world.seat, "answer");
  };
  for (let i = 0; i < 6; i++) {
    for (const where of wheres) hear(where);
    world.pass(20);
  }
  assert.equal(world.told.length, 3);
  world.asked = [];
  world.pass(30);
  assert.deepEqual(world.asked, []);

  // One has traffic, and does not answer any more.
  for (const where of wheres) hear(where);
  world.pass(1);
  const [busy] = world.peers as [typeof world.peers[0]], began = world.now;
  while (world.asked.length === 0 && world.now < began + 60_000) {
    busy.txPackets++;
    world.meeting.stir(busy);
    world.pass(1);
  }
  assert(world.now - began <= 4_000, `doubted after ${world.now - began} ms`);

  // The others fall silent: they are nowhere after 150 s, and 30 s for the look.
  world.told.length = 0;
  world.pass(185);
  assert.deepEqual(world.told.map(([, place]) => place), [-1, -1, -1]);
});

Deno.test("meeting lets peers that are given up share a search, and asks for none that it never missed", () => {
  const world = new World();
  const missed = Array.from({ length: 100 }, (_, i) => world.add(i));
  world.add(200);
  for (const [i, where] of missed.entries()) {
    world.meeting.handshake(where, message(1, i + 1), 148);
    world.pass(1);
  }
  world.pass(600);
  world.asked = [];
  world.searches = 0;
  let begun = 0;
  for (let second = 0, searching = false; second < 3600; second++) {
    world.pass(1);
    if (world.meeting.searching && !searching) begun++;
    searching = world.meeting.searching;
  }
  assert(begun >= 6 && begun <= 20, `${begun} searches in an hour`);
  assert.equal(Math.round(world.asked.length / 12 / 10), 10, "a hundred, every five minutes");
});

Deno.test("meeting tells once that a peer's place is known, and that it is not any more", () => {
  const world = new World();
  const where = world.add(1);
  for (let i = 0; i < 3; i++) {
    where.heardAt[0] = world.now;
    if (where.place !== 0) world.meeting.elsewhere(where, world.seat);
    world.pass(20);
  }
  assert.deepEqual(world.told.map(([, place]) => place), [0]);
  world.pass(200);
  assert.deepEqual(world.told.map(([, place]) => place), [0, -1]);
  assert.equal(ANSWER.length, ASK.length);
});
