/** The executable that `deno task compile` makes where Deno's base cannot be had, and how it unpacks. */
import assert from "node:assert/strict";
import { Lab } from "../scripts/lab/mod.ts";
import { cannotMesh, skip } from "../scripts/lab/support.ts";
import { Mesh } from "../scripts/mesh/mod.ts";
import {
  cannotBuild,
  COMMIT,
  copyOfClone,
  executable,
  make,
  run,
  Sandbox,
  temporary,
} from "./executable.ts";

Deno.test("two builds are the same bytes when the clones lie in different places", async () => {
  if (cannotBuild()) return;
  await using dir = await temporary();
  const clone = await copyOfClone(`${dir.path}/elsewhere/clone`);
  await make(clone, `${dir.path}/nexd`);
  const sum = async (path: string) => (await run(["sha256sum", path])).stdout.slice(0, 64);
  assert.equal(await sum(`${dir.path}/nexd`), await sum(await executable()));
});

Deno.test("it says what it is, unpacked or not, in an empty environment", async () => {
  if (cannotBuild()) return;
  await using dir = await temporary();
  const nexd = await executable();
  const facts = { commit: COMMIT, deno: Deno.version.deno, target: Deno.build.target };
  const env = { NEXD_UNPACK_DIR: `${dir.path}/cache` };
  const said = async (path: string) =>
    JSON.parse((await run([path, "version", "--json"], env)).stdout);
  const { version, ...rest } = await said(nexd);
  assert.match(version, /^\d+\.\d+\.\d+/);
  assert.deepEqual(rest, { ...facts, kind: "unpacking" });
  const licenses = (await run([nexd, "version", "--licenses"], env)).stdout;
  assert.match(licenses, /^hono \S+ \(MIT\)\n(.+\n)*-+\n\n.*\n\nCopyright \(c\) /m);

  await run([nexd, "--unpack-to", `${dir.path}/lib/nexd`]);
  await Deno.symlink(`${dir.path}/lib/nexd/nexd`, `${dir.path}/link`);
  assert.deepEqual(await said(`${dir.path}/link`), { version, ...facts, kind: "unpacked" });
  const again = await run([nexd, "--unpack-to", `${dir.path}/lib`], {}, 1);
  assert.match(again.stderr, /cannot unpack to .*\/lib: it is there already/);
});

Deno.test("first starts at once make one directory, and a start that was cut off is not believed", async () => {
  if (cannotBuild()) return;
  await using dir = await temporary();
  const nexd = await executable(), base = `${dir.path}/cache`;
  const env = { NEXD_UNPACK_DIR: base };
  const cut = new Deno.Command(nexd, { args: ["version"], clearEnv: true, env }).spawn();
  while (![...await names(base)].some((name) => name.startsWith(".nexd-"))) await tick();
  cut.kill("SIGKILL");
  await cut.status;
  assert.ok(!(await names(base)).some((name) => name.startsWith("nexd-")));

  const starts = [1, 2, 3].map(() => run([nexd, "version"], env));
  assert.equal(new Set((await Promise.all(starts)).map(({ stdout }) => stdout)).size, 1);
  const made = (await names(base)).filter((name) => name.startsWith("nexd-"));
  assert.equal(made.length, 1);
  const { mode } = await Deno.stat(`${base}/${made[0]}`);
  assert.equal(mode! & 0o777, 0o700);

  // A name without what must be in it was not made by a start.
  await Deno.remove(`${base}/${made[0]}/ready`);
  await run([nexd, "version"], env);
  assert.ok((await names(`${base}/${made[0]}`)).includes("ready"));
});

Deno.test("a newer version removes what an older one left, unless it runs or was started today", async () => {
  if (cannotBuild()) return;
  await using dir = await temporary();
  const nexd = await executable(), base = `${dir.path}/cache`;
  const old = new Date(Date.now() - 3 * 86_400_000);
  for (const name of ["left", "today", "runs"]) {
    await Deno.mkdir(`${base}/nexd-0.0.0-${name}`, { recursive: true });
    await Deno.chmod(`${base}/nexd-0.0.0-${name}`, 0o700);
    await Deno.writeTextFile(`${base}/nexd-0.0.0-${name}/used`, "");
    if (name !== "today") await Deno.utime(`${base}/nexd-0.0.0-${name}/used`, old, old);
  }
  await Deno.copyFile("/bin/sleep", `${base}/nexd-0.0.0-runs/sleep`);
  const sleep = new Deno.Command(`${base}/nexd-0.0.0-runs/sleep`, { args: ["60"] }).spawn();
  try {
    await run([nexd, "version"], { NEXD_UNPACK_DIR: base });
    const left = (await names(base)).filter((name) => name.startsWith("nexd-0.0.0-"));
    assert.deepEqual(left.sort(), ["nexd-0.0.0-runs", "nexd-0.0.0-today"]);
  } finally {
    sleep.kill();
    await sleep.status;
  }
});

Deno.test("it refuses a damaged file and places that others may write to, and names the remedy", async () => {
  if (cannotBuild()) return;
  await using dir = await temporary();
  const bytes = await Deno.readFile(await executable());
  bytes[bytes.length - 1_000_000]! ^= 1;
  await Deno.writeFile(`${dir.path}/damaged`, bytes, { mode: 0o755 });
  const env = { NEXD_UNPACK_DIR: `${dir.path}/cache` };
  const damaged = await run([`${dir.path}/damaged`, "version"], env, 1);
  assert.match(damaged.stderr, /not what was packed.*damaged/s);
  assert.deepEqual(await names(`${dir.path}/cache`), []);

  const open = `${dir.path}/open`;
  await Deno.mkdir(open);
  await Deno.chmod(open, 0o777);
  const refused = await run([await executable(), "version"], { NEXD_UNPACK_DIR: open }, 1);
  assert.match(refused.stderr, /open: belongs to somebody else, or others may write to it/);
  assert.match(refused.stderr, /Set NEXD_UNPACK_DIR to .* nexd --unpack-to \/usr\/lib\/nexd/s);
  // Where names are safe, another's directory by ours is not taken.
  await Deno.chmod(open, 0o1777);
  const base = `${dir.path}/cache`;
  await run([await executable(), "version"], { NEXD_UNPACK_DIR: base });
  const [name] = (await names(base)).filter((name) => name.startsWith("nexd-"));
  if (Deno.uid() !== 0) return skip("only root can give a directory to somebody else");
  await Deno.mkdir(`${open}/${name}`);
  await Deno.chown(`${open}/${name}`, 65534, 65534);
  const taken = await run([await executable(), "version"], { NEXD_UNPACK_DIR: open }, 1);
  assert.match(taken.stderr, /is there and is not ours/);
});

Deno.test("all of its parts run as root in a system without Deno, Node and network", async () => {
  await using box = await Sandbox.make();
  if (box === undefined) return;
  const help = await box.run(["/nexd", "--help"]);
  assert.match(help, /Usage: nexd/);
  assert.match(await box.run(["/nexd", "relay", "--help"]), /--reg-key/);
  const state =
    "--state-dir /tmp/s --certdir /tmp/c --certmode selfsigned --hostname localhost --json";
  for (
    const [words, said] of [
      ["relayderp --dev --json -c /tmp/key --workers 2", /"listening"/],
      [`control ${state}`, /"service_url"/],
      [`serve ${state.replaceAll("/tmp/", "/tmp/serve-")}`, /"service_url"/],
    ] as const
  ) await box.until(["/nexd", ...words.split(" ")], said);
});

Deno.test("the relay runs as nobody on a read-only file system, unpacked in memory or before", async () => {
  await using box = await Sandbox.make();
  if (box === undefined) return;
  await box.run(["/nexd", "--unpack-to", "/usr/lib/nexd"]);
  const nobody = { user: 65534, readOnly: true };
  const words = ["relayderp", "--dev", "--json", "-c", "/run/nexd/key"];
  await box.until(["/nexd", ...words], /"listening"/, nobody);
  await box.until(["/usr/lib/nexd/nexd", ...words], /"listening"/, nobody);
  const refused = await box.until(["/nexd", ...words], /there is no place to unpack/, {
    ...nobody,
    noexec: true,
  });
  assert.match(refused, /\/run\/nexd: does not let programs be started \(noexec\)/);
  assert.match(refused, /\/tmp\/nexd-65534: cannot be made/);
});

Deno.test("two hosts reach each other through the relay when all of them run the executable", async () => {
  if (cannotBuild() || await cannotMesh()) return;
  await using lab = await Lab.create({ hosts: 2, nat: "symmetric" });
  const mesh = await Mesh.start(lab, { agents: ["a", "b"], executable: await executable() });
  await mesh.waitForPath("a", "b", "via-derp-relay", 30_000);
  await mesh.waitForPath("b", "a", "via-derp-relay", 30_000);
  assert.equal((await mesh.ping("a", "b", { count: 10, intervalMs: 20 })).received, 10);
  assert.match(await mesh.statusText("a"), /127\.0\.0\.3/);
});

Deno.test("the unit of a service names the executable and has a place to unpack it", async () => {
  if (cannotBuild()) return;
  if (Deno.build.os !== "linux") return skip("systemd is Linux's");
  await using dir = await temporary();
  const nexd = await executable();
  for (const mode of [[], ["--mode", "serve"]]) {
    const { stdout } = await run([nexd, "install", "--dry-run", ...mode], {
      NEXD_UNPACK_DIR: `${dir.path}/cache`,
    });
    assert.ok(stdout.includes(`ExecStart=${nexd}${mode.length > 0 ? " serve" : ""}\n`), stdout);
    assert.match(stdout, /^\s*CacheDirectory=nexd$/m);
  }
});

const tick = () => new Promise((resolve) => setTimeout(resolve, 1));

async function names(dir: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(dir))).map(({ name }) => name);
  } catch {
    return [];
  }
}
