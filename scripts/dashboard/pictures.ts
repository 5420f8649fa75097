/**
 * Pictures of the dashboard for the README, made of a control plane with a small company's VPC:
 * `deno run -A scripts/dashboard/pictures.ts`. With `--all DIRECTORY` every page, light and dark, wide
 * and on a phone, is put there instead, for people to look at.
 */
import { fileURLToPath } from "node:url";
import type { RelayRegion } from "../../control/api/types.ts";
import { Bench } from "../../control/dashboard/testing.ts";
import { seed } from "./seed.ts";

const print = (line: string) => void Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
const DOCS = fileURLToPath(new URL("../../docs/", import.meta.url));
/** The host whose paths are shown. */
const HOST = { label: "web-1" };
/** Largest picture of the repository, bytes. */
const MAX_BYTES = 150 * 1024;
const PAGES = [
  ...["network", "devices", "keys", "groups", "relays", "people", "vpcs", "audit"],
  ...["accounts", "account"],
];
const SIZES = { wide: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };

async function settled(bench: Bench, page: string): Promise<void> {
  await bench.page.goto(`${bench.url}/ui/#${page}`);
  await bench.page.getByText("Live", { exact: true }).waitFor();
  if (page === "network") {
    await bench.page.getByRole("combobox", { name: /^Host/ }).selectOption(HOST);
  }
  await bench.page.waitForTimeout(300);
}

/** Relays that are not there answer nobody: for a picture they are said to. */
async function pretend({ page }: Bench): Promise<void> {
  const wave = (i: number, middle: number, part: number) =>
    middle * (1 + part * Math.sin(i / 9) + part * 0.4 * Math.sin(i * 1.7));
  const points = (scale: number) =>
    Array.from({ length: 120 }, (_, i) => ({
      at: new Date(Date.now() - (120 - i) * 30_000).toISOString(),
      latency_ms: Math.round(wave(i, 11 * scale, 0.1) * 10) / 10,
      clients: Math.round(wave(i + 30, 60 / scale, 0.15)),
      bytes_per_second: Math.round(wave(i + 60, 9e6 / scale, 0.5)),
    }));
  const scales = [1, 7];
  const seen = new Map<string, ReturnType<typeof points>>();
  await page.route("**/api/relay-regions", async (route) => {
    const response = await route.fetch();
    const rows = await response.json() as RelayRegion[];
    const json = rows.map((row, i) => {
      const all = seen.get(row.id) ?? points(scales[i]!);
      seen.set(row.id, all);
      const { at, latency_ms, clients, bytes_per_second } = all.at(-1)!;
      const health = { state: "up", latency_ms, checked_at: at };
      return { ...row, health, load: { clients, bytes_per_second } };
    });
    await route.fulfill({ response, json });
  });
  await page.route("**/trend", (route) => {
    const id = route.request().url().split("/").at(-2)!;
    return route.fulfill({ json: { points: seen.get(id) ?? [] } });
  });
}

async function all(bench: Bench, directory: string): Promise<void> {
  await Deno.mkdir(directory, { recursive: true });
  for (const [name, size] of Object.entries(SIZES)) {
    await bench.page.setViewportSize(size);
    for (const colorScheme of ["light", "dark"] as const) {
      await bench.page.emulateMedia({ colorScheme });
      for (const page of PAGES) {
        await settled(bench, page);
        const path = `${directory}/${page}-${name}-${colorScheme}.png`;
        await bench.page.screenshot({ path, fullPage: name === "phone" });
        const wider = await bench.page.evaluate(
          "document.documentElement.scrollWidth > document.documentElement.clientWidth",
        );
        if (wider) print(`${path} scrolls sideways`);
      }
    }
  }
}

if (import.meta.main) {
  await using bench = await Bench.start();
  await seed(bench);
  await bench.signIn();
  await bench.page.getByRole("button", { name: "Sign out" }).waitFor();
  const at = Deno.args.indexOf("--all");
  await pretend(bench);
  if (at >= 0) await all(bench, Deno.args[at + 1] ?? "pictures");
  else {
    for (const [page, file] of [["network", "dashboard.png"], ["relays", "dashboard-relays.png"]]) {
      await settled(bench, page!);
      const path = `${DOCS}${file}`;
      await bench.page.screenshot({ path });
      const { size } = await Deno.stat(path);
      print(`${path}: ${size} bytes`);
      if (size > MAX_BYTES) throw new Error(`${path} is larger than ${MAX_BYTES} bytes`);
    }
  }
  for (const complaint of bench.complaints) print(`the page complains: ${complaint}`);
}
