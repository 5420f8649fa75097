/** Requests made of the API's own description, with values that do not fit it. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { Document, Operation, Schema } from "../../api/openapi/mod.ts";
import { CALLS } from "./routes.ts";
import { CALLERS, World } from "./world.ts";

/** Fewer where it takes long to begin anew. */
const RUNS = Deno.env.has("NEXD_TEST_POSTGRES") ? 300 : 1500;

/** Texts that mean something to a database, a header, a path, a terminal or a parser. */
const HOSTILE = [
  "",
  "'; DROP TABLE devices; --",
  '" OR ""="',
  "%",
  "_",
  "\\",
  "\0",
  "\ud800",
  "a\r\nx-injected: 1",
  "../../etc/passwd",
  "%2e%2e%2f",
  "${7*7}{{7*7}}",
  "\u202e\u0007\u001b[2J",
  "kätzchen 🐈",
  "__proto__",
  "constructor",
  "null",
  "1e400",
  "00000000-0000-0000-0000-000000000000",
  "ffffffff-ffff-ffff-ffff-ffffffffffff",
  "0.0.0.0/0",
  "::/0",
  "x".repeat(5000),
];
const NUMBERS = [0, -1, 1, 0.5, 2 ** 31, -(2 ** 31) - 1, 2 ** 53, 1e308, 65535, 65536];

const text = fc.oneof(fc.constantFrom(...HOSTILE), fc.string({ maxLength: 40 }));
const scalar = fc.oneof(
  text,
  fc.constantFrom<unknown>(...NUMBERS, true, false, null),
);
const anything: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    scalar,
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(text, tie("value"), { maxKeys: 4 }),
  ),
})).value as fc.Arbitrary<unknown>;

/** Values for a schema: mostly of its form, at times anything at all. */
function valuesOf(
  schema: Schema | undefined,
  document: Document,
  depth = 0,
): fc.Arbitrary<unknown> {
  if (!schema || depth > 6) return anything;
  if (schema.$ref) {
    return valuesOf(document.components!.schemas![schema.$ref.split("/").at(-1)!], document, depth);
  }
  const fitting = fit(schema, document, depth);
  return fc.oneof({ arbitrary: fitting, weight: 24 }, { arbitrary: anything, weight: 1 });
}

function fit(schema: Schema, document: Document, depth: number): fc.Arbitrary<unknown> {
  const parts = schema.anyOf ?? schema.oneOf;
  if (parts) return fc.oneof(...parts.map((part) => valuesOf(part, document, depth + 1)));
  const [type] = [schema.type ?? "anything"].flat();
  switch (type) {
    case "object": {
      const fields = Object.entries(schema.properties ?? {})
        .map(([name, inner]) => [name, valuesOf(inner, document, depth + 1)] as const);
      if (fields.length === 0) return fc.dictionary(text, anything, { maxKeys: 4 });
      return fc.record(Object.fromEntries(fields), { requiredKeys: [] });
    }
    case "array":
      return fc.array(valuesOf(schema.items, document, depth + 1), { maxLength: 3 });
    case "string":
      return schema.format === "uuid" ? fc.oneof(fc.constant("<id>"), fc.uuid(), text) : text;
    case "boolean":
      return fc.boolean();
    case "integer":
    case "number":
      return fc.oneof(fc.constantFrom(...NUMBERS), fc.integer());
    default:
      return anything;
  }
}

interface Shot {
  route: string;
  /** In place of those that the route is about. */
  params: string[] | undefined;
  query: [string, string][];
  body: unknown;
  caller: typeof CALLERS[number];
  ids: number[];
}

/** Requests to any route of the description. */
function shots(document: Document): fc.Arbitrary<Shot> {
  const routes = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation }))
  ).filter(({ path }) => path.startsWith("/api/"));
  const option = fc.tuple(
    fc.constantFrom("sort", "filter", "range", "prefix", "key", "gt_revision"),
    fc.oneof(text, anything.map((value) => JSON.stringify(value) ?? "")),
  );
  return fc.constantFrom(...routes).chain(({ path, method, operation }) =>
    fc.record({
      route: fc.constant(`${method.toUpperCase()} ${path}`),
      params: fc.option(
        fc.array(fc.oneof(fc.constant("<id>"), text), { minLength: 3, maxLength: 3 }),
        { nil: undefined, freq: 2 },
      ),
      query: fc.array(option, { maxLength: 2 }),
      body: bodyOf(operation, document),
      caller: fc.constantFrom(...CALLERS, "owner", "owner", "owner"),
      ids: fc.array(fc.nat(100), { minLength: 8, maxLength: 8 }),
    })
  );
}

function bodyOf(operation: Operation, document: Document): fc.Arbitrary<unknown> {
  const schema = operation.requestBody?.content?.["application/json"]?.schema;
  return schema ? valuesOf(schema, document) : fc.constant(undefined);
}

/** Sends a request, with ids of what there is in the places for them. */
async function fire(world: World, shot: Shot): Promise<{ status: number; text: string }> {
  const known = Object.values(world.targets);
  const numbers = [...shot.ids];
  const id = () => known[(numbers.shift() ?? 0) % known.length]!;
  const filled = (value: string) => value === "<id>" ? id() : value;
  const [method, template] = shot.route.split(" ") as [string, string];
  const params = shot.params?.map(filled) ?? CALLS[shot.route]!.params?.(world.targets) ?? [];
  const path = template.replaceAll(/\{[\w-]+\}/g, () => encode(params.shift() ?? "x"));
  const query = shot.query.map(([name, value]) => `${name}=${encode(value)}`).join("&");
  const body = shot.body === undefined
    ? undefined
    : JSON.stringify(shot.body, (_, value) => value === "<id>" ? id() : value) ?? "";
  const bearer = world.bearers[shot.caller];
  const response = await world.control.app.request(`https://api.control.test${path}?${query}`, {
    method,
    headers: bearer === undefined ? {} : { authorization: `Bearer ${bearer}` },
    ...(body === undefined || method === "GET" ? {} : { body }),
  });
  const { status, headers } = response;
  assert.equal(headers.get("x-injected"), null);
  if (headers.get("content-type")?.includes("stream=watch")) {
    await response.body!.cancel();
    return { status, text: "" };
  }
  return { status, text: await response.text() };
}

/** Statuses of a route's answers, as the description has them. */
function told(document: Document, route: string): Set<number> {
  const [method, path] = route.split(" ") as [string, string];
  return new Set(Object.keys(document.paths[path]![method.toLowerCase()]!.responses!).map(Number));
}

/** Percent-encoding of any text; half a surrogate pair has none, and stays out. */
function encode(value: string): string {
  return encodeURIComponent(value.toWellFormed());
}

Deno.test("no request that the description allows, or almost, fails inside, or is answered otherwise than it says", async () => {
  let world = await World.start();
  try {
    const { body } = await world.control.call("GET", "/openapi/doc.json");
    const done = new Set<string>();
    await fc.assert(
      fc.asyncProperty(shots(body), async (shot) => {
        const { status, text } = await fire(world, shot);
        const what = `${shot.route} as ${shot.caller}: ${status} ${text}`;
        assert.ok(status < 500, what);
        // Without an id the path is another one.
        assert.ok(shot.params?.includes("") || told(body, shot.route).has(status), what);
        if (status >= 300) return;
        done.add(shot.route);
        // The next ones shall find something again.
        if (!/^(DELETE|POST .*\/token)/.test(shot.route)) return;
        await world[Symbol.asyncDispose]();
        world = await World.start();
      }),
      { numRuns: RUNS },
    );
    // Otherwise all of it was stopped at the door.
    assert.ok(done.size > RUNS / 75, [...done].join());
  } finally {
    await world[Symbol.asyncDispose]();
  }
});

Deno.test("no request of a stranger or of nobody reads or changes what is another's", async () => {
  await using world = await World.start();
  const { control, targets } = world;
  const { body } = await control.call("GET", "/openapi/doc.json");
  const { db } = control.store;
  /** What the organization holds. */
  const held = async () => {
    const vpc = targets.vpc;
    return JSON.stringify(
      await Promise.all([
        db.selectFrom("organizations").selectAll().where("id", "=", targets.organization).execute(),
        db.selectFrom("memberships").selectAll()
          .where("organization_id", "=", targets.organization).orderBy("user_id").execute(),
        db.selectFrom("invitations").selectAll()
          .where("organization_id", "=", targets.organization).orderBy("id").execute(),
        db.selectFrom("service_networks").selectAll()
          .where("organization_id", "=", targets.organization).orderBy("id").execute(),
        db.selectFrom("vpcs").selectAll()
          .where("organization_id", "=", targets.organization).orderBy("id").execute(),
        db.selectFrom("security_groups").selectAll().where("vpc_id", "=", vpc).orderBy("id")
          .execute(),
        db.selectFrom("reg_keys").selectAll().where("vpc_id", "=", vpc).orderBy("id").execute(),
        db.selectFrom("devices").selectAll().where("vpc_id", "=", vpc).orderBy("id").execute(),
        db.selectFrom("device_metadata").selectAll().where("vpc_id", "=", vpc).orderBy("key")
          .execute(),
      ]),
    );
  };
  const before = await held();
  await fc.assert(
    fc.asyncProperty(shots(body), fc.constantFrom("stranger", "nobody"), async (shot, caller) => {
      const { text } = await fire(world, { ...shot, caller: caller as Shot["caller"] });
      // Names of what there is, which no request of theirs holds; ids they may name themselves.
      for (const name of ["lab vpc", "lab group", "lab key", "lab-one", "lab sn"]) {
        assert.ok(!text.includes(name), `${shot.route} as ${caller} tells ${name}`);
      }
    }),
    { numRuns: RUNS },
  );
  assert.equal(await held(), before);
});
