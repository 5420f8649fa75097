/**
 * A real relay that has joined a VPC of a real control plane admits the VPC's devices, all of them and
 * nobody else, and agents trust it by what it published.
 */
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { chooseRelays } from "../agent/peering/mod.ts";
import { joinVpc } from "../agent/relay_node/mod.ts";
import { METADATA, TestVpc } from "../agent/relay_node/support_test.ts";
import { until } from "../agent/testing/wait.ts";
import { Proxy } from "../proxy/mod.ts";
import { freePort } from "../proxy/testing.ts";
import { encodeSendPacket, FrameType, generatePrivateKey, publicKeyOf } from "../relay/derp/mod.ts";
import { TestRelay } from "../relay/testing.ts";
import { underLoad } from "../scripts/lab/support.ts";

/** A relay of the VPC, as `nexd relayderp --onboard` makes it. */
class VpcRelay implements AsyncDisposable {
  private constructor(
    readonly it: TestRelay,
    private readonly stop: () => Promise<void>,
  ) {}

  static async start(vpc: TestVpc, name = "relay"): Promise<VpcRelay> {
    const stateDir = `${vpc.dir}/${name}`;
    const it = await TestRelay.start({
      admission: { keys: true, cacheFile: `${stateDir}/relay-devices.json` },
    });
    const metadata = {
      ...METADATA,
      hostname: "localhost",
      certmodemanual: false,
      port: it.relay.address.port,
      ca: it.certificate.ca,
    };
    const { signal } = new AbortController();
    const joined = await joinVpc(
      vpc.options(signal, { stateDir, metadata, port: it.relay.address.port }),
      { devices: (keys) => void it.relay.setKeys(keys) },
      {
        probe: () => Promise.resolve({ reflexive: "198.51.100.7:1", errors: [] }),
        localEndpoint: () => Promise.resolve("10.0.0.5"),
      },
    );
    return new VpcRelay(it, () => joined.close());
  }

  /** Logs in as soon as the relay lets this key in; returns how long that took, ms. */
  async admitted(privateKey: Uint8Array) {
    const began = performance.now();
    for (;;) {
      try {
        const client = await this.it.client(privateKey);
        return { client, ms: performance.now() - began };
      } catch (error) {
        if (performance.now() - began > 5_000) throw error;
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.it[Symbol.asyncDispose]();
  }
}

Deno.test("an on-boarded relay admits just the devices of its VPC, and within a second of a change", async () => {
  await using vpc = await TestVpc.start();
  const [a, b, stranger] = [generatePrivateKey(), generatePrivateKey(), generatePrivateKey()];
  await vpc.addDevice(a);
  await using relay = await VpcRelay.start(vpc);
  const first = (await relay.admitted(a)).client;
  await rejects(relay.it.client(stranger));
  await rejects(relay.it.client(b), "not a device yet");

  const { id } = await vpc.addDevice(b);
  const { client: second, ms } = await relay.admitted(b);
  ok(ms < underLoad(1000), `admitted after ${ms} ms`);
  await first.send(encodeSendPacket(publicKeyOf(b), Uint8Array.of(1, 2, 3)));
  const packet = await second.expect(FrameType.RecvPacket);
  deepEqual(packet.slice(32), Uint8Array.of(1, 2, 3));

  const removed = performance.now();
  await vpc.removeDevice(id);
  while (await second.next() !== undefined);
  ok(performance.now() - removed < underLoad(1000), "a removed device is disconnected");
  await rejects(relay.it.client(b));
  ok((await relay.it.relay.snapshot()).counters.admissionRefused! >= 3);
  // The others were not touched.
  await first.send(encodeSendPacket(publicKeyOf(a), Uint8Array.of(9)));
  deepEqual((await first.expect(FrameType.RecvPacket)).slice(32), Uint8Array.of(9));
  first.close();
  second.close();
});

Deno.test("an on-boarded relay starts and serves while the control plane is away", async () => {
  await using vpc = await TestVpc.start();
  const [a, b] = [generatePrivateKey(), generatePrivateKey()];
  await vpc.addDevice(a);
  {
    await using relay = await VpcRelay.start(vpc);
    (await relay.admitted(a)).client.close();
  }
  await vpc.down();
  await using relay = await VpcRelay.start(vpc);
  (await relay.it.client(a)).close();
  await rejects(relay.it.client(b));
  await vpc.up();
  await vpc.addDevice(b);
  (await relay.admitted(b)).client.close();
});

Deno.test("an agent trusts the relay of its VPC by the CA in its metadata and no other", async () => {
  await using vpc = await TestVpc.start();
  const privateKey = generatePrivateKey();
  await vpc.addDevice(privateKey);
  await using relay = await VpcRelay.start(vpc);
  (await relay.admitted(privateKey)).client.close();
  const choose = async () =>
    chooseRelays({
      devices: await vpc.devices(),
      metadata: await vpc.call("GET", `/api/vpcs/${vpc.control.userId}/metadata`),
      metadataComplete: true,
      publicRelays: [{ host: "relay.invalid", port: 443 }],
    }).relays![0]!;
  const target = await choose();
  equal(target.host, "localhost");
  for (
    const [ca, error] of [
      [target.ca!, undefined],
      [[vpc.certificate.ca], /not signed by the authority it published/],
    ] as const
  ) {
    const proxy = new Proxy({
      privateKey,
      wireguardPort: freePort(),
      port: freePort(),
      relay: { ...target, ca: [...ca] },
    });
    try {
      await proxy.start();
      const state = () => proxy.status().relay;
      if (error === undefined) await until(() => state().state === "connected", "the relay");
      else match(await until(() => state().error, "the refusal"), error);
    } finally {
      await proxy.close();
    }
  }
});
