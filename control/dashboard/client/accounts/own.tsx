/** The account that the user signs in with. */
import type { JSX } from "preact";
import { when } from "../devices.tsx";
import { ask } from "../dialog.tsx";
import { changePassword, Unsuitable } from "../session.ts";
import { account } from "../state.ts";

/** Fewest and most characters of a password. */
export const PASSWORD = { minLength: 8, maxLength: 1024 } as const;

/** The page. */
export function OwnAccount(): JSX.Element | null {
  const own = account.value;
  if (own === undefined) return null;
  const { username, full_name, email, operator, created_at } = own;
  const facts: [string, string][] = [
    ["Name", full_name],
    ["E-mail", email],
    ["Rights", operator ? "runs this control plane" : "those of a user"],
    ["Since", when(created_at)],
  ];
  return (
    <>
      <p>
        You sign in with it. An operator of this control plane changes the name and the address.
      </p>
      <div class="card own">
        <h2>{username}</h2>
        <dl>
          {facts.filter(([, text]) => text !== "").map(([name, text]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{text}</dd>
            </div>
          ))}
        </dl>
        <div class="actions">
          <button type="button" class="first" onClick={change}>Change the password</button>
        </div>
      </div>
    </>
  );
}

/** Asks for the old password and a new one. */
export function change(): void {
  ask({
    title: "Change your password",
    content: (
      <>
        {/* For whatever keeps passwords: whose this one is. */}
        <input type="hidden" name="username" value={account.value?.username ?? ""} />
        <label>
          Old password
          <input
            name="old"
            type="password"
            required
            maxLength={1024}
            autoComplete="current-password"
            autoFocus
          />
        </label>
        <label>
          New password, at least eight characters
          <input name="next" type="password" required {...PASSWORD} autoComplete="new-password" />
        </label>
        <label>
          New password again
          <input name="again" type="password" required {...PASSWORD} autoComplete="new-password" />
        </label>
        <p>You stay signed in here; everywhere else your sessions end.</p>
      </>
    ),
    verb: "Change",
    act: async (form) => {
      const [old, next, again] = ["old", "next", "again"].map((name) => String(form.get(name)));
      if (next !== again) throw new Unsuitable("the new passwords are not the same");
      await changePassword(old!, next!);
      return "Your password is changed";
    },
  });
}
