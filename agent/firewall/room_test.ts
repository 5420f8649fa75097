import assert from "node:assert/strict";
import type { Device, SecurityGroup, Vpc } from "../../control/api/types.ts";
import { AgentError } from "../errors.ts";
import type { HostFacts } from "../host/mod.ts";
import { fakeDevice } from "../testing/fake_control.ts";
import { securityGroups } from "./mod.ts";

const ssh = { ip_protocol: "tcp", from_port: 22, to_port: 22 };

function group(id: string, more: Partial<SecurityGroup> = {}): SecurityGroup {
  return { id, vpc_id: "v", description: id, revision: 1, ...more };
}

function factsOf(group: string, more: Partial<HostFacts> = {}): HostFacts {
  const device: Device = fakeDevice("me", "K", 1, { security_group_id: group });
  return {
    interfaceName: "wg0",
    self: {} as HostFacts["self"],
    device,
    vpc: {} as Vpc,
    devices: [],
    securityGroups: [],
    synced: true,
    plans: [],
    relays: [],
    servers: [],
    ...more,
  };
}

/** An nft that holds a table, and counts what it is asked. */
class FakeNft {
  table = "";
  writes = 0;
  looks = 0;
  missing = false;
  refusal = "";
  /** So many writes are refused. */
  refusesWrites = 0;
  now = 0;
  readonly run = (
    program: string,
    args: readonly string[],
    { input }: { input?: string } = {},
  ): Promise<{ code: number; stdout: string; stderr: string }> => {
    assert.equal(program, "nft");
    if (this.missing) {
      const cause = new Deno.errors.NotFound("nft");
      return Promise.reject(new AgentError("Cannot run nft: it is not in PATH", { cause }));
    }
    if (this.refusal) return Promise.resolve({ code: 1, stdout: "", stderr: this.refusal });
    if (args.includes("list")) {
      this.looks++;
      const code = this.table === "" ? 1 : 0;
      return Promise.resolve({ code, stdout: this.table, stderr: "No such file or directory" });
    }
    if (this.refusesWrites-- > 0) {
      return Promise.resolve({ code: 1, stdout: "", stderr: "Error: busy" });
    }
    this.writes++;
    const lines = input!.trimEnd().split("\n");
    this.table = lines.at(-1)!.startsWith("delete") ? "" : input!;
    return Promise.resolve({ code: 0, stdout: "", stderr: "" });
  };

  get drops(): string[] {
    return ["inbound", "outbound"].filter((chain) => this.table.includes(`${chain} counter drop`));
  }
}

function roomOn(nft: FakeNft, os: typeof Deno.build.os = "linux") {
  return securityGroups({ interfaceName: "wg0", run: nft.run, now: () => nft.now, os });
}

Deno.test("room writes a table when the group gets rules and removes it with the last of them", async () => {
  const nft = new FakeNft(), room = roomOn(nft);
  const pass = (more: Partial<SecurityGroup>) =>
    room.prepare!(factsOf("g", { securityGroups: [group("other"), group("g", more)] }));
  await pass({});
  assert.deepEqual([nft.writes, nft.looks], [0, 0], "nft is not needed without rules");
  await pass({ inbound_rules: [ssh] });
  assert.deepEqual(nft.drops, ["inbound"]);
  await pass({ inbound_rules: [ssh] });
  assert.equal(nft.writes, 1, "nothing is written again when nothing changed");
  assert.deepEqual(room.notes(), ["g: 1 rule in, everything may pass out"]);
  await pass({ outbound_rules: [ssh, ssh], inbound_rules: [] });
  assert.deepEqual(nft.drops, ["outbound"]);
  assert.deepEqual(room.notes(), ["g: everything may pass in, 2 rules out"]);
  await pass({});
  assert.equal(nft.table, "");
});

Deno.test("room tells of a rule it cannot use, first, and keeps the direction closed", async () => {
  const nft = new FakeNft(), room = roomOn(nft);
  const bad = { ...ssh, ip_protocol: "?" };
  await room.prepare!(factsOf("g", { securityGroups: [group("g", { inbound_rules: [bad] })] }));
  assert.deepEqual(nft.drops, ["inbound"]);
  assert.match(room.notes()[0]!, /inbound rule 1 lets nothing through: unknown protocol/);
});

Deno.test("room lets nothing through at a first start until the group is told", async () => {
  const nft = new FakeNft(), room = roomOn(nft);
  await room.prepare!(factsOf("g", { synced: false }));
  assert.deepEqual(nft.drops, ["inbound", "outbound"]);
  assert.match(room.notes()[0]!, /has not told of security group g/);
  await room.prepare!(factsOf("g", { synced: false, securityGroups: [group("g")] }));
  assert.equal(nft.table, "");
});

Deno.test("room keeps the last rules when a group is not known any more", async () => {
  const nft = new FakeNft(), room = roomOn(nft);
  await room.prepare!(
    factsOf("g", { securityGroups: [group("g", { inbound_rules: [ssh] })], synced: false }),
  );
  const before = nft.table;
  await room.prepare!(factsOf("h", { securityGroups: [group("g")] }));
  await room.prepare!(factsOf("g", { securityGroups: [] }));
  assert.equal(nft.table, before);
  assert.match(room.notes()[0]!, /the last rules stay in force/);
  const other = roomOn(nft);
  await other.prepare!(factsOf("h", { securityGroups: [group("g")] }));
  assert.deepEqual(nft.drops, ["inbound", "outbound"], "one that never was known is closed");
});

Deno.test("room leaves a host open when it has no group or there are no groups at all", async () => {
  const nft = new FakeNft(), room = roomOn(nft);
  for (const id of ["", "00000000-0000-0000-0000-000000000000"]) {
    await room.prepare!(factsOf(id, { synced: false }));
  }
  const other = roomOn(nft);
  await other.prepare!(factsOf("g", { synced: true }));
  assert.equal(nft.writes, 0);
  assert.match(other.notes()[0]!, /no security groups/);
});

Deno.test("room goes by the newest row of the own device", async () => {
  const nft = new FakeNft(), room = roomOn(nft);
  const told = (revision: number) => fakeDevice("me", "K", 1, { security_group_id: "h", revision });
  const groups = [group("g"), group("h", { inbound_rules: [ssh] })];
  await room.prepare!(factsOf("g", { securityGroups: groups, devices: [told(0)] }));
  assert.equal(nft.table, "");
  await room.prepare!(factsOf("g", { securityGroups: groups, devices: [told(2)] }));
  assert.deepEqual(nft.drops, ["inbound"]);
});

Deno.test("room makes the table again when somebody else flushed it", async () => {
  const nft = new FakeNft(), room = roomOn(nft);
  const facts = factsOf("g", { securityGroups: [group("g", { inbound_rules: [ssh] })] });
  await room.prepare!(facts);
  nft.table = "";
  await room.prepare!(facts);
  assert.equal(nft.looks, 1, "it does not look each time");
  nft.now += 10_000;
  await room.prepare!(facts);
  assert.deepEqual(nft.drops, ["inbound"]);
  const { looks } = nft;
  await room.prepare!(facts);
  assert.equal(nft.looks, looks);
});

Deno.test("room holds peers back when it cannot enforce rules, and says what to do", async () => {
  const rules = factsOf("g", { securityGroups: [group("g", { inbound_rules: [ssh] })] });
  const without = new FakeNft();
  without.missing = true;
  const room = roomOn(without);
  await room.repair!();
  await assert.rejects(
    room.prepare!(rules),
    (error) => error instanceof AgentError && /g: 1 rule in.*not in PATH/.test(error.message),
  );
  const refused = new FakeNft();
  refused.refusal = "Error: Could not process rule: Operation not permitted\nadd table\n^^^";
  await assert.rejects(roomOn(refused).prepare!(rules), /nft: Error: .* not permitted; peers wait/);
  await assert.rejects(roomOn(new FakeNft(), "darwin").prepare!(rules), /darwin has no nftables/);
  await room.prepare!(factsOf("g", { securityGroups: [group("g")] }));
  await room.release!();
});

Deno.test("room keeps peers for a moment while new rules cannot be written, and no longer", async () => {
  const nft = new FakeNft(), room = roomOn(nft);
  const facts = (...rules: typeof ssh[]) =>
    factsOf("g", { securityGroups: [group("g", { inbound_rules: rules })] });
  await room.prepare!(facts());
  const before = nft.table;
  nft.refusal = "Error: Device or resource busy";
  // What was decided before is whole: a slow nft must not cut anybody off.
  await room.prepare!(facts(ssh));
  assert.match(room.notes()[0]!, /Cannot enforce .* resource busy/);
  nft.now += 9_000;
  await room.prepare!(facts(ssh));
  nft.refusal = "";
  await room.prepare!(facts(ssh));
  assert.notEqual(nft.table, before);
  assert.deepEqual(room.notes(), ["g: 1 rule in, everything may pass out"]);

  nft.refusal = "Error: Device or resource busy";
  await room.prepare!(facts(ssh, ssh));
  nft.now += 10_000;
  await assert.rejects(room.prepare!(facts(ssh, ssh)), /resource busy; peers wait for it/);
  await assert.rejects(room.prepare!(facts(ssh, ssh)), /peers wait/);
  nft.refusal = "";
  await room.prepare!(facts(ssh, ssh));
  assert.deepEqual(room.notes(), ["g: 2 rules in, everything may pass out"]);
});

Deno.test("room does not wait with peers whose rules somebody else has removed", async () => {
  const nft = new FakeNft(), room = roomOn(nft);
  const facts = factsOf("g", { securityGroups: [group("g", { inbound_rules: [ssh] })] });
  await room.prepare!(facts);
  nft.table = "";
  nft.now += 10_000;
  nft.refusesWrites = Infinity;
  await assert.rejects(room.prepare!(facts), /peers wait/);
  nft.now += 10;
  await assert.rejects(room.prepare!(facts), /peers wait/, "it looks again at once");
  // One refusal is none: it tries again before it takes peers away.
  nft.refusesWrites = 1;
  await room.prepare!(facts);
  assert.deepEqual(nft.drops, ["inbound"]);
});

Deno.test("room leaves alone what it cannot look at: the kernel goes on by the rules it has", async () => {
  const nft = new FakeNft(), room = roomOn(nft);
  const facts = factsOf("g", { securityGroups: [group("g", { inbound_rules: [ssh] })] });
  await room.prepare!(facts);
  nft.missing = true;
  for (let i = 0; i < 3; i++) {
    nft.now += 10_000;
    await room.prepare!(facts);
    assert.match(room.notes()[0]!, /cannot look at its rules: .*not in PATH/);
  }
  nft.missing = false;
  nft.now += 10_000;
  await room.prepare!(facts);
  assert.deepEqual([room.notes().length, nft.writes], [1, 1]);
});

Deno.test("room keeps peers when rules that are not wanted any more cannot be removed", async () => {
  const nft = new FakeNft(), room = roomOn(nft);
  const facts = (...rules: typeof ssh[]) =>
    factsOf("g", { securityGroups: [group("g", { inbound_rules: rules })] });
  await room.prepare!(facts(ssh));
  nft.refusal = "Error: Device or resource busy";
  nft.now += 60_000;
  await room.prepare!(facts());
  assert.match(room.notes()[0]!, /Cannot enforce/);
  nft.refusal = "";
  await room.prepare!(facts());
  assert.equal(nft.table, "");
});

Deno.test("room removes a crash's table at the start and its own at the end", async () => {
  const nft = new FakeNft(), room = roomOn(nft);
  nft.table = "of an agent that was killed";
  await room.repair!();
  assert.equal(nft.table, "");
  await room.prepare!(factsOf("g", { securityGroups: [group("g", { inbound_rules: [ssh] })] }));
  assert.notEqual(nft.table, "");
  await room.close();
  assert.notEqual(nft.table, "", "it guards the interface until that is gone");
  await room.release!();
  await room.release!();
  assert.deepEqual([nft.table, nft.writes], ["", 3]);
});
