import { deepEqual, equal, match, notEqual, ok, rejects } from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { CertificateError } from "../error.ts";
import { AcmeSource } from "./acme_source.ts";
import type { AcmeOptions } from "./options.ts";
import { cannotPebble, Pebble, serveTokens, temporary, until } from "./testing/mod.ts";

const HOST = "relay.test";
const YEAR_MS = 365 * 86_400_000;
const TIMES = { pollMs: 50, checkMs: 30, firstRetryMs: 200, maxRetryMs: 400, attemptMs: 30_000 };

function options(pebble: Pebble, directory: string, more: Partial<AcmeOptions> = {}): AcmeOptions {
  return {
    directory,
    hostname: HOST,
    directoryUrl: pebble.directoryUrl,
    ca: pebble.ca,
    times: TIMES,
    ...more,
  };
}

function mode(path: string): number {
  return Deno.statSync(path).mode! & 0o777;
}

Deno.test("a first certificate is issued by HTTP-01 and reused when started again", async () => {
  if (await cannotPebble()) return;
  using directory = temporary();
  await using pebble = await Pebble.start();
  const path = join(directory.path, "certs");
  let first: string;
  {
    await using source = new AcmeSource(options(pebble, path, { email: "ops@relay.test" }));
    await rejects(async () => await Promise.resolve(source.current), CertificateError);
    await using web = serveTokens(pebble.httpPort, (token) => source.challenge(token));
    await source.start();
    ok(web.asked > 0);
    first = source.current.cert;
    const status = source.status();
    deepEqual(status.names, [HOST]);
    equal(status.mode, "letsencrypt");
    match(status.issuer, /^Pebble/);
    equal(status.lastError, undefined);
    const leaf = new X509Certificate(first);
    equal(Date.parse(leaf.validTo), status.notAfter);
    equal(leaf.publicKey.asymmetricKeyDetails?.namedCurve, "prime256v1");
    const third = (status.notAfter - Date.parse(leaf.validFrom)) / 3;
    const due = status.notAfter - third - status.nextTry!;
    ok(due >= 0 && due <= 86_400_000 + 1000, `${due} ms before a third is left`);
  }
  equal(mode(path), 0o700);
  const files = [...Deno.readDirSync(path)].map(({ name }) => name).sort();
  deepEqual(files, [
    ".nexd.lock",
    "acme-account.key",
    HOST,
    `${HOST}.acme.json`,
    `${HOST}.acme.lock`,
  ]);
  for (const file of files) equal(mode(join(path, file)), 0o600, file);

  await pebble.down();
  await using again = new AcmeSource(options(pebble, path));
  await again.start();
  equal(again.current.cert, first, "nobody was asked");
});
