/** Signing in to the dashboard in a real browser: at our own issuer's page, and at another issuer's. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { skip } from "../../scripts/lab/support.ts";
import { CLI, TestIdp, WEB } from "../oidc/testing.ts";
import { Bench } from "./testing.ts";

Deno.test("dashboard takes only the answer of the sign-in that its tab began, and keeps none of it", async () => {
  const refusal = Bench.refusal();
  if (refusal !== undefined) return skip(refusal);
  await using bench = await Bench.start();
  const { page } = bench;
  const alert = page.getByRole("alert");

  // What another page may lead a browser to: a code of the attacker's own.
  await page.goto(`${bench.url}/ui/?code=stolen&state=guessed`);
  await alert.getByText("it was begun in another tab, or is over").waitFor();
  equal(page.url(), `${bench.url}/ui/`);

  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL(/\/oauth\/authorize/);
  const asked = new URL(page.url()).searchParams;
  const secrets = ["state", "nonce", "code_challenge"].map((name) => asked.get(name)!);
  ok(secrets.every((secret) => secret.length >= 43) && new Set(secrets).size === 3);
  equal(asked.get("code_challenge_method"), "S256");
  await page.goto(`${bench.url}/ui/?code=x&state=another&iss=https://auth.localhost`);
  await alert.getByText("the answer is not that of this sign-in").waitFor();
  equal(page.url(), `${bench.url}/ui/`);
  await page.goto(`${bench.url}/ui/?error=access_denied&state=x`);
  await alert.getByText("Cannot sign in").waitFor();

  // A page that was asked for is there afterwards; the code is in no address.
  await page.goto(`${bench.url}/ui/#keys`);
  await page.reload();
  await page.waitForURL(/\/oauth\/authorize/);
  await page.getByLabel("User name").fill("admin");
  await page.getByLabel("Password").fill(bench.control.password!);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Registration keys" }).waitFor();
  equal(page.url(), `${bench.url}/ui/#keys`);
  const stored = await page.evaluate("JSON.stringify({ ...sessionStorage, ...localStorage })");
  deepEqual(Object.keys(JSON.parse(stored as string)), ["nexd.session"]);

  // A link to elsewhere is not followed with a session either, and a reload keeps that.
  await page.goto(`${bench.url}/ui/?code=stolen&state=guessed#devices`);
  await page.getByText("No host has joined this VPC yet").waitFor();

  // Somebody new gets a link, makes an account there, and is a member.
  await page.getByRole("link", { name: "People" }).click();
  await page.getByRole("button", { name: "Invite" }).click();
  await page.getByLabel("E-mail address").fill("new@control.test");
  await page.getByRole("dialog").getByRole("button", { name: "Invite" }).click();
  const link = await page.locator("li code").textContent();
  await page.goto(link!);
  await page.getByLabel("User name").fill("newcomer");
  await page.getByLabel("Password", { exact: true }).fill("correct horse");
  await page.getByLabel("Password again").fill("correct horse");
  await page.getByRole("button", { name: "Make an account" }).click();
  await page.getByRole("heading", { name: "You are a member of admin" }).waitFor();
  deepEqual(bench.complaints, []);
});

Deno.test("dashboard signs in at an independent issuer and out again, under the same policy", async () => {
  const refusal = Bench.refusal();
  if (refusal !== undefined) return skip(refusal);
  await using idp = await TestIdp.start("https://not.yet.test/ui/");
  idp.claims = { preferred_username: "kim" };
  await using bench = await Bench.start({
    ...{ issuer: idp.url, clientId: CLI, webClientId: WEB, audience: "account" },
    ...{ operators: [], caCerts: idp.caCerts },
  });
  const { page } = bench;
  idp.redirect = `${bench.url}/ui/`;
  // With the same keys: those that were new a moment ago are not asked for again at once.
  idp.begin();

  const policies: string[] = [];
  page.on("response", (response) => {
    const { pathname, origin } = new URL(response.url());
    if (origin === bench.url && pathname === "/ui/") {
      policies.push(response.headers()["content-security-policy"] ?? "");
    }
  });
  await page.goto(`${bench.url}/`);
  await page.getByPlaceholder("Enter any login").fill("kim");
  await page.getByPlaceholder("and password").fill("anything");
  await page.getByRole("button", { name: "Sign-in" }).click();
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByText("No host has joined this VPC yet").waitFor();
  equal(page.url(), `${bench.url}/ui/`);
  await page.getByText("kim", { exact: true }).waitFor();
  ok(policies.length > 0);
  for (const policy of policies) match(policy, /connect-src 'self';/);
  // The session is gone on with by a reload, with a token that comes by the control plane.
  await page.reload();
  await page.getByText("No host has joined this VPC yet").waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in to nexd" }).waitFor();
  equal(await page.evaluate("sessionStorage.length + localStorage.length"), 0);
  deepEqual(bench.complaints, []);
});
