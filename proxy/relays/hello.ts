/**
 * What two proxies say to each other through a relay: "I am here".
 *
 * It has the shape of a disco packet, because a relay tells only the sender of one of those that its
 * destination is not there. WireGuard takes it for no message of its own and throws it away, so that
 * the other side may be any agent.
 */
import { DISCO_MAGIC, isDisco, MIN_DISCO } from "../../relay/derp/mod.ts";

/** First byte of a hello. */
export const HELLO = DISCO_MAGIC[0]!;

/** In the place of a disco sender's key. */
const MARK = new TextEncoder().encode("nexd proxy hello");
const MARK_AT = DISCO_MAGIC.length, KIND_AT = MARK_AT + MARK.length;

function hello(kind: number): Uint8Array {
  const packet = new Uint8Array(MIN_DISCO);
  packet.set(DISCO_MAGIC);
  packet.set(MARK, MARK_AT);
  packet[KIND_AT] = kind;
  return packet;
}

/** "I am here; are you?" */
export const ASK: Uint8Array = hello(1);

/** "I am here too." */
export const ANSWER: Uint8Array = hello(2);

/** What a packet is: a hello of either kind, or undefined for anything else. */
export function helloKind(
  buf: Uint8Array,
  offset: number,
  length: number,
): "ask" | "answer" | undefined {
  if (length !== MIN_DISCO || !isDisco(buf, offset, length)) return undefined;
  for (let i = 0; i < MARK.length; i++) {
    if (buf[offset + MARK_AT + i] !== MARK[i]) return undefined;
  }
  const kind = buf[offset + KIND_AT];
  return kind === 1 ? "ask" : kind === 2 ? "answer" : undefined;
}
