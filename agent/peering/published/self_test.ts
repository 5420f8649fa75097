import assert from "node:assert/strict";
import { fakeDevice } from "../../testing/fake_control.ts";
import { describeSelf, interfaceAddresses } from "../mod.ts";

const FACTS = { publicKey: "K", symmetric: false, relayOnly: false };
const VPC = { ipv4_cidr: "100.64.0.0/10", ipv6_cidr: "200::/64" };

function describe(
  addresses: { v4?: string; v6?: string },
  vpc: Partial<typeof VPC> = {},
): { addresses: string[]; notes: string[] } {
  const list = (address: string | undefined) =>
    address === undefined ? [] : [{ address, cidr: "" }];
  const device = {
    ...fakeDevice("me", "K", 1),
    ipv4_tunnel_ips: list(addresses.v4),
    ipv6_tunnel_ips: list(addresses.v6),
  };
  const { self, notes } = describeSelf(device, { ...VPC, ...vpc }, FACTS);
  return { addresses: interfaceAddresses(self), notes };
}

Deno.test("self has its addresses inside the VPC, IPv6 with Nexodus' prefix", () => {
  assert.deepEqual(describe({ v4: "100.64.0.1", v6: "200::1" }), {
    addresses: ["100.64.0.1/32", "200::1/64"],
    notes: [],
  });
  assert.deepEqual(describe({ v4: "100.64.0.1" }), { addresses: ["100.64.0.1/32"], notes: [] });
});

Deno.test("self routes no more than the VPC's range to the interface", () => {
  const { addresses } = describe({ v6: "2001:db8::f1" }, { ipv6_cidr: "2001:db8::f0/124" });
  assert.deepEqual(addresses, ["2001:db8::f1/128"]);
});

Deno.test("self takes no address outside the VPC, of another family, or of a range of no VPC", () => {
  for (
    const [own, vpc, pattern] of [
      [{ v4: "198.51.100.7" }, {}, /198\.51\.100\.7 is not in 100\.64\.0\.0\/10/],
      [{ v4: "2001:db8::1" }, {}, /2001:db8::1 is not in/],
      [{ v6: "100.64.0.1" }, {}, /100\.64\.0\.1 is not in/],
      [{ v4: "100.64.0.1/8" }, {}, /not in/],
      [{ v4: "198.51.100.7" }, { ipv4_cidr: "0.0.0.0/0" }, /range 0\.0\.0\.0\/0 is wider than \/8/],
      [{ v4: "127.0.0.1" }, { ipv4_cidr: "127.0.0.0/8" }, /overlaps 127\.0\.0\.0\/8/],
      [{ v6: "2001:db8::1" }, { ipv6_cidr: "2000::/3" }, /wider than \/7/],
      [{ v6: "fe80::1" }, { ipv6_cidr: "fe80::/64" }, /overlaps fe80::\/10/],
    ] as const
  ) {
    const { addresses, notes } = describe(own, vpc);
    assert.deepEqual(addresses, [], JSON.stringify(own));
    assert.equal(notes.length, 1);
    assert.match(notes[0]!, pattern);
  }
});
