/** Who is signed in, and requests in that user's name. */
import { signal } from "@preact/signals";
import { comeBack, lead, refreshed, revoke, type Tokens, Unfit } from "./issuer.ts";
import { reason, Refused } from "./refused.ts";

/** The refresh token, for as long as the tab is open: a reload does not sign out. */
const STORED = "nexd.session";
/** How long before its end a token is renewed, ms. */
const EARLY = 30_000;

/** `starting` until it is known whether a session of this tab goes on. */
export const session = signal<"starting" | "out" | "in">("starting");
/** Why nobody is signed in, if it is not just so. */
export const trouble = signal("");

let access = "", expires = 0;
let renewal: Promise<void> | undefined;
/** Until the tokens of before are replaced: requests wait, or they would end the session. */
let change: Promise<unknown> | undefined;

/** Goes on with a sign-in that comes back from the issuer, or with the session of this tab. */
export async function resume(): Promise<void> {
  try {
    const tokens = await comeBack(sessionStorage.getItem(STORED) !== null);
    if (tokens !== undefined) take(tokens);
    else if (sessionStorage.getItem(STORED) !== null) await renew();
    // Nobody has been here: the one thing to do is to sign in.
    else return await lead();
    session.value = "in";
  } catch (error) {
    if (error instanceof Refused && sessionStorage.getItem(STORED) === null) return await signIn();
    trouble.value = why(error);
    session.value = "out";
  }
}

/** Leads to the issuer's page; what hinders that is told. */
export async function signIn(): Promise<void> {
  trouble.value = "";
  try {
    await lead();
  } catch (error) {
    trouble.value = why(error);
    session.value = "out";
  }
}

function why(error: unknown): string {
  return `Cannot sign in: ${error instanceof Unfit ? error.message : sentence(error)}`;
}

/** Ends the session here and at the server. */
export async function signOut(): Promise<void> {
  const refresh = sessionStorage.getItem(STORED);
  forget();
  if (refresh !== null) {
    await revoke(refresh).catch(() => {});
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
  await change;
  return await send(method, path, body, signal);
}

async function send(
  method: string,
  path: string,
  body?: unknown,
  signal?: AbortSignal,
): Promise<Response> {
  if (Date.now() > expires - EARLY) await renew();
  const used = access;
  const response = await fetch(path, {
    method,
    headers: {
      authorization: `Bearer ${used}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal === undefined ? {} : { signal }),
    credentials: "omit",
    cache: "no-store",
  });
  if (response.ok) return response;
  if (response.status === 401 && used === access) forget();
  throw new Refused(response.status, await reason(response));
}

/** The same, and reads the JSON. */
export async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  return await (await request(method, path, body)).json() as T;
}

/** Gives the own account another password: this session goes on with new tokens, all others end. */
export async function changePassword(old_password: string, password: string): Promise<void> {
  await change;
  const body = { old_password, password };
  const work = send("POST", "/api/accounts/me/password", body).then(async (response) => {
    take((await response.json() as { tokens: Tokens }).tokens);
  });
  change = work.catch(() => {}).finally(() => change = undefined);
  await work;
}

/** One renewal at a time, as each makes the last one's tokens old. */
function renew(): Promise<void> {
  return renewal ??= (async () => {
    try {
      const refresh_token = sessionStorage.getItem(STORED) ?? "";
      take(await refreshed(refresh_token));
    } catch (error) {
      // Not for a server that is away for a moment: then the session is still good.
      if (error instanceof Refused && error.status < 500 && error.status !== 429) forget();
      throw error;
    } finally {
      renewal = undefined;
    }
  })();
}

function take(tokens: Tokens): void {
  access = tokens.access_token;
  expires = Date.now() + tokens.expires_in * 1000;
  if (tokens.refresh_token !== undefined) sessionStorage.setItem(STORED, tokens.refresh_token);
}

export { Refused } from "./refused.ts";

/** What a form holds cannot be sent; the message is for people. */
export class Unsuitable extends Error {}

/** An error as a sentence for people. */
export function sentence(error: unknown): string {
  if (error instanceof Refused || error instanceof Unsuitable) return error.message;
  return "the control plane cannot be reached";
}
