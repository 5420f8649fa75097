import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import type { AddRegKey, RegKey } from "../../api/types.ts";
import { when } from "./devices.tsx";
import { ask, Copy, tell } from "./dialog.tsx";
import { call, sentence } from "./session.ts";
import { keys, loadKeys, vpcId } from "./state.ts";

/** What joins a host has to be told to trust a private CA; `""` for the system's authorities. */
const trust = signal<string | undefined>(undefined);

/** How long a new key may be good for, hours. */
const LIVES = [
  { hours: 1, title: "One hour" },
  { hours: 24, title: "One day" },
  { hours: 24 * 30, title: "30 days" },
  { hours: 0, title: "Until it is deleted" },
] as const;

/** Registration keys of the VPC. */
export function Keys(): JSX.Element {
  useEffect(() => {
    loadKeys().catch((error) => tell(`Cannot read the keys: ${sentence(error)}`));
    void findTrust();
  }, []);
  const shown = keys.value.filter((key) => key.vpc_id === vpcId.value);
  return (
    <>
      <p>
        A host joins this VPC with the line of a key. Whoever has the line can join: pass it on like
        a password.
      </p>
      <p>
        <button type="button" class="first" onClick={create}>New key</button>
      </p>
      {shown.length === 0 && <p>There is no key.</p>}
      <ul class="cards">{shown.map((key) => <Card key={key.id} regKey={key} />)}</ul>
    </>
  );
}

function Card({ regKey }: { regKey: RegKey }): JSX.Element {
  const { id, description, device_id, expires_at } = regKey;
  const name = description || `Key ${id.slice(0, 8)}`;
  const over = expires_at !== undefined && Date.parse(expires_at) <= Date.now();
  const line = over ? undefined : joinLine(regKey);
  return (
    <li class="card" aria-labelledby={`key-${id}`}>
      <h2 id={`key-${id}`}>{name}</h2>
      <p>
        {device_id === undefined ? "For any number of hosts" : "For one host"}
        {expires_at === undefined
          ? ", until it is deleted"
          : over
          ? `, expired ${when(expires_at)}`
          : `, until ${when(expires_at)}`}
      </p>
      {line !== undefined && <code tabIndex={0} aria-label="Line that joins a host">{line}</code>}
      <div class="actions">
        {line !== undefined && <Copy text={line} label="Copy line" />}
        <button
          type="button"
          class="danger"
          aria-label={`Delete ${name}`}
          onClick={() => remove(regKey, name)}
        >
          Delete
        </button>
      </div>
    </li>
  );
}

function create(): void {
  ask({
    title: "New registration key",
    content: (
      <>
        <label>
          What it is for
          <input name="description" maxLength={255} autoFocus />
        </label>
        <label class="tick">
          <input name="single_use" type="checkbox" defaultChecked />
          For one host only
        </label>
        <label>
          Good for
          <select name="hours" defaultValue="24">
            {LIVES.map(({ hours, title }) => (
              <option key={hours} value={hours} selected={hours === 24}>{title}</option>
            ))}
          </select>
        </label>
      </>
    ),
    verb: "Create",
    act: async (form) => {
      const hours = Number(form.get("hours"));
      const body: AddRegKey = {
        vpc_id: vpcId.value,
        description: String(form.get("description")),
        single_use: form.get("single_use") !== null,
        ...(hours > 0
          ? { expires_at: new Date(Date.now() + hours * 3_600_000).toISOString() }
          : {}),
      };
      await call("POST", "/api/reg-keys", body);
      await loadKeys();
      return "The key is made";
    },
  });
}

function remove(key: RegKey, name: string): void {
  ask({
    title: `Delete ${name}?`,
    content: <p>No host can join with it any more. Hosts that have joined stay.</p>,
    verb: "Delete",
    danger: true,
    act: async () => {
      await call("DELETE", `/api/reg-keys/${key.id}`);
      await loadKeys();
      return `${name} is deleted`;
    },
  });
}

/** The command that joins a host, where the user may have the key's secret. */
function joinLine({ bearer_token }: RegKey): string | undefined {
  // It goes into a shell: nothing but what a key is made of.
  if (!/^RK:[\w+/=-]+$/.test(bearer_token) || trust.value === undefined) return undefined;
  const url = new URL(location.origin);
  url.hostname = url.hostname.replace(/^(api|auth)\./, "");
  return `nexd --reg-key '${url.origin}#${bearer_token}'${trust.value}`;
}

/** A private CA is known by its fingerprint; `nexd serve` gives its certificate to everybody. */
async function findTrust(): Promise<void> {
  try {
    const response = await fetch("/ca.crt", { credentials: "omit" });
    if (!response.ok) throw new Error("the authority is one that systems know");
    const text = (await response.text()).match(
      /-----BEGIN CERTIFICATE-----([\sA-Za-z0-9+/=]+)-----END/,
    );
    const der = Uint8Array.from(atob(text![1]!.replaceAll(/\s/g, "")), (c) => c.charCodeAt(0));
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", der));
    const hex = [...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    trust.value = ` --ca sha256:${hex}`;
  } catch {
    trust.value = "";
  }
}
