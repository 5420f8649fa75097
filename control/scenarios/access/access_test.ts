import assert from "node:assert/strict";
import { TestControl } from "../../testing.ts";
import { CALLS } from "./routes.ts";
import { type Caller, CALLERS, World } from "./world.ts";

const TABLE = new URL("../../../docs/control-access.md", import.meta.url);

/** The cells of a line of a Markdown table. */
function cells(line: string): string[] {
  return line.split("|").slice(1, -1).map((cell) => cell.trim());
}

/** The table of the document: for each route, what each caller is answered. */
function documented(): Map<string, string[]> {
  const lines = Deno.readTextFileSync(TABLE).split("\n").filter((line) => line.startsWith("| "));
  const [head, , ...rows] = lines.map(cells);
  assert.deepEqual(head, ["route", ...CALLERS]);
  return new Map(rows.map(([route, ...row]) => [route!.replaceAll("`", ""), row]));
}

/** Sends a route's call; its status, and `none` behind it when a list lacks the target. */
async function answered(world: World, caller: Caller, route: string): Promise<string> {
  const { params, body, shows } = CALLS[route]!;
  const [method, template] = route.split(" ") as [string, string];
  const values = params?.(world.targets) ?? [];
  const path = template.replaceAll(/\{[\w-]+\}/g, () => encodeURIComponent(values.shift()!));
  const bearer = world.bearers[caller];
  const response = await world.control.fetch(method, path, bearer, body?.(world));
  const { status } = response;
  if (response.headers.get("content-type")?.includes("stream=watch")) {
    await response.body!.cancel();
    return String(status);
  }
  const text = await response.text();
  leaksNothing(world, caller, route, status, text);
  const unseen = shows && status === 200 && !text.includes(world.targets[shows]);
  return unseen ? `${status} none` : String(status);
}

/** No answer tells a caller what is not its own. */
function leaksNothing(world: World, caller: Caller, route: string, status: number, text: string) {
  const where = `${route} as ${caller}`;
  const { owner: token } = world.secrets;
  if (caller !== "owner") assert.ok(!text.includes(token!), `${where} tells another's key`);
  if (status < 400 && caller !== "stranger" && caller !== "nobody") return;
  const values = CALLS[route]!.params?.(world.targets) ?? [];
  for (const [name, id] of Object.entries(world.targets)) {
    // What the caller named itself it may hear again.
    if (!values.includes(id)) assert.ok(!text.includes(id), `${where} tells the id of ${name}`);
  }
  assert.ok(!text.includes("lab"), `${where} tells a name: ${text}`);
}

Deno.test("every route answers every caller as the table says, and a refusal changes nothing", async () => {
  const table = documented();
  await using shared = await World.start();
  const before = await shared.content();
  const wrong: string[] = [];
  for (const [route, row] of table) {
    for (const [i, caller] of CALLERS.entries()) {
      const expected = row[i]!;
      const writes = !route.startsWith("GET ") && Number(expected.split(" ")[0]) < 400;
      const world = writes ? await World.start() : shared;
      const got = await answered(world, caller, route);
      if (got !== expected) wrong.push(`${route} as ${caller}: ${got}, not ${expected}`);
      if (writes) await world[Symbol.asyncDispose]();
    }
  }
  assert.deepEqual(wrong, []);
  assert.equal(await shared.content(), before);
});

Deno.test("the table has every route of the API, and no other", async () => {
  await using control = await TestControl.start();
  const { body } = await control.call("GET", "/openapi/doc.json");
  const routes = Object.entries(body.paths as Record<string, object>)
    .filter(([path]) => path.startsWith("/api/"))
    .flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`)
    );
  assert.deepEqual([...documented().keys()].sort(), routes.sort());
  assert.deepEqual(Object.keys(CALLS).sort(), routes.sort());
});
