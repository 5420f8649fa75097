import assert from "node:assert/strict";
import fc from "fast-check";
import type { Device, DeviceMetadata } from "../../../control/api/types.ts";
import { makeCertificate } from "../../../proxy/testing.ts";
import { fakeDevice } from "../../testing/fake_control.ts";
import { chooseRelays } from "../mod.ts";

const PUBLIC = { host: "relay.example", port: 443 };
const relay = (id: string, more: Partial<Device> = {}) =>
  fakeDevice(id, `key-${id}`, 5, {
    relay: true,
    endpoints: [
      { source: "local", address: "10.0.0.5:51820" },
      { source: "stun:", address: "198.51.100.7:51820" },
    ],
    ...more,
  });
const row = (device_id: string, value: Record<string, unknown>): DeviceMetadata => ({
  device_id,
  key: "relay",
  value,
  revision: 1,
});
const choose = (devices: Device[], metadata: DeviceMetadata[], metadataComplete = true) => {
  const choice = chooseRelays({ devices, metadata, metadataComplete, publicRelays: [PUBLIC] });
  // The public relay is always the last resort.
  if (choice.relays !== undefined) {
    assert.deepEqual(choice.relays.at(-1), { region: 900, ...PUBLIC });
  }
  return { ...choice, relay: choice.relays?.[0] };
};
const MANUAL = { type: "derp", hostname: "custom.relay.lab", certmodemanual: true };

Deno.test("chooseRelays takes the public relay when the VPC has none", () => {
  const choice = choose([fakeDevice("a", "k", 2)], []);
  assert.deepEqual(choice.relay, { region: 900, ...PUBLIC });
  assert.equal(choice.reason, "public relay");
});

Deno.test("chooseRelays prefers an on-boarded relay, in either certificate mode", () => {
  assert.deepEqual(choose([relay("r")], [row("r", MANUAL)]).relay, {
    region: 901,
    host: "custom.relay.lab",
    port: 443,
    address: "198.51.100.7",
    pin: true,
  });
  const choice = choose([relay("r")], [
    row("r", { type: "derp", hostname: "custom.relay.lab", port: 8443 }),
  ]);
  assert.deepEqual(choice.relay, { region: 901, host: "custom.relay.lab", port: 8443 });
  assert.deepEqual([...choice.derp], ["r"]);
});

Deno.test("chooseRelays finds the address under any STUN source and needs none", () => {
  const rebound = relay("r", {
    endpoints: [{ source: "stun:stun1.l.google.com:19302", address: "198.51.100.9:6" }],
  });
  assert.equal(choose([rebound], [row("r", MANUAL)]).relay!.address, "198.51.100.9");
  for (const endpoints of [null, [], [{ source: "stun:", address: "invalid AddrPort" }]]) {
    const choice = choose([relay("r", { endpoints })], [row("r", MANUAL)]);
    assert.equal(choice.relay!.host, "custom.relay.lab");
    assert.equal(choice.relay!.address, undefined);
  }
});

Deno.test("chooseRelays follows a changed host name", () => {
  const changed = choose([relay("r")], [row("r", { ...MANUAL, hostname: "other.relay.lab" })]);
  assert.equal(changed.relay!.host, "other.relay.lab");
});

Deno.test("chooseRelays goes back to the public relay when its device vanishes", () => {
  assert.equal(choose([], [row("r", MANUAL)]).relay!.host, PUBLIC.host);
});

Deno.test("chooseRelays decides nothing before a relay's kind can be known", () => {
  const early = choose([relay("r")], [], false);
  assert.equal(early.relay, undefined);
  assert.deepEqual([...early.undecided], ["r"]);
  // No metadata at all: a WireGuard relay, not a DERP one.
  const late = choose([relay("r")], [], true);
  assert.equal(late.relay!.host, PUBLIC.host);
  assert.equal(late.undecided.size + late.derp.size, 0);
});

Deno.test("chooseRelays answers alike for all agents, online relays first", () => {
  const rows = ["a", "b", "c"].map((id) => row(id, { ...MANUAL, hostname: `${id}.relay.lab` }));
  const devices = [relay("c"), relay("a", { online: false }), relay("b")];
  for (const order of [devices, [...devices].reverse()]) {
    assert.deepEqual(choose(order, rows).relays!.map(({ host }) => host), [
      ...["b.relay.lab", "c.relay.lab", "a.relay.lab"],
      PUBLIC.host,
    ]);
  }
});

Deno.test("chooseRelays lists all public relays, the default first, and bounds what a VPC may add", () => {
  const publicRelays = [PUBLIC, { host: "second.example", port: 8443 }];
  const of = (devices: Device[], metadata: DeviceMetadata[]) =>
    chooseRelays({ devices, metadata, metadataComplete: true, publicRelays }).relays!;
  assert.deepEqual(of([], []), publicRelays.map((one) => ({ region: 900, ...one })));
  const ids = Array.from({ length: 100 }, (_, i) => `r${i}`);
  const many = of(ids.map((id) => relay(id)), ids.map((id) => row(id, MANUAL)));
  assert.equal(many.length, 16 + 2);
});

Deno.test("chooseRelays gives a relay without a port the usual one", () => {
  const { relays } = chooseRelays({
    devices: [relay("r")],
    metadata: [row("r", MANUAL)],
    metadataComplete: true,
    publicRelays: [PUBLIC],
    defaultPort: 3340,
  });
  assert.equal(relays![0]!.port, 3340);
});

Deno.test("chooseRelays uses no relay with a bad name or port and says so", () => {
  for (
    const value of [
      { type: "derp" },
      { type: "derp", hostname: "" },
      { type: "derp", hostname: 5 },
      { type: "derp", hostname: "bad host" },
      { type: "derp", hostname: "a..b" },
      { type: "derp", hostname: "127.0.0.1" },
      { type: "derp", hostname: "x".repeat(300) },
      { type: "derp", hostname: "a.b\n127.0.0.1 evil" },
      { type: "derp", hostname: "a.b", port: 0 },
      { type: "derp", hostname: "a.b", port: "443" },
    ]
  ) {
    const choice = choose([relay("r")], [row("r", value)]);
    assert.equal(choice.relay!.host, PUBLIC.host, JSON.stringify(value));
    assert.match(choice.reason, /publishes/);
  }
});

Deno.test("chooseRelays lets no device have a public relay's name, by whatever spelling or port", () => {
  for (const hostname of ["relay.example", "RELAY.Example"]) {
    for (const more of [{}, { port: 8443 }, { certmodemanual: false }]) {
      const hostile = { ...MANUAL, hostname, ca: "rubbish", ...more };
      const choice = choose([relay("r")], [row("r", hostile)]);
      assert.deepEqual(choice.relays, [{ region: 900, ...PUBLIC }]);
      assert.equal(
        choice.reason,
        "public relay (host-5 publishes the name of a public relay)",
      );
      assert.deepEqual([...choice.derp], ["r"]);
    }
  }
});

Deno.test("chooseRelays trusts the CA that a relay publishes for that relay alone", async () => {
  const { ca, cert, key } = await makeCertificate("custom.relay.lab");
  const next = await makeCertificate("custom.relay.lab");
  const text = `Made by hand\n${ca}`;
  assert.deepEqual(choose([relay("r")], [row("r", { ...MANUAL, ca: text })]).relay!.ca, [
    `${ca.trim()}\n`,
  ]);
  const both = choose([relay("r")], [row("r", { ...MANUAL, ca: ca + "\n" + next.ca })]);
  assert.equal(both.relay!.ca!.length, 2);
  for (const none of [undefined, null, ""]) {
    const choice = choose([relay("r")], [row("r", { ...MANUAL, ca: none })]);
    assert.equal(choice.relay!.ca, undefined);
    assert.equal(choice.reason, "on-boarded relay host-5");
  }
  const odd: [unknown, RegExp][] = [
    [5, /its CA is no text/],
    [[ca], /its CA is no text/],
    ["x".repeat(9000), /its CA is longer than 8192/],
    ["nonsense", /its CA is no PEM certificate/],
    [key, /its CA is no PEM certificate/],
    [ca + key, /its CA is no PEM certificate/],
    [ca.slice(0, -40), /its CA is no PEM certificate/],
    [cert, /its CA is no authority's/],
    [ca.replace(/\n[A-Za-z0-9+/]/, "\nA"), /its CA is/],
    [Array(4).fill(ca).join("\n"), /its CA has too many parts/],
  ];
  for (const [value, reason] of odd) {
    const choice = choose([relay("r")], [row("r", { ...MANUAL, ca: value })]);
    assert.equal(choice.relay!.ca, undefined);
    assert.equal(choice.relay!.host, "custom.relay.lab");
    assert.match(choice.reason, reason);
    assert.match(choice.reason, /not used$/);
  }
});

Deno.test("chooseRelays takes an address as the relay's name where agents may dial it", () => {
  for (const hostname of ["198.51.100.7", "10.0.0.5", "2001:db8::7"]) {
    const value = { type: "derp", hostname, certmodemanual: true, port: 8443 };
    assert.deepEqual(choose([relay("r")], [row("r", value)]).relay, {
      region: 901,
      host: hostname,
      port: 8443,
    });
  }
  for (
    const hostname of ["127.0.0.1", "::1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "fe80::1"]
  ) {
    const choice = choose([relay("r")], [row("r", { type: "derp", hostname })]);
    assert.equal(choice.relay!.host, PUBLIC.host, hostname);
    assert.match(choice.reason, /publishes a host name that has a \w+ address/);
  }
});

Deno.test("chooseRelays never throws on odd metadata", () => {
  fc.assert(
    fc.property(
      fc.dictionary(
        fc.constantFrom("type", "hostname", "port", "certmodemanual", "ca"),
        fc.jsonValue(),
      ),
      (value) => {
        assert(choose([relay("r")], [row("r", value)]).relay !== undefined);
      },
    ),
  );
});
