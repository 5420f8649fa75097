/** Headers and plain answers that the pages share. */

const POLICY = "default-src 'self'; frame-ancestors 'none'; form-action 'self'; base-uri 'self'; " +
  "block-all-mixed-content; object-src 'none'";

/** What browsers are told with every page meant for them. */
export const BROWSER_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": POLICY,
  "strict-transport-security": "max-age=63072000; includeSubDomains",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

/** The same below `/debug/`, where style sheets may stand in the page, plus: nobody keeps copies. */
export const DEBUG_HEADERS: Readonly<Record<string, string>> = {
  ...BROWSER_HEADERS,
  "content-security-policy": `${POLICY}; style-src 'self' 'unsafe-inline'`,
  "cache-control": "no-store",
  // A debug key in the address goes nowhere else.
  "referrer-policy": "no-referrer",
};

const HTML = "text/html; charset=utf-8";
const PLAIN = "text/plain; charset=utf-8";

/**
 * An answer of known length. The length is stated here because a HEAD request's answer loses its
 * body before the server could measure it.
 */
export function sized(
  body: string,
  headers: Record<string, string>,
  status = 200,
): Response {
  const length = String(new TextEncoder().encode(body).length);
  // An empty text would get a content type of its own.
  return new Response(body === "" ? null : body, {
    status,
    headers: { ...headers, "content-length": length },
  });
}

/** A refusal or other short text, without the browser headers. */
export function plain(status: number, text: string): Response {
  return sized(text, { "content-type": PLAIN, "x-content-type-options": "nosniff" }, status);
}

/** A text for browsers. */
export function textPage(text: string, headers = BROWSER_HEADERS, status = 200): Response {
  return sized(text, { ...headers, "content-type": PLAIN }, status);
}

/** A page for browsers. */
export function htmlPage(
  page: { toString(): string },
  headers = BROWSER_HEADERS,
  status = 200,
): Response {
  return sized(page.toString().trim(), { ...headers, "content-type": HTML }, status);
}

const REDIRECTS = { 302: "Found", 307: "Temporary Redirect" } as const;

/** Sends the client elsewhere, with a link in the body for GET as Go's server has it. */
export function redirect(
  request: Request,
  status: keyof typeof REDIRECTS,
  location: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  if (request.method !== "GET" && request.method !== "HEAD") {
    return sized("", { ...headers, location }, status);
  }
  const body = `<a href="${escapeAttribute(location)}">${REDIRECTS[status]}</a>.\n\n`;
  return sized(body, { ...headers, location, "content-type": HTML }, status);
}

function escapeAttribute(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
