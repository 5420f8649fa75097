/** Where the nodes of a graph are drawn: springs along its lines, and nodes that push each other off. */

/** A place in the picture, in its own units. */
export interface Place {
  x: number;
  y: number;
}

/** Size of a picture. */
export interface Size {
  width: number;
  height: number;
}

/** How near to the edge a node may be: its name has to have room too. */
const MARGIN_X = 70, MARGIN_Y = 40;
const ROUNDS = 250;
/** Longest line that one would like, however few nodes there are. */
const MAX_LENGTH = 120;

/**
 * Places for nodes, the same for the same graph. Nodes that had a place start from it, so that a
 * graph that changes a little moves a little. Takes time with the square of the number of nodes.
 */
export function layout(
  ids: readonly string[],
  lines: readonly (readonly [string, string])[],
  before: ReadonlyMap<string, Place>,
  { width, height }: Size,
): Map<string, Place> {
  const nodes = ids.map((id, i) => {
    const angle = i * 2.4, radius = 30 + 12 * Math.sqrt(i);
    const { x, y } = before.get(id) ??
      { x: width / 2 + radius * Math.cos(angle), y: height / 2 + radius * Math.sin(angle) };
    return { x, y, dx: 0, dy: 0 };
  });
  const index = new Map(ids.map((id, i) => [id, i]));
  const springs = lines.flatMap(([a, b]) => {
    const [from, to] = [nodes[index.get(a) ?? -1], nodes[index.get(b) ?? -1]];
    return from && to ? [[from, to] as const] : [];
  });
  const length = Math.min(MAX_LENGTH, Math.sqrt(width * height / Math.max(nodes.length, 1)) * 0.5);
  for (let round = 0; round < ROUNDS; round++) {
    const step = 12 * (1 - round / ROUNDS) + 0.1;
    for (const node of nodes) {
      // A little towards the middle, so that what has no line stays in the picture.
      node.dx = (width / 2 - node.x) * 0.15;
      node.dy = (height / 2 - node.y) * 0.25;
    }
    for (let i = 0; i < nodes.length; i++) {
      for (let j = 0; j < i; j++) pull(nodes[i]!, nodes[j]!, (d) => -length * length / d);
    }
    for (const [a, b] of springs) pull(a, b, (d) => d * d / length / 2);
    for (const node of nodes) {
      const far = Math.hypot(node.dx, node.dy) || 1;
      node.x += node.dx / far * Math.min(far, step);
      node.y += node.dy / far * Math.min(far, step);
      node.x = Math.min(Math.max(node.x, MARGIN_X), width - MARGIN_X);
      node.y = Math.min(Math.max(node.y, MARGIN_Y), height - MARGIN_Y);
    }
  }
  return new Map(ids.map((id, i) => [id, { x: nodes[i]!.x, y: nodes[i]!.y }]));
}

type Node = Place & { dx: number; dy: number };

/** Pulls two nodes together with a force that depends on their distance; apart if it is negative. */
function pull(a: Node, b: Node, force: (distance: number) => number): void {
  const x = b.x - a.x || 0.01, y = b.y - a.y || 0.01;
  const distance = Math.max(Math.hypot(x, y), 1);
  const strength = force(distance) / distance;
  a.dx += x * strength;
  a.dy += y * strength;
  b.dx -= x * strength;
  b.dy -= y * strength;
}
