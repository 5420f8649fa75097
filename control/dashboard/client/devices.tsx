import { signal, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import type { Device } from "../../api/types.ts";
import { ask } from "./dialog.tsx";
import { call } from "./session.ts";
import { groups, live, sortedDevices } from "./state.ts";

/** How many are shown at first, and how many more each time. */
const PAGE = 100;

const wanted = signal("");

/** The devices of the VPC. */
export function Devices(): JSX.Element {
  const shown = useSignal(PAGE);
  const all = sortedDevices.value;
  if (all.length === 0) {
    return live.value === "live"
      ? (
        <p>
          No host has joined this VPC yet. Make a <a href="#keys">registration key</a>{" "}
          and run its line on a host.
        </p>
      )
      : <p role="status">Loading…</p>;
  }
  const online = all.filter((device) => device.online).length;
  const text = wanted.value.trim().toLowerCase();
  const found = text === "" ? all : all.filter((device) => fits(device, text));
  return (
    <>
      <p>{`${all.length} ${all.length === 1 ? "device" : "devices"}, ${online} online`}</p>
      {(all.length > 1 || text !== "") && (
        <label class="find">
          Find by name or address
          <input
            type="search"
            maxLength={255}
            value={wanted.value}
            onInput={(e) => wanted.value = e.currentTarget.value}
          />
        </label>
      )}
      {found.length === 0 && <p role="status">None has this in its name or addresses.</p>}
      <ul class="rows">
        {found.slice(0, shown.value).map((device) => <Card key={device.id} device={device} />)}
      </ul>
      {found.length > shown.value && (
        <p>
          <button type="button" onClick={() => shown.value += PAGE}>
            {`Show more of ${found.length}`}
          </button>
        </p>
      )}
    </>
  );
}

function fits({ hostname, allowed_ips, endpoints }: Device, text: string): boolean {
  return hostname.toLowerCase().includes(text) ||
    allowed_ips.some((address) => address.includes(text)) ||
    (endpoints ?? []).some(({ address }) => address.includes(text));
}

function Card({ device }: { device: Device }): JSX.Element {
  const { id, online, online_at, os, relay, endpoints, advertise_cidrs } = device;
  const name = nameOf(device);
  const group = groups.value.get(device.security_group_id);
  const addresses = [...device.ipv4_tunnel_ips, ...device.ipv6_tunnel_ips]
    .map(({ address }) => address);
  const networks = advertise_cidrs ?? [];
  return (
    <li class="card device" aria-labelledby={`name-${id}`}>
      <div>
        <h2 id={`name-${id}`}>{name}</h2>
        <p class="state" data-online={online}>
          {online ? "Online" : "Offline"}
          {online_at !== null && <small>{` since ${when(online_at)}`}</small>}
        </p>
        <details>
          <summary>Endpoints</summary>
          <ul>
            {(endpoints ?? []).map(({ address, source }) => (
              <li key={`${source} ${address}`}>{`${address} (${source.replace(/:$/, "")})`}</li>
            ))}
            {(endpoints ?? []).length === 0 && <li>It tells none.</li>}
          </ul>
        </details>
      </div>
      <dl>
        <Row name="Addresses" values={addresses} />
        <Row
          name="System"
          values={[[os, relay ? "relay of this VPC" : ""].filter((text) => text !== "").join(", ")]}
        />
      </dl>
      <dl>
        <Row
          name="Group"
          values={group === undefined ? [] : [group.description || group.id.slice(0, 8)]}
        />
        <Row name="NAT" values={[natOf(device)]} />
        <Row name="Networks" values={networks} />
      </dl>
      <div class="actions">
        <button
          type="button"
          aria-label={`Security group of ${name}`}
          onClick={() => assign(device)}
        >
          Group
        </button>
        <button type="button" aria-label={`Rename ${name}`} onClick={() => rename(device)}>
          Rename
        </button>
        <button
          type="button"
          class="danger"
          aria-label={`Delete ${name}`}
          onClick={() => remove(device)}
        >
          Delete
        </button>
      </div>
    </li>
  );
}

function Row({ name, values }: { name: string; values: string[] }): JSX.Element | null {
  const shown = values.filter((value) => value !== "");
  if (shown.length === 0) return null;
  return (
    <div>
      <dt>{name}</dt>
      {shown.map((value, i) => <dd key={i}>{value}</dd>)}
    </div>
  );
}

function assign(device: Device): void {
  const all = [...groups.value.values()].filter(({ vpc_id }) => vpc_id === device.vpc_id)
    .sort((a, b) => a.description.localeCompare(b.description) || a.id.localeCompare(b.id));
  ask({
    title: `Security group of ${nameOf(device)}`,
    content: (
      <>
        <label>
          Group
          <select name="group" autoFocus>
            {all.map(({ id, description }) => (
              <option key={id} value={id} selected={id === device.security_group_id}>
                {description || id.slice(0, 8)}
              </option>
            ))}
          </select>
        </label>
        <p>The host lets through what the rules of the group allow, from now on.</p>
      </>
    ),
    verb: "Assign",
    act: async (form) => {
      const id = String(form.get("group"));
      await call("PATCH", `/api/devices/${device.id}`, { security_group_id: id });
      const name = groups.value.get(id)?.description || id.slice(0, 8);
      return `${nameOf(device)} is in the group ${name}`;
    },
  });
}

function rename(device: Device): void {
  ask({
    title: `Rename ${nameOf(device)}`,
    content: (
      <label>
        New name
        <input name="hostname" required maxLength={255} autoFocus defaultValue={device.hostname} />
      </label>
    ),
    verb: "Rename",
    act: async (form) => {
      const hostname = String(form.get("hostname"));
      await call("PATCH", `/api/devices/${device.id}`, { hostname });
      return `Renamed to ${hostname}`;
    },
  });
}

function remove(device: Device): void {
  const name = nameOf(device);
  ask({
    title: `Delete ${name}?`,
    content: <p>The host leaves the VPC at once, and its addresses become free.</p>,
    verb: "Delete",
    danger: true,
    act: async () => {
      await call("DELETE", `/api/devices/${device.id}`);
      return `${name} is deleted`;
    },
  });
}

/** A device's name, or what stands for it. */
export function nameOf({ hostname, id }: Pick<Device, "hostname" | "id">): string {
  return hostname.trim() === "" ? id.slice(0, 8) : hostname;
}

/** Whether others can get through its NAT: as the host itself has found out. */
function natOf({ symmetric_nat }: Device): string {
  return symmetric_nat ? "symmetric" : "none or easy";
}

/** A time as people say it here. */
export function when(time: string): string {
  const date = new Date(time);
  return isNaN(date.getTime())
    ? "an unknown time"
    : date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}
