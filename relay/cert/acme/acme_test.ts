import { deepEqual, equal, match, notEqual, ok, rejects } from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
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

Deno.test("a certificate is issued when the CA refuses every fifth nonce", async () => {
  if (await cannotPebble()) return;
  using directory = temporary();
  await using pebble = await Pebble.start({ nonceReject: 20 });
  await using source = new AcmeSource(options(pebble, directory.path));
  await using _web = serveTokens(pebble.httpPort, (token) => source.challenge(token));
  await source.start();
  deepEqual(source.status().names, [HOST]);
});

Deno.test("an IP address gets a certificate when IP certificates are allowed", async () => {
  if (await cannotPebble()) return;
  using directory = temporary();
  await using pebble = await Pebble.start();
  const ip = { hostname: "127.0.0.1", ipCerts: true };
  await using source = new AcmeSource(options(pebble, directory.path, ip));
  await using web = serveTokens(pebble.httpPort, (token) => source.challenge(token));
  await source.start();
  ok(web.asked > 0);
  const { names, pinned } = source.status();
  deepEqual(names, ["127.0.0.1"]);
  equal(pinned, undefined, "a chain of two cannot be pinned");
});

Deno.test("a certificate is renewed with a third of its life left, and the account kept", async () => {
  if (await cannotPebble()) return;
  using directory = temporary();
  await using pebble = await Pebble.start({ reuse: 100 });
  let ahead = 0;
  const now = () => Date.now() + ahead;
  await using source = new AcmeSource(options(pebble, directory.path, { now, random: () => 0 }));
  await using _web = serveTokens(pebble.httpPort, (token) => source.challenge(token));
  await source.start();
  const first = source.current;
  const { notAfter } = source.status();
  const life = notAfter - Date.parse(new X509Certificate(first.cert).validFrom);

  const changed = Promise.withResolvers<string>();
  source.onChange = ({ cert }) => {
    ahead = 0; // so that the new one is young
    changed.resolve(cert);
  };
  const account = Deno.readTextFileSync(join(directory.path, "acme-account.key"));
  ahead = notAfter - life / 3 - 60_000 - Date.now();
  await new Promise((resolve) => setTimeout(resolve, 3 * TIMES.checkMs));
  equal(source.current.cert, first.cert, "a minute too early");
  ahead += 61_000;
  const second = await changed.promise;
  notEqual(second, first.cert);
  notEqual(source.current.key, first.key);
  await until("the attempt has ended", () => source.status().nextTry! > Date.now() + YEAR_MS);
  equal(Deno.readTextFileSync(join(directory.path, "acme-account.key")), account);
  equal(source.status().lastError, undefined);
});

Deno.test("a certificate is issued when the account's key was lost with all but the notes", async () => {
  if (await cannotPebble()) return;
  using directory = temporary();
  await using pebble = await Pebble.start();
  const issueOne = async () => {
    await using source = new AcmeSource(options(pebble, directory.path));
    await using _web = serveTokens(pebble.httpPort, (token) => source.challenge(token));
    await source.start();
    return source.current.cert;
  };
  const first = await issueOne();
  for (const lost of ["acme-account.key", HOST]) Deno.removeSync(join(directory.path, lost));
  notEqual(await issueOne(), first);
});

Deno.test("the old certificate stays while the CA is away and is renewed when it is back", async () => {
  if (await cannotPebble()) return;
  using directory = temporary();
  await using pebble = await Pebble.start();
  let ahead = 0;
  const now = () => Date.now() + ahead;
  await using source = new AcmeSource(options(pebble, directory.path, { now }));
  await using _web = serveTokens(pebble.httpPort, (token) => source.challenge(token));
  await source.start();
  const { cert } = source.current;
  const changed = Promise.withResolvers<void>();
  source.onChange = () => {
    ahead = 0;
    changed.resolve();
  };
  await pebble.down();
  ahead = 4 * YEAR_MS;
  await until("a failure is told", () => source.status().lastError !== undefined);
  match(
    source.status().lastError!,
    /^Cannot get a certificate for relay.test: the CA cannot be reached \(127.0.0.1:\d+: connection refused\); check/,
  );
  ok(source.status().nextTry! > now(), "not at once");
  equal(source.current.cert, cert);
  await pebble.up(); // which has forgotten the account
  await changed.promise;
  notEqual(source.current.cert, cert);
});

Deno.test("an expired certificate is served when the CA is away at start", async () => {
  if (await cannotPebble()) return;
  using directory = temporary();
  await using pebble = await Pebble.start();
  {
    await using source = new AcmeSource(options(pebble, directory.path));
    await using _web = serveTokens(pebble.httpPort, (token) => source.challenge(token));
    await source.start();
  }
  await pebble.down();
  const now = () => Date.now() + 6 * YEAR_MS;
  await using source = new AcmeSource(options(pebble, directory.path, { now }));
  await source.start();
  deepEqual(source.status().names, [HOST]);
  match(source.status().lastError!, /cannot be reached/);
  ok(source.status().nextTry! > now());
});

Deno.test("a first start fails in one sentence when the CA is away or cannot look here", async () => {
  if (await cannotPebble()) return;
  using directory = temporary();
  await using pebble = await Pebble.start();
  const attempt = async () => {
    await using source = new AcmeSource(options(pebble, directory.path));
    await source.start();
  };
  await rejects(attempt, (error: CertificateError) => {
    equal(error.exitCode, 1);
    match(
      error.message,
      /the CA could not see that relay.test is here \(.*\); let port 80 of that/,
    );
    return !error.message.includes("\n");
  });
  await pebble.down();
  await rejects(attempt, /cannot be reached \(.*connection refused\); check the network/);
  const untrusted = new AcmeSource(options(pebble, directory.path, { ca: undefined }));
  await pebble.up();
  await rejects(untrusted.start(), /its own certificate is not trusted \(UnknownIssuer\)/);
  await untrusted.close();
});

Deno.test("an account is made when its binding is right and refused when it is wrong", async () => {
  if (await cannotPebble()) return;
  using directory = temporary();
  const key = crypto.getRandomValues(new Uint8Array(48));
  const keys = { "kid-1": key.toBase64({ alphabet: "base64url" }) };
  await using pebble = await Pebble.start({ keys });
  const attempt = async (eab: AcmeOptions["eab"]) => {
    await using source = new AcmeSource(
      options(pebble, directory.path, { mode: "gcp", eab, email: "ops@relay.test" }),
    );
    await using _web = serveTokens(pebble.httpPort, (token) => source.challenge(token));
    await source.start();
  };
  const wrong = crypto.getRandomValues(new Uint8Array(48)).toBase64();
  for (const eab of [{ kid: "kid-1", key: wrong }, { kid: "kid-2", key: key.toBase64() }]) {
    await rejects(attempt(eab), (error: CertificateError) => {
      match(
        error.message,
        /the CA refuses the account \(.+\); check --acme-eab-kid and --acme-eab/,
      );
      return !error.message.includes(eab.key);
    });
  }
  await rejects(async () => {
    await using source = new AcmeSource(options(pebble, directory.path));
    await source.start();
  }, /the CA refuses the account .*; give --acme-eab-kid and --acme-eab-key/);
  await attempt({ kid: "kid-1", key: key.toBase64() });
});

Deno.test("a certificate for several names is ordered when the one on disk lacks any of them", async () => {
  if (await cannotPebble()) return;
  using directory = temporary();
  await using pebble = await Pebble.start();
  const namesOf = async (alsoNames: string[]) => {
    await using source = new AcmeSource(options(pebble, directory.path, { alsoNames }));
    await using web = serveTokens(pebble.httpPort, (token) => source.challenge(token));
    await source.start();
    const { cert } = source.current;
    return { cert, names: [...source.status().names].sort(), asked: web.asked };
  };
  const one = await namesOf([]);
  deepEqual(one.names, [HOST]);
  const three = await namesOf([`api.${HOST}`, `AUTH.${HOST}.`]);
  deepEqual(three.names, [`api.${HOST}`, `auth.${HOST}`, HOST]);
  equal((await namesOf([`api.${HOST}`])).cert, three.cert, "it is for all that is asked for");
});

Deno.test("an order of other names is not gone on with", async () => {
  if (await cannotPebble()) return;
  using directory = temporary();
  await using pebble = await Pebble.start();
  const begin = async (alsoNames: string[]) => {
    await using source = new AcmeSource(options(pebble, directory.path, { alsoNames }));
    const asked = Promise.withResolvers<void>();
    await using _web = serveTokens(pebble.httpPort, (token) => {
      asked.resolve();
      return source.challenge(token);
    });
    const started = source.start();
    await Promise.race([asked.promise, started]);
    return source;
  };
  const path = join(directory.path, `${HOST}.acme.json`);
  await begin([]).catch(() => {});
  const before = JSON.parse(Deno.readTextFileSync(path)).order?.url;
  ok(before, "the first attempt was cut short");
  await using source = new AcmeSource(
    options(pebble, directory.path, { alsoNames: [`api.${HOST}`] }),
  );
  await using _web = serveTokens(pebble.httpPort, (token) => source.challenge(token));
  await source.start();
  deepEqual([...source.status().names].sort(), [`api.${HOST}`, HOST]);
});

Deno.test("an order is gone on with when the attempt before was cut short", async () => {
  if (await cannotPebble()) return;
  using directory = temporary();
  await using pebble = await Pebble.start();
  const path = join(directory.path, `${HOST}.acme.json`);
  const state = () => JSON.parse(Deno.readTextFileSync(path));
  {
    await using source = new AcmeSource(options(pebble, directory.path));
    const asked = Promise.withResolvers<void>();
    const answers = new Map<string, string | undefined>(); // the CA asks more than once
    await using web = serveTokens(pebble.httpPort, (token) => {
      asked.resolve();
      if (!answers.has(token)) answers.set(token, source.challenge(token));
      return answers.get(token);
    });
    const started = source.start().catch(() => {});
    await asked.promise;
    await source.close();
    await started;
    // Until the proof is in, the order would become invalid when the answers end.
    await until("the CA has looked three times", () => web.asked >= 3);
  }
  const { order, account, accountKey } = state();
  match(order.key, /PRIVATE KEY/);
  await using source = new AcmeSource(options(pebble, directory.path));
  await using _web = serveTokens(pebble.httpPort, (token) => source.challenge(token));
  await source.start();
  equal(source.current.key.trim(), order.key.trim());
  deepEqual(state(), {
    directoryUrl: pebble.directoryUrl,
    account,
    accountKey,
    issuedBy: pebble.directoryUrl,
  });
});

Deno.test("two relays of one directory order one certificate when they start together", async () => {
  if (await cannotPebble()) return;
  using directory = temporary();
  await using pebble = await Pebble.start();
  await using first = new AcmeSource(options(pebble, directory.path));
  await using second = new AcmeSource(options(pebble, directory.path));
  await using _web = serveTokens(
    pebble.httpPort,
    (token) => first.challenge(token) ?? second.challenge(token),
  );
  await Promise.all([first.start(), second.start()]);
  deepEqual(first.current, second.current);
});

Deno.test("a certificate is issued with no more permissions than the relay has", async () => {
  if (await cannotPebble()) return;
  using directory = temporary();
  await using pebble = await Pebble.start();
  const root = new URL("../../../", import.meta.url);
  const port = pebble.httpPort;
  const script = `
    import { AcmeSource } from ${JSON.stringify(new URL("mod.ts", import.meta.url).href)};
    const source = new AcmeSource(${JSON.stringify(options(pebble, directory.path))});
    const web = Deno.serve({ hostname: "127.0.0.1", port: ${port}, onListen() {} }, (request) =>
      new Response(source.challenge(new URL(request.url).pathname.split("/").at(-1))));
    await source.start();
    await source.close();
    await web.shutdown();
    console.log(source.status().names.join());`;
  const path = join(directory.path, "relay.ts");
  Deno.writeTextFileSync(path, script);
  const { tasks } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", root)));
  const flags = (tasks.relay as string).split(" ").filter((word) => word.startsWith("--"));
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", ...flags, "--quiet", "--config", fileURLToPath(new URL("deno.json", root)), path],
    env: { NO_COLOR: "1" },
    signal: AbortSignal.timeout(60_000),
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  equal(text(stdout), `${HOST}\n`, text(stderr));
});
