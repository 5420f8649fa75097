/** For tests: a real control plane in this process, and a relay that joins its VPC. */
import assert from "node:assert/strict";
import type { Device } from "../../control/api/types.ts";
import { type Control, startControl } from "../../control/mod.ts";
import { QUICK } from "../../control/testing.ts";
import { ensureSelfSigned } from "../../relay/cert/mod.ts";
import { generatePrivateKey, keyToHex, publicKeyOf } from "../../relay/derp/mod.ts";
import { until } from "../testing/wait.ts";
import { type JoinedVpc, type JoinOptions, joinVpc, type RelayMetadata } from "./mod.ts";
import type { RelayDoors } from "./membership.ts";

/** Password of the control plane's user, `admin`. */
export const PASSWORD = "correct horse";

/** What the relay of the tests publishes. */
export const METADATA: RelayMetadata = {
  type: "derp",
  hostname: "relay.lab.example",
  certmodemanual: true,
  port: 8443,
};

/** A control plane that can be stopped and started again on the same port. */
export class TestVpc implements AsyncDisposable {
  control!: Control;
  regKey = "";
  port = 0;
  #user = "";
  readonly #client: Deno.HttpClient;

  private constructor(
    readonly dir: string,
    readonly certificate: { cert: string; key: string; ca: string },
  ) {
    this.#client = Deno.createHttpClient({ caCerts: [certificate.ca] });
  }

  static async start(): Promise<TestVpc> {
    const dir = await Deno.makeTempDir({ prefix: "nexd-relay-node-" });
    const certificate = await ensureSelfSigned(`${dir}/cert`, ["localhost", "127.0.0.1"]);
    const vpc = new TestVpc(dir, certificate);
    await vpc.up();
    return vpc;
  }

  async up(): Promise<void> {
    const control: Control = await startControl({
      hostname: "localhost",
      addr: { hostname: "127.0.0.1", port: this.port },
      stateDir: `${this.dir}/control`,
      certificate: () => Promise.resolve(this.certificate),
      admin: { password: PASSWORD, cost: QUICK },
      hold: { delayMs: [0, 0] },
    });
    this.control = control;
    this.port = control.address.port;
    this.regKey ||= control.regKey!;
    this.#user ||= await this.#signIn();
  }

  async down(): Promise<void> {
    await this.control.close();
  }

  async #signIn(): Promise<string> {
    const response = await fetch(`https://127.0.0.1:${this.port}/oauth/token`, {
      method: "POST",
      body: new URLSearchParams({
        client_id: "nexodus-cli",
        grant_type: "password",
        username: "admin",
        password: PASSWORD,
        scope: "read:organizations read:devices write:devices",
      }),
      client: this.#client,
    });
    return (await response.json()).access_token;
  }

  // deno-lint-ignore no-explicit-any
  async call(method: string, path: string, bearer = this.#user, body?: unknown): Promise<any> {
    const response = await fetch(`https://127.0.0.1:${this.port}${path}`, {
      method,
      headers: { authorization: `Bearer ${bearer}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      client: this.#client,
    });
    const text = await response.text();
    assert(response.status < 300, `${method} ${path}: ${response.status} ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  }

  /** Another device of the VPC; the key is hex. */
  async addDevice(privateKey = generatePrivateKey()): Promise<{ id: string; key: string }> {
    const publicKey = publicKeyOf(privateKey);
    const { id } = await this.call("POST", "/api/devices", this.regKey, {
      vpc_id: this.control.userId,
      public_key: publicKey.toBase64(),
    });
    return { id, key: keyToHex(publicKey) };
  }

  async removeDevice(id: string): Promise<void> {
    await this.call("DELETE", `/api/devices/${id}`);
  }

  async devices(): Promise<Device[]> {
    return await this.call("GET", `/api/vpcs/${this.control.userId}/devices`);
  }

  /** The value that agents read. */
  async metadata(deviceId: string): Promise<Record<string, unknown>> {
    return (await this.call("GET", `/api/devices/${deviceId}/metadata/relay`)).value;
  }

  /** How a relay joins this VPC. */
  options(signal: AbortSignal, more: Partial<JoinOptions> = {}): JoinOptions {
    const url = new URL(`https://127.0.0.1:${this.port}/`);
    return {
      join: { serviceUrl: url, apiUrl: url, credential: { kind: "reg-key", token: this.regKey } },
      insecureSkipTlsVerify: false,
      caCerts: [this.certificate.ca],
      stateDir: `${this.dir}/relay`,
      stunServers: [],
      hostname: "relay-host",
      version: "test",
      metadata: METADATA,
      port: 8443,
      signal,
      ...more,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.close();
    await this.control.close();
    await Deno.remove(this.dir, { recursive: true });
  }
}

/** A relay that has joined, and what it heard. */
export class TestMember implements AsyncDisposable {
  /** Each list that came. */
  readonly lists: string[][] = [];
  readonly states: string[] = [];
  readonly #stop = new AbortController();
  joined!: JoinedVpc;

  static async join(
    vpc: TestVpc,
    more: Partial<JoinOptions> = {},
    doors: Partial<RelayDoors> = {},
  ): Promise<TestMember> {
    const member = new TestMember();
    member.joined = await joinVpc(vpc.options(member.#stop.signal, more), {
      devices: (keys) => member.lists.push(keys),
      state: (text) => member.states.push(text),
    }, {
      probe: () => Promise.resolve({ reflexive: "198.51.100.7:40000", errors: [] }),
      localEndpoint: () => Promise.resolve("10.0.0.5"),
      ...doors,
      times: { refused: 50, ...doors.times },
    });
    return member;
  }

  /** Waits until the last list has exactly these keys; returns how long that took, ms. */
  async heard(keys: string[], limit?: number): Promise<number> {
    const began = performance.now(), wanted = keys.toSorted().join();
    await until(
      () => this.lists.at(-1)?.join() === wanted,
      `the list ${wanted || "of nobody"}`,
      limit,
    );
    return performance.now() - began;
  }

  /** Waits until the watch stream is open. */
  async connected(): Promise<void> {
    await until(() => this.states.at(-1) === "connected", "the watch stream");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.joined.close();
  }
}
