/**
 * An ACME server that is nothing but what a test says: for answers that pebble never gives.
 *
 * @module
 */

import { isIpAddress } from "../../inspect.ts";
import { ensureSelfSigned } from "../../self_signed.ts";
import { ECDSA_P256, loadX509, randomSerial, toPem } from "../../x509.ts";

const DAY_MS = 86_400_000;

/** Answers a request; `payload` is what the client has signed. Undefined: the usual answer. */
export type Handler = (
  resource: string,
  payload: unknown,
  request: Request,
) => Response | Promise<Response> | undefined;

/** A running server. */
export interface FakeCa extends AsyncDisposable {
  directoryUrl: string;
  /** PEM that its own certificate is verified with. */
  ca: string;
  /** What was asked for, in order: `directory`, `newNonce`, `newAccount`, `newOrder` and others. */
  asked: string[];
}

/** Starts one on a free port. Unless `handler` says otherwise it knows everybody and gives nothing. */
export async function startFakeCa(
  handler: Handler,
  meta: Record<string, unknown> = {},
): Promise<FakeCa> {
  const directory = Deno.makeTempDirSync({ prefix: "nexd-fake-ca-" });
  const { cert, key, ca } = await ensureSelfSigned(directory, ["127.0.0.1"]);
  Deno.removeSync(directory, { recursive: true });
  const asked: string[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, cert, key, onListen: () => {} },
    async (request) => {
      const { pathname, origin } = new URL(request.url);
      const resource = pathname.slice(1);
      asked.push(resource);
      const text = request.method === "POST" ? await request.text() : "";
      const { payload } = JSON.parse(text || "{}") as { payload?: string };
      const signed = payload
        ? JSON.parse(
          new TextDecoder().decode(Uint8Array.fromBase64(payload, { alphabet: "base64url" })),
        )
        : undefined;
      const response = await handler(resource, signed, request) ??
        usual(resource, origin, meta);
      response.headers.set("replay-nonce", crypto.randomUUID());
      return response;
    },
  );
  return {
    directoryUrl: `https://127.0.0.1:${server.addr.port}/directory`,
    ca,
    asked,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

function usual(resource: string, origin: string, meta: Record<string, unknown>): Response {
  switch (resource) {
    case "directory": {
      const resources = ["newNonce", "newAccount", "newOrder"];
      return Response.json({
        ...Object.fromEntries(resources.map((name) => [name, `${origin}/${name}`])),
        meta,
      });
    }
    case "newAccount":
      return Response.json({ status: "valid" }, {
        status: 201,
        headers: { location: `${origin}/account/1` },
      });
    case "newNonce":
      return new Response(null);
    default:
      return problem(404, "malformed", "no such resource");
  }
}

/** An error document (RFC 7807). */
export function problem(
  status: number,
  type: string,
  detail: string,
  headers: Record<string, string> = {},
): Response {
  return Response.json({ type: `urn:ietf:params:acme:error:${type}`, detail, status }, {
    status,
    headers: { ...headers, "content-type": "application/problem+json" },
  });
}

/** A leaf with its key as some public CA could have signed it; dates in days from now. */
export async function publicLeaf(
  names: string[],
  { from = -60, to = 30 }: { from?: number; to?: number } = {},
): Promise<{ cert: string; key: string }> {
  const { SubjectAlternativeNameExtension, X509CertificateGenerator } = await loadX509();
  const issuer = await crypto.subtle.generateKey(ECDSA_P256, true, ["sign", "verify"]);
  const keys = await crypto.subtle.generateKey(ECDSA_P256, true, ["sign", "verify"]);
  const made = await X509CertificateGenerator.create({
    serialNumber: randomSerial(),
    subject: `CN=${names[0]}`,
    issuer: "CN=Some Public CA",
    notBefore: new Date(Date.now() + from * DAY_MS),
    notAfter: new Date(Date.now() + to * DAY_MS),
    signingAlgorithm: ECDSA_P256,
    publicKey: keys.publicKey,
    signingKey: issuer.privateKey,
    extensions: [
      new SubjectAlternativeNameExtension(
        names.map((value) => ({
          type: isIpAddress(value) ? "ip" as const : "dns" as const,
          value,
        })),
      ),
    ],
  });
  return {
    cert: toPem("CERTIFICATE", made.rawData),
    key: toPem("PRIVATE KEY", await crypto.subtle.exportKey("pkcs8", keys.privateKey)),
  };
}
