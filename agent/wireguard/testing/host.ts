/**
 * Runs the driver in a network namespace for a test: commands come as JSON lines on standard input,
 * `{ "call": …, … }`; each is answered by one JSON line, `{ "ok": … }` or `{ "error", "exitCode" }`.
 * When the daemon dies, a line `{ "exited": reason }` comes by itself.
 *
 * @module
 */

import {
  cleanLeftover,
  type DeviceConfig,
  openDevice,
  type PeerConfig,
  type WireGuardDevice,
} from "../mod.ts";

/** A request to the driver in the namespace. */
export type HostCall =
  | { call: "open"; config: Omit<DeviceConfig, "privateKey"> & { privateKey: string } }
  | { call: "setPeers"; peers: PeerConfig[] }
  | { call: "stats" }
  | { call: "close" }
  | { call: "cleanLeftover"; name: string };

if (import.meta.main) {
  await serve();
  // A daemon still open would hold the process.
  Deno.exit(0);
}

async function serve(): Promise<void> {
  let device: WireGuardDevice | undefined;
  const say = (value: unknown) => Deno.stdout.write(encode(JSON.stringify(value) + "\n"));
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of Deno.stdin.readable) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      const call = JSON.parse(text.slice(0, end)) as HostCall;
      text = text.slice(end + 1);
      try {
        await say({ ok: await perform(call) ?? null });
      } catch (error) {
        const { message, exitCode } = error as Error & { exitCode?: number };
        await say({ error: message, exitCode });
      }
    }
  }

  async function perform(call: HostCall): Promise<unknown> {
    switch (call.call) {
      case "open": {
        const privateKey = Uint8Array.fromBase64(call.config.privateKey);
        device = await openDevice({ ...call.config, privateKey });
        device.exited.then((exited) => say({ exited }));
        return { listenPort: device.listenPort, driver: device.driver };
      }
      case "setPeers":
        return await device!.setPeers(call.peers);
      case "stats":
        return await device!.stats();
      case "close":
        return await device!.close();
      case "cleanLeftover":
        return await cleanLeftover(call.name);
    }
  }
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
