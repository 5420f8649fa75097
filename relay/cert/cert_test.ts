import { deepEqual, equal, match, notEqual, ok, rejects, throws } from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { loadHandshake, loadRecording } from "../../tests/vectors/mod.ts";
import { buildMetaCert } from "./meta.ts";
import { certificateNames, coversName } from "./inspect.ts";
import { certificateFileName } from "./manual.ts";
import { CertificateError, ensureSelfSigned, loadManual, metaCert } from "./mod.ts";
import { ECDSA_P256, loadX509, randomSerial, toPem } from "./x509.ts";

const DAY_MS = 86_400_000;
const HOST = "relay.test";

/** A directory that is gone with the test. */
function temporary(): { path: string } & Disposable {
  const path = Deno.makeTempDirSync({ prefix: "nexd-cert-" });
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

interface MakeOptions {
  names?: string[];
  from?: number;
  to?: number;
}

/** A self-signed leaf with names and dates (days from now) of the test's choice. */
async function make({ names = [HOST], from = -1, to = 30 }: MakeOptions = {}) {
  const { SubjectAlternativeNameExtension, X509CertificateGenerator } = await loadX509();
  const keys = await crypto.subtle.generateKey(ECDSA_P256, true, ["sign", "verify"]);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: randomSerial(),
    name: "CN=test",
    notBefore: new Date(Date.now() + from * DAY_MS),
    notAfter: new Date(Date.now() + to * DAY_MS),
    signingAlgorithm: ECDSA_P256,
    keys,
    extensions: [
      new SubjectAlternativeNameExtension(names.map((value) => ({
        type: /^[0-9.]+$|:/.test(value) ? "ip" as const : "dns" as const,
        value,
      }))),
    ],
  });
  return {
    cert: toPem("CERTIFICATE", certificate.rawData),
    key: toPem("PRIVATE KEY", await crypto.subtle.exportKey("pkcs8", keys.privateKey)),
  };
}

/** Every file of a directory with its content, to see that nothing was touched. */
function snapshot(directory: string): Record<string, string> {
  const files = [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
  return Object.fromEntries(
    files.map((name) => [name, Deno.readTextFileSync(join(directory, name))]),
  );
}

/** The error must be ours, one sentence of one line that names these things. */
async function refuses(work: Promise<unknown>, ...parts: (string | RegExp)[]): Promise<void> {
  await refusesWith(1, work, ...parts);
}

/** Expects an error of the command line. */
async function refusesUsage(work: Promise<unknown>, ...parts: (string | RegExp)[]): Promise<void> {
  await refusesWith(2, work, ...parts);
}

async function refusesWith(
  exitCode: number,
  work: Promise<unknown>,
  ...parts: (string | RegExp)[]
): Promise<void> {
  await rejects(work, (error) => {
    ok(error instanceof CertificateError, String(error));
    equal(error.exitCode, exitCode);
    equal(error.message.includes("\n"), false);
    for (const part of parts) {
      if (typeof part === "string") ok(error.message.includes(part), error.message);
      else match(error.message, part);
    }
    return true;
  });
}

Deno.test("a manual certificate loads when it covers all names asked for", async () => {
  using directory = temporary();
  const { cert, key } = await make({ names: ["*.Relay.test", HOST, "192.0.2.1", "2001:db8::1"] });
  const intermediate = (await make()).cert;
  const chain = cert + intermediate;
  for (const host of [HOST, "192.0.2.1", "2001:db8:0::1", "API.relay.test"]) {
    const base = join(directory.path, certificateFileName(host));
    Deno.writeTextFileSync(`${base}.crt`, chain.trimEnd());
    Deno.writeTextFileSync(`${base}.key`, key);
    deepEqual(await loadManual(directory.path, host, [`api.${HOST}`]), { cert: chain, key });
  }
  equal(certificateFileName("2001:db8::1"), "2001db81", "colons are left out");
  throws(() => certificateNames(key), CertificateError);
  deepEqual(certificateNames(chain), ["*.relay.test", HOST, "192.0.2.1", "2001:db8::1"]);
});

Deno.test("a manual certificate is refused in one sentence when something is wrong with it", async () => {
  using directory = temporary();
  const [crt, key] = [".crt", ".key"].map((end) => join(directory.path, HOST + end)) as [
    string,
    string,
  ];
  const good = await make();
  const load = (extra?: string[]) => loadManual(directory.path, HOST, extra);
  const put = (files: { cert?: string; key?: string }) => {
    Deno.writeTextFileSync(crt, files.cert ?? good.cert);
    Deno.writeTextFileSync(key, files.key ?? good.key);
  };
  await refuses(load(), crt, "no such file", "--certmode selfsigned");
  Deno.writeTextFileSync(crt, good.cert);
  await refuses(load(), key, "no such file");
  put({});
  await refuses(load([`api.${HOST}`]), crt, `not for api.${HOST}`, "it is for relay.test");
  put(await make({ names: ["other.test"] }));
  await refuses(load(), crt, "it is for other.test, not for relay.test", "--hostname");
  put(await make({ names: ["*.relay.test", "*.test.relay.test"] }));
  await refuses(load(), "not for relay.test");
  put(await make({ from: -30, to: -1 }));
  await refuses(load(), crt, /it expired on \d{4}-\d\d-\d\d; put a renewed one/);
  put(await make({ from: 2, to: 30 }));
  await refuses(load(), crt, /valid from \d{4}-\d\d-\d\d on; check this host's clock/);
  put({ key: (await make()).key });
  await refuses(load(), key, "belongs to another certificate");
  for (const cert of ["", "hello", good.key]) {
    put({ cert });
    await refuses(load(), crt, "no certificate in it");
  }
  const cut = good.cert.slice(0, 200);
  const garbage = good.cert.replace(/M[A-Z]/, "AA");
  for (const cert of [cut, garbage, good.cert + cut, good.cert + garbage]) {
    put({ cert });
    await refuses(load(), crt, "damaged");
  }
  for (const bad of ["", "hello", good.key.slice(0, 90), good.cert]) {
    put({ key: bad });
    await refuses(load(), key, "no usable private key");
  }
  put({
    key: "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
  });
  await refuses(load(), key, "it is encrypted");
  await refusesUsage(loadManual(directory.path, "../.."), 'hostname "../.."');
  await refusesUsage(loadManual(directory.path, ""), 'hostname ""');
});

Deno.test("a name is covered when it is listed or one label under a wildcard", () => {
  const names = ["relay.test", "*.wild.test", "192.0.2.1", "2001:db8::1", "*.2.0.192"];
  for (const host of ["relay.test", "RELAY.test.", "a.wild.test", "192.0.2.1", "2001:DB8:0::1"]) {
    ok(coversName(names, host), host);
  }
  for (
    const host of [
      "",
      "test",
      "x.relay.test",
      "wild.test",
      ".wild.test",
      "a.b.wild.test",
      "192.0.2.2",
      "1.2.0.19",
      "::1",
    ]
  ) equal(coversName(names, host), false, host);
});

Deno.test("a private CA and leaf are made once and reused when asked again", async () => {
  using directory = temporary();
  const path = join(directory.path, "deep", "certs");
  const names = [HOST, "127.0.0.1", "::1", "*.relay.test"];
  const made = await ensureSelfSigned(path, names);
  deepEqual(certificateNames(made.cert), names);
  equal(made.caPath, join(path, "ca.crt"));
  equal(made.ca, Deno.readTextFileSync(made.caPath));
  const mode = (name: string) => Deno.statSync(join(path, name)).mode! & 0o777;
  equal(mode("."), 0o700);
  for (const key of ["ca.key", `${HOST}.key`]) equal(mode(key), 0o600, key);

  const [ca, leaf] = [new X509Certificate(made.ca), new X509Certificate(made.cert)];
  ok(ca.ca && ca.verify(ca.publicKey) && leaf.verify(ca.publicKey) && !leaf.ca);
  const days = (c: X509Certificate) => (Date.parse(c.validTo) - Date.parse(c.validFrom)) / DAY_MS;
  deepEqual([days(ca), days(leaf)], [3650, 397]);
  const { BasicConstraintsExtension, X509Certificate: Parsed } = await loadX509();
  equal(new Parsed(made.ca).getExtension(BasicConstraintsExtension)?.pathLength, 0);

  const before = snapshot(path);
  deepEqual(await ensureSelfSigned(path, [HOST, "*.relay.test", "::1", "127.0.0.1"]), made);
  deepEqual(snapshot(path), before);
  deepEqual(Object.keys(before), [".nexd.lock", "ca.crt", "ca.key", `${HOST}.crt`, `${HOST}.key`]);
});

Deno.test("a leaf is renewed with its key when its names change", async () => {
  using directory = temporary();
  const first = await ensureSelfSigned(directory.path, [HOST]);
  const second = await ensureSelfSigned(directory.path, [HOST, `api.${HOST}`]);
  notEqual(second.cert, first.cert);
  deepEqual([second.key, second.ca], [first.key, first.ca]);
  deepEqual(certificateNames(second.cert), [HOST, `api.${HOST}`]);
  const other = await ensureSelfSigned(directory.path, ["other.test"]);
  equal(other.ca, first.ca, "one CA for all hosts");
  notEqual(other.key, first.key);
});

Deno.test("a leaf is renewed when fewer than 30 days are left", async () => {
  using directory = temporary();
  const first = await ensureSelfSigned(directory.path, [HOST]);
  const x509 = await loadX509();
  const crt = join(directory.path, `${HOST}.crt`);
  const pkcs8 = (name: string) =>
    Uint8Array.fromBase64(
      Deno.readTextFileSync(join(directory.path, name)).replaceAll(/-----[A-Z ]+-----|\s/g, ""),
    );
  const signingKey = await crypto.subtle.importKey("pkcs8", pkcs8("ca.key"), ECDSA_P256, false, [
    "sign",
  ]);
  const reissue = async (daysLeft: number) => {
    const old = new x509.X509Certificate(first.cert);
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: randomSerial(),
      subject: old.subject,
      issuer: old.issuer,
      notBefore: new Date(Date.now() - DAY_MS),
      notAfter: new Date(Date.now() + daysLeft * DAY_MS),
      signingAlgorithm: ECDSA_P256,
      publicKey: old.publicKey,
      signingKey,
      extensions: old.extensions,
    });
    const pem = toPem("CERTIFICATE", certificate.rawData);
    Deno.writeTextFileSync(crt, pem);
    return pem;
  };
  const enough = await reissue(31);
  equal((await ensureSelfSigned(directory.path, [HOST])).cert, enough);
  for (const daysLeft of [29, -0.5]) {
    const old = await reissue(daysLeft);
    const renewed = await ensureSelfSigned(directory.path, [HOST]);
    notEqual(renewed.cert, old);
    equal(renewed.key, first.key);
    equal(Deno.readTextFileSync(crt), renewed.cert);
  }
});

Deno.test("a start that was cut short is gone on with when only a key was written", async () => {
  using directory = temporary();
  const first = await ensureSelfSigned(directory.path, [HOST]);
  Deno.removeSync(join(directory.path, "ca.crt"));
  Deno.removeSync(join(directory.path, `${HOST}.crt`));
  const second = await ensureSelfSigned(directory.path, [HOST]);
  equal(second.key, first.key);
  notEqual(second.ca, first.ca);
  ok(
    new X509Certificate(second.cert).verify(new X509Certificate(first.ca).publicKey),
    "same CA key",
  );
});

Deno.test("starts at the same time agree on one CA when the directory is empty", async () => {
  using directory = temporary();
  const all = await Promise.all(
    ["a.test", "b.test", "a.test"].map((name) => ensureSelfSigned(directory.path, [name])),
  );
  equal(new Set(all.map(({ ca }) => ca)).size, 1);
  deepEqual(all[0], all[2]);
});

Deno.test("a file is reported and not overwritten when it is damaged or not ours", async () => {
  using directory = temporary();
  await ensureSelfSigned(directory.path, [HOST]);
  const good = snapshot(directory.path);
  const stranger = await make();
  const cut = (name: string) => good[name]!.slice(0, 150);
  const cases: [Record<string, string | undefined>, ...string[]][] = [
    [{ "ca.key": undefined }, "ca.key is gone", "restore it, or remove"],
    [{ "ca.crt": cut("ca.crt") }, "ca.crt", "damaged"],
    [{ "ca.crt": "" }, "ca.crt", "no certificate in it"],
    [{ "ca.key": cut("ca.key") }, "ca.key", "no usable private key"],
    [{ "ca.key": good[`${HOST}.key`] }, "ca.key", "belongs to another certificate"],
    [{ "ca.crt": undefined, "ca.key": "" }, "ca.key", "no usable private key"],
    [{ "ca.crt": stranger.cert, "ca.key": stranger.key }, "ca.crt", "it is no CA"],
    [{ [`${HOST}.key`]: undefined }, `${HOST}.key is gone`],
    [{ [`${HOST}.crt`]: cut(`${HOST}.crt`) }, `${HOST}.crt`, "damaged"],
    [{ [`${HOST}.key`]: stranger.key }, `${HOST}.key`, "belongs to another certificate"],
    [
      { [`${HOST}.crt`]: stranger.cert, [`${HOST}.key`]: stranger.key },
      "not from the private CA",
      "--certmode manual",
    ],
  ];
  for (const [change, ...parts] of cases) {
    for (const [name, text] of Object.entries({ ...good, ...change })) {
      const path = join(directory.path, name);
      if (text === undefined) Deno.removeSync(path);
      else Deno.writeTextFileSync(path, text);
    }
    const before = snapshot(directory.path);
    await refuses(ensureSelfSigned(directory.path, [HOST]), ...parts);
    deepEqual(snapshot(directory.path), before, parts.join());
  }
});

Deno.test("a self-signed certificate is refused when its name is none or the directory is a file", async () => {
  using directory = temporary();
  for (
    const bad of ["", "a b", "-x", "a..b", "x".repeat(64), "1.2.3", "12", "ca", "fe80::1%eth0", "é"]
  ) {
    await refusesUsage(ensureSelfSigned(directory.path, [bad]), `"${bad}"`, "--hostname");
  }
  await refusesUsage(ensureSelfSigned(directory.path, []), 'hostname ""');
  deepEqual(snapshot(directory.path), {});
  const file = join(directory.path, "file");
  Deno.writeTextFileSync(file, "");
  for (const [path, reason] of [[join(file, "certs"), "not a directory"], ["/proc/nexd/certs"]]) {
    const said = `Cannot write ${path}: ${reason ?? "nothing can be made there"}; make it writable`;
    await refuses(ensureSelfSigned(path!, [HOST]), said, "--certdir");
  }
  const long = `${"x".repeat(60)}.${"y".repeat(60)}.test`;
  deepEqual(certificateNames((await ensureSelfSigned(directory.path, [long])).cert), [long]);
});

Deno.test("the meta certificate equals the sample when made of the sample's key and dates", async () => {
  const { metaCert: sample, keys } = loadHandshake();
  const der = Uint8Array.fromHex(sample.derHex);
  const wanted = new X509Certificate(der);
  const seed = Uint8Array.from({ length: 32 }, (_, i) => 0xa0 + i);
  const pkcs8 = Uint8Array.of(...Uint8Array.fromHex("302e020100300506032b657004220420"), ...seed);
  const spki = wanted.publicKey.export({ type: "spki", format: "der" });
  const made = await buildMetaCert(Uint8Array.fromHex(keys["server"]!.publicRaw), {
    keys: {
      privateKey: await crypto.subtle.importKey("pkcs8", pkcs8, "Ed25519", true, ["sign"]),
      publicKey: await crypto.subtle.importKey("spki", new Uint8Array(spki), "Ed25519", true, [
        "verify",
      ]),
    },
    notBefore: new Date(wanted.validFrom),
    notAfter: new Date(wanted.validTo),
  });
  equal(new Uint8Array(made).toHex(), sample.derHex);
});

Deno.test("a meta certificate differs from a recorded one just in key, dates and signature", async () => {
  const recorded = Uint8Array.fromHex(loadRecording().certificateChain.at(-1)!);
  const publicKey = Uint8Array.fromHex(loadRecording().keys["server"]!.public);
  const pem = await metaCert(publicKey);
  const made = new X509Certificate(pem);
  equal(made.raw.length, recorded.length);
  equal(made.subject, `CN=derpkey${publicKey.toHex()}`);
  equal(Number.parseInt(made.serialNumber, 16), 2);
  ok(made.verify(made.publicKey));
  const now = Date.now();
  for (const [date, days] of [[made.validFrom, -30], [made.validTo, 30]] as const) {
    ok(Math.abs(Date.parse(date) - now - days * DAY_MS) < 60_000);
  }
  // Dates are at 107 to 138, the throw-away key at 235 to 266, the signature from 295 on.
  const fixed = (der: Uint8Array) => [der.slice(0, 109), der.slice(139, 235), der.slice(267, 295)];
  deepEqual(fixed(new Uint8Array(made.raw)), fixed(recorded));
  notEqual(await metaCert(publicKey), pem);
  await rejects(metaCert(new Uint8Array(31)), RangeError);
});

Deno.test("random serial numbers are positive and 16 bytes when made", () => {
  for (let i = 0; i < 100; i++) match(randomSerial(), /^[4-7][0-9a-f]{31}$/);
});
