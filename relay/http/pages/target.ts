/** The target of a request, as it stood in the request line. */

/** Path and query of a request's address. */
export interface Target {
  /** As sent: percent-encoded, maybe with empty or dotted segments. */
  path: string;
  /** With its question mark, or empty. */
  query: string;
}

/**
 * Splits an address without putting it in order, which `new URL` would: `/a/../b` stays visible.
 */
export function target(url: string): Target {
  const scheme = url.indexOf("://");
  const rest = url.slice(scheme < 0 ? 0 : scheme + 3);
  const start = rest.search(/[/?#]/);
  const [all = ""] = (start < 0 ? "" : rest.slice(start)).split("#");
  const mark = all.indexOf("?");
  const path = mark < 0 ? all : all.slice(0, mark);
  return { path: path === "" ? "/" : path, query: mark < 0 ? "" : all.slice(mark) };
}

/**
 * The path that routes are compared with: percent-decoded, but an encoded slash separates nothing.
 * A path that cannot be decoded stays as it is.
 */
export function routePath(url: string): string {
  const { path } = target(url);
  if (!path.includes("%")) return path;
  try {
    return decodeURIComponent(path.replace(/%(2f)/gi, "%25$1"));
  } catch {
    return path;
  }
}
