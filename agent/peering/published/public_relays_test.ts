import { deepEqual } from "node:assert/strict";
import type { RelayRegion } from "../../../control/api/types.ts";
import { makeCertificate } from "../../../proxy/testing.ts";
import { publicRelaysOf } from "../mod.ts";

const BUILT_IN = { host: "relay.nexodus.io", port: 443 };

const region = (hostname: string, more: Partial<RelayRegion> = {}): RelayRegion => ({
  ...{ id: hostname, name: hostname, region_id: 900, hostname, port: 443, stun_port: 3478 },
  ...{ weight: 100, drained: false, revision: 1, ...more },
});
const hosts = (rows: RelayRegion[]) => publicRelaysOf(rows, BUILT_IN).map(({ host }) => host);

Deno.test("public relays are in an order that all agents have in common", () => {
  const rows = [
    region("b.test"),
    region("c.test", { region_id: 910 }),
    region("heavy.test", { weight: 200, region_id: 911 }),
    region("a.test", { port: 8443 }),
    region("a.test"),
  ];
  const expected = ["heavy.test", "a.test", "a.test", "b.test", "c.test"];
  deepEqual(hosts(rows), expected);
  deepEqual(hosts([...rows].reverse()), expected);
});

Deno.test("public relays that are drained are left out, unless all are", () => {
  deepEqual(hosts([region("a.test", { drained: true }), region("b.test")]), ["b.test"]);
  deepEqual(hosts([region("a.test", { drained: true })]), ["a.test"]);
  deepEqual(hosts([]), ["relay.nexodus.io"]);
});

Deno.test("public relays that cannot be used are left out", async () => {
  const { ca } = await makeCertificate("a.test");
  deepEqual(publicRelaysOf([region("A.test", { ca })], BUILT_IN), [
    { host: "a.test", port: 443, ca: [`${ca.trim()}\n`] },
  ]);
  const bad = [
    region(""),
    region("no name"),
    region("127.0.0.1"),
    region("1.2.3"),
    region("a.test", { port: 0 }),
    region("a.test", { port: 1.5 }),
    region("a.test", { ca: "?" }),
    region("a.test", { ca: "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----" }),
  ];
  deepEqual(hosts(bad), ["relay.nexodus.io"]);
  deepEqual(hosts([...bad, region("203.0.113.9"), region("[2001:db8::1]")]), ["203.0.113.9"]);
});
