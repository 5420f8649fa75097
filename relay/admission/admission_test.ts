import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { Admission, type AdmissionConfig } from "./mod.ts";
import { answer, newKey, scratch, Service, until } from "./testing.ts";

/** Opens an admission for the time of one test, with its counters. */
async function open(config: AdmissionConfig) {
  const counters = { admissionFailedOpen: 0 };
  const admission = await Admission.open(config, counters);
  return { admission, counters, [Symbol.asyncDispose]: () => admission.close() };
}

/** A tailscaled that knows some keys. */
function tailscaled(path: string, known: Set<string>, status = 404) {
  const seen: string[] = [];
  const server = Deno.serve({ path, onListen: () => {} }, (request) => {
    seen.push(`${request.method} ${request.url} ${request.headers.get("host")}`);
    const key = new URL(request.url).searchParams.get("addr")?.replace(/^nodekey:/, "") ?? "";
    return new Response("{}", { status: known.has(key) ? 200 : status });
  });
  return { seen, [Symbol.asyncDispose]: () => server.shutdown() };
}

Deno.test("admission is open when nothing is configured", async () => {
  await using it = await open({});
  equal(await it.admission.admit(newKey().key, ""), true);
  equal(it.admission.describe(), "open");
  it.admission.setKeys([]);
  await it.admission.reload();
  equal(await it.admission.admit(newKey().key, ""), true);
});

Deno.test("admission by file or list answers at once, and revokes what is taken out", async () => {
  await using dir = await scratch();
  const file = `${dir.path}/allowed`;
  const [a, b] = [newKey(), newKey()];
  await Deno.writeTextFile(file, `${a.hex}\n${b.hex}\n`);
  await using it = await open({ file, keys: true, cacheFile: `${dir.path}/cache` });
  const { admission } = it;
  const revoked: string[] = [];
  admission.onRevoked = (key) => {
    revoked.push(key.toHex());
    throw new Error("of the relay's own");
  };
  equal(admission.admit(a.key, "192.0.2.1"), false, "no list yet");
  admission.setKeys([a.hex, newKey().hex]);
  equal(admission.admit(a.key, "192.0.2.1"), true);
  equal(admission.admit(b.key, "192.0.2.1"), false, "in the file only");
  equal(admission.admit(new Uint8Array(31), ""), false);
  admission.setKeys([b.hex]);
  ok(revoked.includes(a.hex));
  equal(admission.admit(b.key, ""), true);
  await Deno.writeTextFile(file, `${a.hex}\n`);
  await admission.reload();
  ok(revoked.includes(b.hex));
  equal(admission.admit(b.key, ""), false);
  match(admission.describe(), /^allow-list .*\(1 keys\), devices of the VPC \(1\)$/);
});

Deno.test("tailscaled is asked who owns the key, and only its yes admits", async () => {
  await using dir = await scratch();
  const path = `${dir.path}/tailscaled.sock`;
  const known = newKey();
  await using it = await open({ tailscaled: path, failOpen: true });
  equal(await it.admission.admit(known.key, "192.0.2.1"), false, "no tailscaled");
  {
    await using daemon = tailscaled(path, new Set([known.hex]));
    equal(await it.admission.admit(known.key, "192.0.2.1"), true);
    equal(await it.admission.admit(newKey().key, "192.0.2.1"), false);
    equal(
      daemon.seen[0],
      `GET http://local-tailscaled.sock/localapi/v0/whois?addr=nodekey%3A${known.hex} ` +
        "local-tailscaled.sock",
    );
  }
  await Deno.remove(path).catch(() => {});
  await using broken = tailscaled(path, new Set(), 500);
  equal(await it.admission.admit(known.key, "192.0.2.1"), false);
  equal(broken.seen.length, 1);
  deepEqual(it.counters, { admissionFailedOpen: 0 });
  equal(it.admission.describe(), `tailscaled at ${path}`);
});

Deno.test("all rules that are given must admit, tailscaled before the call-out", async () => {
  await using dir = await scratch();
  const path = `${dir.path}/tailscaled.sock`;
  const both = newKey(), one = newKey();
  await using service = new Service(() => answer(200, '{"Allow":true}'));
  await using _daemon = tailscaled(path, new Set([both.hex]));
  await using it = await open({ tailscaled: path, url: service.url });
  equal(await it.admission.admit(both.key, "192.0.2.1"), true);
  equal(await it.admission.admit(one.key, "192.0.2.1"), false);
  equal(service.requests.length, 1, "who is refused already is not asked about");
});

Deno.test("a key revoked while a service is asked about it is refused", async () => {
  let asked = false;
  await using service = new Service(() => {
    asked = true;
    it.admission.setKeys([]);
    return answer(200, '{"Allow":true}');
  });
  await using it = await open({ keys: true, url: service.url });
  const { key, hex } = newKey();
  it.admission.setKeys([hex]);
  equal(await it.admission.admit(key, ""), false);
  ok(asked);
});

Deno.test("logins that are let in unasked are counted, and closing refuses the rest", async () => {
  const silent = new Service(() => undefined);
  const open1 = await open({
    url: silent.url,
    failOpen: true,
    limits: { asking: { timeoutMs: 200 } },
  });
  equal(await open1.admission.admit(newKey().key, "192.0.2.1"), true);
  deepEqual(open1.counters, { admissionFailedOpen: 1 });
  await open1.admission.close();
  const closed = await open({ url: silent.url });
  const pending = closed.admission.admit(newKey().key, "192.0.2.1");
  await until(() => silent.requests.length === 2, "the question");
  await closed.admission.close();
  equal(await pending, false);
  equal(await closed.admission.admit(newKey().key, ""), false);
  await silent[Symbol.asyncDispose]();
});

Deno.test("admission opens nothing for good when one rule cannot be used", async () => {
  await using dir = await scratch();
  const file = `${dir.path}/allowed`;
  await Deno.writeTextFile(file, newKey().hex);
  await rejects(Admission.open({ file, url: "nonsense" }), { name: "RelayError", exitCode: 2 });
  await rejects(Admission.open({ file: `${file}.none`, url: "http://localhost/" }), {
    exitCode: 1,
  });
});
