/**
 * What a real relay and its client library said to each other, said again to ours. The client's
 * bytes go out as they were recorded; the answers are compared by meaning where a box is random.
 */
import assert from "node:assert/strict";
import { loadRecording, type RecordedConnection } from "../tests/vectors/mod.ts";
import {
  BoxKey,
  encodePeerGone,
  FrameReader,
  FrameType,
  openServerInfo,
  PeerGoneReason,
} from "./derp/mod.ts";
import { TestRelay } from "./testing.ts";

const recording = loadRecording();
const key = (name: string) => Uint8Array.fromHex(recording.keys[name]!.private);
const server = recording.keys["server"]!;

const REPLAYED = [
  "login-normal",
  "login-fast-start",
  "login-prober",
  "refused",
  "relay",
  "peergone-not-here",
  "peergone-disconnected",
  "ping-pong",
  "note-preferred",
  "unknown-frames",
  "duplicates",
];

/** What ours sends beyond the recording: PeerGone again for a source that returned and left. */
const MORE: Record<string, Record<string, string[]>> = {
  "peergone-disconnected": {
    "B": [
      encodePeerGone(
        Uint8Array.fromHex(recording.keys["clientA"]!.public),
        PeerGoneReason.Disconnected,
      ).toHex(),
    ],
  },
};

/** Here the clients end in the same moment, and who still hears of whom is chance. */
const LEAVE_TOGETHER = ["relay", "duplicates"];

function withoutFarewell(said: string[]): string[] {
  const end = said.findLastIndex((one) => !/^08.*00$/.test(one)) + 1;
  return said.slice(0, end);
}

/** A relay's side of a stream, as a list of things said: the head, then frames. */
class Heard {
  readonly said: string[] = [];
  #head: Uint8Array | undefined = new Uint8Array(0);
  readonly #reader = new FrameReader(1 << 20);

  constructor(readonly boxes: BoxKey[]) {}

  push(bytes: Uint8Array): void {
    if (this.#head !== undefined) {
      const all = new Uint8Array([...this.#head, ...bytes]);
      if (all[0] === 0x48) {
        const text = new TextDecoder("latin1").decode(all);
        const end = text.indexOf("\r\n\r\n");
        this.#head = all;
        if (end < 0) return;
        this.said.push(text.slice(0, end));
        bytes = all.subarray(end + 4);
      } else bytes = all;
      this.#head = undefined;
    }
    this.#reader.push(bytes);
    for (let frame = this.#reader.next(); frame !== undefined; frame = this.#reader.next()) {
      this.said.push(this.#meaning(frame.type, frame.payload));
    }
  }

  #meaning(type: number, payload: Uint8Array): string {
    if (type !== FrameType.ServerInfo) return this.#whole(type, payload);
    for (const box of this.boxes) {
      try {
        return `ServerInfo ${JSON.stringify(openServerInfo(box, payload))}`;
      } catch {
        // Another client's.
      }
    }
    return "ServerInfo that nobody can open";
  }

  #whole(type: number, payload: Uint8Array): string {
    const length = payload.length.toString(16).padStart(8, "0");
    return type.toString(16).padStart(2, "0") + length + payload.toHex();
  }
}

const boxes = ["clientA", "clientB", "clientC"].map((name) =>
  new BoxKey(key(name), Uint8Array.fromHex(server.public))
);

/** One recorded connection being replayed. */
class Replay {
  readonly heard = new Heard(boxes);
  ended = false;
  conn: Deno.Conn | undefined;
  #changed: (() => void)[] = [];

  constructor(readonly recorded: RecordedConnection) {}

  /** What the recorded relay had said by an event of this connection, or by a time. */
  expected(until: { index?: number; ms?: number }): string[] {
    const heard = new Heard(boxes);
    this.recorded.events.forEach((event, i) => {
      const before = until.index === undefined ? event.ms < until.ms! : i < until.index;
      if (before && event.from === "server" && event.hex !== undefined) {
        heard.push(Uint8Array.fromHex(event.hex));
      }
    });
    return heard.said;
  }

  async open(relay: TestRelay): Promise<void> {
    this.conn = await relay.connect();
    void this.#listen(this.conn);
  }

  async #listen(conn: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(65536);
    for (;;) {
      const n = await conn.read(buffer).catch(() => null);
      if (n === null) break;
      this.heard.push(buffer.slice(0, n));
      this.#notify();
    }
    this.ended = true;
    this.#notify();
  }

  #notify(): void {
    for (const wake of this.#changed.splice(0)) wake();
  }

  /** Waits until as much has been said, or the relay has ended the stream. */
  async until(count: number): Promise<void> {
    while (this.heard.said.length < count && !this.ended) {
      await new Promise<void>((resolve) => this.#changed.push(resolve));
    }
  }

  async untilEnd(): Promise<void> {
    while (!this.ended) await new Promise<void>((resolve) => this.#changed.push(resolve));
  }
}

async function replay(name: string, relay: TestRelay): Promise<void> {
  const transcript = recording.transcripts.find((entry) => entry.name === name)!;
  const replays = transcript.connections.map((recorded) => new Replay(recorded));
  const steps = replays.flatMap((one) =>
    one.recorded.events.map((event, index) => ({ one, event, index }))
  ).filter(({ event }) => event.from === "client").sort((a, b) => a.event.ms - b.event.ms);
  for (const { one, event, index } of steps) {
    for (const other of replays) {
      const until = other === one ? { index } : { ms: event.ms };
      if (other.conn !== undefined) await other.until(other.expected(until).length);
    }
    if (event.hex !== undefined) {
      if (one.conn === undefined) await one.open(relay);
      await one.conn!.write(Uint8Array.fromHex(event.hex));
      continue;
    }
    const more = MORE[name]?.[one.recorded.who] ?? [];
    const expected = [...one.expected({ index }), ...more];
    await one.until(expected.length);
    const serverFirst = one.recorded.events.slice(0, index).some((e) =>
      e.from === "server" && e.end
    );
    if (serverFirst) await one.untilEnd();
    const race = LEAVE_TOGETHER.includes(name);
    const said = race ? withoutFarewell(one.heard.said) : one.heard.said;
    assert.deepEqual(said, race ? withoutFarewell(expected) : expected, one.recorded.who);
    assert.equal(one.ended, serverFirst, `${one.recorded.who}: who ended it`);
    const before = relay.relay.metrics()["currentConnections"]!;
    one.conn!.close();
    // The relay must have noticed before the next step, as it had in the recording.
    while (!serverFirst && relay.relay.metrics()["currentConnections"] === before) {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }
}

for (const name of REPLAYED) {
  Deno.test(`the relay answers as the recorded one when ${name} is replayed`, async () => {
    await using relay = await TestRelay.start({ privateKey: Uint8Array.fromHex(server.private) });
    await replay(name, relay);
  });
}
