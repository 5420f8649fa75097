import assert from "node:assert/strict";
import fc from "fast-check";
import { AgentError } from "../errors.ts";
import { type Policy, policyOf } from "./rules.ts";
import { removalOf, rulesetOf, tableOf } from "./ruleset.ts";

const table = tableOf("wg0");

/** Runs nft in a network namespace of its own; undefined where that cannot be done. */
async function nft(input: string): Promise<string | undefined> {
  try {
    const child = new Deno.Command("unshare", {
      args: ["--net", "nft", "-f", "-"],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(input)).then(() => writer.close()).catch(() => {});
    const { code, stdout, stderr } = await child.output();
    const text = new TextDecoder().decode(stderr) + new TextDecoder().decode(stdout);
    if (code === 0) return text;
    if (/unshare|not permitted|No such file/.test(text)) return undefined;
    throw new Error(text);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function cannotNft(): Promise<boolean> {
  if (await nft(rulesetOf(table, "wg0", {})) !== undefined) return false;
  // deno-lint-ignore no-console -- a test's skip line
  console.log("skip: nft cannot be run in a network namespace here");
  return true;
}

Deno.test("a table touches only its interface, and both ways of what is forwarded", () => {
  const text = rulesetOf(table, "wg0", { inbound: [], outbound: [] });
  const rules = text.split("\n").filter((line) => /add rule .* (input|output|forward) /.test(line));
  assert.deepEqual(rules.map((line) => line.replace(`add rule inet ${table} `, "")), [
    'input iifname "wg0" jump inbound',
    'forward iifname "wg0" oifname != "wg0" jump inbound',
    'output oifname "wg0" jump outbound',
    'forward oifname "wg0" iifname != "wg0" jump outbound',
  ]);
});

Deno.test("a table drops what no rule lets through, and only in a direction with rules", () => {
  const text = rulesetOf(table, "wg0", {
    inbound: [
      { family: 4, addresses: ["10.0.0.1", "10.0.0.3-10.0.0.9"], protocol: "tcp", ports: [22, 23] },
      { family: 6, protocol: "ipv6-icmp" },
    ],
  });
  const chain = (name: string) =>
    text.split("\n").filter((line) => line.startsWith(`add rule inet ${table} ${name} `))
      .map((line) => line.replace(`add rule inet ${table} ${name} `, ""));
  assert.deepEqual(chain("inbound"), [
    "ct state established,related accept",
    "meta nfproto ipv4 ip saddr { 10.0.0.1, 10.0.0.3-10.0.0.9 } meta l4proto { tcp } " +
    "th dport 22-23 accept",
    "meta nfproto ipv6 meta l4proto { ipv6-icmp } accept",
    "counter drop",
  ]);
  assert.deepEqual(chain("outbound"), []);
  assert.deepEqual(chain("output"), []);
});

Deno.test("a table is changed in one transaction that never takes it away", () => {
  const text = rulesetOf(table, "wg0", { inbound: [] });
  assert.ok(!text.includes("delete"));
  assert.equal(text.split("\n").filter((line) => line.startsWith("flush")).length, 1);
});

Deno.test("an interface whose name nft could read as something else is refused", () => {
  for (const name of ["", "wg*", 'wg"', "a b", "-f", "wg0\n", "x".repeat(16), "$x", "{"]) {
    assert.throws(() => tableOf(name), AgentError, name);
    assert.throws(() => rulesetOf(table, name, {}), AgentError, name);
  }
  assert.notEqual(tableOf("wg0"), tableOf("wg1"));
});

Deno.test("nft takes every group that can be read, and changes one into the next", async () => {
  if (await cannotNft()) return;
  const address = fc.oneof(fc.ipV4(), fc.ipV6(), fc.constantFrom("10.0.0.0/8", "200::/64", ""));
  const port = fc.integer({ min: 1, max: 65535 });
  const rule = fc.record({
    ip_protocol: fc.constantFrom("", "ipv4", "ipv6", "tcp", "udp", "icmp", "icmpv4", "icmpv6"),
    ports: fc.option(fc.tuple(port, port)),
    ip_ranges: fc.array(address, { maxLength: 5 }),
  }).map(({ ip_protocol, ports, ip_ranges }) => ({
    ip_protocol,
    from_port: ports === null ? 0 : Math.min(...ports),
    to_port: ports === null ? 0 : Math.max(...ports),
    ip_ranges,
  }));
  const rules = fc.array(rule, { maxLength: 12 });
  const policy: fc.Arbitrary<Policy> = fc.record({ inbound_rules: rules, outbound_rules: rules })
    .map((lists) =>
      policyOf({ id: "g", vpc_id: "v", description: "", revision: 1, ...lists }).policy
    );
  await fc.assert(
    fc.asyncProperty(policy, policy, async (one, other) => {
      const scripts = [one, other, {}, one].map((each) => rulesetOf(table, "wg-a.1", each));
      const text = [...scripts, removalOf(table), scripts[0], removalOf(table)].join("");
      assert.equal(await nft(text + "list ruleset\n"), "");
    }),
    { numRuns: 15 },
  );
});
