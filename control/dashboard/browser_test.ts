/** The dashboard in a real browser: Debian's chromium, where it is installed. */
import { deepEqual, equal, match } from "node:assert/strict";
import { skip } from "../../scripts/lab/support.ts";
import { Bench } from "./testing.ts";

/** Runs, or breaks the page, wherever a name is more than text. */
const HOSTILE = `"><img src=x onerror="document.title='owned'"><script>owned()</script>\u202e`;

Deno.test("dashboard shows, renames and deletes devices live, and makes keys, in a browser", async () => {
  const refusal = Bench.refusal();
  if (refusal !== undefined) return skip(refusal);
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
  await page.getByRole("heading", { name: "Sign in to nexd" }).waitFor();
  equal(await page.evaluate("sessionStorage.length + localStorage.length"), 0);
  await bench.signIn();
  await page.getByText("1 device, 0 online").waitFor();
  equal(await page.title(), "nexd");
  deepEqual(bench.complaints, []);
});
