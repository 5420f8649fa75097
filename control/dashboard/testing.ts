/** A control plane and a browser that looks at it: for the tests of the dashboard, and its pictures. */
import { equal } from "node:assert/strict";
import { type Browser, chromium, type Page } from "playwright-core";
import { ensureSelfSigned } from "../../relay/cert/mod.ts";
import type { AddDevice, Device, PathReport } from "../api/types.ts";
import { openToken } from "../auth/mod.ts";
import type { OidcSettings } from "../oidc/mod.ts";
import { type Control, startControl } from "../server.ts";
import { newKey, QUICK } from "../testing.ts";

const CHROMIUM = "/usr/bin/chromium";
/** Longest wait for anything on the page, ms. */
const PATIENCE = 20_000;

/** A device of which the bench speaks to the control plane, as its agent would. */
export interface Joined {
  device: Device;
  token: string;
}

/** See the top of the file. */
export class Bench implements AsyncDisposable {
  /** What the page did that it should not: scripts that failed, refusals of the policy. */
  readonly complaints: string[] = [];
  readonly #stop = new AbortController();
  #access = "";

  private constructor(
    readonly client: Deno.HttpClient,
    readonly control: Control,
    readonly page: Page,
    readonly url: string,
    readonly closers: (() => Promise<void>)[],
  ) {}

  /** Why there can be none here; undefined: there can. */
  static refusal(): string | undefined {
    try {
      if (Deno.statSync(CHROMIUM).isFile) return undefined;
    } catch { /* said below */ }
    return `there is no ${CHROMIUM}`;
  }

  /** @param oidc another issuer in the place of our own */
  static async start(oidc?: OidcSettings): Promise<Bench> {
    const dir = await Deno.makeTempDir({ prefix: "nexd-dashboard-" });
    const closers = [() => Deno.remove(dir, { recursive: true })];
    const certificate = await ensureSelfSigned(`${dir}/certs`, ["localhost"]);
    const client = Deno.createHttpClient({ caCerts: [certificate.ca] });
    const control = await startControl({
      hostname: "localhost",
      addr: { hostname: "127.0.0.1", port: 0 },
      stateDir: `${dir}/state`,
      admin: { cost: QUICK },
      certificate: () => Promise.resolve(certificate),
      oidc,
    });
    closers.unshift(() => control.close());
    const browser: Browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
    });
    closers.unshift(() => browser.close());
    const context = await browser.newContext({
      ignoreHTTPSErrors: true,
      viewport: { width: 1280, height: 800 },
    });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
    const bench = new Bench(
      client,
      control,
      page,
      `https://localhost:${control.address.port}`,
      closers,
    );
    page.on("pageerror", (error) => bench.complaints.push(String(error)));
    page.on("console", (message) => {
      // An answer with an error is noted by the browser too, and is no mistake of the page.
      const text = message.text();
      if (message.type() === "error" && !text.startsWith("Failed to load")) {
        bench.complaints.push(text);
      }
    });
    return bench;
  }

  async signIn(password = this.control.password!): Promise<void> {
    await this.page.goto(`${this.url}/`);
    // The page leads to the issuer's by itself.
    await this.page.waitForURL(/\/oauth\/authorize/);
    await this.page.getByLabel("User name").fill("admin");
    await this.page.getByLabel("Password").fill(password);
    await this.page.keyboard.press("Enter");
  }

  /** What a host does that joins. */
  async join(hostname: string, fields: Partial<AddDevice> = {}): Promise<Joined> {
    const public_key = newKey();
    const device = await this.ask<Device>("POST", "/api/devices", this.control.regKey!, {
      ...{ vpc_id: this.control.userId, public_key, hostname, os: "linux" },
      endpoints: [{ source: "local", address: "192.0.2.7:51820" }],
      ...fields,
    });
    return { device, token: openToken(device.bearer_token!, public_key) };
  }

  /** Opens a device's event stream, which makes it online until the bench ends. */
  async online({ token }: Joined): Promise<void> {
    const response = await fetch(`${this.url}/api/events`, this.#request("POST", token, []));
    equal(response.status, 200);
    response.body!.pipeTo(new WritableStream()).catch(() => {});
  }

  /** What an agent tells of its ways. */
  async tell({ device, token }: Joined, report: PathReport): Promise<void> {
    await this.ask("PUT", `/api/devices/${device.id}/paths`, token, report);
  }

  /** Asks the API as the first user. */
  async admin<T>(method: string, path: string, body?: unknown): Promise<T> {
    if (this.#access === "") {
      const form = new URLSearchParams({
        ...{ grant_type: "password", client_id: "nexodus-cli", username: "admin" },
        password: this.control.password!,
        scope:
          "read:organizations write:organizations read:devices write:devices read:users write:users",
      });
      const response = await fetch(`${this.url}/oauth/token`, {
        method: "POST",
        body: form,
        client: this.client,
      });
      this.#access = (await response.json()).access_token;
    }
    return await this.ask<T>(method, path, this.#access, body);
  }

  #request(method: string, token: string, body: unknown): RequestInit {
    return {
      method,
      client: this.client,
      signal: this.#stop.signal,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    } as RequestInit;
  }

  /** Asks the API with a credential; what is no success throws. */
  async ask<T>(method: string, path: string, token: string, body?: unknown): Promise<T> {
    const response = await fetch(`${this.url}${path}`, this.#request(method, token, body));
    const text = await response.text();
    equal(response.ok, true, `${method} ${path}: ${response.status} ${text}`);
    return (text === "" ? undefined : JSON.parse(text)) as T;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.client.close();
    for (const close of this.closers) await close();
  }
}
