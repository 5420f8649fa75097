import assert from "node:assert/strict";
import fc from "fast-check";
import { AgentError } from "../../errors.ts";
import type { RunCommand } from "../../platform/mod.ts";
import { keyFromHex } from "../plan.ts";
import { HandshakeTimes, parseDump, setCommands } from "./wg.ts";
import { WgTool } from "./tool.ts";

const hex = (n: number) => n.toString(16).padStart(2, "0").repeat(32);
const base64 = (n: number) => keyFromHex(hex(n));
const PRIVATE = base64(0x11);

/** As wireguard-tools 1.0.20210914 writes it. */
const DUMP = [
  [PRIVATE, base64(0x22), "51820", "0x6e640000"].join("\t"),
  [
    ...[base64(1), "(none)", "127.0.0.3:9002", "100.64.0.1/32,fd00::1/128"],
    ...["1700000000", "42", "18446744073709551615", "20"],
  ].join("\t"),
  [base64(2), "(none)", "(none)", "(none)", "0", "0", "0", "off"].join("\t"),
  "",
].join("\n");

Deno.test("wg reads a dump and drops the private key", () => {
  const state = parseDump(DUMP);
  assert.deepEqual(state, {
    listenPort: 51820,
    fwmark: 0x6e640000,
    peers: [{
      publicKey: hex(1),
      endpoint: "127.0.0.3:9002",
      lastHandshake: 1_700_000_000_000,
      rxBytes: 42,
      txBytes: 18446744073709552000,
      keepaliveSeconds: 20,
      allowedIps: ["100.64.0.1/32", "fd00::1/128"],
    }, {
      publicKey: hex(2),
      lastHandshake: 0,
      rxBytes: 0,
      txBytes: 0,
      keepaliveSeconds: 0,
      allowedIps: [],
    }],
  });
  assert.deepEqual(parseDump(DUMP.replaceAll("\n", "\r\n")), state);
});

Deno.test("wg throws nothing but AgentError at any answer, with no text of it", () => {
  const line = fc.oneof(
    fc.string(),
    fc.array(fc.constantFrom(PRIVATE, "off", "(none)", "1", "0x", "a")).map((f) => f.join("\t")),
    fc.constantFrom(...DUMP.split("\n")),
  );
  fc.assert(fc.property(fc.array(line, { maxLength: 6 }), (lines) => {
    try {
      parseDump(lines.join("\n"));
    } catch (error) {
      assert.ok(error instanceof AgentError);
      assert.ok(!error.message.includes(PRIVATE));
      assert.match(error.message, /^Cannot read the answer of wg: malformed [a-z ]+$/);
    }
  }));
});

Deno.test("wg sets, wakes and removes peers in their order", () => {
  assert.deepEqual(
    setCommands("wg0", [
      { publicKey: hex(1), remove: true },
      { publicKey: hex(2), endpoint: "192.0.2.1:5", keepaliveSeconds: 20, wake: true },
      { publicKey: hex(3), replaceAllowedIps: true, keepaliveSeconds: 0, allowedIps: [] },
      { publicKey: hex(4), allowedIps: ["10.0.0.0/8", "fd00::/64"], replaceAllowedIps: true },
    ]),
    [[
      ...["set", "wg0", "peer", base64(1), "remove"],
      // The step from 0 is what makes it send.
      ...["peer", base64(2), "persistent-keepalive", "0"],
      ...["peer", base64(2), "endpoint", "192.0.2.1:5", "persistent-keepalive", "20"],
      ...["peer", base64(3), "persistent-keepalive", "0", "allowed-ips", ""],
      ...["peer", base64(4), "allowed-ips", "10.0.0.0/8,fd00::/64"],
    ]],
  );
  assert.deepEqual(setCommands("wg0", []), []);
});

Deno.test("wg splits what one command line cannot hold", () => {
  const changes = Array.from({ length: 1000 }, (_, i) => ({
    publicKey: i.toString(16).padStart(64, "0"),
    allowedIps: [`10.0.${i >> 8}.${i & 255}/32`],
  }));
  const commands = setCommands("wg0", changes);
  assert.ok(commands.length > 1);
  for (const command of commands) assert.ok(command.join(" ").length < 32_767);
  assert.equal(commands.flat().filter((arg) => arg === "peer").length, 1000);
});

Deno.test("wg gets the private key by its standard input alone", async () => {
  const calls: { program: string; args: readonly string[]; input: string | undefined }[] = [];
  const run: RunCommand = (program, args, options) => {
    calls.push({ program, args, input: options?.input });
    return Promise.resolve({ code: 0, stdout: DUMP, stderr: "" });
  };
  const tool = new WgTool("wg0", "wg", run);
  await tool.configure({ privateKey: Uint8Array.fromHex(hex(0x11)), listenPort: 5, mark: 7 });
  await tool.read();
  assert.equal(calls[0]!.input, `${PRIVATE}\n`);
  assert.ok(!JSON.stringify(calls.map(({ args }) => args)).includes(PRIVATE));
  const refuses = new WgTool("wg0", "wg", () =>
    Promise.resolve({
      code: 1,
      stdout: "",
      stderr: "Unable to access interface: No such device\n",
    }));
  await assert.rejects(refuses.read(), /wg show says Unable to access interface: No such device/);
});

Deno.test("wg puts a handshake where in its second it can have been", () => {
  const times = new HandshakeTimes();
  const row = (second: number) => ({
    publicKey: hex(1),
    lastHandshake: second * 1000,
    rxBytes: 0,
    txBytes: 0,
    keepaliveSeconds: 0,
    allowedIps: [],
  });
  const look = (second: number, now: number) => {
    const peer = row(second);
    times.place([peer], now);
    return peer.lastHandshake;
  };
  assert.equal(look(10, 60_000), 10_000, "what was there before the first look is as it is told");
  assert.equal(look(70, 70_400), 70_400, "not in the future");
  assert.equal(look(70, 72_000), 70_400, "told once, it stays");
  assert.equal(look(75, 80_000), 75_999, "within its second");
  assert.equal(look(0, 81_000), 0, "never");
});
