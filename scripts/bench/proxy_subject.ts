/** The measured process of the proxy bench: a proxy and nothing else. */
import { getHeapStatistics } from "node:v8";
import { generatePrivateKey, keyFromHex } from "../../relay/derp/mod.ts";
import { Proxy } from "../../proxy/mod.ts";

const [config] = Deno.args;
const { port, ca, wireguardPort, keys, capture, loopbackPort } = JSON.parse(config!) as {
  port: number;
  ca: string;
  wireguardPort: number;
  keys: string[];
  capture: "portable" | "linux";
  loopbackPort: number;
};

const print = (value: unknown) =>
  Deno.stdout.write(new TextEncoder().encode(JSON.stringify(value) + "\n"));

const proxy = new Proxy({
  privateKey: generatePrivateKey(),
  wireguardPort,
  port: loopbackPort,
  relay: { host: "bench.test", address: "127.0.0.1", port },
  caCerts: [ca],
  capture,
});
const connected = Promise.withResolvers<void>();
proxy.onChange = () => {
  const { relay } = proxy.status();
  if (relay.state === "connected") connected.resolve();
  else if (relay.error !== undefined) connected.reject(new Error(relay.error));
};
await proxy.start();
const endpoints: string[] = [];
for (const key of keys) endpoints.push(await proxy.addPeer(keyFromHex(key)));
await connected.promise;
await print(endpoints);

// A line in: a status out, or what the heap holds after a collection and what was allocated in all.
// The end of the input: the end.
const buf = new Uint8Array(100);
for (let n; (n = await Deno.stdin.read(buf)) !== null;) {
  if (new TextDecoder().decode(buf.subarray(0, n)).includes("heap")) {
    // Beside those of its type, V8 counts what was ever allocated.
    const { total_allocated_bytes: allocated } = getHeapStatistics() as unknown as {
      total_allocated_bytes: number;
    };
    (globalThis as { gc?: () => void }).gc?.();
    await print({ used: Deno.memoryUsage().heapUsed, allocated });
  } else await print(proxy.status());
}
await proxy.close();
