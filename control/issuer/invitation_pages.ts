/** The page that an invitation's link leads to: a new person makes an account and is a member. */
import { getLogger } from "@logtape/logtape";
import { hashPassword } from "../auth/mod.ts";
import { type App, originOf, readForm } from "../http/mod.ts";
import { acceptLinked, linkedInvitation } from "../invitations/mod.ts";
import type { Store } from "../store/mod.ts";
import { createUser } from "../tenants.ts";
import {
  Attempts,
  createAccount,
  networkOf,
  type PasswordGate,
  recordAccount,
  recordUser,
  userOf,
  weakness,
} from "../users/mod.ts";
import { addressOf, html, refuseOtherPages } from "./device_pages.ts";
import { donePage, escape, page } from "./page.ts";

const log = getLogger(["nexd", "control", "issuer"]);

/** Links that an address may try in a row, and one more each so many milliseconds. */
const TRIES = { burst: 30, everyMs: 5_000 };
/**
 * A name that a person chooses. None with `@`: an address has to be vouched for, and nobody has here.
 */
const NAME = /^[\w.+-]{1,64}$/;

const GONE = "This link is used up or too old. Ask whoever sent it for another one.";

/** Adds the page. */
export function invitationPages(
  app: App,
  { store, gate, now }: { store: Store; gate: PasswordGate; now: () => number },
): void {
  const tries = new Attempts(TRIES, now);
  const find = async (code: string, address: string) => {
    const network = networkOf(address);
    if (tries.wait(network) > 0) return undefined;
    tries.take(network);
    return await linkedInvitation(store.db, code);
  };

  app.get("/invitation", async (c) => {
    const code = c.req.query("code") ?? "";
    const invitation = await find(code, addressOf(c));
    if (invitation === undefined) return html(donePage("No invitation", GONE), 404);
    return html(form({ code, to: invitation.organization_name, by: invitation.from_username }));
  });

  app.post("/invitation", async (c) => {
    refuseOtherPages(c);
    const fields = await readForm(c.req.raw);
    const field = (name: string) => fields.get(name) ?? "";
    const [code, username, password] = [field("code"), field("username"), field("password")];
    const invitation = await find(code, addressOf(c));
    if (invitation === undefined) return html(donePage("No invitation", GONE), 404);
    const { organization_name: to, from_username: by } = invitation;
    const again = (status: number, error: string, headers: Record<string, string> = {}) =>
      html(form({ code, to, by, username: username.slice(0, 255), error }), status, headers);
    const done = () =>
      html(donePage(
        `You are a member of ${to}`,
        `Sign in as ${username}, in the dashboard or with nexd user login.`,
      ));

    if (field("action") === "existing") {
      const signedIn = await gate.signIn(username, password, addressOf(c), c.get("requestId"));
      if ("account" in signedIn) {
        const userId = await userOf(store, signedIn.account);
        const user = { kind: "user" as const, id: userId, name: username, from: originOf(c) };
        return await store.write((write) => acceptLinked(write, code, user))
          ? done()
          : html(donePage("No invitation", GONE), 404);
      }
      if (signedIn.refused === "disabled") return again(403, "This account is disabled.");
      if (signedIn.refused === "wrong") {
        return again(401, "The user name or the password is wrong.");
      }
      return again(429, `Too many tries: wait ${signedIn.seconds} seconds.`, {
        "retry-after": String(signedIn.seconds),
      });
    }

    if (!NAME.test(username)) {
      return again(400, "Choose a user name of letters, digits and . _ + - only.");
    }
    const weak = weakness(password, username);
    if (weak !== undefined) return again(400, `Choose another password: ${weak}.`);
    if (password !== field("again")) return again(400, "The two passwords are not the same.");
    const passwordHash = await hashPassword(password);
    const made = await store.write(async (write) => {
      const { db } = write;
      if (await linkedInvitation(db, code) === undefined) return "gone";
      const twin = await db.selectFrom("accounts").select("id").where("username", "=", username)
        .executeTakeFirst();
      if (twin) return "taken";
      const account = await createAccount(write, { username, passwordHash });
      const userId = await createUser(write, { username, subject: account.id });
      const user = { kind: "user" as const, id: userId, name: username, from: originOf(c) };
      recordAccount(write, user, "create", undefined, { ...account, user_id: userId });
      recordUser(write, user);
      await acceptLinked(write, code, user);
      return "made";
    });
    if (made === "gone") return html(donePage("No invitation", GONE), 404);
    if (made === "taken") return again(409, "Somebody has this user name: choose another one.");
    log.info("account {username} was made by an invitation of {by}", { username, by });
    return done();
  });
}

interface FormView {
  code: string;
  to: string;
  by: string;
  username?: string;
  error?: string;
}

function form({ code, to, by, username = "", error }: FormView): string {
  const alert = error === undefined
    ? ""
    : `<p class="error" id="error" role="alert">${escape(error)}</p>`;
  const described = error === undefined ? "" : ' aria-describedby="error"';
  return page(
    "You are invited",
    `<p><strong>${escape(by)}</strong> invites you into the organization <strong>${
      escape(to)
    }</strong>. Choose a user name and a password, or use those that you have here.</p>${alert}
<form method="post" action="/invitation">
<input type="hidden" name="code" value="${escape(code)}">
<label for="username">User name</label>
<input id="username" name="username" required maxlength="64" autocomplete="username" autocapitalize="none" spellcheck="false" value="${
      escape(username)
    }"${described} autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" required maxlength="1024" autocomplete="new-password">
<label for="again">Password again, for a new account</label>
<input id="again" name="again" type="password" maxlength="1024" autocomplete="new-password">
<div class="actions">
<button name="action" value="new">Make an account</button>
<button name="action" value="existing">I have one</button>
</div>
</form>`,
  );
}
