/** Questions to the issuer: over TLS, without redirects, bounded in size and time. */
import { unavailableFor } from "../http/mod.ts";

/** Longest answer that is read, in bytes, and how long one may take, ms. */
const MAX_ANSWER = 256 * 1024, PATIENCE = 5_000;

/** The issuer does not answer, or not as it should; the message is a clause. */
export class IssuerError extends Error {
  override name = "IssuerError";
}

/** An answer of the issuer. */
export interface Answer {
  status: number;
  body: Record<string, unknown>;
}

/** What a question may have. */
export interface Question {
  form?: URLSearchParams;
  bearer?: string;
  /** Id and secret of a client that is not public. */
  basic?: readonly [string, string] | undefined;
  fetch?: typeof fetch | undefined;
  client?: Deno.HttpClient | undefined;
  /** How long an answer may take in all. */
  patienceMs?: number | undefined;
  signal: AbortSignal;
}

/**
 * Asks the issuer, and reads a JSON object of any status but a redirect: where the answer comes from is
 * the place that was asked.
 *
 * @throws {IssuerError}
 */
export async function ask(url: string, question: Question): Promise<Answer> {
  const { form, bearer, basic, client, patienceMs = PATIENCE } = question;
  const { host } = new URL(url);
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), patienceMs);
  try {
    const response = await (question.fetch ?? fetch)(url, {
      method: form === undefined ? "GET" : "POST",
      redirect: "manual",
      signal: AbortSignal.any([question.signal, late.signal]),
      headers: {
        accept: "application/json",
        ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
        ...(basic === undefined ? {} : { authorization: `Basic ${credentials(...basic)}` }),
      },
      ...(form === undefined ? {} : { body: form }),
      ...(client === undefined ? {} : { client }),
    });
    const { status } = response;
    if (status >= 300 && status < 400) {
      await response.body?.cancel();
      throw new IssuerError(`${host} sends us elsewhere, with status ${status}`);
    }
    return { status, body: parsed(await textOf(response, host), host, status) };
  } catch (error) {
    if (error instanceof IssuerError) throw error;
    const why = late.signal.aborted
      ? `does not answer within ${patienceMs / 1000} s`
      : "cannot be reached";
    throw new IssuerError(`${host} ${why}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

/** As RFC 6749, 2.3.1 has it: both parts as in a form, which Basic alone would not ask for. */
function credentials(id: string, secret: string): string {
  const coded = (text: string) => new URLSearchParams({ "": text }).toString().slice(1);
  return btoa(`${coded(id)}:${coded(secret)}`);
}

async function textOf(response: Response, host: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    // Leaving the loop cancels the body.
    if (size > MAX_ANSWER) throw new IssuerError(`${host} answers more than ${MAX_ANSWER} bytes`);
    chunks.push(chunk);
  }
  return await new Blob(chunks as BlobPart[]).text();
}

function parsed(text: string, host: string, status: number): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return value as Record<string, unknown>;
    }
  } catch { /* told below */ }
  throw new IssuerError(`${host} answers with status ${status} and no JSON object`);
}

/** 503 for an issuer that is needed now; anything else goes on as it is. */
export async function needed<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof IssuerError)) throw error;
    throw unavailableFor(`nobody can sign in now: the issuer at ${error.message}`);
  }
}
