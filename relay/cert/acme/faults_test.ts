import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { createPrivateKey } from "node:crypto";
import { join } from "node:path";
import type { CertificateError } from "../error.ts";
import { AcmeSource } from "./acme_source.ts";
import type { AcmeOptions } from "./options.ts";
import {
  type FakeCa,
  type Handler,
  problem,
  publicLeaf,
  startFakeCa,
  temporary,
  until,
} from "./testing/mod.ts";

const HOST = "relay.test";
const MINUTE_MS = 60_000;

function sourceOf(ca: FakeCa, directory: string, more: Partial<AcmeOptions> = {}): AcmeSource {
  const { directoryUrl } = ca;
  return new AcmeSource({
    ...{ directory, hostname: HOST, directoryUrl, ca: ca.ca, random: () => 0 },
    ...more,
  });
}

/** Leaves a certificate as derper's ACME client does: SEC 1 key and chain in one file. */
async function leave(directory: string, name: string, days: { from?: number; to?: number } = {}) {
  const { cert, key } = await publicLeaf([HOST], days);
  const sec1 = createPrivateKey(key).export({ type: "sec1", format: "pem" });
  Deno.writeTextFileSync(join(directory, name), sec1 + cert, { mode: 0o600 });
  return cert;
}

Deno.test("the pause doubles to half an hour when a CA keeps failing", async () => {
  using directory = temporary();
  const cert = await leave(directory.path, HOST, { from: -90, to: -1 });
  await using ca = await startFakeCa((resource) =>
    resource === "newOrder" ? problem(503, "serverInternal", "down") : undefined
  );
  const now = Date.now();
  await using source = sourceOf(ca, directory.path, { now: () => now });
  await source.start();
  equal(source.current.cert, cert, "an expired one is better than none");
  const pauses: number[] = [];
  const orders = () => ca.asked.filter((resource) => resource === "newOrder").length;
  for (let attempt = 1; attempt <= 8; attempt++) {
    await until("the attempt has failed", () => source.status().nextTry! > now + 1000);
    pauses.push((source.status().nextTry! - now) / MINUTE_MS);
    match(source.status().lastError!, /^Cannot get a certificate for relay.test: .*\(down\)$/);
    equal(orders(), attempt);
    if (attempt < 8) {
      await source.reload(); // an operator who does not want to wait
      await until("it asks", () => orders() > attempt);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  deepEqual(pauses.map(Math.round), [1, 2, 4, 8, 16, 30, 30, 30]);
});

Deno.test("a rate limit is kept when the relay is started again", async () => {
  using directory = temporary();
  await using ca = await startFakeCa((resource) =>
    resource === "newOrder"
      ? problem(429, "rateLimited", "too many", { "retry-after": "7200" })
      : undefined
  );
  {
    await using source = sourceOf(ca, directory.path);
    await rejects(source.start(), /for relay.test: the CA refuses \(too many\)$/);
    const wait = source.status().nextTry! - Date.now();
    ok(Math.abs(wait - 120 * MINUTE_MS) < MINUTE_MS, String(wait));
  }
  const asked = ca.asked.length;
  const lock = join(directory.path, `${HOST}.acme.lock`);
  Deno.removeSync(lock);
  const source = sourceOf(ca, directory.path);
  const started = source.start();
  const refused = rejects(started, /stopped while asking/);
  await until("the pause is told", () => source.status().nextTry !== undefined);
  await source.reload();
  await new Promise((resolve) => setTimeout(resolve, 50));
  equal(ca.asked.length, asked, "nobody was asked");
  await source.close();
  await refused;
  await rejects(Deno.stat(lock), Deno.errors.NotFound, "no attempt is begun at the end");
});

Deno.test("an attempt ends in time when the CA hangs, babbles or talks nonsense", async () => {
  const endless = () =>
    new Response(
      new ReadableStream({
        pull: (controller) => controller.enqueue(new Uint8Array(1 << 16).fill(65)),
      }),
    );
  const cases: [Handler, RegExp][] = [
    [() => new Promise(() => {}), /: the CA took longer than 1 s$/],
    [endless, /cannot be reached \(127.0.0.1:\d+: an answer too long\)/],
    [() => new Response("<html>"), /^Cannot get a certificate for relay.test: .+/],
    [() => new Response(null, { status: 302, headers: { location: "/" } }), /.+/],
    [() => problem(400, "malformed", `bad\n\u001b[2J${"x".repeat(5000)}`), /\(bad \[2Jx{290,}…\)/],
    [
      (resource) =>
        resource === "directory"
          ? Response.json({ newNonce: "file:///etc", newAccount: "file:///etc" })
          : undefined,
      /file:\/\/\/etc is no https URL/,
    ],
    [
      (resource) => resource === "newAccount" ? problem(400, "badNonce", "again") : undefined,
      /again|nonce|account/i,
    ],
  ];
  await Promise.all(cases.map(async ([handler, reason]) => {
    using directory = temporary();
    const ca = await startFakeCa(handler);
    const source = sourceOf(ca, directory.path, { times: { attemptMs: 1_000, pollMs: 20 } });
    await rejects(source.start(), (error: CertificateError) => {
      match(error.message, reason);
      ok(error.message.length < 600 && !error.message.includes("\n"));
      return true;
    });
    ok(ca.asked.length < 30, String(ca.asked));
    await source.close();
  }));
});

Deno.test("a short-lived profile is asked for when an IP address is named and the CA lists it", async () => {
  for (const profiles of [{ classic: "", shortlived: "" }, { classic: "" }, undefined]) {
    using directory = temporary();
    const orders: unknown[] = [];
    await using ca = await startFakeCa((resource, payload) => {
      if (resource !== "newOrder") return undefined;
      orders.push(payload);
      return problem(403, "rejectedIdentifier", "not this one");
    }, profiles === undefined ? {} : { profiles });
    await using source = sourceOf(ca, directory.path, { hostname: "2001:db8::1", ipCerts: true });
    await rejects(source.start(), (error: CertificateError) => {
      match(
        error.message,
        /the CA gives none for this name \(not this one\); choose another --host/,
      );
      return error.exitCode === 1;
    });
    const listed = profiles !== undefined && "shortlived" in profiles;
    deepEqual(orders, [{
      identifiers: [{ type: "ip", value: "2001:db8::1" }],
      ...(listed ? { profile: "shortlived" } : {}),
    }]);
  }
});

Deno.test("a refused account is told and the old certificate stays when it is in date", async () => {
  using directory = temporary();
  const cert = await leave(directory.path, HOST, { from: -80, to: 10 });
  await using ca = await startFakeCa((resource) =>
    resource === "newAccount" ? problem(403, "unauthorized", "go away") : undefined
  );
  await using source = sourceOf(ca, directory.path, { email: "ops@relay.test" });
  await source.start();
  await until("it is told", () => source.status().lastError !== undefined);
  match(source.status().lastError!, /the CA refuses the account \(go away\); check --acme-email/);
  equal(source.current.cert, cert);
});

Deno.test("a certificate directory of derper serves as it is when its files are in date", async () => {
  await using ca = await startFakeCa(() => undefined);
  for (const name of [HOST, `${HOST}+rsa`]) {
    using directory = temporary();
    const cert = await leave(directory.path, name, { from: -10, to: 80 });
    await using source = sourceOf(ca, directory.path);
    await source.start();
    equal(source.current.cert, cert);
    ok(!source.current.cert.includes("KEY") && !source.current.key.includes("CERTIFICATE"));
    equal(source.status().issuer, "Some Public CA");
  }
  using directory = temporary();
  const { cert, key } = await publicLeaf(["2001:db8::1"], { from: -1, to: 5 });
  Deno.writeTextFileSync(join(directory.path, "2001.db8..1.crt"), cert);
  Deno.writeTextFileSync(join(directory.path, "2001.db8..1.key"), key, { mode: 0o600 });
  await using source = sourceOf(ca, directory.path, { hostname: "2001:db8::1", ipCerts: true });
  await source.start();
  equal(source.current.cert, cert);
  deepEqual(ca.asked, []);
});

Deno.test("a certificate of another CA is served but replaced when the directory has changed", async () => {
  using directory = temporary();
  const cert = await leave(directory.path, HOST, { from: -1, to: 80 });
  Deno.writeTextFileSync(
    join(directory.path, `${HOST}.acme.json`),
    JSON.stringify({ directoryUrl: "https://staging.test/", issuedBy: "https://staging.test/" }),
  );
  await using ca = await startFakeCa((resource) =>
    resource === "newOrder" ? problem(500, "serverInternal", "down") : undefined
  );
  await using source = sourceOf(ca, directory.path);
  await source.start();
  equal(source.current.cert, cert);
  await until("the new CA is asked", () => ca.asked.includes("newOrder"));
});
