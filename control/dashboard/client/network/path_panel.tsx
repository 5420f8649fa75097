import type { Signal } from "@preact/signals";
import type { JSX } from "preact";
import type { Device } from "../../../api/types.ts";
import { nameOf } from "../devices.tsx";
import { msText, NAMES, type Way, wayBetween } from "./paths.ts";
import { relays } from "../state.ts";

interface Props {
  chosen: Signal<string>;
  /** Those that are drawn. */
  hosts: readonly Device[];
  pairs: readonly { way: Way }[];
}

/** The ways of one host as a list, or all of them counted. */
export function PathPanel({ chosen, hosts, pairs }: Props): JSX.Element {
  const host = hosts.find(({ id }) => id === chosen.value);
  return (
    <section class="panel paths" aria-labelledby="paths-title">
      <h2 id="paths-title">{host === undefined ? "Paths" : `Paths of ${nameOf(host)}`}</h2>
      <label>
        Host
        <select value={chosen.value} onChange={(e) => chosen.value = e.currentTarget.value}>
          <option value="">All</option>
          {hosts.map((one) => <option key={one.id} value={one.id}>{nameOf(one)}</option>)}
        </select>
      </label>
      {host === undefined ? <Summary pairs={pairs} /> : <List host={host} hosts={hosts} />}
    </section>
  );
}

function Summary({ pairs }: Pick<Props, "pairs">): JSX.Element {
  const count = (path: Way["path"]) => pairs.filter(({ way }) => way.path === path).length;
  const times = pairs.map(({ way }) => way.latency).filter((ms) => ms !== undefined)
    .sort((a, b) => a - b);
  const middle = times[Math.floor((times.length - 1) / 2)];
  return (
    <>
      <dl class="figures">
        {(["direct", "relayed", "none", "unknown"] as const).map((path) => (
          <div key={path}>
            <dt data-way={path}>{NAMES[path]}</dt>
            <dd>{count(path)}</dd>
          </div>
        ))}
        {middle !== undefined && (
          <div>
            <dt>middle round trip</dt>
            <dd>{msText(middle)}</dd>
          </div>
        )}
      </dl>
      <p>
        Pairs of hosts that are online. Choose a host to see its paths, how long a packet takes
        there and back, and why it goes that way. Agents tell it; those of Nexodus do not.
      </p>
    </>
  );
}

function List({ host, hosts }: { host: Device; hosts: readonly Device[] }): JSX.Element {
  const others = hosts.filter(({ id, online }) => id !== host.id && online);
  if (!host.online) return <p>This host is offline.</p>;
  if (others.length === 0) return <p>No other host is online.</p>;
  return (
    <ul class="ways" tabIndex={0} aria-label={`Paths of ${nameOf(host)}, peer by peer`}>
      {others.map((other) => {
        const { path, relay, latency, reason, back } = wayBetween(host.id, other.id);
        const over = relays.value.find(({ hostname }) => hostname === relay)?.name || relay;
        return (
          <li key={other.id}>
            <strong>{nameOf(other)}</strong>
            <span class="time">{latency === undefined ? "" : msText(latency)}</span>
            <span data-way={path}>
              {NAMES[path]}
              {path === "relayed" && over ? ` by ${over}` : ""}
              {back === undefined ? "" : `; back: ${back}`}
            </span>
            <small>{reason}</small>
          </li>
        );
      })}
    </ul>
  );
}
