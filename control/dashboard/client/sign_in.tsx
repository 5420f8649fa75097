import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { signIn, trouble } from "./session.ts";

/** Where nobody is signed in: the way to the issuer's page. */
export function SignIn(): JSX.Element {
  const busy = useSignal(false);
  const click = async () => {
    busy.value = true;
    await signIn();
    busy.value = false;
  };
  return (
    <main class="sign-in">
      <h1>Sign in to nexd</h1>
      {trouble.value !== "" && <p class="error" role="alert">{trouble.value}</p>}
      <p>
        <button class="first" type="button" disabled={busy.value} onClick={click} autoFocus>
          Sign in
        </button>
      </p>
    </main>
  );
}
