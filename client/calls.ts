/**
 * Calls of the API as a user, and what its refusals mean.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { ApiFailure, parseUser } from "../agent/api/mod.ts";
import { ClientError } from "./errors.ts";
import { cleanText, jsonText, parseJson } from "./output/mod.ts";
import type { Account } from "./session/mod.ts";

const log = getLogger(["nexd", "client"]);

/** See the top of the file. All methods return the text of the answer, and throw {@link ClientError}. */
export class Calls {
  readonly #account: Account;
  readonly #signal: AbortSignal;

  constructor(account: Account, signal: AbortSignal) {
    this.#account = account;
    this.#signal = signal;
  }

  get(path: string): Promise<string> {
    return this.#call("GET", path);
  }

  post(path: string, body?: Record<string, unknown>): Promise<string> {
    return this.#call("POST", path, body);
  }

  patch(path: string, body: Record<string, unknown>): Promise<string> {
    return this.#call("PATCH", path, body);
  }

  put(path: string, body: Record<string, unknown>): Promise<string> {
    return this.#call("PUT", path, body);
  }

  delete(path: string): Promise<string> {
    return this.#call("DELETE", path);
  }

  /** Id of the user: also that of the user's own organization, VPC and security group. */
  async me(): Promise<string> {
    const { id } = parseUser(parseJson(await this.get("/api/users/me"))) ?? {};
    if (id === undefined) {
      throw new ClientError("The control plane does not say who you are; check the service URL");
    }
    return id;
  }

  async #call(method: string, path: string, body?: Record<string, unknown>): Promise<string> {
    const { api } = this.#account;
    // Fields without a value are absent: an empty text is none.
    const text = body === undefined ? undefined : jsonText(body);
    let token = await this.#account.token();
    for (let again = true;; again = false) {
      const began = performance.now();
      const done = (result: unknown) =>
        log.debug("{method} {path}: {result} after {ms} ms", {
          ...{ method, path, result, ms: Math.round(performance.now() - began) },
        });
      try {
        const signal = this.#signal;
        const answer = await api.ask(method, path, {
          ...{ token, signal },
          ...(text === undefined ? {} : { body: text }),
        });
        done(`${answer.length} characters`);
        return answer;
      } catch (error) {
        if (this.#signal.aborted) {
          throw new ClientError("Interrupted", { exitCode: 130, cause: error });
        }
        if (!(error instanceof ApiFailure)) throw error;
        done(error.status ?? error.kind);
        if (error.status !== 401 || !again) throw refusal(error, new URL(this.#account.service));
        token = await this.#account.token(token);
      }
    }
  }
}

/** What a status means where the control plane says nothing. */
const MEANING: Record<number, string> = {
  401: "it does not accept your sign-in; run nexd user login",
  403: "you are not allowed to do that",
  404: "there is no such thing, or you may not see it",
  405: "it does not support that",
  429: "too many requests",
  503: "it is not ready",
};

/** The failure as one sentence with all that the control plane said. */
function refusal(failure: ApiFailure, { host }: URL): unknown {
  if (failure.kind !== "status") return failure;
  const { error, reason, resource, field, id, trace_id } = failure.detail;
  const { status, retryAfter } = failure;
  const parts = [
    error ?? MEANING[status!] ?? "it does not say why",
    ...(reason === undefined || reason === error ? [] : [`: ${reason}`]),
    ...(resource === undefined ? [] : [`: ${resource}`]),
    ...(field === undefined ? [] : [`; field ${field}`]),
    ...(id === undefined ? [] : [`; conflicting id ${id}`]),
    ...(trace_id === undefined ? [] : [`; trace id ${trace_id}`]),
    ...(retryAfter === undefined ? [] : [`; try again in ${retryAfter} s`]),
  ];
  return new ClientError(
    `The control plane at ${host} refused it: ${
      cleanText(parts.join(""), 1000)
    } (status ${status})`,
    { cause: failure },
  );
}
