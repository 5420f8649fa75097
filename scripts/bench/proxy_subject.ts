/** The measured process of the proxy bench: a proxy and nothing else. */
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
proxy.onChange = ({ relay }) => {
  if (relay.state === "connected") connected.resolve();
  else if (relay.error !== undefined) connected.reject(new Error(relay.error));
};
await proxy.start();
const endpoints: string[] = [];
for (const key of keys) endpoints.push(await proxy.addPeer(keyFromHex(key)));
await connected.promise;
await print(endpoints);

// A line in: a status out. The end of the input: the end.
const buf = new Uint8Array(100);
while (await Deno.stdin.read(buf) !== null) await print(proxy.status());
await proxy.close();
