import assert from "node:assert/strict";
import { checkDebugKeyFile, DebugRule } from "./mod.ts";

const URL_OF = "https://relay.test/debug/";

function allows(rule: DebugRule, from: string, init: RequestInit = {}, query = ""): boolean {
  return rule.allows(new Request(URL_OF + query, init), from);
}

const forwarded = { headers: { "X-Forwarded-For": "192.0.2.1" } };

Deno.test("DebugRule lets loopback in, and nobody else, when nothing is listed", () => {
  const rule = new DebugRule({ networks: [] });
  for (const from of ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"]) {
    assert.equal(allows(rule, from), true, from);
    assert.equal(allows(rule, from, forwarded), false, "it came through a forwarder");
    assert.equal(allows(rule, from, { headers: { "X-Forwarded-For": "" } }), true);
    for (const name of ["Forwarded", "X-Real-IP"]) {
      assert.equal(allows(rule, from, { headers: { [name]: "for=192.0.2.1" } }), false, name);
    }
  }
  for (const from of ["203.0.113.9", "::ffff:203.0.113.9", "100.64.0.1", "fd7a:115c:a1e0::1", ""]) {
    assert.equal(allows(rule, from), false, from);
    assert.equal(allows(rule, from, {}, "?debugkey="), false);
    assert.equal(allows(rule, from, {}, "?debugkey=undefined"), false);
  }
});

Deno.test("DebugRule lets the listed networks in, however the address is written", () => {
  const rule = new DebugRule({
    networks: ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::ffff:198.51.100.0/120"],
  });
  for (const from of ["10.9.8.7", "::ffff:10.0.0.1", "192.0.2.7", "2001:db8::9", "198.51.100.4"]) {
    assert.equal(allows(rule, from), true, from);
    assert.equal(allows(rule, from, forwarded), false);
  }
  for (const from of ["11.0.0.1", "192.0.2.8", "2001:db9::1", "198.51.101.4", "fe80::1"]) {
    assert.equal(allows(rule, from), false, from);
  }
  for (
    const network of ["", "10.0.0.0/33", "example.com", "10.0.0.0/x", "10", "10.0/8", "010.0.0.1"]
  ) {
    assert.throws(
      () => new DebugRule({ networks: [network] }),
      (error) => (error as { exitCode?: number }).exitCode === 2,
      network,
    );
  }
});

Deno.test("DebugRule takes the key of the file on GET, and notices another key", async () => {
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, " open sesame\n");
    const rule = new DebugRule({ networks: [], keyFile: file });
    const key = "?debugkey=open+sesame";
    const from = "203.0.113.9";
    assert.equal(allows(rule, from, {}, key), true);
    assert.equal(allows(rule, from, forwarded, key), true, "a forwarder does not matter then");
    assert.equal(allows(rule, from, { method: "POST" }, key), false);
    assert.equal(allows(rule, from, { method: "HEAD" }, key), false);
    for (const wrong of ["?debugkey=open", "?debugkey=open+sesame+", "?debugkey=", "?key=open"]) {
      assert.equal(allows(rule, from, {}, wrong), false, wrong);
    }
    await Deno.writeTextFile(file, "another key");
    assert.equal(allows(rule, from, {}, key), false);
    assert.equal(allows(rule, from, {}, "?debugkey=another+key"), true);
    for (const useless of ["", "  \n", "x".repeat(5000)]) {
      await Deno.writeTextFile(file, useless);
      assert.equal(allows(rule, from, {}, `?debugkey=${useless.trim()}`), false);
    }
    await Deno.remove(file);
    assert.equal(allows(rule, from, {}, "?debugkey=another+key"), false);
  } finally {
    await Deno.remove(file).catch(() => {});
  }
});

Deno.test("checkDebugKeyFile says that there is no key in a file", async () => {
  const file = await Deno.makeTempFile();
  try {
    for (
      const [text, why] of [["", "it is empty"], ["x".repeat(5000), "no text"], [
        undefined,
        "no such file",
      ]]
    ) {
      if (text === undefined) await Deno.remove(file);
      else await Deno.writeTextFile(file, text);
      assert.throws(() => checkDebugKeyFile(file), {
        exitCode: 2,
        message: new RegExp(`^Cannot use --debug-key-file .*${why}`),
      });
    }
  } finally {
    await Deno.remove(file).catch(() => {});
  }
});
