/** Reading `host:port` texts as Go programs spell them. */

/** An address text that cannot be read. A usage error: exit code 2. */
export class AddressError extends Error {
  override readonly name = "AddressError";
  readonly exitCode = 2;
}

/** Shape of an IPv6 address with an optional zone; the runtime judges the rest when it dials. */
const IPV6 =
  /^(?=(.*::)|([^:]*:){6,7}[^:]*$)([0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F.]{0,15}(%[\w.-]+)?$/;

function fail(text: string, state: string): never {
  const shown = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  throw new AddressError(
    `Cannot read address "${shown}": ${state}; write host:port, :port or [IPv6]:port`,
  );
}

/**
 * Splits a listen or dial address.
 *
 * `":443"` has an empty hostname (every address); a port may be left out (`defaultPort`); an IPv6
 * address with a port stands in brackets and is returned without them. Port 0 is accepted.
 *
 * @throws AddressError for anything else
 */
export function parseHostPort(
  text: string,
  defaultPort: number,
): { hostname: string; port: number } {
  let hostname = text;
  let port: string | undefined;
  if (text.startsWith("[")) {
    const end = text.indexOf("]");
    if (end < 0) fail(text, "the bracket is not closed");
    hostname = text.slice(1, end);
    if (!IPV6.test(hostname)) {
      fail(text, "no IPv6 address between the brackets");
    }
    const rest = text.slice(end + 1);
    if (rest !== "" && !rest.startsWith(":")) fail(text, "text behind the bracket");
    port = rest === "" ? undefined : rest.slice(1);
  } else {
    const colon = text.indexOf(":");
    if (colon >= 0 && text.indexOf(":", colon + 1) < 0) {
      hostname = text.slice(0, colon);
      port = text.slice(colon + 1);
    } else if (colon >= 0 && !IPV6.test(text)) {
      fail(text, "more than one colon and no IPv6 address");
    }
    if (!/^[\w.:-]*$/.test(hostname) || hostname.length > 253) fail(text, "not a host name");
    if (hostname === "" && port === undefined) fail(text, "it is empty");
  }
  if (port === undefined) return { hostname, port: defaultPort };
  if (!/^[0-9]{1,5}$/.test(port) || Number(port) > 65535) {
    fail(text, `"${port.slice(0, 20)}" is not a port from 0 to 65535`);
  }
  return { hostname, port: Number(port) };
}
