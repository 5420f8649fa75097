/** Which requests on the shared port are the relay's, and how the control plane gets the others. */
import type { ControlService } from "../control/mod.ts";
import type { GuestService } from "../relay/mod.ts";

/** Paths of the relay; its upgrade to DERP is never asked about. */
const RELAY_PATH = /^\/(derp\/|debug\/|(derp|debug|generate_204|bootstrap-dns|robots\.txt)$)/;

/** Where the certificate of a private CA is, for whoever knows its fingerprint. */
export const CA_PATH = "/ca.crt";

/** The control plane's side of the shared port. */
export interface Share extends Pick<GuestService, "owns" | "fetch"> {
  /** PEM of the private CA, once it is known. */
  ca: string | undefined;
}

/** Shares the port of a relay between it and a control plane, by host and path. */
export function shareOf(control: ControlService, hostname: string): Share {
  const own = new Set([`api.${hostname}`, `auth.${hostname}`]);
  const share: Share = {
    ca: undefined,
    owns: (host, path) => own.has(host) || !RELAY_PATH.test(path),
    async fetch(request, client) {
      const { pathname } = new URL(request.url);
      if (pathname === CA_PATH && share.ca !== undefined) return caAnswer(request, share.ca);
      const { remoteAddress: hostname, remotePort: port } = client;
      const response = await control.fetch(request, { transport: "tcp", hostname, port });
      // All under /api/ takes credentials: who is answered there is no stranger.
      if (response.ok && pathname.startsWith("/api/")) client.known();
      return response;
    },
  };
  return share;
}

function caAnswer(request: Request, ca: string): Response {
  if (request.method !== "GET") {
    return new Response(null, { status: 405, headers: { allow: "GET" } });
  }
  return new Response(ca, {
    headers: { "content-type": "application/x-pem-file", "x-content-type-options": "nosniff" },
  });
}
