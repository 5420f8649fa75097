import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { ensureSelfSigned } from "../../relay/cert/mod.ts";
import { RELAY_ONBOARD_OPTIONS } from "../options.ts";
import { FakeControl, fakeDevice, json, REG_KEY, VPC_ID } from "../testing/fake_control.ts";
import { until } from "../testing/wait.ts";
import { KeyReader, otherRelays } from "./devices.ts";
import { deviceListFile, joinVpc, readOnboardSettings, type RelayMetadata } from "./mod.ts";

interface Exchange {
  method: string;
  url: string;
  request_body?: Record<string, unknown> | unknown[];
}

/** Answers the one call that the fake leaves out. */
const PUT_ANSWER = { device_id: "device-1", key: "relay", value: {}, revision: 1 };

Deno.test("a relay joins with the requests of Nexodus' relay, in its order", async () => {
  const url = new URL("../../tests/vectors/control/relayderp-onboarding.json", import.meta.url);
  const exchanges = JSON.parse(await Deno.readTextFile(url)).exchanges as Exchange[];
  const dir = await Deno.makeTempDir({ prefix: "nexd-relay-node-" });
  const tls = await ensureSelfSigned(dir, ["127.0.0.1"]);
  const control = new FakeControl(tls);
  control.intercept = ({ method }) => method === "PUT" ? json(200, PUT_ANSWER) : undefined;
  const post = exchanges.find(({ method, url }) => method === "POST" && url.endsWith("/devices"))!;
  const put = exchanges.find(({ method }) => method === "PUT")!;
  const wanted = post.request_body as Record<string, unknown>;
  const stop = new AbortController();
  try {
    const joined = await joinVpc(
      {
        join: {
          serviceUrl: control.url,
          apiUrl: control.url,
          credential: { kind: "reg-key", token: REG_KEY },
        },
        insecureSkipTlsVerify: false,
        caCerts: [tls.ca],
        stateDir: `${dir}/state`,
        stunServers: [],
        hostname: "vm",
        version: "dev",
        metadata: put.request_body as unknown as RelayMetadata,
        port: 51299,
        signal: stop.signal,
      },
      { devices: () => {} },
      {
        probe: () => Promise.resolve({ reflexive: "203.0.113.11:51299", errors: [] }),
        localEndpoint: () => Promise.resolve("203.0.113.11"),
      },
    );
    try {
      await until(() => control.streams.length > 0, "the watch stream");
    } finally {
      await joined.close();
    }
    const sent = control.seen;
    deepEqual(
      sent.map(({ method, path }) => `${method} ${path.replace(/device-1/, "ID")}`),
      exchanges.slice(0, 5).map(({ method, url }) =>
        `${method} ${
          new URL(url).pathname.replace(/(?<=vpcs\/)[^/]+/, VPC_ID).replace(
            /(?<=devices\/)[^/]+/,
            "ID",
          )
        }`
      ),
    );
    deepEqual({ ...sent[2]!.body as object, public_key: "", vpc_id: "" }, {
      ...wanted,
      endpoints: [
        { source: "local", address: "203.0.113.11:51299" },
        { source: "stun:", address: "203.0.113.11:51299" },
      ],
      public_key: "",
      vpc_id: "",
    });
    deepEqual(sent[3]!.body, put.request_body);
    equal(sent[3]!.authorization, `Bearer ${REG_KEY}`);
    equal(sent[4]!.authorization, "Bearer DT:device-1");
  } finally {
    await control.close();
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("odd keys and other tenants' rows do not reach the relay's list", () => {
  const good = "B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw=";
  const own = "9NPQSE0EVQ8kspfk5OFBAuWMt0IeVwec85nyfUL4RS4=";
  const devices = [
    good,
    good,
    own,
    "",
    "not-a-key",
    "A".repeat(43) + "=",
    `${good}\n`,
    "x".repeat(500),
  ]
    .map((key, i) => fakeDevice(`d${i}`, key, i + 1, { relay: i === 1 || i === 2 }));
  const reader = new KeyReader();
  for (let i = 0; i < 2; i++) {
    deepEqual(reader.read(devices, own), [Uint8Array.fromBase64(good).toHex()]);
  }
  deepEqual(reader.read([], own), []);
  const row = (device_id: string, type: unknown) => ({
    device_id,
    key: "relay",
    value: { type },
    revision: 1,
  });
  deepEqual(otherRelays(devices, [row("d1", "derp"), row("d2", "derp"), row("d9", "derp")], own), [
    "host-2",
  ]);
  deepEqual(otherRelays(devices, [row("d1", { derp: 1 })], own), []);
});

Deno.test("the flags of on-boarding are checked before anything is started", async () => {
  const values = { "reg-key": "https://control.lab#RK:abc", "state-dir": "/tmp/x/" };
  const settings = await readOnboardSettings(
    { ...values, "public-ip": "::ffff:198.51.100.7" },
    "1",
  );
  equal(settings.publicIp, "198.51.100.7");
  equal(settings.join.apiUrl.href, "https://api.control.lab/");
  equal(deviceListFile(settings), "/tmp/x/relay-devices.json");
  // One STUN server is enough: the kind of NAT does not matter here.
  equal(
    (await readOnboardSettings({ ...values, "stun-server": ["stun.lab"] }, "1")).stunServers.length,
    1,
  );
  for (const ip of ["relay.lab", "0.0.0.0", "224.0.0.1", "fe80::1%eth0", "1.2.3"]) {
    await rejects(readOnboardSettings({ ...values, "public-ip": ip }, "1"), {
      exitCode: 2,
      message: /^--public-ip .* is not the IP address of a host$/,
    });
  }
  const { join } = await readOnboardSettings({ "username": "ada", "password": "p" }, "1");
  deepEqual(join.credential, { kind: "password", username: "ada", password: "p" });
  const names = RELAY_ONBOARD_OPTIONS.map(({ name }) => name);
  equal(names.length, 12);
  ok(names.includes("reg-key") && names.includes("public-ip"));
  match(RELAY_ONBOARD_OPTIONS.find(({ name }) => name === "public-ip")!.env!, /^NEXD_DERP_/);
});
