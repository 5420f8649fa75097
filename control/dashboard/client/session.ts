/** Who is signed in, and requests in that user's name. */
import { signal } from "@preact/signals";

const CLIENT_ID = "nexodus-cli";
const SCOPE = "openid profile offline_access read:organizations write:organizations read:users " +
  "write:users read:devices write:devices";
/** The refresh token, for as long as the tab is open: a reload does not sign out. */
const STORED = "nexd.session";
/** How long before its end a token is renewed, ms. */
const EARLY = 30_000;

interface Tokens {
  access_token: string;
  refresh_token?: string;
  expires_in: number;
}

/** `starting` until it is known whether a session of this tab goes on. */
export const session = signal<"starting" | "out" | "in">("starting");

let access = "", expires = 0;
let renewal: Promise<void> | undefined;

/** An answer that is no success; the message is for people. */
export class Refused extends Error {
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

/** Signs in; throws a Refused that says why not. */
export async function signIn(username: string, password: string): Promise<void> {
  take(await token({ grant_type: "password", scope: SCOPE, username, password }));
  session.value = "in";
}

/** Goes on with the session of this tab, if it has one. */
export async function resume(): Promise<void> {
  if (sessionStorage.getItem(STORED) === null) {
    session.value = "out";
    return;
  }
  try {
    await renew();
    session.value = "in";
  } catch {
    session.value = "out";
  }
}

/** Ends the session here and at the server. */
export async function signOut(): Promise<void> {
  const refresh = sessionStorage.getItem(STORED);
  forget();
  if (refresh !== null) {
    const body = new URLSearchParams({ client_id: CLIENT_ID, token: refresh });
    await fetch("/oauth/revoke", { method: "POST", body }).catch(() => {});
  }
}

function forget(): void {
  sessionStorage.removeItem(STORED);
  access = "";
  expires = 0;
  session.value = "out";
}

/** Sends a request to the API as the user; throws a Refused, or a TypeError without a network. */
export async function request(
  method: string,
  path: string,
  body?: unknown,
  signal?: AbortSignal,
): Promise<Response> {
  if (Date.now() > expires - EARLY) await renew();
  const response = await fetch(path, {
    method,
    headers: {
      authorization: `Bearer ${access}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal === undefined ? {} : { signal }),
    credentials: "omit",
    cache: "no-store",
  });
  if (response.ok) return response;
  if (response.status === 401) forget();
  throw new Refused(response.status, await reason(response));
}

/** The same, and reads the JSON. */
export async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  return await (await request(method, path, body)).json() as T;
}

/** One renewal at a time, as each makes the last one's tokens old. */
function renew(): Promise<void> {
  return renewal ??= (async () => {
    try {
      const refresh_token = sessionStorage.getItem(STORED) ?? "";
      take(await token({ grant_type: "refresh_token", refresh_token }));
    } catch (error) {
      // Not for a server that is away for a moment: then the session is still good.
      if (error instanceof Refused && error.status < 500 && error.status !== 429) forget();
      throw error;
    } finally {
      renewal = undefined;
    }
  })();
}

async function token(fields: Record<string, string>): Promise<Tokens> {
  const body = new URLSearchParams({ client_id: CLIENT_ID, ...fields });
  const response = await fetch("/oauth/token", { method: "POST", body, credentials: "omit" });
  if (!response.ok) throw new Refused(response.status, await reason(response));
  return await response.json() as Tokens;
}

function take(tokens: Tokens): void {
  access = tokens.access_token;
  expires = Date.now() + tokens.expires_in * 1000;
  if (tokens.refresh_token !== undefined) sessionStorage.setItem(STORED, tokens.refresh_token);
}

/** What an error answer says, as one sentence. */
async function reason(response: Response): Promise<string> {
  const text = await response.text().catch(() => "");
  if (response.status === 409) return "there is one of that name, or at that place, already";
  try {
    const { error, error_description, field, reason } = JSON.parse(text) as Record<string, string>;
    const said = [error_description ?? error, field, reason].filter((part) => part);
    if (said.length > 0) return said.join(": ").slice(0, 300);
  } catch { /* not every refusal has a body */ }
  if (response.status === 403) return "you may not do this";
  return `the server answered with status ${response.status}`;
}

/** An error as a sentence for people. */
export function sentence(error: unknown): string {
  if (error instanceof Refused) return error.message;
  return "the control plane cannot be reached";
}
