/**
 * A control plane for tests: the calls that an agent makes, over TLS, in memory, with switches for
 * everything that can go wrong.
 *
 * @module
 */
import { gcm } from "@noble/ciphers/aes.js";
import { x25519 } from "@noble/curves/ed25519.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import type { AddDevice, Device, UpdateDevice, Watch } from "../../control/api/types.ts";
import { keyFromBase64 } from "../../relay/derp/mod.ts";

/** VPC and registration key of the fake. */
export const VPC_ID = "5f0c3b1e-8d1a-4c55-9a0e-2b6f7d9c1a10", REG_KEY = "RK:test-key";

/** Seals a token for a device, as the server side does. */
export function sealToken(token: string, publicKey: Uint8Array): string {
  const ephemeral = x25519.getPublicKey(x25519.utils.randomSecretKey());
  const salt = new Uint8Array([...ephemeral, ...publicKey]);
  const secret = x25519.getSharedSecret(ephemeral, publicKey);
  const key = hkdf(sha256, secret, salt, new TextEncoder().encode("X25519"), 32);
  const data = gcm(key, new Uint8Array(12)).encrypt(new TextEncoder().encode(token));
  const field = (bytes: Uint8Array) => bytes.toBase64({ alphabet: "base64url" });
  return ["v1", ephemeral, data].map((part) =>
    field(typeof part === "string" ? new TextEncoder().encode(part) : part)
  ).join(":");
}

/** One request as it arrived. */
interface SeenRequest {
  method: string;
  path: string;
  authorization: string;
  userAgent: string;
  body: unknown;
}

/** An open watch stream. */
interface FakeStream {
  watches: Watch[];
  token: string;
  send(event: unknown): void;
  raw(text: string): void;
  /** Ends it with the final chunk. */
  end(): void;
  /** Breaks the connection. */
  abort(): void;
}

/** The fake; fields are switches that tests turn. */
export class FakeControl {
  readonly seen: SeenRequest[] = [];
  readonly devices = new Map<string, Device>();
  readonly streams: FakeStream[] = [];
  /** Answers instead of the usual one, when it gives a response. */
  intercept: (request: SeenRequest) => Response | undefined | Promise<Response | undefined> = () =>
    undefined;
  /** Called for each new stream, after its backlog was sent. */
  onStream: (stream: FakeStream) => void = () => {};
  /** Send the backlog and tails. */
  backlog = true;
  metadata: Record<string, unknown>[] = [];
  revision = 1;
  #server: Deno.HttpServer<Deno.NetAddr>;
  #nextIp = 1;

  constructor(tls: { cert: string; key: string }, port = 0) {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port, cert: tls.cert, key: tls.key, onListen: () => {}, onError },
      (request) => this.#handle(request),
    );
  }

  get port(): number {
    return this.#server.addr.port;
  }

  get url(): URL {
    return new URL(`https://127.0.0.1:${this.port}/`);
  }

  /** Requests as `METHOD path`. */
  get log(): string[] {
    return this.seen.map(({ method, path }) => `${method} ${path}`);
  }

  /** Adds or changes a device and tells the open streams. */
  put(device: Device): void {
    this.devices.set(device.id, device);
    for (const stream of this.streams) {
      stream.send({ kind: "device", type: "change", value: device });
    }
  }

  async close(): Promise<void> {
    for (const stream of [...this.streams]) stream.abort();
    await this.#server.shutdown();
  }

  async #handle(request: Request): Promise<Response> {
    const text = await request.text();
    const seen: SeenRequest = {
      method: request.method,
      path: new URL(request.url).pathname,
      authorization: request.headers.get("authorization") ?? "",
      userAgent: request.headers.get("user-agent") ?? "",
      body: text === "" ? undefined : JSON.parse(text),
    };
    this.seen.push(seen);
    const special = await this.intercept(seen);
    if (special !== undefined) return special;
    const token = seen.authorization.replace(/^Bearer /, "");
    if (seen.path === "/api/events") return this.#events(token, seen.body as Watch[]);
    const own = seen.method === "PATCH" &&
      seen.path === `/api/devices/${token.replace(/^DT:/, "")}`;
    if (token !== REG_KEY && !own) return json(401, { error: "invalid reg key" });
    if (seen.path === "/api/reg-keys/me") {
      return json(200, {
        id: "9a7d4c52-6b1f-4f0e-b0a3-0d9f1c2e3b44",
        owner_id: VPC_ID,
        vpc_id: VPC_ID,
        bearer_token: REG_KEY,
        security_group_id: null,
        settings: null,
      });
    }
    if (seen.path === `/api/vpcs/${VPC_ID}`) {
      return json(200, {
        id: VPC_ID,
        organization_id: VPC_ID,
        description: "default vpc",
        private_cidr: false,
        ipv4_cidr: "100.64.0.0/10",
        ipv6_cidr: "200::/64",
        revision: 1,
      });
    }
    if (seen.method === "POST" && seen.path === "/api/devices") {
      return this.#create(seen.body as AddDevice);
    }
    const id = seen.path.replace("/api/devices/", "");
    const device = this.devices.get(id);
    if (seen.method === "PATCH" && device !== undefined) {
      const { vpc_id: _, ...change } = seen.body as UpdateDevice;
      const next = { ...device, ...change, revision: ++this.revision } as Device;
      this.put(next);
      return json(200, this.#withToken(next));
    }
    return json(404, { error: "not found" });
  }

  #create(body: AddDevice): Response {
    const existing = [...this.devices.values()].find((d) => d.public_key === body.public_key);
    if (existing !== undefined) {
      return json(409, { id: existing.id, error: "resource already exists" });
    }
    const n = this.#nextIp++;
    const device = fakeDevice(`device-${n}`, body.public_key, n, {
      ...(body as Partial<Device>),
      ipv4_tunnel_ips: [{ address: `100.64.0.${n}`, cidr: "100.64.0.0/10" }],
      revision: ++this.revision,
    });
    this.put(device);
    return json(201, this.#withToken(device));
  }

  #withToken(device: Device): Device {
    return {
      ...device,
      bearer_token: sealToken(`DT:${device.id}`, keyFromBase64(device.public_key)),
    };
  }

  #events(token: string, watches: Watch[]): Response {
    if (!this.devices.has(token.replace(/^DT:/, ""))) {
      return json(401, { error: "invalid device token" });
    }
    let controller!: ReadableStreamDefaultController<Uint8Array>;
    const encoder = new TextEncoder();
    const remove = () => {
      const at = this.streams.indexOf(stream);
      if (at >= 0) this.streams.splice(at, 1);
    };
    const body = new ReadableStream<Uint8Array>({
      start: (c) => {
        controller = c;
      },
      cancel: remove,
    });
    const attempt = (action: () => void) => {
      try {
        action();
      } catch { /* the other side has gone */ }
    };
    const stream: FakeStream = {
      watches,
      token,
      send: (event) =>
        attempt(() => controller.enqueue(encoder.encode(`${JSON.stringify(event)}\n\n`))),
      raw: (text) => attempt(() => controller.enqueue(encoder.encode(text))),
      end: () => {
        remove();
        attempt(() => controller.close());
      },
      abort: () => {
        remove();
        attempt(() => controller.error(new Error("broken on purpose")));
      },
    };
    this.streams.push(stream);
    if (this.backlog) {
      const rows = { "device": [...this.devices.values()], "device-metadata": this.metadata };
      for (const { kind, at_tail, gt_revision = 0 } of watches) {
        for (const value of rows[kind as keyof typeof rows] ?? []) {
          if (Number(value.revision) > gt_revision) stream.send({ kind, type: "change", value });
        }
        if (!at_tail) stream.send({ kind, type: "tail" });
      }
    }
    this.onStream(stream);
    return new Response(body, { headers: { "content-type": "application/json;stream=watch" } });
  }
}

/** A device with an address, as the API returns it. */
export function fakeDevice(
  id: string,
  publicKey: string,
  n: number,
  more: Partial<Device> = {},
): Device {
  return {
    id,
    owner_id: VPC_ID,
    vpc_id: VPC_ID,
    allowed_ips: [`100.64.0.${n}/32`, `200::${n.toString(16)}/128`],
    advertise_cidrs: null,
    relay: false,
    symmetric_nat: false,
    hostname: `host-${n}`,
    os: "linux",
    endpoints: [
      { source: "local", address: `192.168.${n}.2:51820` },
      { source: "stun:", address: `203.0.113.${n}:51820` },
    ],
    revision: 1,
    security_group_id: VPC_ID,
    online: true,
    online_at: null,
    ...more,
    public_key: publicKey,
    ipv4_tunnel_ips: [{ address: `100.64.0.${n}`, cidr: "100.64.0.0/10" }],
    ipv6_tunnel_ips: [{ address: `200::${n.toString(16)}`, cidr: "200::/64" }],
  };
}

/** A JSON answer with the API's content type. */
export function json(status: number, body: unknown): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { "content-type": "application/json; charset=utf-8" },
  });
}

function onError(): Response {
  return new Response("{}", { status: 500 });
}
