/** Who signs in at this control plane: the operator's page. */
import { effect, signal, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import type { Account } from "../../../users/types.ts";
import { hear } from "../deeds.ts";
import { when } from "../devices.tsx";
import { Copy, tell } from "../dialog.tsx";
import { call, sentence, session } from "../session.ts";
import { me } from "../state.ts";
import { create, edit, remove, setPassword, toggle } from "./forms.tsx";
import { change } from "./own.tsx";

/** How many are shown at first, and how many more each time. */
const PAGE = 100;
/** Pause after a stream that broke, ms. */
const RETRY = 5_000;

const accounts = signal<readonly Account[]>([]);
const read = signal(false);
const wanted = signal("");
/** Passwords that were made here, which are told once, by the account's id. */
const told = signal<ReadonlyMap<string, string>>(new Map());

function forget(): void {
  accounts.value = [];
  read.value = false;
  told.value = new Map();
}
effect(() => {
  if (session.value !== "in") forget();
});

async function refresh(): Promise<void> {
  accounts.value = await call<Account[]>("GET", "/api/accounts");
  read.value = true;
}

/** Reads the accounts whenever something was done, until the signal. */
async function follow(stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    try {
      await refresh();
      await hear({}, 0, stop, refresh);
    } catch (error) {
      if (stop.aborted) return;
      if (!read.value) tell(`Cannot read the accounts: ${sentence(error)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY));
  }
}

/** What a form has done: shows it, with the password that was made, if one was. */
async function done({ id, password }: { id: string; password?: string }): Promise<void> {
  if (password !== undefined) told.value = new Map([...told.value, [id, password]]);
  await refresh();
}

/** The page. */
export function Accounts(): JSX.Element {
  const shown = useSignal(PAGE);
  useEffect(() => {
    const stop = new AbortController();
    void follow(stop.signal);
    return () => {
      stop.abort();
      forget();
    };
  }, []);
  const text = wanted.value.trim().toLowerCase();
  const found = accounts.value.filter(({ username, full_name, email }) =>
    [username, full_name, email].some((name) => name.toLowerCase().includes(text))
  );
  return (
    <>
      <p>
        Who signs in at this control plane. Behind each account is a user with an organization of
        its own, made at the first sign-in.
      </p>
      <p>
        <button type="button" class="first" onClick={() => create(done)}>New account</button>
      </p>
      {!read.value && <p role="status">Loading…</p>}
      {(accounts.value.length > 1 || text !== "") && (
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
      {read.value && found.length === 0 && <p role="status">None has this in its names.</p>}
      <ul class="cards">
        {found.slice(0, shown.value).map((account) => <Card key={account.id} account={account} />)}
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

function Card({ account }: { account: Account }): JSX.Element {
  const { id, username, full_name, email, operator, disabled, created_at, user_id } = account;
  const own = user_id !== undefined && user_id === me.value?.id;
  const password = told.value.get(id);
  const names = [full_name, email].filter((text) => text !== "").join(", ");
  return (
    <li class="card" aria-labelledby={`account-${id}`}>
      <h2 id={`account-${id}`}>{username}</h2>
      <p class="state" data-online={!disabled}>
        {disabled ? "Disabled: signs in no more" : operator ? "Operator" : "User"}
        {own && <small>, your own</small>}
      </p>
      {names !== "" && <p class="tight">{names}</p>}
      <p class="soft tight">
        {`Made ${when(created_at)}${user_id === undefined ? ", has not signed in yet" : ""}`}
      </p>
      {password !== undefined && (
        <>
          <p>The password, shown now and never again:</p>
          <p>
            <code tabIndex={0} aria-label={`Password of ${username}`}>{password}</code>{" "}
            <Copy text={password} label="Copy the password" />
          </p>
        </>
      )}
      <div class="actions">
        <button
          type="button"
          aria-label={`Edit ${username}`}
          onClick={() => edit(account, own, done)}
        >
          Edit
        </button>
        <button
          type="button"
          aria-label={`Password of ${username}`}
          onClick={() => own ? change() : setPassword(account, done)}
        >
          Password
        </button>
        {!own && (
          <>
            <button
              type="button"
              aria-label={`${disabled ? "Enable" : "Disable"} ${username}`}
              onClick={() => toggle(account, done)}
            >
              {disabled ? "Enable" : "Disable"}
            </button>
            <button
              type="button"
              class="danger"
              aria-label={`Delete ${username}`}
              onClick={() => remove(account, done)}
            >
              Delete
            </button>
          </>
        )}
      </div>
    </li>
  );
}
