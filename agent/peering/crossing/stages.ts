/**
 * From behind the VPC's WireGuard relay to a way of the peer's own, and back, without losing a packet.
 *
 * WireGuard takes a packet from a peer only when its source address is one of that peer's prefixes,
 * and a prefix is one peer's: while the other host's addresses are the relay's, what comes from the
 * host itself is dropped, and the other way round. So the two hosts would have to change in the same
 * moment, with nothing under way. Instead they go through stages in which they take packets both ways:
 * on the own way a packet has stand-in addresses ({@linkcode Alias}), which the packet filter puts in
 * behind the routing and takes out before anything else sees them.
 *
 * | stage | sends                    | takes                    |
 * | ----- | ------------------------ | ------------------------ |
 * | 0     | by the relay             | relay                    |
 * | 1     | by the relay             | relay, stand-ins         |
 * | 2     | stand-ins, its own way   | relay, stand-ins         |
 * | 3     | stand-ins, its own way   | stand-ins, own addresses |
 * | 4     | own addresses, own way   | stand-ins, own addresses |
 * | 5     | own addresses, own way   | own addresses            |
 *
 * Two hosts whose stages are at most one apart understand each other. Each tells its stage with every
 * answer to a probe and takes a step only when the other is as far, and, where a step ends that
 * something is taken, has been for as long as a packet may be under way ({@linkcode DRAIN}).
 *
 * @module
 */
import { contains, parsePrefix, type Prefix } from "../published/mod.ts";

/** How far from behind the relay (0) to a way of the peer's own (5). */
export type Stage = 0 | 1 | 2 | 3 | 4 | 5;

/** What a host says of itself to a peer, while the VPC has a WireGuard relay. */
export interface Told {
  stage: Stage;
  /** It can go through the stages between the first and the last one. */
  crosses: boolean;
  /** `markOf` the relay that it reaches; 0: none. */
  carrier: number;
}

/** What a peer has said of itself, times in ms. */
export interface Heard extends Told {
  /** When it was first and last said. */
  since: number;
  at: number;
}

/** An address inside the tunnel, and what stands in for it on the way between two peers. */
export interface Alias {
  /** Host prefixes. */
  own: string;
  alias: string;
}

/** For so long a packet may be under way, through queues and the relay, ms. */
export const DRAIN = 1_000;
/** What a peer said so long ago may have changed, and after so long it is not waited for, ms. */
export const FRESH = 2_000, LOST = 10_000;

/** As 15 bits, which are not all zero. */
export function encodeTold({ stage, crosses, carrier }: Told): number {
  return (stage + 1) | (crosses ? 8 : 0) | carrier << 4;
}

/** What was said; undefined for nothing, and for what has no meaning. */
export function decodeTold(word: number): Told | undefined {
  const stage = (word & 7) - 1;
  if (stage < 0 || stage > 5 || word >= 1 << 12) return undefined;
  return { stage: stage as Stage, crosses: (word & 8) !== 0, carrier: word >> 4 };
}

/** True when two hosts take what the other one sends. */
export function understand(one: Stage, other: Stage): boolean {
  return takes(one, other) && takes(other, one);
}

function takes(receiver: Stage, sender: Stage): boolean {
  if (sender <= 1) return receiver <= 2;
  if (sender <= 3) return receiver >= 1 && receiver <= 4;
  return receiver >= 3;
}

/**
 * The next stage of this host on its way to a goal; the same one while it has to wait.
 *
 * @param heard what the peer says; undefined: it knows nothing of stages, and nobody can wait for it
 * @param crosses this host can go through the stages between
 * @param enteredAt when this host came to its stage, ms
 */
export function nextStage(
  { at, goal, heard, crosses, enteredAt, now }: {
    at: Stage;
    goal: 0 | 5;
    heard: Heard | undefined;
    crosses: boolean;
    enteredAt: number;
    now: number;
  },
): Stage {
  if (at === goal) return at;
  if (heard === undefined) return goal;
  const up = goal === 5;
  const step = (up ? at + 1 : at - 1) as Stage;
  const first = up ? at === 0 : at === 5;
  if (first) return step;
  if (now - heard.at > FRESH) return now - Math.max(heard.at, enteredAt) > LOST ? goal : at;
  // It is there already and understands nothing else.
  if (heard.stage === goal && !understand(at, goal)) return goal;
  if (up ? heard.stage < at : heard.stage > at) return at;
  if (!crosses || !heard.crosses) return goal;
  // These steps end that something is taken: what was sent so must have arrived.
  const ends = up ? at === 2 || at === 4 : at === 3 || at === 1;
  return ends && now - heard.since < DRAIN ? at : step;
}

/**
 * Stand-ins for addresses of a VPC; undefined when one of them can have none.
 *
 * IPv4: the same last 28 bits in 240.0.0.0/4, which nobody has (RFC 1112). IPv6: the same last 64 bits
 * in 100::/64, which leads nowhere (RFC 6666). So the addresses of one VPC never share one.
 *
 * @param addresses host prefixes
 * @param ranges the VPC's
 */
export function aliasesOf(
  addresses: readonly string[],
  ranges: readonly Prefix[],
): Alias[] | undefined {
  const aliases: Alias[] = [];
  for (const own of addresses) {
    const prefix = parsePrefix(own);
    const range = ranges.find((one) => prefix !== undefined && contains(one, prefix));
    if (prefix === undefined || range === undefined) return undefined;
    const bytes = prefix.address.toByteArray();
    const v4 = bytes.length === 4;
    if (prefix.bits !== bytes.length * 8 || range.bits < (v4 ? 4 : 64)) return undefined;
    if (v4) bytes[0] = 0xf0 | bytes[0]! & 0x0f;
    else bytes.splice(0, 8, 1, 0, 0, 0, 0, 0, 0, 0);
    const text = v4 ? bytes.join(".") : sixOf(bytes);
    aliases.push({ own: prefix.text, alias: parsePrefix(`${text}/${prefix.bits}`)!.text });
  }
  return aliases;
}

function sixOf(bytes: number[]): string {
  return Array.from({ length: 8 }, (_, i) => (bytes[2 * i]! << 8 | bytes[2 * i + 1]!).toString(16))
    .join(":");
}
