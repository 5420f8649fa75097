import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import type { RelayRegion, RelayTrend, RelayView } from "../../../api/types.ts";
import { ask, tell } from "../dialog.tsx";
import { msText } from "../network/paths.ts";
import { changeRelay, drainRelay, makeRelay } from "./relay_forms.tsx";
import { call, sentence } from "../session.ts";
import { loadRelays, relays, vpcId } from "../state.ts";
import { Trends } from "./trend.tsx";

/** How often health and load of relays are read anew, ms: they change without an event. */
const EVERY = 15_000;

/** The relays as the hosts of the VPC see them. */
const views = signal<readonly RelayView[]>([]);

/** Their last hour, by id. */
const trends = signal<ReadonlyMap<string, RelayTrend["points"]>>(new Map());
/** Trends are read of so many. */
const MAX_TRENDS = 16;

async function refresh(vpc: string): Promise<void> {
  const [seen] = await Promise.all([
    call<RelayView[]>("GET", `/api/vpcs/${vpc}/relays`),
    loadRelays(),
  ]);
  if (vpc === vpcId.value) views.value = seen;
  const known = await Promise.all(
    relays.value.slice(0, MAX_TRENDS).map(async ({ id }) => {
      const { points } = await call<RelayTrend>("GET", `/api/relay-regions/${id}/trend`);
      return [id, points] as const;
    }),
  );
  trends.value = new Map(known);
}

/** The public relays that agents are told of. */
export function Relays(): JSX.Element {
  const vpc = vpcId.value;
  useEffect(() => {
    views.value = [];
    if (vpc === "") return;
    refresh(vpc).catch((error) => tell(`Cannot read the relays: ${sentence(error)}`));
    const timer = setInterval(() => {
      if (!document.hidden) refresh(vpc).catch(() => {});
    }, EVERY);
    return () => clearInterval(timer);
  }, [vpc]);
  const others = views.value.filter((view) => !relays.value.some((relay) => isOf(view, relay)));
  return (
    <>
      <p>
        Hosts that cannot reach each other directly meet at a relay. It sees only encrypted packets.
      </p>
      {relays.value.some(({ editable }) => editable) && (
        <p>
          <button type="button" class="first" onClick={makeRelay}>Add a relay</button>
        </p>
      )}
      <ul class="cards">{relays.value.map((relay) => <Card key={relay.id} relay={relay} />)}</ul>
      {others.length > 0 && (
        <>
          <h2 class="part">Other relays that hosts of this VPC use</h2>
          <ul class="cards">
            {others.map((view) => (
              <li class="card" key={`${view.hostname}:${view.port}`}>
                <h2>{`${view.hostname}:${view.port}`}</h2>
                <dl>
                  <Seen view={view} />
                </dl>
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}

function isOf(view: RelayView, { hostname, port }: RelayRegion): boolean {
  return view.hostname === hostname && view.port === port;
}

function Card({ relay }: { relay: RelayRegion }): JSX.Element {
  const { id, hostname, port, stun_port, region_id, weight, drained, built_in, health } = relay;
  const name = relay.name || hostname;
  const view = views.value.find((one) => isOf(one, relay));
  return (
    <li class="card" aria-labelledby={`relay-${id}`}>
      <h2 id={`relay-${id}`}>{name}</h2>
      <p class="state" data-online={health?.state === "up"}>
        {health === undefined
          ? "Not checked yet"
          : health.state === "up"
          ? `Up, answers in ${msText(health.latency_ms ?? 0)}`
          : `Down: ${health.error ?? "no answer"}`}
        {health !== undefined && <small>{`, checked at ${clock(health.checked_at)}`}</small>}
      </p>
      {drained && <p class="warning">Drained: hosts leave it, and none comes.</p>}
      <dl>
        <Seen view={view} />
        <Trends points={trends.value.get(id) ?? []} load={relay.load} />
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
      {relay.editable && !built_in && (
        <div class="actions">
          <button type="button" aria-label={`Edit ${name}`} onClick={() => changeRelay(relay)}>
            Edit
          </button>
          <button
            type="button"
            aria-label={`${drained ? "Use" : "Drain"} ${name}`}
            onClick={() => drainRelay(relay)}
          >
            {drained ? "Use again" : "Drain"}
          </button>
          <button
            type="button"
            class="danger"
            aria-label={`Delete ${name}`}
            onClick={() => remove(relay)}
          >
            Delete
          </button>
        </div>
      )}
    </li>
  );
}

/** The time of a look, which is of this hour. */
function clock(time: string): string {
  return new Date(time).toLocaleTimeString(undefined, { timeStyle: "short" });
}

/** A relay as the hosts see it. */
function Seen({ view }: { view: RelayView | undefined }): JSX.Element {
  if (view === undefined) {
    return (
      <div>
        <dt>Hosts</dt>
        <dd>none of this VPC tells of it</dd>
      </div>
    );
  }
  const { devices, home, failing, latency_ms, worst_ms } = view;
  return (
    <>
      <div>
        <dt>Hosts</dt>
        <dd>{`${home} of ${devices} are reached here`}</dd>
        {failing > 0 && <dd class="warning">{`${failing} cannot use it`}</dd>}
      </div>
      {latency_ms !== undefined && (
        <div>
          <dt>Round trip</dt>
          <dd>
            {`${msText(latency_ms)} in the middle, ${msText(worst_ms ?? latency_ms)} at most`}
          </dd>
        </div>
      )}
    </>
  );
}

function remove({ id, name, hostname }: RelayRegion): void {
  const title = name || hostname;
  ask({
    title: `Delete ${title}?`,
    content: (
      <p>
        Hosts leave it at once, and pairs that need a relay lose each other for a moment. Drain it
        first to have them move without a gap.
      </p>
    ),
    verb: "Delete",
    danger: true,
    act: async () => {
      await call("DELETE", `/api/relay-regions/${id}`);
      await loadRelays();
      return `${title} is deleted`;
    },
  });
}
