import { deepEqual, equal, match, notEqual, ok, rejects } from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { join } from "node:path";
import { publicLeaf, temporary, until } from "../acme/testing/mod.ts";
import { CertificateError, ensureSelfSigned } from "../mod.ts";
import type { Certificate } from "../inspect.ts";
import { openManual, openMetaCert, openSelfSigned } from "./mod.ts";

const HOST = "relay.test";
const DAY_MS = 86_400_000;
const NEVER = 3_600_000;

function put(directory: string, name: string, { cert, key }: { cert?: string; key?: string }) {
  if (cert !== undefined) Deno.writeTextFileSync(join(directory, `${name}.crt`), cert);
  if (key !== undefined) {
    Deno.writeTextFileSync(join(directory, `${name}.key`), key, { mode: 0o600 });
  }
}

Deno.test("a manual certificate is loaded again when its files change", async () => {
  using directory = temporary();
  const [first, second] = [await publicLeaf([HOST]), await publicLeaf([HOST])];
  put(directory.path, HOST, first);
  for (
    const how of [
      { checkMs: NEVER, debounceMs: 50 }, // by the watch
      { checkMs: 20, watch: false }, // by looking
    ]
  ) {
    put(directory.path, HOST, first);
    await using source = await openManual({ directory: directory.path, hostname: HOST, ...how });
    const seen: Certificate[] = [];
    source.onChange = (certificate) => seen.push(certificate);
    equal(source.current.cert, first.cert);
    put(directory.path, HOST, second);
    await until("it is loaded", () => source.current.cert === second.cert);
    equal(source.current.key, second.key);
    deepEqual(seen, [source.current], "told once");
    equal(source.status().lastError, undefined);
  }
});

Deno.test("a manual certificate stays when the files are half done, and is taken when they are whole", async () => {
  using directory = temporary();
  const [first, second] = [await publicLeaf([HOST]), await publicLeaf([HOST])];
  put(directory.path, HOST, first);
  const options = { directory: directory.path, hostname: HOST, checkMs: NEVER, watch: false };
  await using source = await openManual(options);
  const cases: [{ cert?: string; key?: string }, RegExp][] = [
    [{ cert: second.cert }, /relay.test.key: it belongs to another certificate/],
    [{ cert: second.cert.slice(0, 100), key: second.key }, /relay.test.crt: it is damaged/],
    [{ cert: "" }, /no certificate in it/],
    [await publicLeaf(["other.test"]), /it is for other.test, not for relay.test/],
    [await publicLeaf([HOST], { to: -1 }), /it expired on/],
  ];
  for (const [files, reason] of cases) {
    put(directory.path, HOST, files);
    await source.reload();
    match(source.status().lastError!, reason);
    equal(source.current.cert, first.cert);
  }
  Deno.removeSync(join(directory.path, `${HOST}.crt`));
  Deno.removeSync(join(directory.path, `${HOST}.key`));
  await source.reload();
  match(source.status().lastError!, /no such file/);
  put(directory.path, HOST, second);
  await source.reload();
  equal(source.current.cert, second.cert);
  equal(source.status().lastError, undefined);
});

Deno.test("a manual certificate that is for too few names is refused, at the start and later", async () => {
  using directory = temporary();
  const api = `api.${HOST}`;
  const options = { directory: directory.path, hostname: HOST, checkMs: NEVER, watch: false };
  put(directory.path, HOST, await publicLeaf([HOST]));
  await rejects(openManual({ ...options, alsoNames: [api] }), /not for api\.relay\.test/);
  const both = await publicLeaf([HOST, api]);
  put(directory.path, HOST, both);
  await using source = await openManual({ ...options, alsoNames: [api] });
  put(directory.path, HOST, await publicLeaf([HOST]));
  await source.reload();
  match(source.status().lastError!, /not for api\.relay\.test/);
  equal(source.current.cert, both.cert);
});

Deno.test("a manual start fails when the files are of no use and nothing keeps running", async () => {
  using directory = temporary();
  const options = { directory: directory.path, hostname: HOST };
  await rejects(openManual(options), CertificateError);
  await rejects(
    openManual({ ...options, directory: join(directory.path, "none") }),
    /no such file/,
  );
});

Deno.test("a manual certificate comes from derper's ACME files when there are no others", async () => {
  using directory = temporary();
  const { cert, key } = await publicLeaf([HOST]);
  Deno.writeTextFileSync(join(directory.path, `${HOST}+rsa`), key + cert, { mode: 0o600 });
  await using source = await openManual({ directory: directory.path, hostname: HOST });
  deepEqual(source.current, { cert, key });
});

for (const [hostname, name] of [["192.0.2.1", "192.0.2.1"], ["2001:DB8::1", "2001DB81"]] as const) {
  Deno.test(`a pinned certificate is made for ${hostname} when there are no files`, async () => {
    using directory = temporary();
    const path = join(directory.path, "certs");
    const options = { directory: path, hostname, checkMs: NEVER };
    let first: Certificate;
    {
      await using source = await openManual(options);
      first = source.current;
      const leaf = new X509Certificate(first.cert);
      const digest = createHash("sha256").update(leaf.raw).digest("hex");
      equal(source.status().pinned, `sha256-raw:${digest}`);
      deepEqual(source.status().names, [hostname.toLowerCase()]);
      equal(leaf.subject, `CN=${hostname.toLowerCase()}`);
      equal(leaf.ca, false);
      equal(Date.parse(leaf.validTo) - Date.parse(leaf.validFrom), 365 * DAY_MS);
    }
    const mode = (file: string) => Deno.statSync(join(path, file)).mode! & 0o777;
    deepEqual(
      [mode("."), mode(`${name}.key`), mode(`${name}.crt`)],
      [0o700, 0o600, 0o644],
    );
    await using again = await openManual(options);
    deepEqual(again.current, first);
  });
}

Deno.test("a self-signed certificate is renewed while it is served", async () => {
  using directory = temporary();
  const options = { directory: directory.path, names: [HOST], checkMs: 20 };
  await using source = await openSelfSigned(options);
  const { ca, cert } = source.current;
  equal(source.status().mode, "selfsigned");
  match(source.status().issuer, /^nexd private CA/);
  const changed = Promise.withResolvers<Certificate>();
  source.onChange = changed.resolve;
  // Another leaf of the CA takes its place on disk, as a second process would do.
  const other = await ensureSelfSigned(directory.path, [HOST, `api.${HOST}`]);
  const seen = await changed.promise;
  notEqual(seen.cert, cert);
  notEqual(seen.cert, other.cert);
  deepEqual([source.current.ca, source.status().names], [ca, [HOST]]);
  Deno.writeTextFileSync(join(directory.path, "ca.crt"), "");
  await source.reload();
  match(source.status().lastError!, /no certificate in it/);
  equal(source.current.cert, seen.cert);
});

Deno.test("a meta certificate is made anew when 10 of its 30 days are left", async () => {
  const publicKey = crypto.getRandomValues(new Uint8Array(32));
  let now = Date.now();
  await using meta = await openMetaCert(publicKey, { now: () => now, checkMs: 10 });
  const first = meta.current;
  const changed = Promise.withResolvers<string>();
  meta.onChange = changed.resolve;
  now += 19 * DAY_MS;
  await new Promise((resolve) => setTimeout(resolve, 40));
  equal(meta.current, first);
  now += 2 * DAY_MS;
  const second = await changed.promise;
  notEqual(second, first);
  equal(meta.current, second);
  const third = await meta.refresh();
  ok(third !== second && meta.current === third);
});
