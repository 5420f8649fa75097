import assert from "node:assert/strict";
import { BootstrapDns, type Resolve } from "./mod.ts";

const ZONE: Record<string, Partial<Record<"A" | "AAAA" | "TXT", string[]>>> = {
  "b.test": { A: ["192.0.2.1", "192.0.2.2"], AAAA: ["2001:db8::1"] },
  "a.test": { A: ["192.0.2.3"] },
  "secret.test": { A: ["192.0.2.4"] },
  "half.test": { A: ["192.0.2.5"] },
  "never.test": { A: ["192.0.2.6"] },
  "bad.test": { A: ["192.0.2.7"] },
  "txt.test": { TXT: ["50"] },
  "txtbad.test": { TXT: ["lots"] },
};

const resolve: Resolve = (name, type) => {
  const answer = ZONE[name]?.[type];
  return answer === undefined ? Promise.reject(new Error("no such name")) : Promise.resolve(answer);
};

async function started(published: string[], unpublished: string[]): Promise<BootstrapDns> {
  const dns = BootstrapDns.start({ published, unpublished, resolve });
  await dns.ready;
  return dns;
}

const ask = (dns: BootstrapDns, query?: string, from = "1.2.3.4") => dns.answer(query, from).text();

Deno.test("BootstrapDns answers nothing, politely, when no name is configured", async () => {
  const dns = await started([], []);
  const answer = dns.answer(undefined, "1.2.3.4");
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get("content-type"), "application/json");
  assert.equal(answer.headers.get("connection"), "close");
  assert.equal(answer.headers.get("x-frame-options"), "DENY");
  assert.equal(await answer.text(), "");
  dns.close();
});

Deno.test("BootstrapDns tells published names sorted and indented by tabs", async () => {
  const dns = await started(["b.test", "a.test", "gone.test"], []);
  const text = await ask(dns);
  assert.match(text, /^\{\n\t"a\.test": \[\n\t\t"192\.0\.2\.3"\n\t\],\n\t"b\.test": \[\n/);
  assert(text.endsWith("\n}"));
  const page = JSON.parse(text);
  assert.deepEqual(Object.keys(page), ["a.test", "b.test"]);
  assert.deepEqual(page["b.test"].toSorted(), ["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
  dns.close();
});

Deno.test("BootstrapDns tells an unpublished name only to who asks for it", async () => {
  const dns = await started(["a.test"], ["secret.test", "empty.test"]);
  const published = { "a.test": ["192.0.2.3"] };
  assert.deepEqual(JSON.parse(await ask(dns, "secret.test")), { "secret.test": ["192.0.2.4"] });
  for (const query of [undefined, "", "a.test", "empty.test", "other.test", "x".repeat(10_000)]) {
    assert.deepEqual(JSON.parse(await ask(dns, query)), published, query);
  }
  const { counters } = dns;
  assert.equal(counters.bootstrapDnsRequests, 7);
  assert.equal(counters.bootstrapDnsUnpublishedHits, 1);
  assert.equal(counters.bootstrapDnsPublishedHits, 1);
  assert.equal(counters.bootstrapDnsPublishedMisses, 0);
  assert.equal(counters.bootstrapDnsUnpublishedMisses, 2, "a name without addresses, another name");
  assert.equal(counters.bootstrapDnsUnpublishedPercentMisses, 0);
  assert.equal(counters.bootstrapDnsQueriedDomains, 4);
  dns.close();
});

Deno.test("BootstrapDns tells an unpublished name to the addresses inside its percentage", async () => {
  const dns = await started([], [
    "half.test/txt.test",
    "never.test/none.test",
    "bad.test/txtbad.test",
  ]);
  assert.deepEqual(JSON.parse(await ask(dns, "half.test", "1.2.3.4")), {
    "half.test": ["192.0.2.5"],
  });
  assert.equal(await ask(dns, "half.test", "1.2.3.6"), "");
  assert.equal(await ask(dns, "never.test"), "", "no record is no percent");
  assert.equal(await ask(dns, "bad.test"), "", "so is a bad one");
  assert.equal(dns.counters.bootstrapDnsUnpublishedHits, 4);
  assert.equal(dns.counters.bootstrapDnsUnpublishedPercentMisses, 3);
  dns.close();
});

Deno.test("BootstrapDns keeps what it knew when the names cannot be resolved for a time", async () => {
  let works = true;
  let rounds = 0;
  const second = Promise.withResolvers<void>();
  const dns = BootstrapDns.start({
    published: ["a.test"],
    unpublished: [],
    refreshMs: 1,
    resolve: (name, type, signal) => {
      if (type === "A" && ++rounds === 3) second.resolve();
      return works ? resolve(name, type, signal) : Promise.reject(new Error("no network"));
    },
  });
  await dns.ready;
  works = false;
  await second.promise;
  assert.deepEqual(JSON.parse(await ask(dns)), { "a.test": ["192.0.2.3"] });
  dns.close();
});

Deno.test("BootstrapDns gives up on a resolver that never answers", async () => {
  const dns = BootstrapDns.start({
    published: ["a.test"],
    unpublished: [],
    roundMs: 5,
    resolve: () => new Promise(() => {}),
  });
  await dns.ready;
  assert.equal(await ask(dns), "{}");
  dns.close();
});

Deno.test("BootstrapDns forgets queried names when there are too many", async () => {
  const dns = await started([], []);
  for (let n = 0; n < 2000; n++) {
    await ask(dns, `name${n}.test`);
    assert(dns.counters.bootstrapDnsQueriedDomains <= 500);
  }
  dns.close();
});

Deno.test("BootstrapDns refuses what is no name", () => {
  for (const name of ["", "a b", "a/b", "-a", "a".repeat(254)]) {
    assert.throws(
      () => BootstrapDns.start({ published: [name], unpublished: [] }),
      (error) => (error as { exitCode?: number }).exitCode === 2,
      name,
    );
  }
  assert.throws(() => BootstrapDns.start({ published: [], unpublished: ["a/b/c"] }));
});
