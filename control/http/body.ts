import { jsonInvalid, Problem } from "./problem.ts";

/** Largest request body, in bytes; a device with all its fields full is a tenth of it. */
export const MAX_BODY = 1024 * 1024;

/** How long a client may take to send a body, in milliseconds. */
const BODY_TIMEOUT = 10_000;

/**
 * Reads a request's JSON body. Throws a {@linkcode Problem}: 413 above {@linkcode MAX_BODY} bytes,
 * 408 when it takes longer than `timeoutMs`, 400 when it is not JSON.
 */
export async function readJson(request: Request, timeoutMs = BODY_TIMEOUT): Promise<unknown> {
  const text = new TextDecoder().decode(await readBytes(request, timeoutMs));
  if (text.trim() === "") throw jsonInvalid("EOF");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw jsonInvalid(error instanceof Error ? error.message.slice(0, 200) : "not JSON");
  }
  checkJson(value);
  return value;
}

/** How deep objects and arrays may lie in each other: whatever walks them later uses the stack. */
const MAX_DEPTH = 32;

/** Refuses what a database or another client could not take: NUL, half of a character, a deep tree. */
function checkJson(root: unknown): void {
  const rest: [unknown, number][] = [[root, 0]];
  for (let next; (next = rest.pop());) {
    const [value, depth] = next;
    if (typeof value === "string") checkText(value);
    if (typeof value !== "object" || value === null) continue;
    if (depth >= MAX_DEPTH) throw jsonInvalid(`nested deeper than ${MAX_DEPTH} levels`);
    for (const [key, inner] of Object.entries(value)) {
      checkText(key);
      rest.push([inner, depth + 1]);
    }
  }
}

function checkText(text: string): void {
  if (!isPlainText(text)) throw jsonInvalid("a text holds NUL or half of a surrogate pair");
}

/** Whether every database can keep a text: no NUL, no half of a character. */
export function isPlainText(text: string): boolean {
  return !text.includes("\0") && text.isWellFormed();
}

/** Largest form, in bytes: a name, a password and a token. */
const MAX_FORM = 16 * 1024;

/**
 * Reads the body of an HTML form. Throws a {@linkcode Problem}: 415 for another content type, 413
 * above 16 KiB, 408 when it takes longer than `timeoutMs`.
 */
export async function readForm(
  request: Request,
  timeoutMs = BODY_TIMEOUT,
): Promise<URLSearchParams> {
  const type = request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (type !== "application/x-www-form-urlencoded") {
    throw new Problem(415, { error: "send a form: application/x-www-form-urlencoded" });
  }
  const bytes = await readBytes(request, timeoutMs, MAX_FORM);
  return new URLSearchParams(new TextDecoder().decode(bytes));
}

async function readBytes(
  request: Request,
  timeoutMs: number,
  limit = MAX_BODY,
): Promise<Uint8Array> {
  if (Number(request.headers.get("content-length") ?? 0) > limit) throw tooLarge(limit);
  if (!request.body) return new Uint8Array();
  const reader = request.body.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Problem(408, { error: "request body took too long" })),
      timeoutMs,
    );
  });
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), late]);
      if (done) break;
      size += value.length;
      if (size > limit) throw tooLarge(limit);
      chunks.push(value);
    }
  } catch (error) {
    // Not awaited: a client that stopped sending would never let it finish.
    reader.cancel().catch(() => {});
    if (error instanceof Problem) throw error;
    throw jsonInvalid("the body ended early");
  } finally {
    clearTimeout(timer);
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

function tooLarge(limit: number): Problem {
  return new Problem(413, { error: `request body is larger than ${limit} bytes` });
}
