import assert from "node:assert/strict";
import { ClientError } from "./errors.ts";
import { Flags, type Values } from "./values.ts";

const NOW = Date.parse("2026-11-23T10:00:00Z");
const flags = (values: Values) => new Flags(values, "reg-key create");
const usage = (pattern: RegExp) => (error: unknown) =>
  error instanceof ClientError && error.exitCode === 2 && pattern.test(error.message);

Deno.test("a time is told as a span from now on, as itself, or as never", () => {
  const time = (text: string) => flags({ expiration: text }).time("expiration", NOW);
  assert.equal(time("24h"), "2026-11-24T10:00:00Z");
  assert.equal(time("1h30m"), "2026-11-23T11:30:00Z");
  assert.equal(time("1.5h"), "2026-11-23T11:30:00Z");
  assert.equal(time("2d"), "2026-11-25T10:00:00Z");
  assert.equal(time("1w"), "2026-11-30T10:00:00Z");
  assert.equal(time("2030-01-31T12:00:00+01:00"), "2030-01-31T11:00:00Z");
  assert.equal(time("never"), "0001-01-01T00:00:00Z");
  assert.equal(time("0s"), undefined);
  assert.equal(time(""), undefined);
  assert.equal(flags({}).time("expiration", NOW), undefined);
  for (const text of ["24", "h", "1h ", "-1h", "soon", "2030-01-31", "999999999w", "1e9h"]) {
    assert.throws(() => time(text), usage(/--expiration .* is neither a time from now on/));
  }
  assert.throws(() => time("2020-01-31T12:00:00Z"), usage(/is in the past/));
});

Deno.test("ids, JSON and words are checked before anything is sent", () => {
  const id = "5F0C3B1E-8D1A-4C55-9A0E-2B6F7D9C1A10";
  assert.equal(flags({ "vpc-id": id }).id("vpc-id"), id.toLowerCase());
  assert.equal(flags({ "vpc-id": "" }).id("vpc-id"), undefined);
  assert.throws(() => flags({ "vpc-id": "me" }).id("vpc-id"), usage(/--vpc-id me is not an id/));
  assert.throws(() => flags({}).requiredId("vpc-id"), usage(/^nexd reg-key create needs --vpc-id/));
  const json = (text: string) => flags({ settings: text });
  assert.deepEqual(json('{"a":1}').object("settings"), { a: 1 });
  assert.equal(json("").object("settings"), undefined);
  for (const text of ["{", "[1]", "null", "7", "a".repeat(100)]) {
    assert.throws(() => json(text).object("settings"), usage(/--settings .* is not a JSON object/));
  }
  assert.deepEqual(json("[]").objects("settings"), []);
  for (const text of ["{}", "[1]", "[[]]"]) {
    assert.throws(() => json(text).objects("settings"), usage(/is not a JSON array of objects/));
  }
  const roles = (...role: string[]) => flags({ role }).words("role", ["member", "owner"]);
  assert.deepEqual(roles("owner", "member", "owner"), ["owner", "member"]);
  assert.throws(() => roles("king"), usage(/--role king is none of member, owner/));
  assert.throws(() => flags({ name: "x".repeat(1025) }).text("name"), usage(/at most 1024/));
});
