/** The audit log in a real browser. */
import { deepEqual, equal, match } from "node:assert/strict";
import { skip } from "../../scripts/lab/support.ts";
import { Bench } from "./testing.ts";

/** Runs, or breaks the page, wherever a name is more than text. */
const HOSTILE = `"><img src=x onerror="document.title='owned'">`;

Deno.test("dashboard tells who did what as it happens, finds it, and fits a phone", async () => {
  const refusal = Bench.refusal();
  if (refusal !== undefined) return skip(refusal);
  await using bench = await Bench.start();
  const { page } = bench;
  await bench.join("web-7");
  await bench.signIn();
  await page.getByRole("link", { name: "Audit log" }).click();
  const entries = page.getByRole("list", { name: /Entries/ }).getByRole("listitem")
    .filter({ has: page.locator("time") });
  await entries.filter({ hasText: "made device web-7" }).waitFor();
  await entries.filter({ hasText: /admin signed in/ }).first().waitFor();
  // By itself, as text whatever it says.
  const { device } = await bench.join(HOSTILE);
  await entries.filter({ hasText: "onerror" }).waitFor();
  equal(await page.locator("main img").count(), 0);
  await bench.admin("PATCH", `/api/devices/${device.id}`, { hostname: "renamed" });
  const changed = entries.filter({ hasText: "changed device renamed" });
  await changed.waitFor();
  await changed.getByText("Details").click();
  match(await changed.getByRole("definition").first().textContent() ?? "", /onerror.*renamed/);
  await page.getByLabel("Find by name").fill("WEB-7");
  await changed.waitFor({ state: "detached" });
  await entries.filter({ hasText: "made device web-7" }).waitFor();
  equal(await entries.count(), 1);
  await page.getByLabel("Find by name").fill("");
  await page.getByLabel("What it was done to").selectOption("session");
  await entries.filter({ hasText: "signed in" }).first().waitFor();
  await changed.waitFor({ state: "detached" });
  await page.getByLabel("Where").selectOption("all");
  await entries.filter({ hasText: "signed in" }).first().waitFor();
  // A stream of all organizations, which is the operator's, is live as well.
  const form = new URLSearchParams({
    ...{ grant_type: "password", client_id: "nexodus-cli" },
    ...{ username: "nobody-here", password: "x" },
  });
  const refused = await fetch(`${bench.url}/oauth/token`, {
    method: "POST",
    body: form,
    client: bench.client,
  });
  await refused.body?.cancel();
  equal(refused.status, 400);
  await entries.filter({ hasText: /nobody-here was not let in/ }).waitFor();
  await page.setViewportSize({ width: 360, height: 740 });
  equal(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), true);
  const shot = Deno.env.get("NEXD_TEST_PICTURES");
  if (shot) {
    await page.getByLabel("What it was done to").selectOption("");
    await changed.waitFor();
    await page.screenshot({ path: `${shot}/audit-phone.png` });
    await page.setViewportSize({ width: 1280, height: 800 });
    await changed.getByText("Details").click();
    await page.screenshot({ path: `${shot}/audit.png` });
  }
  deepEqual(bench.complaints, []);
});
