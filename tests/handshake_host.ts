/**
 * One end of a relayed tunnel on a lab's host, without the rest of an agent: wireguard-go and a
 * proxy. Prints `login` when the relay has let it in; at SIGUSR1 WireGuard gets its peer, and
 * begins. Then it prints `sent` when WireGuard's first packet came to the proxy, and `up MS DROPS`
 * with the time of the handshake (ms since the epoch) and the proxy's drops.
 *
 * @module
 */
import { openDevice } from "../agent/wireguard/mod.ts";
import { Proxy } from "../proxy/mod.ts";

/** What a host is told on its command line, as JSON. */
export interface HandshakeHost {
  /** Base64. */
  privateKey: string;
  /** Base64. */
  peerKey: string;
  tunnelIp: string;
  peerIp: string;
  /** File with the authority of the relay's certificate. */
  relayCa: string;
}

const PORT = 51820;

async function until(look: () => boolean | Promise<boolean>): Promise<void> {
  while (!await look()) await new Promise((resolve) => setTimeout(resolve, 5));
}

function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
}

async function run(host: HandshakeHost): Promise<void> {
  const { promise: told, resolve } = Promise.withResolvers<void>();
  Deno.addSignalListener("SIGUSR1", resolve);
  const privateKey = Uint8Array.fromBase64(host.privateKey);
  const device = await openDevice({
    name: "wg0",
    privateKey,
    listenPort: PORT,
    addresses: [`${host.tunnelIp}/32`],
    mtu: 1420,
  });
  const proxy = new Proxy({
    privateKey,
    wireguardPort: PORT,
    relay: { host: "relay", port: 443 },
    caCerts: [Deno.readTextFileSync(host.relayCa)],
  });
  const endpoint = await proxy.addPeer(Uint8Array.fromBase64(host.peerKey));
  await proxy.start();
  await until(() => proxy.status().relay.state === "connected");
  print("login");
  await told;
  await device.setPeers([{
    publicKey: host.peerKey,
    endpoint,
    allowedIps: [`${host.peerIp}/32`],
    keepaliveSeconds: 20,
  }]);
  await until(() => proxy.status().peers[0]!.txPackets > 0);
  print("sent");
  await until(async () => (await device.stats())[0]?.lastHandshake !== undefined);
  print(`up ${Date.now()} ${JSON.stringify(proxy.status().drops)}`);
  await new Promise(() => setInterval(() => {}, 1 << 30));
}

if (import.meta.main) await run(JSON.parse(Deno.args[0]!));
