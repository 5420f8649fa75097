/** Accounts in a real browser: the operator's page, and one's own. */
import { deepEqual, equal, match } from "node:assert/strict";
import { skip } from "../../scripts/lab/support.ts";
import type { Account } from "../users/types.ts";
import { Bench } from "./testing.ts";

/** Runs, or breaks the page, wherever a name is more than text. */
const HOSTILE = `"><img src=x onerror="document.title='owned'">`;

Deno.test("dashboard lets the operator keep accounts, live, and tells a made password once", async () => {
  const refusal = Bench.refusal();
  if (refusal !== undefined) return skip(refusal);
  await using bench = await Bench.start();
  const { page } = bench;
  await bench.signIn();
  await page.getByRole("link", { name: "Accounts", exact: true }).click();
  await page.getByText("Operator, your own").waitFor();
  const dialog = page.getByRole("dialog");
  const card = (name: string) => page.getByRole("listitem", { name, exact: true });

  // By keyboard; the password is made, and shown until the page is left.
  await page.getByRole("button", { name: "New account" }).press("Enter");
  await page.getByLabel("User name").fill("not a name");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").getByText("username").waitFor();
  await page.getByLabel("User name").fill("kim");
  await page.getByLabel("Full name").fill(HOSTILE);
  await page.getByLabel("E-mail address").fill("kim@example.org");
  await page.keyboard.press("Enter");
  await page.getByRole("status").getByText("kim is made").waitFor();
  const made = await card("kim").getByLabel("Password of kim").first().textContent() ?? "";
  match(made, /^\S{16,}$/);
  await card("kim").getByText("onerror").waitFor();
  equal(await page.locator("main img").count(), 0);
  equal((await passwordGrant(bench, "kim", made)).status, 200);
  await page.getByRole("link", { name: "Keys" }).click();
  await page.getByRole("link", { name: "Accounts", exact: true }).click();
  await card("kim").waitFor();
  equal(await page.getByText(made).count(), 0);

  // What another operator does is seen by itself.
  await bench.admin("POST", "/api/accounts", { username: "sol", password: "correct horse" });
  await card("sol").waitFor();
  await page.getByLabel("Find by name or address").fill("KIM@");
  await card("sol").waitFor({ state: "detached" });
  await page.getByLabel("Find by name or address").fill("");

  await page.getByRole("button", { name: "Edit kim" }).click();
  await page.getByLabel("Full name").fill("Kim B");
  await page.getByLabel("Operator").check();
  await dialog.getByRole("button", { name: "Save" }).click();
  await card("kim").getByText("Kim B, kim@example.org").waitFor();
  await card("kim").getByText("Operator", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Disable kim" }).click();
  await dialog.getByRole("button", { name: "Disable" }).click();
  await card("kim").getByText("Disabled").waitFor();
  equal((await passwordGrant(bench, "kim", made)).status, 400);
  await page.getByRole("button", { name: "Enable kim" }).click();
  await dialog.getByRole("button", { name: "Enable" }).click();
  await card("kim").getByText("Operator", { exact: true }).waitFor();

  await page.getByRole("button", { name: "Password of sol" }).click();
  await dialog.getByLabel("Password").fill("another horse");
  await dialog.getByRole("button", { name: "Set" }).click();
  await page.getByRole("status").getByText("sol has another password").waitFor();
  equal(await card("sol").locator("code").count(), 0, "it is no news to who typed it");
  equal((await passwordGrant(bench, "sol", "another horse")).status, 200);
  await page.getByRole("button", { name: "Delete sol" }).click();
  await dialog.getByRole("button", { name: "Delete" }).click();
  await card("sol").waitFor({ state: "detached" });
  const rows = await bench.admin<Account[]>("GET", "/api/accounts");
  deepEqual(rows.map(({ username, operator }) => [username, operator]), [["admin", true], [
    "kim",
    true,
  ]]);

  // Who is the operator no more has the page no more.
  equal(await page.getByRole("button", { name: /^(Disable|Delete) admin/ }).count(), 0);
  await page.getByRole("button", { name: "Edit admin" }).click();
  await page.getByLabel("Operator").uncheck();
  await dialog.getByRole("button", { name: "Save" }).click();
  await page.getByRole("link", { name: "Accounts", exact: true }).waitFor({ state: "detached" });
  await page.getByText("No host has joined this VPC yet").waitFor();
  deepEqual(bench.complaints, []);
});

Deno.test("dashboard changes one's own password, which ends all other sessions and not this one", async () => {
  const refusal = Bench.refusal();
  if (refusal !== undefined) return skip(refusal);
  await using bench = await Bench.start();
  const { page } = bench;
  const old = bench.control.password!, next = "correct horse battery";
  const other = (await passwordGrant(bench, "admin", old)).body.access_token as string;
  await bench.signIn();
  await page.getByRole("link", { name: "admin: Your account" }).click();
  await page.getByText("runs this control plane").waitFor();

  const fill = async (...texts: string[]) => {
    const labels = [/^Old password/, /^New password, at/, /^New password again/];
    for (const [i, text] of texts.entries()) await page.getByLabel(labels[i]!).fill(text);
    await page.getByRole("dialog").getByRole("button", { name: "Change" }).click();
  };
  await page.getByRole("button", { name: "Change the password" }).press("Enter");
  await fill(old, next, `${next}!`);
  await page.getByRole("alert").getByText("the new passwords are not the same").waitFor();
  await fill("wrong one", next, next);
  await page.getByRole("alert").getByText("old_password: it is wrong").waitFor();
  await fill(old, next, next);
  await page.getByRole("status").getByText("Your password is changed").waitFor();

  // The stream ended with the old tokens, and begins anew with the new ones.
  await page.getByRole("link", { name: "Devices" }).click();
  await bench.join("web-1");
  await page.getByRole("heading", { name: "web-1" }).waitFor();
  await page.reload();
  await page.getByRole("heading", { name: "web-1" }).waitFor();
  const gone = await fetch(`${bench.url}/api/users/me`, {
    client: bench.client,
    headers: { authorization: `Bearer ${other}` },
  });
  await gone.body?.cancel();
  equal(gone.status, 401);
  equal((await passwordGrant(bench, "admin", old)).status, 400);
  equal((await passwordGrant(bench, "admin", next)).status, 200);
  deepEqual(bench.complaints, []);
});

async function passwordGrant({ url, client }: Bench, username: string, password: string) {
  const response = await fetch(`${url}/oauth/token`, {
    method: "POST",
    body: new URLSearchParams({
      ...{ grant_type: "password", client_id: "nexodus-cli", username, password },
      scope: "read:users",
    }),
    client,
  });
  return { status: response.status, body: await response.json() as Record<string, unknown> };
}
