/**
 * Small programs that run on a lab's host:
 *
 * - `inside.ts stun ADDRESS PORT` answers every STUN Binding request, as public STUN servers do, and
 *   prints each request in hexadecimal.
 * - `inside.ts get URL TOKEN CA` prints what the control plane answers to the token's holder.
 */

import { encodeBindingResponse, isStun } from "../../relay/stun/mod.ts";

const print = (text: string) => void Deno.stdout.writeSync(new TextEncoder().encode(text + "\n"));

async function serveStun(hostname: string, port: number): Promise<void> {
  const socket = Deno.listenDatagram({ transport: "udp", hostname, port });
  print("ready");
  for await (const [request, from] of socket) {
    print(request.toHex());
    if (!isStun(request)) continue;
    const { hostname: address, port } = from as Deno.NetAddr;
    await socket.send(encodeBindingResponse(request.slice(8, 20), { address, port }), from);
  }
}

async function get(url: string, token: string, ca: string): Promise<void> {
  const client = Deno.createHttpClient({ caCerts: [Deno.readTextFileSync(ca)] });
  const headers = { authorization: `Bearer ${token}` };
  const answer = await fetch(url, { client, headers });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  print(await answer.text());
}

const [what, ...args] = Deno.args;
if (what === "stun") await serveStun(args[0]!, Number(args[1]));
if (what === "get") await get(args[0]!, args[1]!, args[2]!);
