import assert from "node:assert/strict";
import fc from "fast-check";
import { othersOf, ownerToken, ownNames, type Pin, withBlock, withoutBlock } from "./block.ts";

const pin: Pin = { host: "relay.example", address: "203.0.113.9" };
const six: Pin = { host: "relay.example", address: "2001:db8::9" };

/** Contents as hosts files have them, and as they should not. */
const contents = fc.oneof(
  fc.array(
    fc.oneof(
      fc.constantFrom(
        ...["127.0.0.1 localhost", "::1 ip6-localhost", "# a comment", "", "\t", "10.0.0.1 a b"],
        ...[
          "# BEGIN nexd wg1 (removed when nexd ends)",
          "# END nexd wg1",
          "# BEGIN nexd",
          "# nexd",
        ],
        ...["203.0.113.9 relay.example # nexd wg1", "203.0.113.9 relay.example", "\0\xff\xfe"],
      ),
      fc.string({ unit: "binary-ascii", maxLength: 20 }),
    ),
    { maxLength: 12 },
  ).chain((lines) =>
    fc.record({ end: fc.constantFrom("\n", "\r\n"), last: fc.boolean() })
      .map(({ end, last }) => lines.join(end) + (last ? end : ""))
  ),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => String.fromCharCode(...bytes)),
);
const pins = fc.uniqueArray(fc.constantFrom(pin, six, { host: "b", address: "198.51.100.1" }), {
  minLength: 1,
});

Deno.test("block goes to the end of a file with the file's line ends", () => {
  assert.equal(
    withBlock("127.0.0.1 localhost\r\n", "wg0", [pin, six]),
    "127.0.0.1 localhost\r\n" +
      "# BEGIN nexd wg0 (removed when nexd ends)\r\n" +
      "203.0.113.9 relay.example # nexd wg0\r\n" +
      "2001:db8::9 relay.example # nexd wg0\r\n" +
      "# END nexd wg0\r\n",
  );
  assert.match(withBlock("", "wg0", [pin]), /^# BEGIN nexd wg0 .*\n203/);
  assert.match(withBlock(undefined, "wg0", [pin], "\r\n"), /file was new\)\r\n/);
});

Deno.test("block leaves every other byte as it was, and its removal brings the file back", () => {
  fc.assert(
    fc.property(contents, pins, pins, (text, first, second) => {
      const one = withBlock(text, "wg0", first);
      assert.ok(one.startsWith(text), "what was there comes first, untouched");
      assert.equal(withoutBlock(one, "wg0").text, text);
      assert.equal(withBlock(one, "wg0", first), one, "written once");
      const other = withBlock(one, "wg0", second);
      assert.equal(withBlock(other, "wg0", []), text);
      for (const { host, address } of second) {
        assert.ok(other.includes(`\n${address} ${host} # nexd wg0`), "each pin has a line");
      }
    }),
    { numRuns: 500 },
  );
});

Deno.test("block keeps what others write before it, behind it and into it", () => {
  fc.assert(fc.property(contents, pins, fc.nat(), (text, list, at) => {
    const lines = withBlock(text, "wg0", list).match(/[^\n]*\n/g)!;
    const place = at % (lines.length + 1);
    const edited = [...lines.slice(0, place), "10.9.9.9 theirs\n", ...lines.slice(place)].join("");
    const back = withoutBlock(edited, "wg0").text;
    assert.equal(back.split("10.9.9.9 theirs\n").length, 2);
    const rest = back.replace("10.9.9.9 theirs\n", "");
    // A last line without an end got one, which a line behind it still needs.
    assert.ok(rest === text || rest === `${text}\n` || rest === `${text}\r\n`);
  }));
});

Deno.test("blocks of two owners do not touch each other", () => {
  fc.assert(fc.property(contents, pins, pins, (text, mine, theirs) => {
    const both = withBlock(withBlock(text, "wg0", mine), "wg01", theirs);
    assert.equal(withoutBlock(withoutBlock(both, "wg01").text, "wg0").text, text);
    assert.equal(withoutBlock(both, "wg").text, both);
    const without = withoutBlock(both, "wg0").text;
    for (const { host, address } of theirs) {
      assert.ok(without.includes(`${address} ${host} # nexd wg01`));
    }
  }));
});

Deno.test("block is mended when others tear it apart or repeat it", () => {
  const whole = withBlock("127.0.0.1 localhost\n", "wg0", [pin, six]);
  const lines = whole.match(/[^\n]*\n/g)!;
  for (let i = 1; i < lines.length; i++) {
    const torn = lines.filter((_, at) => at !== i).join("");
    assert.equal(withBlock(torn, "wg0", [pin, six]), whole, `without line ${i}`);
  }
  assert.equal(withBlock(whole + lines.slice(1).join(""), "wg0", [pin, six]), whole);
  assert.equal(
    withBlock([lines[0], ...lines.slice(1).reverse()].join(""), "wg0", [pin, six]),
    whole,
  );
  // Where only the line ends were changed, it is still ours.
  assert.equal(withoutBlock(whole.replaceAll("\n", "\r\n"), "wg0").text, "127.0.0.1 localhost\r\n");
});

Deno.test("block remembers that there was no file, and whether somebody uses it since", () => {
  const made = withBlock(undefined, "wg0", [pin]);
  assert.deepEqual(withoutBlock(made, "wg0"), { text: "", made: true });
  assert.equal(withBlock(made, "wg0", [six]).includes("file was new"), true);
  assert.equal(withoutBlock(made + "10.0.0.1 a\n", "wg0").text, "10.0.0.1 a\n");
  assert.equal(withoutBlock(withBlock("", "wg0", [pin]), "wg0").made, false);
});

Deno.test("others' lines for a name are found, whatever they look like", () => {
  const text =
    "10.0.0.1\ta RELAY.example # x\n# 10.0.0.2 relay.example\n10.0.0.3 relay.example.org\n";
  assert.deepEqual(othersOf(withBlock(text, "wg0", [pin]), "wg0", "relay.example"), [
    { line: 1, address: "10.0.0.1" },
  ]);
  assert.deepEqual(
    [...ownNames("127.0.1.1 Host.example host\n::1 six\n10.0.0.1 no\n127.0.0.9 # x\n", "wg0")],
    ["host.example", "host", "six"],
  );
});

Deno.test("an owner's name cannot end a line or be taken for another's", () => {
  for (const owner of ["/var/lib/nexd x", "a\nb", "", "ü".repeat(200), "\ud800"]) {
    assert.match(ownerToken(owner), /^[!-~]{1,120}$/);
  }
  assert.equal(ownerToken("wg0"), "wg0");
});
