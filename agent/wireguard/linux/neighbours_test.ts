import assert from "node:assert/strict";
import fc from "fast-check";
import { parseRoutes, parseRoutes6 } from "./neighbours.ts";

const IPV4 = `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
wg0\t02004064\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
eth0\t0000000A\t010200C0\t0003\t0\t0\t0\t000000FF\t0\t0\t0
*\t0000A8C0\t00000000\t0201\t0\t0\t0\t0000FFFF\t0\t0\t0
`;

const IPV6 = [
  "20010db8000000000000000000000000 40 00000000000000000000000000000000 00 " +
  "00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0",
  "fe800000000000000000000000000000 40 00000000000000000000000000000000 00 " +
  "00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0",
  "00000000000000000000000000000000 00 00000000000000000000000000000000 00 " +
  "20010db8000000000000000000000001 00000400 00000001 00000000 00000003     eth0",
  "20010db8000000000000000000000005 80 00000000000000000000000000000000 00 " +
  "00000000000000000000000000000000 00000000 00000003 00000000 80200001     eth0",
].join("\n");

Deno.test("neighbours are the networks without a gateway", () => {
  assert.deepEqual(parseRoutes(IPV4), [
    { cidr: "192.0.2.0/24", interfaceName: "eth0" },
    { cidr: "172.17.0.0/16", interfaceName: "docker0" },
  ]);
  assert.deepEqual(parseRoutes6(IPV6), [{ cidr: "2001:db8::/64", interfaceName: "eth0" }]);
  assert.deepEqual(parseRoutes(IPV4, "eth0"), [
    { cidr: "172.17.0.0/16", interfaceName: "docker0" },
  ]);
  assert.deepEqual(parseRoutes(IPV4, "docker"), parseRoutes(IPV4), "a name, not its beginning");
  assert.deepEqual(parseRoutes6(IPV6, "eth0"), []);
  assert.deepEqual(parseRoutes6(IPV6, "th0"), parseRoutes6(IPV6));
});

Deno.test("neighbours are none in any other text", () => {
  fc.assert(fc.property(fc.string(), (text) => {
    assert.deepEqual(parseRoutes(text), []);
    assert.deepEqual(parseRoutes6(text), []);
  }));
});
