/**
 * Pictures of the dashboard for the README, made of a control plane with a small company's VPC:
 * `deno run -A scripts/dashboard/pictures.ts`. With `--all DIRECTORY` every page, light and dark, wide
 * and on a phone, is put there instead, for people to look at.
 */
import { Bench } from "../../control/dashboard/testing.ts";
import { seed } from "./seed.ts";

const print = (line: string) => void Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
const DOCS = new URL("../../docs/", import.meta.url).pathname;
/** The host whose paths are shown. */
const HOST = { label: "web-1" };
/** Largest picture of the repository, bytes. */
const MAX_BYTES = 150 * 1024;
const PAGES = ["network", "devices", "keys", "groups", "relays", "people", "vpcs"];
const SIZES = { wide: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };

async function settled(bench: Bench, page: string): Promise<void> {
  await bench.page.goto(`${bench.url}/ui/#${page}`);
  await bench.page.getByText("Live", { exact: true }).waitFor();
  if (page === "network") {
    await bench.page.getByRole("combobox", { name: /^Host/ }).selectOption(HOST);
  }
  await bench.page.waitForTimeout(300);
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
