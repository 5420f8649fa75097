import { equal, match, throws } from "node:assert/strict";
import { CertificateError } from "../error.ts";
import { type AcmeOptions, checkOptions } from "./options.ts";
import { AcmeProblem, parseRetryAfter, printable } from "./problem.ts";

const BASE: AcmeOptions = { directory: "/nowhere", hostname: "relay.test" };
const KEY = Uint8Array.from({ length: 32 }, (_, i) => 255 - i);

Deno.test("options are refused in one sentence when they cannot work", () => {
  const cases: [Partial<AcmeOptions>, RegExp][] = [
    [{ hostname: "" }, /"": it is no public DNS name/],
    [{ hostname: "localhost" }, /"localhost": it is no public DNS name; .*--certmode selfsigned/],
    [{ hostname: "../../etc" }, /no public DNS name/],
    [{ hostname: "*.relay.test" }, /no public DNS name/],
    [{ hostname: "1.2.3" }, /no public DNS name/],
    [{ hostname: "192.0.2.1" }, /192.0.2.1 is an IP address; add --acme-ip-certs/],
    [{ hostname: "2001:db8::1" }, /2001:db8::1 is an IP address; add --acme-ip-certs/],
    [{ mode: "gcp", hostname: "192.0.2.1", ipCerts: true }, /gives no certificates for IP/],
    [{ mode: "gcp" }, /--acme-eab-kid, --acme-eab-key, --acme-email missing/],
    [{ mode: "gcp", eab: { kid: "k", key: "a2V5" } }, /gcp: --acme-email missing/],
    [{ eab: { kid: "k" } }, /letsencrypt: --acme-eab-key missing/],
    [{ eab: { key: "a2V5" } }, /--acme-eab-kid missing/],
    [{ eab: { kid: "k", key: "not base64!" } }, /--acme-eab-key is neither base64 nor unpadded/],
    [{ eab: { kid: "k", key: "a2V5_w==" } }, /--acme-eab-key is neither/],
    [{ email: "nobody" }, /"nobody" is no mail address/],
    [{ directoryUrl: "http://ca.test/" }, /"http:\/\/ca.test\/" is no https URL; give --acme-dir/],
    [{ mode: "other" }, /directory "" is no https URL/],
    [{ http: false }, /the CA could not look here; serve port 80/],
  ];
  for (const [change, reason] of cases) {
    throws(() => checkOptions({ ...BASE, ...change }), (error: CertificateError) => {
      equal(error.exitCode, 2);
      match(error.message, reason);
      return error instanceof CertificateError && !error.message.includes("not base64!");
    });
  }
});

Deno.test("a binding key is the same in base64 and in unpadded base64url", () => {
  const base64url = KEY.toBase64({ alphabet: "base64url", omitPadding: true });
  for (const key of [KEY.toBase64(), base64url]) {
    const { eab } = checkOptions({ ...BASE, eab: { kid: "kid", key } });
    equal(eab?.hmacKey, KEY.toBase64());
  }
  equal(checkOptions(BASE).eab, undefined);
  equal(checkOptions({ ...BASE, hostname: "Relay.TEST." }).hostname, "relay.test");
  equal(checkOptions({ ...BASE, hostname: "192.0.2.1", ipCerts: true }).profile, "shortlived");
});

Deno.test("a wait asked for by a CA is read from seconds or a date and bounded", () => {
  const now = Date.parse("2026-01-01T00:00:00Z");
  const cases: [string | undefined, number | undefined][] = [
    [undefined, undefined],
    ["120", 120_000],
    ["Thu, 01 Jan 2026 00:01:00 GMT", 60_000],
    ["Wed, 31 Dec 2025 00:00:00 GMT", 0],
    ["999999999", 86_400_000],
    ["soon", undefined],
  ];
  for (const [value, wait] of cases) {
    equal(parseRetryAfter(value, now), wait, value);
  }
});

Deno.test("a problem is named by its type or its status when the body is none", () => {
  const of = (status: number, body: string) => AcmeProblem.of({ status, headers: {}, body }, 0);
  const type = "urn:ietf:params:acme:error:rejectedIdentifier";
  equal(of(400, JSON.stringify({ type, detail: "no" })).mistake, true);
  equal(of(502, "<html>").message, "HTTP 502");
  equal(of(429, "slow down").type, "rateLimited");
  equal(of(400, JSON.stringify({ type: 5, detail: {} })).message, "HTTP 400");
  equal(of(400, "null").message, "HTTP 400");
  equal(printable("a\r\n\u001b[31mb"), "a [31mb");
});
