/** The audit log: who did what when, the newest first, live. */
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import type { AuditEntry } from "../../api/types.ts";
import { hear } from "./deeds.ts";
import { call, Refused, sentence } from "./session.ts";
import { organizations, vpcId, vpcs } from "./state.ts";

/** Entries read at a time, and the most that are kept on the page. */
const PAGE = 50, MOST = 1_000;
/** How often it is asked without a stream, ms. */
const POLL = 5_000;
/** What is typed is looked for after such a pause, ms. */
const TYPING = 300;

const KINDS = [
  ...["account", "backup", "device", "device-login", "device-metadata", "invitation"],
  ...["membership", "organization", "reg-key", "relay-region", "restore", "security-group"],
  ...["service-network", "session", "user", "vpc"],
];
const VERBS: Record<string, string> = {
  create: "made",
  update: "changed",
  delete: "deleted",
  accept: "accepted",
  allow: "allowed",
  deny: "denied",
  start: "began",
  end: "ended",
  "rotate-token": "replaced the token of",
  "set-password": "set the password of",
};

/** By action and outcome: what says all by itself. */
const ALONE: Record<string, string> = {
  "session.start done": "signed in",
  "session.start refused": "was not let in",
  "session.end done": "signed out",
};

/** Everything that the user may read, in place of one organization. */
const ALL = "all";

const entries = signal<AuditEntry[]>([]);
const state = signal<"reading" | "read" | { failed: string }>("reading");
const more = signal(false);
const search = signal("");
const kind = signal("");
/** An organization's id, or ALL; `""`: that of the chosen VPC. */
const scope = signal("");

/** The page. */
export function Audit(): JSX.Element {
  const own = vpcs.value.find(({ id }) => id === vpcId.value)?.organization_id ?? "";
  const chosen = scope.value === "" ? own : scope.value;
  const [text, only] = [search.value, kind.value];
  useEffect(() => {
    const stop = new AbortController();
    const timer = setTimeout(() => void follow(filterOf(chosen, text, only), chosen, stop), TYPING);
    entries.value = [];
    state.value = "reading";
    more.value = false;
    return () => {
      clearTimeout(timer);
      stop.abort();
      entries.value = [];
    };
  }, [chosen, text, only]);
  const shown = entries.value;
  return (
    <>
      <form class="sieve" role="search" onSubmit={(e) => e.preventDefault()}>
        <label>
          Find by name, action or address
          <input
            type="search"
            maxLength={100}
            value={text}
            onInput={(e) => search.value = e.currentTarget.value}
          />
        </label>
        <label>
          What it was done to
          <select value={only} onChange={(e) => kind.value = e.currentTarget.value}>
            <option value="">anything</option>
            {KINDS.map((kind) => <option key={kind} value={kind}>{kind}</option>)}
          </select>
        </label>
        <label>
          Where
          <select value={chosen} onChange={(e) => scope.value = e.currentTarget.value}>
            {organizations.value.map(({ id, name }) => <option key={id} value={id}>{name}</option>)}
            <option value={ALL}>everywhere that I may read</option>
          </select>
        </label>
      </form>
      <Said count={shown.length} sieved={text !== "" || only !== ""} />
      <ol class="rows log" aria-label="Entries, the newest first">
        {shown.map((entry) => <Entry key={entry.id} entry={entry} />)}
      </ol>
      {more.value && (
        <p>
          <button type="button" onClick={() => void older(filterOf(chosen, text, only))}>
            Show older ones
          </button>
        </p>
      )}
    </>
  );
}

function Said({ count, sieved }: { count: number; sieved: boolean }): JSX.Element {
  const now = state.value;
  if (typeof now === "object") return <p role="alert">{`Cannot read the log: ${now.failed}`}</p>;
  if (now === "reading") return <p role="status">Loading…</p>;
  if (count > 0) return <p role="status" class="soft">New entries come by themselves.</p>;
  return (
    <p role="status">
      {sieved
        ? "Nothing that was done fits this."
        : "There is nothing to read. Owners of an organization read what was done there."}
    </p>
  );
}

function Entry({ entry }: { entry: AuditEntry }): JSX.Element {
  const { actor, resource, outcome, address, changes } = entry;
  const verb = entry.action.slice(entry.action.indexOf(".") + 1);
  const alone = ALONE[`${entry.action} ${outcome}`];
  return (
    <li class="card" data-outcome={outcome}>
      <p class="deed">
        <time dateTime={entry.at}>{moment(entry.at)}</time>
        <span>
          <strong>{actor.name || actor.id || actor.kind}</strong>
          {actor.kind === "user" ? " " : ` (${actor.kind}) `}
          {alone ?? `${VERBS[verb] ?? verb} ${resource.kind} `}
          {alone === undefined && <strong>{resource.name || resource.id}</strong>}
        </span>
      </p>
      <details>
        <summary>
          Details<span class="unseen">{` of entry ${entry.id}`}</span>
        </summary>
        <dl>
          {Object.entries(changes).map(([field, change]) => (
            <div key={field}>
              <dt>{field}</dt>
              <dd>
                {change.old !== undefined && <del>{String(change.old)}</del>}{" "}
                {change.new !== undefined && <ins>{String(change.new)}</ins>}
              </dd>
            </div>
          ))}
          <Pair name="Action" text={entry.action} />
          <Pair name="From" text={address} />
          <Pair name="Id" text={resource.id} />
          <Pair name="Request" text={entry.request_id} />
        </dl>
      </details>
    </li>
  );
}

function Pair({ name, text }: { name: string; text: string }): JSX.Element | null {
  return text === "" ? null : (
    <div>
      <dt>{name}</dt>
      <dd>{text}</dd>
    </div>
  );
}

/** A time to the second: what was done at once is told in its order. */
function moment(time: string): string {
  return new Date(time).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

type Query = Record<string, string>;

function filterOf(scope: string, text: string, kind: string): Query {
  const filter = {
    ...(scope === ALL ? {} : { organization_id: scope }),
    ...(kind === "" ? {} : { resource_kind: kind }),
  };
  return {
    filter: JSON.stringify(filter),
    ...(text.trim() === "" ? {} : { search: text.trim() }),
  };
}

async function read(query: Query): Promise<AuditEntry[]> {
  return await call<AuditEntry[]>("GET", `/api/audit?${new URLSearchParams(query)}`);
}

async function older(query: Query): Promise<void> {
  const last = entries.value.at(-1);
  if (last === undefined) return;
  const before = entries.value;
  try {
    const next = await read({ ...query, before: `${last.id}`, range: `[0,${PAGE - 1}]` });
    // Another filter was chosen meanwhile.
    if (entries.value.at(-1) !== last && entries.value !== before) return;
    entries.value = [...entries.value, ...next].slice(0, MOST);
    more.value = next.length === PAGE && entries.value.length < MOST;
  } catch (error) {
    state.value = { failed: sentence(error) };
  }
}

/** Reads the newest, and what comes, until the signal. */
async function follow(query: Query, scope: string, stop: AbortController): Promise<void> {
  const { signal } = stop;
  let begun = false;
  const refresh = async () => {
    const newest = entries.value[0]?.id;
    const rows = begun && newest !== undefined
      ? (await read({ ...query, after: `${newest}`, sort: '["id","DESC"]', range: "[0,999]" }))
      : await read({ ...query, range: `[0,${PAGE - 1}]` });
    if (signal.aborted) return;
    if (!begun) more.value = rows.length === PAGE;
    begun = true;
    entries.value = [...rows, ...entries.value].slice(0, MOST);
    state.value = "read";
  };
  while (!signal.aborted) {
    try {
      await refresh();
      const options = scope === ALL ? {} : { "organization-id": scope };
      await hear(options, entries.value[0]?.id ?? 0, signal, refresh);
    } catch (error) {
      if (signal.aborted) return;
      // Who reads several organizations, and not all, has no stream for that.
      if (!(error instanceof Refused && error.status === 404)) {
        state.value = { failed: sentence(error) };
      }
    }
    await new Promise((resolve) => setTimeout(resolve, POLL));
  }
}
