import assert from "node:assert/strict";
import fc from "fast-check";
import type { Store, VpcRow, Write } from "../store/mod.ts";
import { openTestStore } from "../store/testing.ts";
import { createUser, createVpc } from "../tenants.ts";
import { formatAddress, fromKey, parseAddress, parseCidr, toKey, usable } from "./address.ts";
import { advertise, CidrRefused, PoolExhausted, releaseAddress, takeAddress } from "./mod.ts";

async function withVpc(
  ranges: { ipv4: string; ipv6: string } | undefined,
  test: (store: Store, vpc: VpcRow) => Promise<void>,
): Promise<void> {
  const store = await openTestStore();
  try {
    const vpc = await store.write(async (write) => {
      const organizationId = await createUser(write, { username: "ada" });
      return await createVpc(write, {
        organizationId,
        description: "test",
        ...(ranges ? { privateCidr: ranges } : {}),
      });
    });
    await test(store, vpc);
  } finally {
    await store.close();
  }
}

Deno.test("address text and number agree for any address, and keys sort as numbers do", () => {
  const anyAddress = fc.oneof(
    fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }).map((value) => ({ family: 4 as const, value })),
    fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map((value) => ({ family: 6 as const, value })),
  );
  fc.assert(fc.property(anyAddress, anyAddress, (a, b) => {
    assert.deepEqual(parseAddress(formatAddress(a.family, a.value)), a);
    assert.equal(fromKey(toKey(a.family, a.value)), a.value);
    if (a.family === b.family) {
      assert.equal(toKey(a.family, a.value) < toKey(b.family, b.value), a.value < b.value);
    }
  }));
});

Deno.test("texts that are no plain address or network are refused", () => {
  for (
    const text of ["", "bad", "1.2.3", "1.2.3.4.5", "0x7f.1", "1.2.3.4/8", "fe80::1%eth0", "::g"]
  ) {
    assert.equal(parseAddress(text), undefined, text);
  }
  for (const text of ["10.0.0.0", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "10.0.0.0/8/8", "x/8"]) {
    assert.equal(parseCidr(text), undefined, text);
  }
});

Deno.test("network and broadcast addresses of a range are never given out", () => {
  const last = (text: string) => {
    const range = usable(parseCidr(text)!);
    return [range.first, range.last].map((n) => formatAddress(range.family, n));
  };
  assert.deepEqual(last("100.64.0.0/10"), ["100.64.0.1", "100.127.255.254"]);
  assert.deepEqual(last("10.7.0.9/30"), ["10.7.0.9", "10.7.0.10"]);
  assert.deepEqual(last("10.7.0.9/32"), ["10.7.0.9", "10.7.0.9"]);
  assert.deepEqual(last("200::/64"), ["200::1", "200::ffff:ffff:ffff:ffff"]);
});

Deno.test("addresses follow a model of the lowest free one under any takes and releases", async () => {
  type Step =
    | { op: "lowest" | "abort" }
    | { op: "this" | "release"; at: number };
  const command: fc.Arbitrary<Step> = fc.oneof(
    fc.record({ op: fc.constant("lowest" as const) }),
    fc.record({ op: fc.constant("this" as const), at: fc.integer({ min: -2, max: 17 }) }),
    fc.record({ op: fc.constant("release" as const), at: fc.nat(20) }),
    fc.record({ op: fc.constant("abort" as const) }),
  );
  // Those of one group are under way at the same time, and share commits.
  const run = async (groups: Step[][]) => {
    await withVpc({ ipv4: "10.0.0.0/28", ipv6: "fd00::/64" }, async (store, vpc) => {
      const taken = new Set<number>();
      const lowest = () => Array.from({ length: 14 }, (_, i) => i + 1).find((n) => !taken.has(n));
      const begin = (step: Step): Promise<void> | undefined => {
        if (step.op === "release") {
          const held = [...taken];
          const address = held[step.at % held.length];
          if (address === undefined) return;
          taken.delete(address);
          return store.write((write) => releaseAddress(write, vpc, `10.0.0.${address}`));
        }
        const wanted = step.op === "this" ? step.at : undefined;
        const free = wanted !== undefined && wanted >= 1 && wanted <= 14 && !taken.has(wanted);
        const expected = free ? wanted : lowest();
        const text = wanted === undefined || wanted < 0 ? undefined : `10.0.0.${wanted}`;
        const take = store.write(async (write) => {
          const { address } = await takeAddress(write, vpc, 4, text);
          if (step.op === "abort") throw new Error("undone");
          return address;
        });
        if (expected === undefined) return assert.rejects(take, PoolExhausted);
        if (step.op === "abort") return assert.rejects(take, /undone/);
        taken.add(expected);
        return take.then((address) => assert.equal(address, `10.0.0.${expected}`));
      };
      for (const group of groups) await Promise.all(group.map(begin));
      // The gaps are as few as they can be, and hold exactly what is free.
      const gaps = await store.db.selectFrom("address_gaps").selectAll()
        .where("namespace", "=", vpc.id).where("family", "=", 4).orderBy("first").execute();
      const free: number[] = [];
      for (const [i, gap] of gaps.entries()) {
        const next = gaps[i + 1];
        if (next) assert.ok(fromKey(next.first) > fromKey(gap.last) + 1n, "gaps are merged");
        for (let n = fromKey(gap.first); n <= fromKey(gap.last); n++) free.push(Number(n & 0xffn));
      }
      const expected = Array.from({ length: 14 }, (_, i) => i + 1).filter((n) => !taken.has(n));
      assert.deepEqual(free, expected);
    });
  };
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(command, { maxLength: 9 }), { maxLength: 12 }), run),
    {
      numRuns: 40,
    },
  );
});

Deno.test("an address that is free already cannot be released", async () => {
  await withVpc(undefined, async (store, vpc) => {
    await assert.rejects(store.write((w) => releaseAddress(w, vpc, "100.64.0.9")), /free already/);
    await assert.rejects(store.write((w) => releaseAddress(w, vpc, "10.0.0.1")), /not of pool/);
  });
});

Deno.test("taking and releasing reads a few rows however many addresses are out", async () => {
  await withVpc(undefined, async (store, vpc) => {
    // Every other address of the first 100,000 is taken: the worst case for the list of gaps.
    const gaps = Array.from({ length: 50_000 }, (_, i) => {
      const at = toKey(4, 0x64400001n + BigInt(2 * i));
      return { namespace: "00000000-0000-0000-0000-000000000000", family: 4, first: at, last: at };
    });
    await store.db.deleteFrom("address_gaps").where("family", "=", 4).execute();
    for (let i = 0; i < gaps.length; i += 5000) {
      await store.db.insertInto("address_gaps").values(gaps.slice(i, i + 5000)).execute();
    }
    const start = performance.now();
    for (let i = 0; i < 200; i++) {
      const address = await store.write((w) => takeAddress(w, vpc, 4));
      assert.equal(address.address, "100.64.0.1");
      await store.write((w) => releaseAddress(w, vpc, "100.64.0.1"));
    }
    const each = (performance.now() - start) / 400;
    assert.ok(each < 20, `an operation took ${each.toFixed(2)} ms`);
  });
});

Deno.test("advertised networks are the same or apart, and free again when withdrawn", async () => {
  await withVpc(undefined, async (store, vpc) => {
    const device = async (id: string) => {
      await store.db.insertInto("devices").values({
        ...BLANK,
        id,
        public_key: id,
        token_hash: id,
        owner_id: vpc.organization_id,
        vpc_id: vpc.id,
        security_group_id: vpc.id,
      }).execute();
      return (cidrs: string[]) =>
        store.write((write: Write) => advertise(write, { id, vpc }, cidrs));
    };
    const [a, b] = [await device("a"), await device("b")];
    await a(["172.16.0.0/16", "0.0.0.0/0", "::/0", "fd12::/32"]);
    await b(["172.16.0.0/16", "0.0.0.0/0"]);
    await assert.rejects(b(["172.16.5.0/24"]), CidrRefused);
    await assert.rejects(b(["172.0.0.0/8"]), CidrRefused);
    await assert.rejects(b(["fd12::/33"]), CidrRefused);
    await assert.rejects(b(["10.0.0.0/8", "10.1.0.0/16"]), CidrRefused);
    await assert.rejects(b(["100.64.0.0/24"]), CidrRefused, "the VPC's own range");
    await assert.rejects(b(["nonsense"]), CidrRefused);
    await b(["172.17.1.1/16"]);
    await assert.rejects(a(["172.17.2.0/24"]), CidrRefused, "host bits are masked");
    await a([]);
    await b(["172.16.5.0/24"]);
  });
});

const BLANK = {
  reg_key_id: null,
  token_generation: 1,
  ipv4_address: "",
  ipv4_cidr: "",
  ipv6_address: "",
  ipv6_cidr: "",
  advertise_cidrs_json: null,
  relay: 0,
  symmetric_nat: 0,
  hostname: "",
  os: "",
  endpoints_json: null,
  online: 0,
  online_at: null,
  revision: 1,
  created_at: "",
  deleted_at: null,
};
