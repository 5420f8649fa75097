import { fileURLToPath } from "node:url";
import { Lab } from "../lab/mod.ts";
import { findPostgres, startPostgres } from "../lab/postgres.ts";
import { cannotMesh, skip } from "../lab/support.ts";
import { blocksOf } from "./blocks.ts";
import { NAMES, PAGES, PLACES } from "./pages.ts";
import { Stage } from "./stage.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

const STUN = `${ROOT}scripts/mesh/inside.ts`;

/**
 * Runs the commands of a page in their order, on hosts of a lab of its own. Prints a reason and
 * returns where this machine has not what that needs.
 *
 * @param after further commands and what to do with what each printed
 * @throws {Error} with page, line, host and command when one fails, or prints another thing than shown
 */
export async function playPage(
  path: string,
  after: (run: (host: string, command: string) => Promise<string>) => Promise<void> =
    async () => {},
): Promise<void> {
  const page = PAGES.find((page) => page.path === path);
  if (page === undefined) throw new Error(`${path} is not in scripts/documents/pages.ts`);
  const blocks = blocksOf(path, await Deno.readTextFile(ROOT + path));
  if (await cannotMesh()) return;
  const curl = blocks.some(({ manner, steps }) =>
    manner.kind === "run" && steps.some(({ command }) => /^(sudo )?curl /.test(command))
  );
  if (curl && !await isInstalled("curl")) return skip("curl is not installed");
  if (page.postgres && findPostgres() === undefined) return skip("there is no PostgreSQL");
  await using stack = new AsyncDisposableStack();
  const postgres = page.postgres ? await startPostgres() : undefined;
  if (postgres !== undefined) stack.defer(() => postgres.stop());
  const lab = stack.use(await Lab.create({ hosts: page.hosts, nat: page.nat }));
  const { usual } = page;
  const stage = new Stage({
    ...{ lab, usual, names: NAMES, places: PLACES },
    ...(postgres === undefined ? {} : { postgres }),
  });
  await stage.prepare();
  if (page.stun) {
    const relay = lab.host("relay");
    const argv = [Deno.execPath(), "run", "-A", STUN, "stun", relay.address];
    await (await relay.spawn(argv, { log: "stun" })).waitFor(/^ready$/, 30_000);
  }
  if (page.before !== undefined) {
    await stage.step("control", "nexd serve --hostname nexd.example.org --certmode selfsigned");
    const signIn = "nexd user login --service-url https://nexd.example.org --ca sha256:…";
    await stage.step("control", `${signIn} --username admin`);
  }
  if (page.before === "mesh") {
    const join = "nexd --reg-key 'https://nexd.example.org#RK:…' --ca sha256:…";
    const joining = lab.hosts.filter(({ name }) => !(name in NAMES));
    await Promise.all(joining.map(({ name }) => stage.step(name, join)));
  }
  for (const block of blocks) await stage.run(block);
  await after((host, command) => stage.step(host, command));
}

async function isInstalled(program: string): Promise<boolean> {
  const args = ["-c", 'command -v "$1" >/dev/null', "sh", program];
  return (await new Deno.Command("sh", { args }).output()).success;
}
