/**
 * Small programs that run on a lab's host, started by mesh.ts:
 *
 * - `inside.ts stun ADDRESS` serves STUN on port 3478.
 * - `inside.ts nat SERVER…` asks STUN servers (`ip:port`) from one socket and prints, as JSON, the
 *   local address and the addresses seen.
 * - `inside.ts metrics HOSTNAME CA` prints the relay's counters, which it shows on loopback only.
 *
 * @module
 */

import {
  encodeBindingRequest,
  newTransactionId,
  parseBindingResponse,
} from "../../relay/stun/mod.ts";
import { startStunServer } from "../../relay/stun/server.ts";

const print = (text: string) => void Deno.stdout.writeSync(new TextEncoder().encode(text));

async function serveStun(address: string): Promise<never> {
  await startStunServer({ hostname: address, port: 3478 });
  print("ready\n");
  return await new Promise<never>(() => setInterval(() => {}, 1 << 30));
}

async function askStun(servers: string[]): Promise<void> {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "0.0.0.0", port: 0 });
  const late = setTimeout(() => socket.close(), 3_000);
  const seen: string[] = [];
  for (const server of servers) {
    const [hostname = "", port] = server.split(":");
    const request = encodeBindingRequest(newTransactionId());
    await socket.send(request, { transport: "udp", hostname, port: Number(port) });
    const [bytes] = await socket.receive();
    const answer = parseBindingResponse(bytes);
    if (answer) seen.push(`${answer.address}:${answer.port}`);
  }
  clearTimeout(late);
  print(JSON.stringify({ port: (socket.addr as Deno.NetAddr).port, seen }) + "\n");
  socket.close();
}

async function showMetrics(hostname: string, ca: string): Promise<void> {
  const tcp = await Deno.connect({ hostname: "127.0.0.1", port: 443 });
  const tls = await Deno.startTls(tcp, { hostname, caCerts: [Deno.readTextFileSync(ca)] });
  const request = `GET /debug/varz HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`;
  await tls.write(new TextEncoder().encode(request));
  const answer = await new Response(tls.readable).text();
  if (!answer.startsWith("HTTP/1.1 200")) throw new Error(answer.split("\r\n")[0]);
  print(answer.slice(answer.indexOf("\r\n\r\n") + 4));
}

if (import.meta.main) {
  const [what, ...args] = Deno.args;
  if (what === "stun") await serveStun(args[0]!);
  if (what === "nat") await askStun(args);
  if (what === "metrics") await showMetrics(args[0]!, args[1]!);
}
