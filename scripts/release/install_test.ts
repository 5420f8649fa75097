import { deepEqual, equal, match, ok } from "node:assert/strict";
import { skip } from "../lab/support.ts";
import { exists, program, type Ran, SCRIPT, sha256, SHELLS, Site, TARGET } from "./install_site.ts";

const HERE = Deno.build.os !== "linux"
  ? "install.sh is tested on Linux"
  : ["curl", "wget"].some((name) => exists(`/usr/bin/${name}`))
  ? undefined
  : "neither curl nor wget is installed";

/** A test that skips where install.sh does not belong. */
function test(name: string, run: (site: Site) => Promise<void>): void {
  Deno.test(name, async () => {
    if (HERE !== undefined) return skip(HERE);
    await using site = new Site();
    await run(site);
  });
}

/** It failed with one sentence, and what was there before is all that is there. */
function failed({ code, err }: Ran, sentence: RegExp, site: Site, left: string[] = []): void {
  match(err, sentence);
  equal(code, 1);
  equal(err.trim().split("\n").length, 1, err);
  deepEqual(site.left(), left);
}

for (const shell of SHELLS) {
  test(`install.sh installs, and a second time does nothing, when ${shell[0]} runs it`, async (site) => {
    const text = await site.release("1.2.3");
    const args = ["--from", `${site.url}/`, "--prefix", site.bin];
    const first = await site.run(args, { shell });
    equal(first.code, 0, first.err);
    match(first.out, /Installed nexd 1\.2\.3 as .*\/bin\/nexd\.\n.*is not in PATH/);
    equal(site.installed(), text);
    equal(Deno.statSync(`${site.bin}/nexd`).mode! & 0o777, 0o755);
    const second = await site.run(args, { shell });
    deepEqual([second.code, second.err], [0, ""]);
    match(second.out, /is nexd 1\.2\.3 already/);
    deepEqual(site.asked, ["/SHA256SUMS", `/nexd-${TARGET}`, "/SHA256SUMS"]);
    deepEqual(site.left(), ["nexd"]);
    await site.release("1.2.4", { sum: "1".repeat(64) });
    failed(await site.run(args, { shell }), /SHA-256 is [0-9a-f]{64} instead of 1{64}/, site, [
      "nexd",
    ]);
    equal(site.installed(), text);
  });
}

test("install.sh verifies with what the machine has when sha256sum is absent", async (site) => {
  await site.release("1.2.3", { sum: "2".repeat(64) });
  const bare = site.fakes({});
  const tools = "sh uname ldd getconf grep mkdir mktemp sed chmod mv rm id tr wget".split(" ");
  const link = (name: string) => {
    const found = ["/usr/bin", "/bin"].map((dir) => `${dir}/${name}`).find(exists);
    if (found !== undefined) Deno.symlinkSync(found, `${bare}/${name}`);
    return found !== undefined;
  };
  tools.forEach(link);
  if (!exists(`${bare}/wget`)) return skip("wget is not installed");
  const env = { PATH: bare };
  const args = ["--from", site.url, "--prefix", site.bin];
  failed(await site.run(args, { env }), /none of sha256sum, shasum and openssl/, site);
  deepEqual(site.asked, []);
  for (const name of ["openssl", "shasum"]) {
    if (!exists(`/usr/bin/${name}`)) continue;
    link(name);
    if (name === "shasum") link("perl");
    failed(await site.run(args, { env }), /is [0-9a-f]{64} instead of 2{64}/, site);
    await site.release("1.2.3");
    equal((await site.run(args, { env })).code, 0);
    Deno.removeSync(site.bin, { recursive: true });
    await site.release("1.2.3", { sum: "2".repeat(64) });
    Deno.removeSync(`${bare}/${name}`);
  }
});

for (const tool of ["curl", "wget"]) {
  test(`install.sh leaves nothing when the server fails and ${tool} downloads`, async (site) => {
    if (!exists(`/usr/bin/${tool}`)) return skip(`${tool} is not installed`);
    // What is not to be used is not found: the tool's own directory has many others.
    const path = tool === "curl" ? "" : site.fakes({});
    const env: Record<string, string> = {};
    if (tool === "wget") {
      for (const dir of ["/usr/bin", "/bin"]) {
        for (const { name } of Deno.readDirSync(dir)) {
          if (name !== "curl" && !exists(`${path}/${name}`)) {
            Deno.symlinkSync(`${dir}/${name}`, `${path}/${name}`);
          }
        }
      }
      env.PATH = path;
    }
    const install = () => site.run(["--from", site.url, "--prefix", site.bin], { env });
    failed(await install(), /cannot download .*\/SHA256SUMS: .*404/s, site);
    const text = await site.release("1.2.3");
    site.files.delete(`/nexd-${TARGET}`);
    failed(await install(), new RegExp(`cannot download .*/nexd-${TARGET}: .*404`), site);
    site.files.set(`/nexd-${TARGET}`, text.slice(0, 20));
    failed(await install(), /is not what was released/, site);
    // Gone in the middle: fewer bytes than were promised.
    site.files.set(`/nexd-${TARGET}`, () =>
      new Response(
        new ReadableStream({
          start(controller) {
            controller.enqueue(new TextEncoder().encode(text.slice(0, 20)));
            controller.close();
          },
        }),
        { headers: { "content-length": String(text.length) } },
      ));
    failed(await install(), /cannot download .*nexd-|is not what was released/, site);
    site.files.set(`/nexd-${TARGET}`, text);
    equal((await install()).code, 0);
  });
}

test("install.sh names what is wrong when the list has no line, or two, for the machine", async (site) => {
  await site.release("1.2.3");
  const sums = site.files.get("/SHA256SUMS") as string;
  site.files.set("/SHA256SUMS", sums.replace(/ nexd-(\S+)\n$/, " other-$1\n"));
  failed(await site.install(), /does not name nexd-\S+ once; nothing was installed/, site);
  site.files.set("/SHA256SUMS", sums + sums);
  failed(await site.install(), /does not name nexd-\S+ once/, site);
  site.files.set("/SHA256SUMS", "<html>sign in to the hotel</html>");
  failed(await site.install(), /does not name nexd-\S+ once/, site);
});

test("install.sh takes the file of the machine when uname names it otherwise", async (site) => {
  const cases: [string, string, string][] = [
    ["Linux", "aarch64", "aarch64-unknown-linux-gnu"],
    ["Linux", "amd64", "x86_64-unknown-linux-gnu"],
    ["Darwin", "arm64", "aarch64-apple-darwin"],
    ["Darwin", "x86_64", "x86_64-apple-darwin"],
  ];
  for (const [system, machine, target] of cases) {
    const text = program(`9.9.9-${target}`);
    site.files.set(`/nexd-${target}`, text);
    site.files.set("/SHA256SUMS", `${await sha256(text)}  nexd-${target}\n`);
    const path = site.fakes({ uname: `[ "$1" = -m ] && echo ${machine} || echo ${system}` });
    const ran = await site.run(["--from", site.url, "--prefix", site.bin], { path });
    equal(ran.code, 0, ran.err);
    equal(site.installed(), text);
  }
  // A shell that Rosetta translates.
  const path = site.fakes({
    uname: `[ "$1" = -m ] && echo x86_64 || echo Darwin`,
    sysctl: `[ "$*" = "-n sysctl.proc_translated" ] && echo 1`,
  });
  const ran = await site.run(["--from", site.url, "--prefix", `${site.dir}/rosetta`], { path });
  match(ran.err, /does not name nexd-aarch64-apple-darwin once/);
});

test("install.sh refuses in one sentence when there is no executable for the machine", async (site) => {
  await site.release("1.2.3");
  const on = (uname: string, fakes: Record<string, string> = {}) =>
    site.run(["--from", site.url, "--prefix", site.bin], { path: site.fakes({ uname, ...fakes }) });
  const linux = (machine: string) => `[ "$1" = -m ] && echo ${machine} || echo Linux`;
  failed(await on(linux("riscv64")), /processor riscv64, only for x86_64 and aarch64/, site);
  failed(await on("echo FreeBSD"), /no executable for FreeBSD/, site);
  failed(await on("exit 1"), /uname does not work/, site);
  const musl = { ldd: "echo 'musl libc (x86_64)' >&2; exit 1" };
  failed(await on(linux("x86_64"), musl), /musl and nexd needs glibc/, site);
  failed(await on(linux("aarch64"), { getconf: "echo 32" }), /runs 32-bit programs/, site);
  deepEqual(site.asked, []);
});

test("install.sh refuses a file that the list names when it does not run here", async (site) => {
  site.files.set(`/nexd-${TARGET}`, "\x7fELF of another world");
  const sum = await sha256("\x7fELF of another world");
  site.files.set("/SHA256SUMS", `${sum} *nexd-${TARGET}\n`);
  failed(await site.install(), /does not run on this system; nothing was installed/, site);
});

test("install.sh takes a version's own directory, and refuses another version in it", async (site) => {
  await site.release("1.2.3", { at: "/v1.2.3" });
  await site.release("1.0.0", { at: "/v2.0.0" });
  equal((await site.install("--version", "v1.2.3")).code, 0);
  failed(
    await site.install("--version", "2.0.0"),
    /gave version 1\.0\.0 instead of 2\.0\.0/,
    site,
    ["nexd"],
  );
  equal(site.installed(), program("1.2.3"));
  match((await site.install("--version", "../../x")).err, /"\.\.\/\.\.\/x" is not a version/);
});

test("install.sh says what to do when the directory cannot be written", async (site) => {
  await site.release("1.2.3");
  Deno.writeTextFileSync(`${site.dir}/file`, "");
  const under = await site.run(["--from", site.url, "--prefix", `${site.dir}/file/bin`]);
  failed(
    under,
    /cannot make the directory .*file\/bin; choose one with --prefix, or use sudo/,
    site,
  );
  Deno.mkdirSync(`${site.bin}/nexd`, { recursive: true });
  failed(await site.install(), /nexd is a directory; choose another/, site, ["nexd"]);
  match((await site.install("--uninstall")).err, /is a directory, which this script did not make/);
  Deno.removeSync(`${site.bin}/nexd`);
  if (Deno.uid() !== 0) return skip("only root can become a user without rights");
  // The tree and the test's directories may be closed to that user: the script comes as text.
  const { code, stderr } = await new Deno.Command("sh", {
    args: ["-c", Deno.readTextFileSync(SCRIPT), "sh", "--from", site.url, "--prefix", "/usr"],
    cwd: "/",
    uid: 65534,
    gid: 65534,
  }).output();
  match(new TextDecoder().decode(stderr), /cannot write to \/usr; choose a directory/);
  equal(code, 1);
  deepEqual(site.asked, []);
});

test("install.sh goes to the user's own directory when it is not root", async (site) => {
  await site.release("1.2.3");
  const path = site.fakes({ id: "echo 1000" });
  const ran = await site.run([], { path, env: { NEXD_INSTALL_URL: site.url } });
  equal(ran.code, 0, ran.err);
  equal(Deno.readTextFileSync(`${site.dir}/.local/bin/nexd`), program("1.2.3"));
});

test("install.sh replaces the executable when it runs, and that goes on", async (site) => {
  await site.release("1.2.3");
  Deno.mkdirSync(site.bin);
  Deno.copyFileSync("/bin/sleep", `${site.bin}/nexd`);
  const old = Deno.statSync(`${site.bin}/nexd`).ino;
  await using running = new Deno.Command(`${site.bin}/nexd`, { args: ["600"] }).spawn();
  const ran = await site.install();
  equal(ran.code, 0, ran.err);
  equal(site.installed(), program("1.2.3"));
  ok(Deno.statSync(`${site.bin}/nexd`).ino !== old);
  running.kill("SIGTERM"); // throws if it has ended
  equal((await running.status).signal, "SIGTERM");
});

test("install.sh removes the executable and nothing else when asked to", async (site) => {
  await site.release("1.2.3");
  equal((await site.install()).code, 0);
  Deno.writeTextFileSync(`${site.bin}/other`, "");
  match((await site.install("--uninstall")).out, /Removed .*\/bin\/nexd\. Configuration and state/);
  deepEqual(site.left(), ["other"]);
  const again = await site.install("--uninstall");
  deepEqual([again.code, /nothing to remove/.test(again.out)], [0, true]);
});

test("install.sh names the mistake when its command line is wrong", async (site) => {
  match((await site.run(["--help"])).out, /Usage: install\.sh \[options\]/);
  match((await site.run(["--prefix"])).err, /--prefix takes a value/);
  match((await site.run(["--colour"])).err, /"--colour" is not an option/);
  match(
    (await site.run(["--from", "ftp://x", "--prefix", site.bin])).err,
    /"ftp:\/\/x\/SHA256SUMS" is not a URL/,
  );
  match((await site.run(["--prefix", site.bin])).err, /belongs to no release/);
  deepEqual(site.left(), []);
});

test("install.sh calls no program when it is cut off anywhere", async (site) => {
  const whole = Deno.readTextFileSync(SCRIPT);
  equal(new TextEncoder().encode(whole).length, whole.length, "ASCII: bytes are characters");
  const names = "uname id mkdir mktemp curl wget rm mv chmod sed grep sysctl ldd getconf".split(
    " ",
  );
  const path = site.fakes(
    Object.fromEntries(names.map((name) => [name, `echo ${name} >>${site.dir}/called`])),
  );
  // Around each line's end, all of the last lines, and some places between.
  const cuts = new Set<number>();
  for (let at = 0; at < whole.length; at += 37) cuts.add(at);
  for (let at = 0; at < whole.length; at++) if (whole[at] === "\n") cuts.add(at).add(at + 1);
  for (let at = whole.length - 120; at < whole.length - 2; at++) cuts.add(at);
  cuts.delete(whole.length);
  cuts.delete(whole.length - 1); // only the last line's end is missing: that is all of it
  const all = [...cuts].sort((a, b) => a - b);
  for (const shell of SHELLS) {
    const places = shell === SHELLS[0] ? all : all.filter((_, i) => i % 4 === 0);
    const run = async (head: string) => {
      const child = new Deno.Command(shell[0]!, {
        args: [...shell.slice(1), "-s", "--", "--from", "http://127.0.0.1:1", "--prefix", site.bin],
        clearEnv: true,
        env: { PATH: `${path}:${Deno.env.get("PATH")}`, HOME: site.dir },
        stdin: "piped",
        stdout: "null",
        stderr: "null",
      }).spawn();
      const writer = child.stdin.getWriter();
      await writer.write(new TextEncoder().encode(head)).then(() => writer.close(), () => {});
      await child.status;
    };
    for (let i = 0; i < places.length; i += 8) {
      await Promise.all(places.slice(i, i + 8).map((at) => run(whole.slice(0, at))));
    }
    deepEqual(exists(`${site.dir}/called`), false, shell[0]!);
    await run(whole);
    ok(exists(`${site.dir}/called`), "the whole script calls programs");
    Deno.removeSync(`${site.dir}/called`);
  }
});
