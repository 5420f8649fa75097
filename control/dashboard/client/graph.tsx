import { computed, signal } from "@preact/signals";
import type { JSX } from "preact";
import type { Device } from "../../api/types.ts";
import { nameOf } from "./devices.tsx";
import { layout, type Place, type Size } from "./layout.ts";
import { relays, sortedDevices } from "./state.ts";

/** More would be a ball of wool. */
const MAX_DEVICES = 60;
const MAX_NAME = 18;

/** A line between two nodes; `relayed`: what goes along it goes to a relay. */
interface Line {
  ends: readonly [string, string];
  relayed: boolean;
}

interface Node {
  id: string;
  name: string;
  kind: "host" | "relay";
  up: boolean;
  note: string;
}

/** On a phone the picture is narrow, so that names stay readable. */
const WIDE: Size = { width: 800, height: 420 }, NARROW: Size = { width: 380, height: 480 };
const narrow = matchMedia("(max-width: 40rem)");
const size = signal(narrow.matches ? NARROW : WIDE);
narrow.addEventListener("change", () => size.value = narrow.matches ? NARROW : WIDE);

let places: ReadonlyMap<string, Place> = new Map();

/** The network as far as the control plane knows it: it sees no traffic. */
const graph = computed(() => {
  const all = sortedDevices.value;
  // Those that are online first, as only they have lines.
  const hosts = [...all].sort((a, b) => Number(b.online) - Number(a.online)).slice(0, MAX_DEVICES);
  const own = hosts.filter((host) => host.relay);
  const nodes: Node[] = hosts.map(hostNode);
  const relayIds = own.map(({ id }) => id);
  if (relayIds.length === 0) {
    for (const { id, name, hostname, drained, health } of relays.value.slice(0, 16)) {
      if (drained) continue;
      relayIds.push(id);
      const up = health?.state !== "down";
      nodes.push({
        id,
        name: name || hostname,
        kind: "relay",
        up,
        note: up ? "relay" : "relay, down",
      });
    }
  }
  const online = hosts.filter((host) => host.online && !host.relay);
  const lines: Line[] = [];
  online.forEach((a, i) => {
    for (const b of online.slice(0, i)) {
      if (!a.symmetric_nat && !b.symmetric_nat) lines.push({ ends: [a.id, b.id], relayed: false });
    }
    // The first relay stands for all: which one a host takes is its own choice.
    const relay = relayIds[0];
    if (relay !== undefined) lines.push({ ends: [a.id, relay], relayed: true });
  });
  places = layout(nodes.map(({ id }) => id), lines.map(({ ends }) => ends), places, size.value);
  return { nodes, lines, places, left: all.length - hosts.length };
});

function hostNode(device: Device): Node {
  const { id, online, relay, symmetric_nat } = device;
  return {
    id,
    name: nameOf(device),
    kind: relay ? "relay" : "host",
    up: online,
    note: [
      relay ? "relay of this VPC" : "host",
      online ? "online" : "offline",
      ...(symmetric_nat ? ["reached by relay"] : []),
    ].join(", "),
  };
}

/** The VPC as a picture. */
export function Network(): JSX.Element {
  const { nodes, lines, places, left } = graph.value;
  const at = (id: string) => places.get(id)!;
  const online = nodes.filter(({ kind, up }) => kind === "host" && up).length;
  return (
    <figure class="panel graph">
      <svg
        viewBox={`0 0 ${size.value.width} ${size.value.height}`}
        role="img"
        aria-label={`${nodes.length} nodes, ${online} hosts online; the page Devices has them as a list`}
      >
        {lines.map(({ ends: [a, b], relayed }) => (
          <line
            key={`${a} ${b}`}
            class={relayed ? "relayed" : "direct"}
            x1={at(a).x}
            y1={at(a).y}
            x2={at(b).x}
            y2={at(b).y}
          />
        ))}
        {nodes.map(({ id, name, kind, up, note }) => (
          <g key={id} class={kind} data-up={up} transform={`translate(${at(id).x} ${at(id).y})`}>
            <title>{`${name}: ${note}`}</title>
            {kind === "relay"
              ? <rect x={-10} y={-10} width={20} height={20} rx={3} />
              : <circle r={10} />}
            <text y={26}>{name.length > MAX_NAME ? `${name.slice(0, MAX_NAME)}…` : name}</text>
          </g>
        ))}
      </svg>
      <figcaption>
        <ul class="legend">
          <li data-sign="up">online</li>
          <li data-sign="down">offline</li>
          <li data-sign="relay">relay</li>
          <li data-sign="direct">can reach each other directly</li>
          <li data-sign="relayed">can be reached by relay</li>
        </ul>
        {left > 0 && <p>{`${left} more devices are not drawn.`}</p>}
        <p>
          These are the ways that hosts can take by what they say of their NAT. Which one is in use
          is known to the hosts alone: <code class="word">nexctl nexd peers list</code>{" "}
          shows it there.
        </p>
      </figcaption>
    </figure>
  );
}
