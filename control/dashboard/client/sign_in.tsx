import { useSignal } from "@preact/signals";
import type { JSX, TargetedEvent } from "preact";
import { sentence, signIn } from "./session.ts";

/** The form with which a user signs in. */
export function SignIn(): JSX.Element {
  const error = useSignal("");
  const busy = useSignal(false);
  const submit = async (event: TargetedEvent<HTMLFormElement, SubmitEvent>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    busy.value = true;
    error.value = "";
    try {
      await signIn(String(form.get("username")), String(form.get("password")));
    } catch (cause) {
      error.value = `Cannot sign in: ${sentence(cause)}`;
    } finally {
      busy.value = false;
    }
  };
  return (
    <main class="sign-in">
      <h1>Sign in to nexd</h1>
      <form onSubmit={submit}>
        {error.value !== "" && <p class="error" role="alert">{error.value}</p>}
        <label>
          User name
          <input
            name="username"
            required
            maxLength={255}
            autocomplete="username"
            autocapitalize="none"
            spellcheck={false}
            autoFocus
          />
        </label>
        <label>
          Password
          <input
            name="password"
            type="password"
            required
            maxLength={1024}
            autocomplete="current-password"
          />
        </label>
        <button class="first" type="submit" disabled={busy.value}>Sign in</button>
      </form>
    </main>
  );
}
