import assert from "node:assert/strict";
import { AgentError } from "../errors.ts";
import { askPassword, type Terminal } from "./ask_password.ts";

/** A terminal on which these bytes are typed, one read each. */
function typed(...reads: (string | null)[]): Terminal & { shown: string; raw: boolean[] } {
  return {
    shown: "",
    raw: [],
    isTerminal: () => true,
    setRaw(mode) {
      this.raw.push(mode);
    },
    read(into) {
      const text = reads.shift();
      if (text === undefined) return new Promise(() => {});
      if (text === null) return Promise.resolve(null);
      return Promise.resolve(new TextEncoder().encodeInto(text, into).written);
    },
    write(text) {
      this.shown += text;
    },
  };
}

const { signal } = new AbortController();

Deno.test("a password is read up to the return key, corrected as typed, and never shown", async () => {
  for (
    const [reads, expected] of [
      [["secret\r"], "secret"],
      [["se", "cret", "\n"], "secret"],
      [["secrex\u007ft\r"], "secret"],
      [["pä\b\u007fassé\r"], "assé"],
      [["wrong\u0015right\r"], "right"],
      [["\u007f\u007fx\r"], "x"],
      [
        [
          "x".repeat(250),
          "x".repeat(250),
          "x".repeat(250),
          "x".repeat(250),
          "x".repeat(250) + "\r",
        ],
        "x".repeat(1024),
      ],
    ] as [string[], string][]
  ) {
    const terminal = typed(...reads);
    assert.equal(await askPassword("ada", signal, terminal), expected);
    assert.equal(terminal.shown, "Password of ada: \n");
    assert.deepEqual(terminal.raw, [true, false]);
  }
});

Deno.test("a person who gives up, and a place without a terminal, are told what to give instead", async () => {
  const missing = (error: unknown) =>
    error instanceof AgentError && error.exitCode === 2 &&
    /password of user ada is missing; give --password, set NEXD_PASSWORD/.test(error.message);
  for (const end of ["\u0003", "\u0004", null]) {
    const terminal = typed(end);
    await assert.rejects(askPassword("ada", signal, terminal), missing);
    assert.deepEqual(terminal.raw, [true, false]);
  }
  await assert.rejects(askPassword("ada", AbortSignal.abort(), typed()), missing);
  const none = { ...typed("x\r"), isTerminal: () => false };
  await assert.rejects(askPassword("ada", signal, none), missing);
});
