/**
 * `nexd user create|passwd|…`: who can sign in at a control plane that keeps its users itself.
 *
 * @module
 */
import { ClientError, usageError } from "../../errors.ts";
import { jsonText, parseJson } from "../../output/mod.ts";
import type { Calls } from "../../calls.ts";
import type { Flags } from "../../values.ts";
import { type Command, type Input, present, type Result } from "../types.ts";
import { ACCOUNT, ACCOUNT_MADE } from "../views.ts";

const PATH = "/api/accounts";
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** By the words of the command. */
export const ACCOUNT_COMMANDS: Record<string, Command> = {
  "user accounts": async ({ calls }) => ({ text: await calls.get(PATH), view: ACCOUNT }),
  "user create": async ({ flags, calls, secrets }) => {
    const username = flags.required("name");
    const fields = fieldsOf(flags);
    const password = await chosen(username, { flags, secrets });
    return withPassword(
      await calls.post(PATH, present({ username, ...fields, password })),
      "created",
    );
  },
  "user update": async ({ flags, calls }) => {
    const named = flags.required("account");
    const change = fieldsOf(flags);
    if (Object.keys(change).length === 0) {
      throw usageError("nexd user update needs something to change; add a flag");
    }
    const text = await calls.patch(await accountPath(calls, named), change);
    return { text, view: ACCOUNT, done: "successfully updated" };
  },
  "user disable": ({ flags, calls }) => switchAccount(flags, calls, true),
  "user enable": ({ flags, calls }) => switchAccount(flags, calls, false),
  "user passwd": async (input) => {
    const { flags, calls, secrets } = input;
    const named = flags.filled("account");
    if (named === undefined) return await ownPassword(input);
    const password = await chosen(named, { flags, secrets });
    const path = `${await accountPath(calls, named)}/password`;
    return withPassword(await calls.post(path, present({ password })), "set: all sessions ended");
  },
};

/** The path of an account that is named by its user name or its id. */
export async function accountPath(calls: Calls, named: string): Promise<string> {
  if (UUID.test(named)) return `${PATH}/${named.toLowerCase()}`;
  const filter = encodeURIComponent(JSON.stringify({ username: named }));
  const list = parseJson(await calls.get(`${PATH}?filter=${filter}`));
  const id = Array.isArray(list) && list.length === 1 ? list[0]?.id : undefined;
  if (typeof id === "string" && UUID.test(id)) return `${PATH}/${id}`;
  throw usageError(`--account ${named.slice(0, 64)} is nobody; see nexd user accounts`);
}

async function switchAccount(flags: Flags, calls: Calls, disabled: boolean): Promise<Result> {
  const path = await accountPath(calls, flags.required("account"));
  return {
    text: await calls.patch(path, { disabled }),
    view: ACCOUNT,
    done: disabled
      ? "disabled: it signs in no more; its devices stay until they are deleted"
      : "enabled: it may sign in again",
  };
}

function fieldsOf(flags: Flags): Record<string, unknown> {
  const operator = flags.filled("operator");
  return present({
    full_name: flags.text("full-name"),
    email: flags.text("email"),
    operator: operator === undefined ? undefined : operator === "yes",
  });
}

/** The password for somebody, where the flags say where it comes from; otherwise it is made there. */
async function chosen(
  name: string,
  { flags, secrets }: Pick<Input, "flags" | "secrets">,
): Promise<string | undefined> {
  if (sourceOf(flags) === "stdin") {
    const [password] = await secrets.lines(1);
    return filled(password);
  }
  return flags.on("ask") ? await askTwice(`New password of ${name}`, { secrets }) : undefined;
}

async function ownPassword({ flags, calls, account, secrets }: Input): Promise<Result> {
  let old: string | undefined, next: string | undefined;
  if (sourceOf(flags) === "stdin") {
    [old, next] = await secrets.lines(2);
  } else {
    old = await secrets.ask("Your password now", NO_TERMINAL);
    next = await askTwice("New password", { secrets });
  }
  const body = { old_password: filled(old), password: filled(next) };
  const value = parseJson(await calls.post(`${PATH}/me/password`, body));
  const { tokens, ...shown } = object(value);
  const { access_token, refresh_token, expires_in } = object(tokens);
  if (typeof access_token === "string" && typeof expires_in === "number") {
    await account.adopt({
      accessToken: access_token,
      ...(typeof refresh_token === "string" ? { refreshToken: refresh_token } : {}),
      expiresAt: Date.now() + Math.min(expires_in, 86_400) * 1000,
    });
  }
  return {
    text: jsonText(shown),
    view: ACCOUNT,
    done: "Your password is changed; all other sessions ended",
  };
}

const NO_TERMINAL =
  "The password is missing; start nexd on a terminal to be asked for it, or give " +
  "--password-stdin";

function sourceOf(flags: Flags): "stdin" | "other" {
  if (flags.on("password-stdin") && flags.on("ask")) {
    throw usageError("--ask and --password-stdin contradict each other; leave one out");
  }
  return flags.on("password-stdin") ? "stdin" : "other";
}

async function askTwice(label: string, { secrets }: Pick<Input, "secrets">): Promise<string> {
  const first = filled(await secrets.ask(label, NO_TERMINAL));
  if (first !== await secrets.ask(`${label} again`, NO_TERMINAL)) {
    throw new ClientError("The two passwords are not the same; nothing is changed");
  }
  return first;
}

function filled(password: string | undefined): string {
  if (password === undefined || password === "") {
    throw usageError("The password is empty; give one line for each, the old one first");
  }
  return password;
}

/** An answer with a password that nobody can read again. */
function withPassword(text: string, what: string): Result {
  const { password } = object(parseJson(text));
  return typeof password === "string"
    ? { text, view: ACCOUNT_MADE, done: `successfully ${what}; the password is shown only now` }
    : { text, view: ACCOUNT, done: `successfully ${what}` };
}

function object(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
}
