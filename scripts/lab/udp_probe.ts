/**
 * A UDP socket on a lab's host that a test outside drives: shows what the NATs really do, by
 * traffic. As a program (`udp_probe.ts SOCKET PORT`) it binds the port and takes orders over a unix
 * socket; paths cross network namespaces. To a datagram `where?` it answers with the sender's address.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import type { Host } from "./lab.ts";
import type { LabProcess } from "./process.ts";

/** One datagram as the probe saw it. */
export interface Datagram {
  /** `ip:port` it came from. */
  from: string;
  text: string;
}

type Order = { send: string; text: string } | { wait: string; timeoutMs: number };

/** Drives a probe on a host. */
export class UdpProbe {
  readonly #process: LabProcess;
  readonly #path: string;

  private constructor(process: LabProcess, path: string, readonly address: string) {
    this.#process = process;
    this.#path = path;
  }

  /** Starts a probe on a UDP port of a host. */
  static async start(host: Host, dir: string, port: number): Promise<UdpProbe> {
    const path = `${dir}/probe-${host.name}-${port}.sock`;
    const process = await host.spawn(
      [Deno.execPath(), "run", "-A", "--no-config", "--unstable-net", SELF, path, String(port)],
    );
    await process.waitFor(/^ready$/, 10_000);
    return new UdpProbe(process, path, `${host.address}:${port}`);
  }

  /** Sends one datagram to `ip:port`. */
  async send(to: string, text: string): Promise<void> {
    await this.#order({ send: to, text });
  }

  /** The first datagram so far or soon with this text; undefined when the time (ms) is over. */
  async wait(text: string, timeoutMs: number): Promise<Datagram | undefined> {
    return await this.#order({ wait: text, timeoutMs }) as Datagram | undefined;
  }

  /** The address at which another probe sees this one. */
  async seenBy(other: UdpProbe): Promise<string> {
    const nonce = crypto.randomUUID();
    await this.send(other.address, `where? ${nonce}`);
    const answer = await this.wait(`there ${nonce}`, 3_000);
    if (!answer) throw new Error(`Cannot hear from ${other.address} at ${this.address}`);
    return answer.text.split(" ")[2]!;
  }

  /** Ends the probe. */
  async stop(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.exited;
  }

  async #order(order: Order): Promise<unknown> {
    using conn = await Deno.connect({ transport: "unix", path: this.#path });
    await conn.write(new TextEncoder().encode(JSON.stringify(order)));
    await conn.closeWrite();
    const answer = await new Response(conn.readable).text();
    return answer ? JSON.parse(answer) : undefined;
  }
}

const SELF = fileURLToPath(import.meta.url);
const addressOf = ({ hostname, port }: Deno.NetAddr) => `${hostname}:${port}`;

async function main(path: string, port: number): Promise<void> {
  const udp = Deno.listenDatagram({ transport: "udp", hostname: "0.0.0.0", port });
  const orders = Deno.listen({ transport: "unix", path });
  const seen: Datagram[] = [];
  const arrived = new EventTarget();
  const send = (to: string, text: string) => {
    const [hostname = "", toPort] = to.split(":");
    const bytes = new TextEncoder().encode(text);
    return udp.send(bytes, { transport: "udp", hostname, port: Number(toPort) });
  };
  const handle = async (conn: Deno.Conn) => {
    const order: Order = JSON.parse(await readAll(conn));
    let answer: Datagram | undefined;
    if ("send" in order) {
      await send(order.send, order.text);
    } else {
      const find = () => seen.find((d) => d.text.startsWith(order.wait));
      const over = AbortSignal.timeout(order.timeoutMs);
      while (!(answer = find()) && !over.aborted) {
        await new Promise((resolve) => {
          arrived.addEventListener("datagram", resolve, { once: true });
          over.addEventListener("abort", resolve, { once: true });
        });
      }
    }
    if (answer) await conn.write(new TextEncoder().encode(JSON.stringify(answer)));
    conn.close();
  };
  (async () => {
    for await (const conn of orders) handle(conn);
  })();
  Deno.stdout.writeSync(new TextEncoder().encode("ready\n"));
  for await (const [bytes, from] of udp) {
    const text = new TextDecoder().decode(bytes);
    seen.push({ from: addressOf(from as Deno.NetAddr), text });
    if (text.startsWith("where? ")) {
      const sender = addressOf(from as Deno.NetAddr);
      await send(sender, `there ${text.slice(7)} ${sender}`);
    }
    arrived.dispatchEvent(new Event("datagram"));
  }
}

async function readAll(conn: Deno.Conn): Promise<string> {
  const decoder = new TextDecoder();
  const buf = new Uint8Array(4096);
  let text = "";
  for (let n; (n = await conn.read(buf)) !== null;) {
    text += decoder.decode(buf.subarray(0, n), { stream: true });
  }
  return text;
}

if (import.meta.main) await main(Deno.args[0]!, Number(Deno.args[1]));
