/** The picture of a VPC in a real browser. */
import { deepEqual, equal } from "node:assert/strict";
import { skip } from "../../scripts/lab/support.ts";
import type { PeerPath } from "../api/types.ts";
import { Bench } from "./testing.ts";

/** Runs, or breaks the page, wherever a name is more than text. */
const HOSTILE = `"><img src=x onerror="document.title='owned'">`;

Deno.test("dashboard draws the paths that hosts tell, live, and those of which nobody tells as unknown", async () => {
  const refusal = Bench.refusal();
  if (refusal !== undefined) return skip(refusal);
  await using bench = await Bench.start();
  const { page } = bench;
  const [a, b, c, d] = [
    await bench.join("alpha"),
    await bench.join("beta"),
    await bench.join(HOSTILE),
    await bench.join("delta"),
  ];
  for (const host of [a, b, c, d]) await bench.online(host);
  const tell = (way: Partial<PeerPath>, relayed: Partial<PeerPath> = {}) =>
    bench.tell(a, {
      peers: [
        {
          device_id: b.device.id,
          ...{ path: "direct", healthy: true, reason: "same network", latency_ms: 1.5 },
          ...way,
        },
        {
          device_id: c.device.id,
          ...{ path: "relayed", healthy: true, reason: HOSTILE, relay: "r.example" },
          ...relayed,
        },
      ],
      more: 0,
      relays: [],
    });
  await tell({});

  await bench.signIn();
  await page.getByRole("link", { name: "Network" }).click();
  const hosts = page.locator("svg").getByRole("button");
  await hosts.nth(3).waitFor();
  await page.getByRole("img", { name: "r.example: relay r.example" }).waitFor();
  equal(await page.locator("line.direct").count(), 1);
  equal(await page.locator("line.relayed").count(), 2);
  equal(await page.locator("line.unknown").count(), 0);

  // By keyboard: the ways of one host, each with its reason.
  await hosts.filter({ hasText: "alpha" }).press("Enter");
  const panel = page.getByRole("region", { name: "Paths of alpha" });
  const ways = panel.getByRole("listitem");
  await ways.nth(2).waitFor();
  deepEqual(await ways.allTextContents(), [
    `${HOSTILE}relayed by r.example${HOSTILE}`,
    "beta1.5 msdirectsame network",
    "deltaunknownneither host tells: other agents do not",
  ]);
  equal(await page.locator("line.unknown").count(), 1);
  equal(await page.locator("main img, main script").count(), 0);

  // What changes is seen without a reload.
  const relayed = { path: "relayed", relay: "r.example" } as const;
  await tell({ ...relayed, latency_ms: 40 }, { healthy: false });
  // The other side's word fills in where the first has none.
  await bench.tell(d, {
    peers: [{ device_id: a.device.id, path: "direct", healthy: true, reason: "I know" }],
    more: 0,
    relays: [],
  });
  await panel.getByText("I know").waitFor();
  await panel.getByText("40 ms").waitFor();
  await panel.getByText("no connection").waitFor();

  await page.getByRole("combobox", { name: /^Host/ }).selectOption({ label: "All" });
  await page.getByRole("heading", { name: "Paths", exact: true }).waitFor();
  equal(await page.title(), "nexd");
  deepEqual(bench.complaints, []);
});
