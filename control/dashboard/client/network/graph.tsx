import { computed, effect, signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { nameOf } from "../devices.tsx";
import { layout, type Size } from "./layout.ts";
import { EVERY, lookAt, readPaths, told, type Way, wayBetween } from "./paths.ts";
import { PathPanel } from "./path_panel.tsx";
import { pathNotices, relays, sortedDevices, vpcId } from "../state.ts";

/** More would be a ball of wool. */
const MAX_DEVICES = 60;
const MAX_NAME = 16;
/** Labels of round trips are written at the lines of so few hosts. */
const MAX_LABELS = 24;

/** On a phone the picture is narrow, so that names stay readable. */
const WIDE: Size = { width: 800, height: 520 }, NARROW: Size = { width: 380, height: 460 };
const narrow = matchMedia("(max-width: 40rem)");
const size = signal(narrow.matches ? NARROW : WIDE);
narrow.addEventListener("change", () => size.value = narrow.matches ? NARROW : WIDE);

/** The host whose ways are told. */
export const chosen = signal("");

interface Node {
  id: string;
  name: string;
  kind: "host" | "relay";
  up: boolean;
  note: string;
}

interface Line {
  key: string;
  ends: readonly [string, string];
  way: Way["path"];
  label?: string;
}

/** The hosts that are drawn, by name; those that are online go first where there are too many. */
const drawn = computed(() => {
  const all = sortedDevices.value;
  if (all.length <= MAX_DEVICES) return all;
  const some = [...all].sort((a, b) => Number(b.online) - Number(a.online)).slice(0, MAX_DEVICES);
  const ids = new Set(some.map(({ id }) => id));
  return all.filter(({ id }) => ids.has(id));
});

/** Each pair of hosts that are online. */
const pairs = computed(() => {
  const online = drawn.value.filter((host) => host.online);
  return online.flatMap((a, i) =>
    online.slice(0, i).map((b) => ({ a: a.id, b: b.id, way: wayBetween(a.id, b.id) }))
  );
});

const graph = computed(() => {
  const hosts = drawn.value;
  const byHost = new Map(relays.value.map((relay) => [relay.hostname, relay]));
  const named = new Map(hosts.filter(({ relay }) => relay).map((host) => [host.hostname, host.id]));
  const used = new Set(
    pairs.value.map(({ way }) => way.relay).filter((name) => name !== undefined),
  );
  const inside = [...used].filter((name) => !named.has(name));
  const nodes: Node[] = [
    ...hosts.map(({ id, online, relay, ...host }): Node => ({
      id,
      name: nameOf({ id, ...host }),
      kind: relay ? "relay" : "host",
      up: online,
      note: [
        relay ? "relay of this VPC" : "host",
        online ? "online" : "offline",
        ...(online && !told.value.has(id) ? ["tells nothing of its paths"] : []),
      ].join(", "),
    })),
    ...inside.sort().map((hostname): Node => ({
      id: `relay ${hostname}`,
      name: byHost.get(hostname)?.name || hostname,
      kind: "relay",
      up: byHost.get(hostname)?.health?.state !== "down",
      note: `relay ${hostname}`,
    })),
  ];
  const at = (relay: string) => named.get(relay) ?? `relay ${relay}`;
  const lines = new Map<string, Line>();
  for (const { a, b, way } of pairs.value) {
    const of = chosen.value === a || chosen.value === b;
    if (chosen.value !== "" && !of) continue;
    const { path, relay, latency } = chosen.value === b ? wayBetween(b, a) : way;
    // Nobody has said that there is such a line: it is hinted at where it is asked for.
    if (path === "unknown" && !of) continue;
    const label = of && latency !== undefined && hosts.length <= MAX_LABELS
      ? { label: `${latency < 10 ? Math.round(latency * 10) / 10 : Math.round(latency)} ms` }
      : {};
    if (path === "relayed" && relay !== undefined) {
      const other = chosen.value === a ? b : a;
      for (const end of [a, b]) {
        const key = `${end} ${relay}`;
        const has = end === other ? label : {};
        lines.set(key, { key, ends: [end, at(relay)], way: path, ...lines.get(key), ...has });
      }
    } else lines.set(`${a} ${b}`, { key: `${a} ${b}`, ends: [a, b], way: path, ...label });
  }
  const order = nodes.filter(({ id }) => !id.startsWith("relay ")).map(({ id }) => id);
  const places = layout(order, inside.sort().map((name) => `relay ${name}`), size.value);
  return {
    nodes,
    lines: [...lines.values()],
    places,
    left: sortedDevices.value.length - hosts.length,
  };
});

// Of another VPC nothing stays.
effect(() => {
  void vpcId.value;
  chosen.value = "";
  told.value = new Map();
});

/** Reads the ways as long as somebody looks at them. */
function usePaths(): void {
  const ids = drawn.value.filter(({ online }) => online).map(({ id }) => id).join();
  const vpc = vpcId.value;
  useEffect(() => {
    if (ids === "") return;
    lookAt(ids.split(","));
    return () => lookAt([]);
  }, [vpc, ids]);
  useEffect(() => {
    const stop = pathNotices.subscribe(readPaths);
    const timer = setInterval(readPaths, EVERY);
    // Nobody reads for a page that nobody sees.
    document.addEventListener("visibilitychange", readPaths);
    return () => {
      stop();
      clearInterval(timer);
      document.removeEventListener("visibilitychange", readPaths);
    };
  }, []);
}

function choose(id: string): void {
  chosen.value = chosen.value === id ? "" : id;
}

/** The VPC as a picture, and the ways of a host beside it. */
export function Network(): JSX.Element {
  usePaths();
  const { nodes, lines, places, left } = graph.value;
  const at = (id: string) => places.get(id) ?? { x: 0, y: 0 };
  if (nodes.length === 0) return <p>No host has joined this VPC yet.</p>;
  return (
    <div class="network">
      <figure class="panel graph">
        <svg
          viewBox={`0 0 ${size.value.width} ${size.value.height}`}
          role="group"
          aria-label="The hosts of the VPC and the paths between them; choose one for its paths"
        >
          {lines.map(({ key, ends: [a, b], way }) => (
            <line key={key} class={way} x1={at(a).x} y1={at(a).y} x2={at(b).x} y2={at(b).y} />
          ))}
          {lines.map(({ key, ends: [a, b], label }) => (
            label && (
              <text
                key={`label ${key}`}
                class="label"
                // Nearer to the far end, where fewer lines meet.
                x={at(a).x + (at(b).x - at(a).x) * (chosen.value === a ? 0.62 : 0.38)}
                y={at(a).y + (at(b).y - at(a).y) * (chosen.value === a ? 0.62 : 0.38) + 4}
              >
                {label}
              </text>
            )
          ))}
          {nodes.map((node) => <Drawn key={node.id} node={node} />)}
        </svg>
        <figcaption>
          <ul class="legend">
            <li data-sign="up">online</li>
            <li data-sign="silent">online, tells no paths</li>
            <li data-sign="down">offline</li>
            <li data-sign="relay">relay</li>
            <li data-sign="direct">direct</li>
            <li data-sign="relayed">by relay</li>
            <li data-sign="none">no connection</li>
            <li data-sign="unknown">unknown</li>
          </ul>
          {left > 0 && <p>{`${left} more devices are not drawn.`}</p>}
        </figcaption>
      </figure>
      <PathPanel chosen={chosen} hosts={drawn.value} pairs={pairs.value} />
    </div>
  );
}

function Drawn({ node: { id, name, kind, up, note } }: { node: Node }): JSX.Element {
  const place = graph.value.places.get(id);
  if (place === undefined) return <g />;
  const { x, y, dx, dy, anchor, turn } = place;
  const host = !id.startsWith("relay ");
  const acts = host
    ? {
      role: "button" as const,
      // In SVG attributes are as they are written.
      tabindex: 0,
      "aria-pressed": chosen.value === id,
      onClick: () => choose(id),
      onKeyDown: (event: KeyboardEvent) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        choose(id);
      },
    }
    : { role: "img" as const };
  return (
    <g
      class={`${kind}${chosen.value === id ? " chosen" : ""}`}
      data-up={up}
      data-silent={host && up && !told.value.has(id)}
      transform={`translate(${x} ${y})`}
      aria-label={`${name}: ${note}`}
      {...acts}
    >
      <title>{`${name}: ${note}`}</title>
      {kind === "relay"
        ? <rect x={-11} y={-11} width={22} height={22} rx={4} />
        : <circle r={10} />}
      <text
        text-anchor={anchor}
        transform={`translate(${dx} ${dy})${turn === 0 ? "" : ` rotate(${turn})`}`}
      >
        {name.length > MAX_NAME ? `${name.slice(0, MAX_NAME)}…` : name}
      </text>
    </g>
  );
}
