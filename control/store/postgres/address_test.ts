import assert from "node:assert/strict";
import fc from "fast-check";
import { parsePostgresUrl } from "./address.ts";

Deno.test("a database's URL is read as libpq writes it", () => {
  const given = parsePostgresUrl("postgres://ada:s%20p@db.example:6543/nexd?connect_timeout=7");
  const { host, port, user, password, database, connectTimeoutMs, shown } = given;
  assert.deepEqual([host, port, user, password, database, connectTimeoutMs], [
    "db.example",
    6543,
    "ada",
    "s p",
    "nexd",
    7000,
  ]);
  assert.equal(shown, "postgres://ada@db.example:6543/nexd");
  assert.equal(parsePostgresUrl("postgresql://u@[2001:db8::1]/d").host, "2001:db8::1");
  for (
    const url of [
      "postgres://u@%2Frun%2Fpg/d",
      "postgres://u@/d?host=/run/pg",
      "postgres:///d?host=/run/pg&user=u",
    ]
  ) {
    const { host, user, database, ssl } = parsePostgresUrl(url);
    assert.deepEqual([host, user, database, ssl], ["/run/pg", "u", "d", false]);
  }
});

Deno.test("other hosts are spoken to with TLS unless it is said otherwise", () => {
  const ssl = (url: string) => parsePostgresUrl(`postgres://u${url}`).ssl;
  assert.deepEqual(ssl("@db.example/d"), {});
  assert.equal(ssl("@db.example/d?sslmode=disable"), false);
  assert.equal(ssl("@127.0.0.1/d"), false);
  assert.deepEqual(ssl("@db.example/d?sslmode=require"), { rejectUnauthorized: false });
  assert.deepEqual(ssl("@localhost/d?sslmode=verify-full"), {});
});

Deno.test("a URL that cannot be used is named with the remedy, never with its password", () => {
  const cases: [string, RegExp][] = [
    ["postgres:", /write it as postgres:/],
    ["postgres://u:hunter2@h1,h2/d", /names several hosts/],
    ["postgres://u:hunter2@h/d?sslmode=maybe", /use disable, require, verify-ca or verify-full/],
    ["postgres://u:hunter2@h/d?target_session_attrs=rw", /has the option target_session_attrs/],
    ["postgres://u:hunter2@h:99999/d", /port/],
    ["postgres://u:hunter2@h/d?sslrootcert=/none/ca.pem", /\/none\/ca\.pem, which cannot be read/],
    ["postgres://u:hunter2%@h/d", /write a real one as %25/],
  ];
  for (const [url, message] of cases) {
    assert.throws(() => parsePostgresUrl(url), (error: Error & { exitCode?: number }) => {
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /hunter2/);
      return error.exitCode === 2;
    });
  }
});

Deno.test("any user, password and database come out of a URL as they went in", () => {
  const word = fc.string({ minLength: 1, unit: "grapheme" });
  fc.assert(fc.property(word, word, word, (user, password, database) => {
    const [u, p, d] = [user, password, database].map(encodeURIComponent);
    const read = parsePostgresUrl(`postgres://${u}:${p}@h/${d}`);
    assert.deepEqual([read.user, read.password, read.database], [user, password, database]);
  }));
});
