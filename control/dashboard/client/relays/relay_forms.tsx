/** Adding, changing and draining public relays: the operator's. */
import type { JSX } from "preact";
import type { AddRelayRegion, RelayRegion } from "../../../api/types.ts";
import { ask } from "../dialog.tsx";
import { call } from "../session.ts";
import { loadRelays } from "../state.ts";

/** Asks for a relay that agents are to be told of. */
export function makeRelay(): void {
  ask({
    title: "Add a relay",
    content: <Fields />,
    verb: "Add",
    act: async (form) => {
      const body = bodyOf(form);
      await call("POST", "/api/relay-regions", body);
      await loadRelays();
      return `Agents are told of ${body.name || body.hostname}`;
    },
  });
}

/** Asks what to change about a relay. */
export function changeRelay(relay: RelayRegion): void {
  ask({
    title: `Edit ${relay.name || relay.hostname}`,
    content: <Fields relay={relay} />,
    verb: "Save",
    act: async (form) => {
      await call("PATCH", `/api/relay-regions/${relay.id}`, bodyOf(form));
      await loadRelays();
      return "Agents are told of the change";
    },
  });
}

/** Asks whether hosts are to leave a relay, or may come again. */
export function drainRelay({ id, name, hostname, drained }: RelayRegion): void {
  const title = name || hostname;
  ask({
    title: drained ? `Use ${title} again?` : `Drain ${title}?`,
    content: (
      <p>
        {drained
          ? "Hosts for which it is the best one come back."
          : "Hosts move to other relays within seconds, without losing packets; none comes."}
      </p>
    ),
    verb: drained ? "Use again" : "Drain",
    act: async () => {
      await call("PATCH", `/api/relay-regions/${id}`, { drained: !drained });
      await loadRelays();
      return drained ? `${title} is in use` : `Hosts leave ${title}`;
    },
  });
}

function Fields({ relay }: { relay?: RelayRegion }): JSX.Element {
  return (
    <>
      <label>
        Name
        <input name="name" maxLength={64} autoFocus defaultValue={relay?.name ?? ""} />
      </label>
      <label>
        Host name
        <input
          name="hostname"
          required
          maxLength={254}
          placeholder="relay.example.org"
          defaultValue={relay?.hostname ?? ""}
        />
      </label>
      <div class="pair">
        <Number name="port" title="TCP port" min={1} value={relay?.port ?? 443} />
        <Number name="stun_port" title="STUN port, 0 for none" value={relay?.stun_port ?? 3478} />
        <Number name="weight" title="Weight" max={1000} value={relay?.weight ?? 100} />
        <Number
          name="region_id"
          title="Region, empty for a new one"
          min={1}
          value={relay?.region_id ?? ""}
        />
      </div>
      <label>
        Certificate authority, PEM; empty for the system's
        <textarea name="ca" rows={3} maxLength={16384} defaultValue={relay?.ca ?? ""} />
      </label>
    </>
  );
}

function Number(
  { name, title, value, min = 0, max = 65535 }: {
    name: string;
    title: string;
    value: number | "";
    min?: number;
    max?: number;
  },
): JSX.Element {
  return (
    <label>
      {title}
      <input
        type="number"
        name={name}
        min={min}
        max={max}
        required={name !== "region_id"}
        defaultValue={value}
      />
    </label>
  );
}

function bodyOf(form: FormData): AddRelayRegion {
  const text = (name: string) => String(form.get(name) ?? "").trim();
  const number = (name: string) => text(name) === "" ? null : globalThis.Number(text(name));
  return {
    // Without a name it has the host's.
    ...(text("name") === "" ? {} : { name: text("name") }),
    hostname: text("hostname"),
    port: number("port"),
    stun_port: number("stun_port"),
    weight: number("weight"),
    region_id: number("region_id"),
    ca: text("ca"),
  };
}
