/**
 * Pebble, a small ACME server for tests, with a DNS server that says 127.0.0.1 to every name; both
 * on free ports of this host.
 *
 * @module
 */

import { join } from "node:path";
import { ensureSelfSigned } from "../../self_signed.ts";
import { until } from "./support.ts";

/** How it shall behave. */
export interface PebbleOptions {
  /** Percentage of good nonces that it refuses. */
  nonceReject?: number;
  /** Percentage of proofs that it remembers for the next order. */
  reuse?: number;
  /** External account binding: keys in base64url by their names; others are refused. */
  keys?: Record<string, string>;
}

/** True, after a skip line, where pebble is not installed. */
export async function cannotPebble(): Promise<boolean> {
  for (const program of ["pebble", "pebble-challtestsrv"]) {
    try {
      await new Deno.Command(program, { args: ["-h"], stdout: "null", stderr: "null" }).output();
    } catch {
      // deno-lint-ignore no-console -- a test's skip line
      console.log(`skip: ${program} is not here (Debian package pebble)`);
      return true;
    }
  }
  return false;
}

/** A running CA. */
export class Pebble implements AsyncDisposable {
  readonly directoryUrl: string;
  /** PEM of the CA that signed the server's own certificate. */
  readonly ca: string;
  /** Where it looks for HTTP-01 answers. */
  readonly httpPort: number;
  /** Where it looks for TLS-ALPN-01 answers. */
  readonly tlsPort: number;
  readonly #directory: string;
  readonly #environment: Record<string, string>;
  readonly #ports: Ports;
  #processes: Deno.ChildProcess[] = [];

  private constructor(directory: string, ca: string, ports: Ports, options: PebbleOptions) {
    this.#directory = directory;
    this.#ports = ports;
    this.ca = ca;
    this.directoryUrl = `https://127.0.0.1:${ports.api}/dir`;
    this.httpPort = ports.http;
    this.tlsPort = ports.tls;
    this.#environment = {
      PEBBLE_VA_NOSLEEP: "1",
      PEBBLE_WFE_NONCEREJECT: String(options.nonceReject ?? 0),
      PEBBLE_AUTHZREUSE: String(options.reuse ?? 0),
    };
  }

  /** Starts one. Ports that are lost to another program in between are chosen anew. */
  static async start(options: PebbleOptions = {}): Promise<Pebble> {
    for (let attempt = 1;; attempt++) {
      const directory = Deno.makeTempDirSync({ prefix: "nexd-pebble-" });
      const { cert, key, ca } = await ensureSelfSigned(directory, ["127.0.0.1", "localhost"]);
      const ports = freePorts();
      const paths = { cert: join(directory, "api.crt"), key: join(directory, "api.key") };
      await Deno.writeTextFile(paths.cert, cert);
      await Deno.writeTextFile(paths.key, key);
      const config = {
        listenAddress: `127.0.0.1:${ports.api}`,
        managementListenAddress: `127.0.0.1:${ports.management}`,
        certificate: paths.cert,
        privateKey: paths.key,
        httpPort: ports.http,
        tlsPort: ports.tls,
        ocspResponderURL: "",
        externalAccountBindingRequired: options.keys !== undefined,
        ...(options.keys === undefined ? {} : { externalAccountMACKeys: options.keys }),
      };
      await Deno.writeTextFile(join(directory, "pebble.json"), JSON.stringify({ pebble: config }));
      const pebble = new Pebble(directory, ca, ports, options);
      try {
        await pebble.up();
        return pebble;
      } catch (error) {
        await pebble[Symbol.asyncDispose]();
        if (attempt === 3) throw error;
      }
    }
  }

  /** Starts it again on its ports; it has forgotten everything. */
  async up(): Promise<void> {
    const { dns, dnsManagement } = this.#ports;
    this.#spawn("pebble-challtestsrv", [
      "-dns01",
      `127.0.0.1:${dns}`,
      "-management",
      `127.0.0.1:${dnsManagement}`,
      ...["-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", ""],
    ]);
    this.#spawn("pebble", [
      ...["-config", join(this.#directory, "pebble.json"), "-strict=false"],
      ...["-dnsserver", `127.0.0.1:${dns}`],
    ]);
    let ended = false;
    for (const { status } of this.#processes) status.then(() => ended = true);
    const client = Deno.createHttpClient({ caCerts: [this.ca] });
    try {
      await until("pebble answers", async () => {
        if (ended) throw new Error("Cannot start pebble: it ended");
        try {
          const [api, names] = await Promise.all([
            fetch(this.directoryUrl, { client }),
            fetch(`http://127.0.0.1:${dnsManagement}/`),
          ]);
          await Promise.all([api.body?.cancel(), names.body?.cancel()]);
          return api.ok;
        } catch {
          return false;
        }
      });
    } finally {
      client.close();
    }
  }

  /** Ends it; `up()` starts it again. */
  async down(): Promise<void> {
    for (const process of this.#processes.splice(0)) {
      try {
        process.kill("SIGKILL");
      } catch {
        // It has ended.
      }
      await process.status;
    }
  }

  /** PEM of the root that its certificates chain to. */
  async root(): Promise<string> {
    const client = Deno.createHttpClient({ caCerts: [this.ca] });
    try {
      const url = `https://127.0.0.1:${this.#ports.management}/roots/0`;
      return await (await fetch(url, { client })).text();
    } finally {
      client.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
    await Deno.remove(this.#directory, { recursive: true });
  }

  #spawn(program: string, args: string[]): void {
    this.#processes.push(
      new Deno.Command(program, {
        args,
        env: this.#environment,
        stdin: "null",
        stdout: "null",
        stderr: "null",
      }).spawn(),
    );
  }
}

type Ports = Record<"api" | "management" | "http" | "tls" | "dns" | "dnsManagement", number>;

/** Six ports of 127.0.0.1 that nobody uses now, neither for TCP nor for UDP. */
function freePorts(): Ports {
  const held: { close(): void }[] = [];
  const one = (): number => {
    for (;;) {
      const tcp = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      held.push(tcp);
      try {
        const { port } = tcp.addr;
        held.push(Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port }));
        return port;
      } catch {
        // Taken for UDP: the next one.
      }
    }
  };
  try {
    return {
      api: one(),
      management: one(),
      http: one(),
      tls: one(),
      dns: one(),
      dnsManagement: one(),
    };
  } finally {
    for (const socket of held) socket.close();
  }
}
