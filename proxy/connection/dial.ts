/** Making the TCP and TLS connection to a relay, and saying in one sentence why it failed. */
import { connectionFds, hangUp, setNotSentLimit } from "../../relay/net/mod.ts";
import { RelayConnectionError } from "../error.ts";
import { signedBy } from "./issuer.ts";

/** What TCP may hold and not have sent yet. Bytes. */
const UNSENT_BYTES = 32 * 1024;

/** Where a relay is. */
export interface RelayAddress {
  /** Region number, for whoever chose it; not used here. */
  region?: number;
  /** Name in the certificate, and to resolve. */
  host: string;
  /** TCP port. */
  port: number;
  /** IP address to dial instead of resolving `host`. */
  address?: string;
  /**
   * PEM texts of the only authorities that may have signed this relay's certificate; in place of all
   * others, and for this relay alone.
   */
  ca?: string[];
  /** No TLS; for development. */
  plain?: boolean;
}

/** `host:port` as people write it. */
export function relayName(relay: RelayAddress): string {
  return relay.host.includes(":") ? `[${relay.host}]:${relay.port}` : `${relay.host}:${relay.port}`;
}

/** The Host header: without the port where it is the scheme's own. */
export function hostHeader(relay: RelayAddress): string {
  const name = relayName(relay);
  const usual = relay.plain ? ":80" : ":443";
  return name.endsWith(usual) ? name.slice(0, -usual.length) : name;
}

/**
 * Connects to a relay, with TLS unless it is a plain one. TCP_NODELAY is set.
 *
 * @param caCerts PEM texts of authorities trusted beside the system's, for a relay without its own
 * @param signal ends the attempt; its reason is thrown
 * @throws RelayConnectionError
 */
export async function dial(
  relay: RelayAddress,
  { caCerts = [], signal }: { caCerts?: string[]; signal: AbortSignal },
): Promise<Deno.Conn> {
  let conn: Deno.Conn | undefined;
  let ends: { local: number; remote: Deno.NetAddr } | undefined;
  const aborted = Promise.withResolvers<never>();
  aborted.promise.catch(() => {});
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort);
  try {
    signal.throwIfAborted();
    const connecting = Deno.connect({ hostname: relay.address ?? relay.host, port: relay.port });
    // A name look-up cannot be cancelled: whatever comes out of it later is closed.
    connecting.then((late) => signal.aborted && tryClose(late), () => {});
    const tcp = await Promise.race([connecting, aborted.promise]);
    conn = tcp;
    tcp.setNoDelay(true);
    limitUnsent(tcp);
    if (relay.plain) return tcp;
    ends = { local: tcp.localAddr.port, remote: tcp.remoteAddr };
    const tls = await Deno.startTls(tcp, { hostname: relay.host, caCerts: relay.ca ?? caCerts });
    conn = tls;
    await Promise.race([tls.handshake(), aborted.promise]);
    if (relay.ca !== undefined && !signedBy(tls, relay.ca)) throw new Error("UnknownIssuer");
    return tls;
  } catch (error) {
    if (conn !== undefined) tryClose(conn);
    // A handshake goes on behind that; one with a relay that is stuck would never end.
    if (ends !== undefined) hangUp(ends.local, [ends.remote]);
    if (signal.aborted) throw signal.reason;
    throw explainDial(error, relay, conn !== undefined);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** What waits on a slow way to the relay waits in our queue, which knows what to drop. */
function limitUnsent({ localAddr, remoteAddr }: Deno.TcpConn): void {
  for (const fd of connectionFds(localAddr.port, [remoteAddr])) setNotSentLimit(fd, UNSENT_BYTES);
}

/** Closes a connection that may be closed already. */
export function tryClose(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch {
    // It was.
  }
}

/** What went wrong, and what to do, from what the system said. */
function explainDial(
  error: unknown,
  relay: RelayAddress,
  connected: boolean,
): RelayConnectionError {
  const text = error instanceof Error ? error.message : String(error);
  const name = relayName(relay);
  const dialled = relay.address === undefined ? name : `${name} at ${relay.address}`;
  const fail = (
    reason: ConstructorParameters<typeof RelayConnectionError>[0],
    what: string,
    remedy: string,
  ) => new RelayConnectionError(reason, `${what}; ${remedy}`, { cause: error });

  if (connected) return explainTls(error, text, relay, fail);
  if (/failed to lookup address|not known|No address|name resolution/i.test(text)) {
    return fail(
      "dns",
      `Cannot find relay ${name}: the name "${relay.host}" does not resolve`,
      "check the name, or DNS on this host",
    );
  }
  if (error instanceof Deno.errors.ConnectionRefused) {
    return fail(
      "refused",
      `Cannot reach relay ${dialled}: connection refused`,
      "check that the relay runs and listens on this port",
    );
  }
  if (error instanceof Deno.errors.TimedOut) {
    return fail(
      "timeout",
      `Cannot reach relay ${dialled}: no answer`,
      "check that the relay's host is up and a firewall lets TCP through",
    );
  }
  return fail(
    "network",
    `Cannot reach relay ${dialled}: ${text.slice(0, 200)}`,
    "check this host's network",
  );
}

function explainTls(
  error: unknown,
  text: string,
  relay: RelayAddress,
  fail: (
    reason: ConstructorParameters<typeof RelayConnectionError>[0],
    what: string,
    remedy: string,
  ) => RelayConnectionError,
): RelayConnectionError {
  const name = relayName(relay);
  if (
    /UnknownIssuer|BadSignature|UnsupportedCertVersion|SelfSigned|CaUsedAsEndEntity/i.test(text)
  ) {
    return fail(
      "tls_unknown_ca",
      relay.ca === undefined
        ? `Cannot trust relay ${name}: its certificate is not signed by a known authority`
        : `Cannot trust relay ${name}: its certificate is not signed by the authority it published`,
      relay.ca === undefined
        ? "give the relay's CA file with --relay-ca"
        : "check that it is the relay of this VPC, and that the relay could publish its CA",
    );
  }
  if (/NotValidForName|not valid for name/i.test(text)) {
    return fail(
      "tls_wrong_name",
      `Cannot trust relay ${name}: its certificate is not for the name "${relay.host}"`,
      "use the name in the certificate, or give the relay a certificate for this one",
    );
  }
  if (/expired|NotValidYet|not valid yet/i.test(text)) {
    return fail(
      "tls_expired",
      `Cannot trust relay ${name}: its certificate is expired or not valid yet`,
      "renew it on the relay, and check the clock of this host",
    );
  }
  if (
    error instanceof Deno.errors.InvalidData && /corrupt message|InvalidContentType/i.test(text)
  ) {
    return fail(
      "tls",
      `Cannot speak TLS with relay ${name}: what listens there does not`,
      "check the port",
    );
  }
  return fail(
    "tls",
    `Cannot speak TLS with relay ${name}: ${text.slice(0, 200)}`,
    "check the relay's certificate and log",
  );
}
