/**
 * Where the nodes of a graph are drawn: hosts on a ring, so that each pair has a line of its own that
 * crosses no host, and relays inside it.
 */

/** A place in the picture, in its own units, and how its name is written beside it. */
export interface Place {
  x: number;
  y: number;
  /** Offset of the name from the place, and where the text begins. */
  dx: number;
  dy: number;
  anchor: "start" | "middle" | "end";
  /** Degrees that the name is turned by, where many are written. */
  turn: number;
}

/** Size of a picture. */
export interface Size {
  width: number;
  height: number;
}

/** Room for names beside the ring, and above and below it. */
const ROOM_X = 130, ROOM_NARROW = 56, ROOM_Y = 44, ROOM_TURNED = 120;
/** More hosts have their names turned, so that none is written over another. */
const MAX_LEVEL = 20;

/** The same places for the same hosts and relays, in their order. */
export function layout(
  hosts: readonly string[],
  relays: readonly string[],
  { width, height }: Size,
): Map<string, Place> {
  const places = new Map<string, Place>();
  const turned = hosts.length > MAX_LEVEL;
  const narrow = width < 600;
  const rx = width / 2 - (narrow ? ROOM_NARROW : ROOM_X);
  const ry = height / 2 - (turned ? ROOM_TURNED : ROOM_Y);
  const alone = hosts.length === 1;
  hosts.forEach((id, i) => {
    const angle = -Math.PI / 2 + 2 * Math.PI * i / hosts.length;
    const [cos, sin] = alone ? [0, 0] : [Math.cos(angle), Math.sin(angle)];
    const at = { x: width / 2 + rx * cos, y: height / 2 + ry * sin };
    const degrees = angle * 180 / Math.PI, left = cos < 0;
    if (turned) {
      const turn = left ? degrees + 180 : degrees;
      places.set(id, { ...at, dx: 16 * cos, dy: 16 * sin, anchor: left ? "end" : "start", turn });
    } else if (narrow || Math.abs(cos) < 0.25) {
      places.set(id, { ...at, dx: 0, dy: sin < -0.5 ? -18 : 27, anchor: "middle", turn: 0 });
    } else {
      const anchor = left ? "end" : "start";
      places.set(id, { ...at, dx: left ? -17 : 17, dy: 5, anchor, turn: 0 });
    }
  });
  // Aslant, so that a line from the one hardly goes through the other.
  relays.forEach((id, i) => {
    const off = relays.length === 1 ? 0 : 2 * i / (relays.length - 1) - 1;
    const x = width / 2 + off * 0.3 * rx, y = height / 2 + off * 0.35 * ry;
    places.set(id, { x, y, dx: 0, dy: 28, anchor: "middle", turn: 0 });
  });
  return places;
}
