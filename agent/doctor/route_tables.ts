/**
 * The routing tables of macOS and Windows, as their programs print them.
 *
 * Pure: text in, routes out. What is not understood is no route.
 *
 * @module
 */

/** One route. */
export interface Route {
  /** In CIDR form. */
  dst: string;
  dev: string;
}

/** Asks Windows in a form that no language changes. */
export const GET_NET_ROUTE = "Get-NetRoute | Select-Object DestinationPrefix,InterfaceAlias | " +
  "ConvertTo-Json -Compress";

/** The answer to {@link GET_NET_ROUTE}: a list, or one object where there is one route. */
export function windowsRoutes(text: string): Route[] {
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch {
    return [];
  }
  return [value].flat().flatMap((entry) => {
    const { DestinationPrefix: dst, InterfaceAlias: dev } = (entry ?? {}) as Record<
      string,
      unknown
    >;
    return typeof dst === "string" && typeof dev === "string" ? [{ dst, dev }] : [];
  });
}

/**
 * The answer to `netstat -rn -f inet` or `inet6`. The columns are found by their heads: macOS 10.14
 * and older have two more. An IPv4 destination leaves out zeros at its end, and its length where it
 * follows from that.
 */
export function macRoutes(text: string): Route[] {
  let column: number | undefined;
  const routes: Route[] = [];
  for (const line of text.split("\n")) {
    const words = line.trim().split(/\s+/);
    if (words[0] === "Destination") {
      column = words.indexOf("Netif");
      continue;
    }
    const dev = words[column ?? -1];
    const dst = macPrefix(words[0] ?? "");
    if (dev !== undefined && dst !== undefined) routes.push({ dst, dev });
  }
  return routes;
}

function macPrefix(text: string): string | undefined {
  if (text.includes(":")) return text.replace(/%[^/]*/, "");
  const match = /^(\d+(?:\.\d+){0,3})(?:\/(\d+))?$/.exec(text);
  if (match === null) return undefined;
  const octets = match[1]!.split(".");
  const length = match[2] ?? String(octets.length * 8);
  return `${[...octets, "0", "0", "0"].slice(0, 4).join(".")}/${length}`;
}
