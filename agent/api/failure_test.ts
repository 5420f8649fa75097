import assert from "node:assert/strict";
import { networkFailure } from "./failure.ts";

/** Texts as the runtime words them. */
const DENO = "error sending request for url (https://api.h/): client error (Connect): ";

Deno.test("networkFailure tells apart what the user has to mend", () => {
  const url = new URL("https://api.h:8443/");
  for (
    const [text, kind, pattern] of [
      [
        "dns error: failed to lookup address information: Name or service not known",
        "dns",
        /api\.h does not resolve/,
      ],
      ["dns error: failed to lookup address information: Try again", "dns", /does not resolve/],
      ["tcp connect error: Connection refused (os error 111)", "unreachable", /connection refused/],
      ["tcp connect error: Network is unreachable (os error 101)", "unreachable", /no route/],
      ["invalid peer certificate: UnknownIssuer", "certificate", /issuer is not trusted.*--ca/],
      [
        'invalid peer certificate: certificate not valid for name "api.h"',
        "certificate",
        /another name/,
      ],
      [
        "invalid peer certificate: certificate expired: verification time 5",
        "certificate",
        /expired/,
      ],
      ["received corrupt message of type InvalidContentType", "tls", /does not speak TLS/],
      ["something new", "unreachable", /api\.h:8443: something new$/],
    ] as const
  ) {
    const error = new TypeError("fetch failed", { cause: new Error(DENO + text) });
    const failure = networkFailure(error, url);
    assert.equal(failure.kind, kind, text);
    assert.match(failure.message, pattern);
    assert.equal(failure.transient, kind !== "certificate");
    assert(!failure.message.includes("\n") && failure.message.length < 300);
  }
  const timeout = networkFailure(new DOMException("x", "TimeoutError"), url);
  assert.equal(timeout.kind, "timeout");
});
