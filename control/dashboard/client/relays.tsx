import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import type { RelayRegion } from "../../api/types.ts";
import { when } from "./devices.tsx";
import { tell } from "./dialog.tsx";
import { sentence } from "./session.ts";
import { loadRelays, relays } from "./state.ts";

/** How often the health of relays is read anew, ms: it changes without an event. */
const EVERY = 20_000;

/** The public relays that agents are told of. */
export function Relays(): JSX.Element {
  useEffect(() => {
    loadRelays().catch((error) => tell(`Cannot read the relays: ${sentence(error)}`));
    const timer = setInterval(() => void loadRelays().catch(() => {}), EVERY);
    return () => clearInterval(timer);
  }, []);
  return (
    <>
      <p>
        Hosts that cannot reach each other directly meet at a relay. It sees only encrypted packets.
      </p>
      <ul class="cards">{relays.value.map((relay) => <Card key={relay.id} relay={relay} />)}</ul>
    </>
  );
}

function Card({ relay }: { relay: RelayRegion }): JSX.Element {
  const { id, name, hostname, port, stun_port, region_id, weight, drained, built_in, health } =
    relay;
  return (
    <li class="card" aria-labelledby={`relay-${id}`}>
      <h2 id={`relay-${id}`}>{name || hostname}</h2>
      <p class="state" data-online={health?.state === "up"}>
        {health === undefined
          ? "Not checked yet"
          : health.state === "up"
          ? `Up, answers in ${Math.round(health.latency_ms ?? 0)} ms`
          : `Down: ${health.error ?? "no answer"}`}
        {health !== undefined && <small>{` checked ${when(health.checked_at)}`}</small>}
      </p>
      {drained && <p>Drained: hosts leave it, and none comes.</p>}
      <dl>
        <div>
          <dt>Address</dt>
          <dd>{`${hostname}:${port}`}</dd>
        </div>
        <div>
          <dt>STUN</dt>
          <dd>{stun_port === 0 ? "none" : `UDP port ${stun_port}`}</dd>
        </div>
        <div>
          <dt>Region</dt>
          <dd>{`${region_id}, weight ${weight}`}</dd>
        </div>
      </dl>
      {built_in && <p>Known to every agent, and used while no other relay is added.</p>}
    </li>
  );
}
