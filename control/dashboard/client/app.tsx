import { effect, signal } from "@preact/signals";
import type { JSX } from "preact";
import { Accounts } from "./accounts/accounts.tsx";
import { OwnAccount } from "./accounts/own.tsx";
import { Audit } from "./audit.tsx";
import { Devices } from "./devices.tsx";
import { Dialogs, dismiss } from "./dialog.tsx";
import { Network } from "./network/graph.tsx";
import { Groups } from "./groups.tsx";
import { Keys } from "./keys.tsx";
import { People } from "./people.tsx";
import { Relays } from "./relays/relays.tsx";
import { session, signOut } from "./session.ts";
import { SignIn } from "./sign_in.tsx";
import { account, clear, follow, live, load, me, organizations, vpcId, vpcs } from "./state.ts";
import { vpcName, Vpcs } from "./vpcs.tsx";

const PAGES = [
  { id: "devices", title: "Devices", Page: Devices },
  { id: "network", title: "Network", Page: Network },
  { id: "keys", title: "Registration keys", Page: Keys },
  { id: "groups", title: "Security groups", Page: Groups },
  { id: "relays", title: "Relays", Page: Relays },
  { id: "people", title: "People", Page: People },
  { id: "vpcs", title: "Organizations", Page: Vpcs },
  { id: "audit", title: "Audit log", Page: Audit },
] as const;
/** Of the operator, where this control plane keeps the accounts. */
const ACCOUNTS = { id: "accounts", title: "Accounts", Page: Accounts } as const;
/** Behind the user's name. */
const OWN = { id: "account", title: "Your account", Page: OwnAccount } as const;

const page = signal(location.hash.slice(1));
addEventListener("hashchange", () => page.value = location.hash.slice(1));

/** What could not be loaded, until it could. */
const failed = signal(false);

effect(() => {
  if (session.value !== "in") return;
  let stopped = false;
  const attempt = async () => {
    if (stopped) return;
    try {
      await load();
      failed.value = false;
    } catch {
      failed.value = !stopped;
      setTimeout(attempt, 3_000);
    }
  };
  void attempt();
  return () => {
    stopped = true;
    failed.value = false;
    dismiss();
    clear();
  };
});

effect(() => {
  if (session.value !== "in" || vpcId.value === "") return;
  const stop = new AbortController();
  void follow(vpcId.value, stop.signal);
  return () => stop.abort();
});

export function App(): JSX.Element {
  switch (session.value) {
    case "starting":
      return <p class="wait" role="status">One moment…</p>;
    case "out":
      return <SignIn />;
    case "in":
      return <Signed />;
  }
}

function Signed(): JSX.Element {
  const pages = account.value?.operator === true ? [...PAGES, ACCOUNTS] : PAGES;
  const all = account.value === undefined ? pages : [...pages, OWN];
  const { Page, title, id } = all.find(({ id }) => id === page.value) ?? PAGES[0];
  return (
    <>
      <a
        class="skip"
        href="#content"
        onClick={(event) => {
          // What follows the # is the page that is shown.
          event.preventDefault();
          document.querySelector("main")?.focus();
        }}
      >
        Skip to the content
      </a>
      <header>
        <strong class="brand">nexd</strong>
        <label>
          VPC
          <select value={vpcId.value} onChange={(e) => vpcId.value = e.currentTarget.value}>
            {organizations.value.map((organization) => (
              <optgroup key={organization.id} label={organization.name}>
                {vpcs.value.filter((vpc) =>
                  vpc.organization_id === organization.id
                ).map((vpc) => <option key={vpc.id} value={vpc.id}>{vpcName(vpc)}</option>)}
              </optgroup>
            ))}
          </select>
        </label>
        <Live />
        {account.value === undefined ? <span class="who">{me.value?.username}</span> : (
          <a
            class="who"
            href={`#${OWN.id}`}
            aria-current={id === OWN.id ? "page" : undefined}
            aria-label={`${account.value.username}: ${OWN.title}`}
          >
            {account.value.username}
          </a>
        )}
        <button type="button" onClick={() => void signOut()}>Sign out</button>
      </header>
      <nav aria-label="Pages">
        {pages.map((entry) => (
          <a
            key={entry.id}
            href={`#${entry.id}`}
            aria-current={entry.id === id ? "page" : undefined}
          >
            {entry.title}
          </a>
        ))}
      </nav>
      <main id="content" tabIndex={-1}>
        <h1>{title}</h1>
        <Page />
      </main>
      <Dialogs />
    </>
  );
}

function Live(): JSX.Element {
  const text = failed.value || live.value === "broken"
    ? "No connection: trying again"
    : live.value === "live"
    ? "Live"
    : "Connecting";
  return (
    <span class="live" role="status" data-state={failed.value ? "broken" : live.value}>{text}</span>
  );
}
