/** Organizations, VPCs, relays and groups of devices in a real browser, by keyboard where it matters. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { skip } from "../../scripts/lab/support.ts";
import type { Device, Organization, RelayRegion } from "../api/types.ts";
import { Bench } from "./testing.ts";

Deno.test("dashboard makes organizations and VPCs, chooses between them, and says why it cannot", async () => {
  const refusal = Bench.refusal();
  if (refusal !== undefined) return skip(refusal);
  await using bench = await Bench.start();
  const { page } = bench;
  const { device } = await bench.join("web-1");
  await bench.admin("POST", "/api/security-groups", {
    vpc_id: device.vpc_id,
    description: "web servers",
  });
  await bench.signIn();

  // A device changes its group.
  await page.getByRole("button", { name: "Security group of web-1" }).press("Enter");
  await page.getByRole("dialog").getByRole("combobox").selectOption({ label: "web servers" });
  await page.getByRole("dialog").getByRole("button", { name: "Assign" }).press("Enter");
  await page.getByRole("status").getByText("web-1 is in the group web servers").waitFor();
  const { security_group_id } = await bench.admin<Device>("GET", `/api/devices/${device.id}`);
  ok(security_group_id !== device.security_group_id);

  await page.getByRole("link", { name: "Organizations" }).click();
  await page.getByRole("button", { name: "New organization" }).click();
  await page.getByLabel("Name", { exact: true }).fill("branch");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "branch", exact: true }).waitFor();
  await page.getByRole("button", { name: "New organization" }).click();
  await page.getByLabel("Name", { exact: true }).fill("branch");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").getByText("there is one of that name").waitFor();
  await page.keyboard.press("Escape");

  await page.getByRole("button", { name: "New VPC in branch" }).click();
  await page.getByLabel("What it is for").fill("workshop");
  await page.getByLabel("With address ranges of its own").check();
  await page.getByLabel("IPv4 range").fill("10.0.0.0/33");
  await page.getByLabel("IPv6 range").fill("fd64::/64");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").getByText("10.0.0.0/33").waitFor();
  await page.getByLabel("IPv4 range").fill("10.64.0.0/16");
  await page.keyboard.press("Enter");
  await page.getByText("10.64.0.0/16, fd64::/64, of its own").waitFor();
  const choice = page.getByRole("combobox", { name: /^VPC/ });
  equal(await choice.locator("option:checked").textContent(), "workshop (10.64.0.0/16)");
  await page.getByRole("link", { name: "Devices" }).click();
  await page.getByText("No host has joined this VPC yet").waitFor();
  await choice.selectOption({ value: device.vpc_id });
  await page.getByRole("heading", { name: "web-1" }).waitFor();

  await page.getByRole("link", { name: "Organizations" }).click();
  await page.getByRole("button", { name: "Delete branch" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByRole("heading", { name: "branch", exact: true }).waitFor({ state: "detached" });

  // Invited, and not any more.
  await page.getByRole("link", { name: "People" }).click();
  await page.getByRole("button", { name: "Invite" }).click();
  await page.getByLabel("E-mail address").fill("carla@example.org");
  await page.getByRole("dialog").getByRole("combobox").selectOption("owner");
  await page.getByRole("dialog").getByRole("button", { name: "Invite" }).click();
  await page.getByRole("heading", { name: "carla@example.org" }).waitFor();
  await page.getByRole("button", { name: "Withdraw" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Withdraw" }).click();
  await page.getByRole("heading", { name: "carla@example.org" }).waitFor({ state: "detached" });
  deepEqual(bench.complaints, []);
});

Deno.test("dashboard lets the operator add, change, drain and delete relays, and nobody else", async () => {
  const refusal = Bench.refusal();
  if (refusal !== undefined) return skip(refusal);
  await using bench = await Bench.start();
  const { page } = bench;
  const host = await bench.join("web-1");
  await bench.online(host);
  await bench.tell(host, {
    peers: [],
    more: 0,
    relays: [
      { hostname: "r.example", port: 443, home: true, latency_ms: 9.5 },
      { hostname: "own.example", port: 8443, home: false, error: "no answer" },
    ],
  });
  await bench.signIn();
  await page.getByRole("link", { name: "Relays" }).click();
  await page.getByText("Known to every agent").waitFor();
  equal(await page.getByRole("button", { name: "Drain" }).count(), 0, "the built-in one stays");

  await page.getByRole("button", { name: "Add a relay" }).press("Enter");
  await page.getByLabel("Host name").fill("not a name");
  await page.getByRole("dialog").getByRole("button", { name: "Add" }).click();
  await page.getByRole("alert").getByText("hostname").waitFor();
  await page.getByLabel("Host name").fill("r.example");
  await page.getByRole("dialog").getByRole("button", { name: "Add" }).click();
  const card = page.getByRole("listitem", { name: "r.example" });
  await card.getByText("1 of 1 are reached here").waitFor();
  await card.getByText("9.5 ms in the middle").waitFor();
  await page.getByText("1 cannot use it").waitFor();

  await card.getByRole("button", { name: "Edit" }).click();
  await page.getByLabel("Name", { exact: true }).fill("Frankfurt");
  await page.getByLabel("Weight").fill("7");
  await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
  const renamed = page.getByRole("listitem", { name: "Frankfurt" });
  await renamed.getByText("weight 7").waitFor();
  await renamed.getByRole("button", { name: "Drain" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Drain" }).click();
  await renamed.getByText("Drained").waitFor();
  const [row] = await bench.admin<RelayRegion[]>("GET", "/api/relay-regions");
  deepEqual([row!.name, row!.weight, row!.drained], ["Frankfurt", 7, true]);
  await renamed.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText("Known to every agent").waitFor();

  // Who is not the operator sees relays, and no buttons.
  await bench.admin("POST", "/api/relay-regions", { hostname: "other.example" });
  await page.getByRole("button", { name: "Edit other.example" }).waitFor();
  await bench.control.store.db.updateTable("accounts").set({ operator: 0 }).execute();
  await page.reload();
  await page.getByRole("listitem", { name: "other.example" }).waitFor();
  for (const name of [/^Add a relay/, /^Edit/, /^Drain/, /^Delete/]) {
    equal(await page.getByRole("button", { name }).count(), 0, String(name));
  }
  equal((await bench.admin<Organization[]>("GET", "/api/organizations")).length, 1);
  deepEqual(bench.complaints, []);
});
