/** Whether everybody can use the dashboard: axe's rules on every page, and a phone's width. */
import { deepEqual, equal } from "node:assert/strict";
import axe from "axe-core";
import { skip } from "../../scripts/lab/support.ts";
import { seed } from "../../scripts/dashboard/seed.ts";
import { Bench } from "./testing.ts";

const PAGES = [
  ...["devices", "network", "keys", "groups", "relays", "people", "vpcs", "audit"],
  ...["accounts", "account"],
];

Deno.test("dashboard's pages break no rule of axe in light and dark, and fit a phone", async () => {
  const refusal = Bench.refusal();
  if (refusal !== undefined) return skip(refusal);
  await using bench = await Bench.start();
  const { page } = bench;
  const broken: string[] = [];
  // From outside of the page: its policy lets no other script in.
  const examine = async (where: string) => {
    const { violations } = await page.evaluate(
      `(() => { ${axe.source}; return axe.run(document, { resultTypes: ["violations"] }); })()`,
    ) as { violations: { id: string; nodes: { target: unknown[] }[] }[] };
    for (const { id, nodes } of violations) {
      broken.push(`${where}: ${id}: ${nodes.map(({ target }) => target.join()).join(" ")}`);
    }
  };
  await page.goto(`${bench.url}/ui/`);
  await page.getByLabel("User name").waitFor();
  await examine("sign-in");
  await seed(bench);
  await bench.signIn();
  await page.getByText("12 devices, 10 online").waitFor();
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    for (const name of PAGES) {
      await page.goto(`${bench.url}/ui/#${name}`);
      await page.locator(`a[href="#${name}"][aria-current]`).waitFor();
      if (name === "network") {
        await page.getByRole("combobox", { name: /^Host/ }).selectOption({ label: "web-1" });
        await page.getByText("relayed by").first().waitFor();
      }
      if (name === "audit") await page.getByText("Details").first().waitFor();
      await examine(`${name}, ${colorScheme}`);
    }
  }
  for (
    const [where, button] of [
      ["relays", "Add a relay"],
      ["accounts", "New account"],
      ["account", "Change the password"],
    ] as const
  ) {
    await page.goto(`${bench.url}/ui/#${where}`);
    await page.getByRole("button", { name: button }).click();
    await page.getByRole("dialog").waitFor();
    await examine(`the dialog of ${button}`);
    await page.keyboard.press("Escape");
  }
  deepEqual(broken, []);

  await page.setViewportSize({ width: 390, height: 844 });
  for (const name of PAGES) {
    await page.goto(`${bench.url}/ui/#${name}`);
    await page.locator(`a[href="#${name}"][aria-current]`).waitFor();
    equal(await page.evaluate("document.documentElement.scrollWidth"), 390, `${name} is wider`);
  }
  deepEqual(bench.complaints, []);
});
