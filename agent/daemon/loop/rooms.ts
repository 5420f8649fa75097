/**
 * The host's rooms around each pass. One that fails is told and does not keep the others, or the
 * peers, from their pass; only what has to be there before peers are reached may hold them back.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { reasonOf } from "../../errors.ts";
import type { HostFacts, HostRoom } from "../../host/mod.ts";

const log = getLogger(["nexd", "agent"]);

/** All rooms as one. */
export class HostRooms {
  readonly #rooms: readonly HostRoom[];
  /** What each room could not do, by name, as long as it lasts. */
  readonly #trouble = new Map<string, string>();

  constructor(rooms: readonly HostRoom[]) {
    this.#rooms = rooms;
  }

  /** Removes what a crashed agent left. */
  async repair(): Promise<void> {
    for (const room of this.#rooms) await this.#try(room, () => room.repair?.());
  }

  /** Before WireGuard gets the pass's peers. Throws what a room throws: WireGuard has no peers then. */
  async prepare(facts: HostFacts): Promise<void> {
    for (const room of this.#rooms) await room.prepare?.(facts);
  }

  /** After WireGuard has them. */
  async apply(facts: HostFacts): Promise<void> {
    for (const room of this.#rooms) await this.#try(room, () => room.apply?.(facts));
  }

  /** What the rooms did and could not do, a line each, for status. */
  notes(): string[] {
    return [
      ...[...this.#trouble].map(([name, reason]) => `${name}: ${reason}`),
      ...this.#rooms.flatMap((room) => room.notes().map((note) => `${room.name}: ${note}`)),
    ];
  }

  /** Leaves the host as it was found; the last room first. */
  async close(): Promise<void> {
    for (const room of this.#rooms.toReversed()) await this.#try(room, () => room.close());
  }

  /** After WireGuard is closed: removes what guarded it. */
  async release(): Promise<void> {
    for (const room of this.#rooms.toReversed()) await this.#try(room, () => room.release?.());
  }

  async #try(room: HostRoom, step: () => Promise<void> | undefined): Promise<void> {
    try {
      await step();
      this.#trouble.delete(room.name);
    } catch (error) {
      const reason = reasonOf(error);
      if (this.#trouble.get(room.name) !== reason) {
        log.warn("{room}: {reason}", { room: room.name, reason });
      }
      this.#trouble.set(room.name, reason);
    }
  }
}
