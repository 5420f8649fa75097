/** What an operator does with an account, each a question. */
import type { JSX } from "preact";
import type { Account } from "../../../users/types.ts";
import { ask } from "../dialog.tsx";
import { call } from "../session.ts";
import { load } from "../state.ts";
import { PASSWORD } from "./own.tsx";

/** An account as it is answered, with the password if one was made. */
type Made = Account & { password?: string };
type Done = (made: Made) => Promise<void>;

/** Makes one. */
export function create(done: Done): void {
  ask({
    title: "New account",
    content: (
      <>
        <label>
          User name
          <input
            name="username"
            required
            maxLength={64}
            autoCapitalize="none"
            autoComplete="off"
            autoFocus
          />
        </label>
        <Names />
        <NewPassword />
        <label class="tick">
          <input name="operator" type="checkbox" />
          Operator: runs this control plane
        </label>
      </>
    ),
    verb: "Create",
    act: async (form) => {
      const username = String(form.get("username")).trim();
      await done(
        await call<Made>("POST", "/api/accounts", {
          ...{ username, ...names(form), ...chosen(form) },
          operator: form.get("operator") !== null,
        }),
      );
      return `${username} is made`;
    },
  });
}

/** Changes its names and rights. */
export function edit(account: Account, own: boolean, done: Done): void {
  const { id, username, operator } = account;
  ask({
    title: `Edit ${username}`,
    content: (
      <>
        <Names account={account} />
        <label class="tick">
          <input name="operator" type="checkbox" defaultChecked={operator} />
          Operator: runs this control plane
        </label>
        <p>Invitations to the address are shown to this person.</p>
      </>
    ),
    verb: "Save",
    act: async (form) => {
      const body = { ...names(form), operator: form.get("operator") !== null };
      const made = await call<Made>("PATCH", `/api/accounts/${id}`, body);
      // The pages that there are depend on it.
      if (own) await load();
      if (!own || body.operator) await done(made);
      return `${username} is changed`;
    },
  });
}

/** Gives it another password. */
export function setPassword({ id, username }: Account, done: Done): void {
  ask({
    title: `New password of ${username}`,
    content: (
      <>
        <NewPassword focus />
        <p>{`All sessions of ${username} end at once.`}</p>
      </>
    ),
    verb: "Set",
    act: async (form) => {
      await done(await call<Made>("POST", `/api/accounts/${id}/password`, chosen(form)));
      return `${username} has another password`;
    },
  });
}

/** Disables it, or enables it again. */
export function toggle({ id, username, disabled }: Account, done: Done): void {
  ask({
    title: `${disabled ? "Enable" : "Disable"} ${username}?`,
    content: (
      <p>
        {disabled
          ? "The password of before is good again, and so are the registration keys."
          : "It signs in no more, its sessions end at once, and its registration keys let nobody " +
            "in. Its devices stay in their VPCs."}
      </p>
    ),
    verb: disabled ? "Enable" : "Disable",
    danger: !disabled,
    act: async () => {
      await done(await call<Made>("PATCH", `/api/accounts/${id}`, { disabled: !disabled }));
      return `${username} is ${disabled ? "enabled" : "disabled"}`;
    },
  });
}

/** Deletes it. */
export function remove({ id, username }: Account, done: Done): void {
  ask({
    title: `Delete ${username}?`,
    content: (
      <p>
        Its user goes with it, with that user&rsquo;s devices, keys and invitations, and every
        organization that nobody else owns.
      </p>
    ),
    verb: "Delete",
    danger: true,
    act: async () => {
      await done(await call<Made>("DELETE", `/api/accounts/${id}`));
      return `${username} is deleted`;
    },
  });
}

function Names({ account }: { account?: Account }): JSX.Element {
  return (
    <>
      <label>
        Full name
        <input
          name="full_name"
          maxLength={256}
          autoComplete="off"
          autoFocus={account !== undefined}
          defaultValue={account?.full_name ?? ""}
        />
      </label>
      <label>
        E-mail address
        <input
          name="email"
          type="email"
          maxLength={254}
          autoComplete="off"
          defaultValue={account?.email ?? ""}
        />
      </label>
    </>
  );
}

function NewPassword({ focus = false }: { focus?: boolean }): JSX.Element {
  return (
    <label>
      Password: leave it empty to have one made
      <input
        name="password"
        type="password"
        {...PASSWORD}
        autoComplete="new-password"
        autoFocus={focus}
      />
    </label>
  );
}

function names(form: FormData): { full_name: string; email: string } {
  const text = (name: string) => String(form.get(name)).trim();
  return { full_name: text("full_name"), email: text("email") };
}

function chosen(form: FormData): { password?: string } {
  const password = String(form.get("password"));
  return password === "" ? {} : { password };
}
