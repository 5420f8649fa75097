/** The dashboard in a real browser: Debian's chromium, where it is installed. */
import { deepEqual, equal, match } from "node:assert/strict";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { ensureSelfSigned } from "../../relay/cert/mod.ts";
import { skip } from "../../scripts/lab/support.ts";
import type { Device } from "../api/types.ts";
import { type Control, startControl } from "../server.ts";
import { newKey } from "../testing.ts";

const CHROMIUM = "/usr/bin/chromium";
/** Longest wait for anything on the page, ms. */
const PATIENCE = 8_000;
/** Runs, or breaks the page, wherever a name is more than text. */
const HOSTILE = `"><img src=x onerror="document.title='owned'"><script>owned()</script>\u202e`;

/** A control plane and a browser that looks at it. */
class Bench implements AsyncDisposable {
  /** What the page did that it should not: scripts that failed, refusals of the policy. */
  readonly complaints: string[] = [];

  private constructor(
    readonly control: Control,
    readonly page: Page,
    readonly url: string,
    readonly closers: (() => Promise<void>)[],
  ) {}

  static async start(): Promise<Bench> {
    const dir = await Deno.makeTempDir({ prefix: "nexd-dashboard-" });
    const closers = [() => Deno.remove(dir, { recursive: true })];
    const certificate = await ensureSelfSigned(`${dir}/certs`, ["localhost"]);
    const control = await startControl({
      hostname: "localhost",
      addr: { hostname: "127.0.0.1", port: 0 },
      stateDir: `${dir}/state`,
      certificate: () => Promise.resolve(certificate),
    });
    closers.unshift(() => control.close());
    const browser: Browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
    });
    closers.unshift(() => browser.close());
    const context: BrowserContext = await browser.newContext({
      ignoreHTTPSErrors: true,
      viewport: { width: 1280, height: 800 },
    });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
    const bench = new Bench(control, page, `https://localhost:${control.address.port}`, closers);
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
    await this.page.getByLabel("User name").fill("admin");
    await this.page.getByLabel("Password").fill(password);
    await this.page.keyboard.press("Enter");
  }

  /** What a host does that joins. */
  async join(hostname: string): Promise<Device> {
    const response = await this.page.request.post(`${this.url}/api/devices`, {
      headers: { authorization: `Bearer ${this.control.regKey}` },
      data: {
        ...{ vpc_id: this.control.userId, public_key: newKey(), hostname, os: "linux" },
        endpoints: [{ source: "local", address: "192.0.2.7:51820" }],
      },
    });
    equal(response.status(), 201);
    return await response.json() as Device;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.closers) await close();
  }
}

const absent = () => {
  try {
    return !Deno.statSync(CHROMIUM).isFile;
  } catch {
    return true;
  }
};

Deno.test("dashboard shows, renames and deletes devices live, and makes keys, in a browser", async () => {
  if (absent()) return skip(`there is no ${CHROMIUM}`);
  await using bench = await Bench.start();
  const { page } = bench;

  await bench.signIn("wrong");
  await page.getByRole("alert").getByText("the password is wrong").waitFor();
  await bench.signIn();
  await page.getByText("No host has joined this VPC yet").waitFor();
  equal(new URL(page.url()).pathname, "/ui/");

  // Live, as text whatever it says.
  await bench.join(HOSTILE);
  await bench.join("plain");
  await page.getByText("2 devices, 0 online").waitFor();
  const cards = page.getByRole("main").getByRole("listitem");
  equal(await cards.count(), 2);
  const hostile = page.getByRole("heading", { level: 2 }).filter({ hasText: "onerror" });
  equal(await hostile.textContent(), HOSTILE);
  equal(await page.locator("main img, main script").count(), 0);

  await page.getByLabel("Find").fill("PLAIN");
  await hostile.waitFor({ state: "detached" });
  equal(await cards.count(), 1);
  await page.getByLabel("Find").fill("");
  await hostile.waitFor();

  await page.getByRole("button", { name: "Rename plain" }).click();
  await page.getByLabel("New name").fill("web-1");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "web-1" }).waitFor();
  await page.getByRole("status").getByText("Renamed to web-1").waitFor();

  // Escape means no, with the keyboard alone.
  await page.getByRole("button", { name: "Delete web-1" }).press("Enter");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  equal(await cards.count(), 2);
  await page.getByRole("button", { name: "Delete web-1" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText("1 device, 0 online").waitFor();

  await page.getByRole("link", { name: "Network" }).click();
  await page.locator("svg text").filter({ hasText: /^"><img/ }).waitFor();
  equal(await page.locator("main img, main script").count(), 0);

  await page.getByRole("link", { name: "Security groups" }).click();
  await page.getByRole("button", { name: "New group" }).click();
  await page.getByLabel("What it is for").fill("web");
  await page.getByRole("button", { name: "Add a rule: in" }).click();
  await page.getByLabel("In 1: ports").fill("ssh");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("alert").getByText('"ssh" is no port').waitFor();
  await page.getByLabel("In 1: ports").fill("80-443");
  await page.getByLabel("In 1: addresses").fill("10.0.0.0/8, 192.0.2.1");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("TCP port 80-443 from 10.0.0.0/8, 192.0.2.1").waitFor();

  await page.getByRole("link", { name: "Registration keys" }).click();
  await page.getByRole("button", { name: "New key" }).click();
  await page.getByLabel("What it is for").fill(HOSTILE);
  await page.getByRole("dialog").getByRole("button", { name: "Create" }).click();
  const key = page.getByRole("listitem").filter({ hasText: "onerror" });
  match(await key.textContent() ?? "", /For one host/);
  match(
    await key.locator("code").textContent() ?? "",
    /^nexd --reg-key 'https:\/\/localhost:\d+#RK:[\w+/=-]+'$/,
  );
  await key.getByRole("button", { name: /^Delete/ }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await key.waitFor({ state: "detached" });

  // The session is the tab's: a reload keeps it, signing out ends it.
  await page.reload();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("Password").waitFor();
  equal(await page.evaluate("sessionStorage.length + localStorage.length"), 0);
  await bench.signIn();
  await page.getByText("1 device, 0 online").waitFor();
  equal(await page.title(), "nexd");
  deepEqual(bench.complaints, []);
});
