import { deepEqual, equal, match, ok, rejects, throws } from "node:assert/strict";
import { createHash } from "node:crypto";
import { skip } from "../lab/support.ts";
import { formula, readChecksums } from "./brew.ts";
import { PackageError } from "./errors.ts";
import { machineOf } from "./facts.ts";
import { manual, troff } from "./manual.ts";
import { readExecutable } from "./executable.ts";
import { makePackages, type PackageFormat, parseArguments } from "./mod.ts";
import { librariesOf, withDirectories } from "./oci.ts";
import { settings } from "./settings.ts";
import { type Member, tar } from "./tar.ts";
import { units } from "./units.ts";
import { windowsFiles } from "./windows.ts";

/** Runs a program that may not be installed; undefined, after a skip line, when it is not. */
async function tool(
  program: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<{ code: number; text: string } | undefined> {
  try {
    const { code, stdout, stderr } = await new Deno.Command(program, { args, env }).output();
    const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    return { code, text };
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    skip(`${program} is not installed`);
    return undefined;
  }
}

async function inDirectory(test: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await test(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("package takes formats and says what it cannot take", () => {
  const { formats, quick, json } = parseArguments(["--format=deb", "--format", "rpm", "--json"]);
  deepEqual([formats, quick, json], [["deb", "rpm"], false, true]);
  for (
    const [args, words] of [
      [[], /--format is missing: choose deb, rpm, oci, brew, windows/],
      [["--format", "msi"], /--format msi: choose deb,/],
      [["--format", "brew"], /needs --checksums FILE and --base-url URL/],
      [["--bogus"], /'--bogus'.*; see --help/],
      [["nexd"], /'nexd'.*; see --help/],
    ] as [string[], RegExp][]
  ) {
    throws(
      () => parseArguments(args),
      (error) => error instanceof PackageError && error.exitCode === 2 && words.test(error.message),
    );
  }
});

Deno.test("package reads an executable's machine from its header", () => {
  const header = new Uint8Array(20);
  header.set([0x7f, 0x45]);
  header[18] = 0xb7;
  deepEqual(machineOf(header, "x"), { deb: "arm64", rpm: "aarch64", oci: "arm64" });
  throws(() => machineOf(new Uint8Array(20), "/x/deno"), /\/x\/deno is no executable of Linux/);
  throws(() => machineOf(new Uint8Array(0), "/x/deno"), PackageError);
});

Deno.test("package's archives are what tar reads", () =>
  inDirectory(async (directory) => {
    const deep = `${"d".repeat(60)}/${"e".repeat(60)}/f`;
    const members: Member[] = withDirectories([
      {
        kind: "file",
        path: "a/b",
        mode: 0o640,
        content: new TextEncoder().encode("x".repeat(513)),
      },
      { kind: "file", path: deep, mode: 0o644, content: new Uint8Array() },
      { kind: "link", path: "a/l", target: "../b" },
      { kind: "directory", path: "t", mode: 0o1777, uid: 65532 },
    ]);
    const bytes = tar(members, 86_400);
    deepEqual(tar(members, 86_400), bytes);
    await Deno.writeFile(`${directory}/x.tar`, bytes);
    const told = await tool("tar", ["--utc", "--numeric-owner", "-tvf", `${directory}/x.tar`]);
    if (told === undefined) return;
    equal(told.code, 0, told.text);
    const lines = told.text.trim().split("\n").map((line) => line.split(/\s+/));
    deepEqual(lines.map(([mode, owner, size, , , path]) => [mode, owner, size, path]), [
      ["drwxr-xr-x", "0/0", "0", "a/"],
      ["-rw-r-----", "0/0", "513", "a/b"],
      ["lrwxrwxrwx", "0/0", "0", "a/l"],
      ["drwxr-xr-x", "0/0", "0", `${"d".repeat(60)}/`],
      ["drwxr-xr-x", "0/0", "0", `${"d".repeat(60)}/${"e".repeat(60)}/`],
      ["-rw-r--r--", "0/0", "0", deep],
      ["drwxrwxrwt", "65532/65532", "0", "t/"],
    ]);
    ok(lines.every((line) => line[3] === "1970-01-02"));
    const long: Member = { kind: "directory", path: "n".repeat(120), mode: 0o755 };
    throws(() => tar([long], 0), PackageError);
  }));

Deno.test("package's formula has every machine's checksum and is Ruby", () =>
  inDirectory(async (directory) => {
    const names = ["aarch64", "x86_64"].flatMap((machine) =>
      ["apple-darwin", "unknown-linux-gnu"].map((system) => `nexd-${machine}-${system}`)
    );
    const list = names.map((name, i) => `${String(i).repeat(64)}  ${name}\n`).join("");
    const text = formula("1.2.3", "https://host.test/v1.2.3/", readChecksums(list));
    for (const [i, name] of names.entries()) {
      ok(
        text.includes(
          `url "https://host.test/v1.2.3/${name}"\n      sha256 "${`${i}`.repeat(64)}"`,
        ),
      );
    }
    throws(() => formula("1.2.3", "https://h", new Map()), /no nexd-aarch64-apple-darwin/);
    throws(() => formula("1.2.3", 'https://h"#{x}', readChecksums(list)), /--base-url/);
    for (const bad of ["x  nexd", `${"0".repeat(64)}  a"b`, `${list}${list}`]) {
      throws(() => readChecksums(bad), PackageError);
    }
    await Deno.writeTextFile(`${directory}/nexd.rb`, text);
    const checked = await tool("ruby", ["-wc", `${directory}/nexd.rb`]);
    if (checked !== undefined) deepEqual(checked, { code: 0, text: "Syntax OK\n" });
  }));

Deno.test("package's scripts for Windows have the service made by nexd install, and brackets in pairs", () => {
  const files = windowsFiles();
  match(files["install.ps1"]!, /'nexd\.exe'\) install @args/);
  match(files["uninstall.ps1"]!, /& \$nexd uninstall/);
  for (const [name, text] of Object.entries(files)) {
    ok(!/[^\r]\n/.test(text), name);
    // There is no PowerShell here to say more.
    for (const [open, close] of ["()", "{}", "[]"]) {
      equal(text.split(open!).length, text.split(close!).length, `${name}: ${open}${close}`);
    }
  }
});

Deno.test("package's manual keeps troff from reading text as requests, and man reads it", () =>
  inDirectory(async (directory) => {
    equal(troff(".SH x\n'y -z\\ü"), "\\&.SH x\n\\&'y \\-z\\e\\[u00FC]");
    const flag = { flag: "--x", help: ".hidden", value: true, choices: [] };
    const below = { name: "b", description: "'b", flags: [flag], args: ["c"], commands: [] };
    const tree = { name: "a", description: "A", flags: [], args: [], commands: [below] };
    const page = manual(tree, "1", 0);
    match(page, /^\.SS "nexd b \\fIc\\fR"$/m);
    match(page, /^\\fB\\-\\-x\\fR \\fIVALUE\\fR\n\\&\.hidden$/m);
    await Deno.writeTextFile(`${directory}/nexd.1`, page);
    const read = await tool("man", ["--warnings", "-E", "UTF-8", "-l", `${directory}/nexd.1`], {
      MANPAGER: "cat",
      MANWIDTH: "100",
    });
    if (read === undefined) return;
    equal(read.code, 0, read.text);
    ok(!/warning/.test(read.text), read.text);
  }));

Deno.test("package's settings name every variable once, commented out", () => {
  for (const [name, text] of Object.entries(settings())) {
    const names = [...text.matchAll(/^#([A-Z_]+)=/gm)].map((found) => found[1]!);
    ok(names.length > 5, name);
    equal(new Set(names).size, names.length);
    deepEqual(text.split("\n").filter((line) => line !== "" && !line.startsWith("#")), []);
    ok(text.split("\n").every((line) => line.length <= 110), name);
  }
});

Deno.test("package's units are well locked up in systemd's eyes", () =>
  inDirectory(async (directory) => {
    for (const [name, text] of Object.entries(units())) {
      const path = `${directory}/${name}.service`;
      await Deno.writeTextFile(path, text);
      // 30 of 100, which systemd shows as 3.0.
      const told = await tool("systemd-analyze", [
        ...["security", "--offline=yes", "--no-pager", "--threshold=30", path],
      ]);
      if (told === undefined) return;
      equal(told.code, 0, told.text.slice(-300));
      match(text, /^EnvironmentFile=-\/etc\/default\/nexd/m);
      match(text, /^ExecStart=\/usr\/bin\/nexd/m);
    }
  }));

Deno.test("package finds a program's libraries in what ldd says", () => {
  const said = "\tlinux-vdso.so.1 (0x1)\n\tlibm.so.6 => /lib/x/libm.so.6 (0x2)\n" +
    "\tlibq.so => not found\n\t/lib64/ld-linux-x86-64.so.2 (0x3)\n";
  deepEqual(librariesOf(said), ["/lib/x/libm.so.6", "/lib64/ld-linux-x86-64.so.2"]);
});

Deno.test("package makes the same bytes twice, wherever and whenever it is built", () =>
  inDirectory(async (directory) => {
    if (await tool("dpkg-deb", ["--version"]) === undefined) return;
    const formats: PackageFormat[] = ["deb", "oci", "windows"];
    if (await tool("rpmbuild", ["--version"]) !== undefined) formats.push("rpm");
    // Any program with libraries stands in for the runtime, and a script for the launcher.
    const sums = [];
    for (const build of ["a", "b"]) {
      const [program, output] = [`${directory}/program-${build}`, `${directory}/${build}/out`];
      for (const name of build === "a" ? ["app", "runtime"] : ["runtime", "app"]) {
        await Deno.mkdir(`${program}/${name}`, { recursive: true });
      }
      await Deno.copyFile("/bin/true", `${program}/runtime/nexd`);
      await Deno.writeTextFile(`${program}/app/main.js`, "0;\n");
      await Deno.writeTextFile(`${program}/nexd`, "#!/bin/sh\necho completion\n");
      await Deno.chmod(`${program}/nexd`, build === "a" ? 0o755 : 0o700);
      const made = await makePackages({
        ...{ formats, executable: program, output, quick: false, json: false, help: false },
      });
      deepEqual(made.map(({ format }) => format), formats);
      const bytes = await Promise.all(
        made.filter(({ format }) => format !== "windows").map(({ path }) => Deno.readFile(path)),
      );
      sums.push(bytes.map((one) => createHash("sha256").update(one).digest("hex")));
    }
    deepEqual(sums[0], sums[1]);
    await rejects(readExecutable(`${directory}/a`), /has no file nexd; make it with/);
    await rejects(readExecutable(`${directory}/none`), /There is no directory .*none; leave/);
  }));
