import assert from "node:assert/strict";
import { installLaunchd, type LaunchdOptions, uninstallLaunchd } from "./mod.ts";

const SERVICE = {
  launcher: ["/usr/local/bin/nexd"],
  words: ["relay"],
  variables: new Map([["NEXD_REG_KEY", "https://h#RK:secret"]]),
};
const PLIST = "/Library/LaunchDaemons/nexd.service.plist";

/**
 * launchctl in memory, with the statuses and texts of launchctl(1) of macOS 13: `print` of what is
 * not loaded ends with 113, `bootstrap` of what is loaded with 5, `bootout` comes back with 36 while
 * the service still ends.
 */
async function withMac(
  test: (options: LaunchdOptions, calls: string[], told: string[]) => Promise<void>,
): Promise<void> {
  const root = await Deno.makeTempDir();
  const calls: string[] = [], told: string[] = [];
  let loaded = false, ending = 0;
  const run = (program: string, args: readonly string[]) => {
    assert.equal(program, "/bin/launchctl");
    const say = (code: number, stderr = "") => Promise.resolve({ code, stdout: "", stderr });
    if (args[0] === "print") {
      if (ending > 0 && --ending === 0) loaded = false;
      return loaded
        ? say(0)
        : say(113, 'Could not find service "nexd.service" in domain for system\n');
    }
    calls.push(args.join(" "));
    if (args[0] === "bootstrap") {
      if (loaded) return say(5, "Bootstrap failed: 5: Input/output error\n");
      loaded = true;
    }
    if (args[0] === "bootout") {
      ending = 2;
      return say(36, "Boot-out failed: 36: Operation now in progress\n");
    }
    return say(0);
  };
  try {
    const options: LaunchdOptions = {
      ...{ name: "nexd", root, dryRun: false, run },
      tell: (line) => told.push(line),
    };
    await test(options, calls, told);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

const ENABLE = "enable system/nexd.service", BOOTOUT = "bootout system/nexd.service";
const BOOTSTRAP = `bootstrap system ${PLIST}`;

Deno.test("launchd runs the service, anew when it changed, and uninstall takes all back", () =>
  withMac(async (options, calls) => {
    const { root } = options;
    const settings = `${root}/etc/nexd/nexd.json`;
    await installLaunchd(SERVICE, options);
    assert.deepEqual(calls.splice(0), [ENABLE, BOOTSTRAP]);
    const text = await Deno.readTextFile(root + PLIST);
    assert.match(text, /<string>service-run<\/string>\s*<string>\/etc\/nexd\/nexd\.json</);
    assert(!text.includes("secret")); // anybody may ask launchd for what is in the list
    if (Deno.build.os !== "windows") {
      assert.equal((await Deno.stat(settings)).mode! & 0o777, 0o600);
      assert.equal((await Deno.stat(root + PLIST)).mode! & 0o777, 0o644);
    }
    assert.deepEqual(JSON.parse(await Deno.readTextFile(settings)), {
      words: ["relay"],
      log: "/var/log/nexd.log",
      variables: { NEXD_REG_KEY: "https://h#RK:secret" },
    });

    // Again, without settings: those of before stay, and it is only started if it does not run.
    await installLaunchd({ ...SERVICE, variables: undefined }, options);
    assert.deepEqual(calls.splice(0), [ENABLE, "kickstart system/nexd.service"]);
    await installLaunchd({ ...SERVICE, words: [] }, options);
    assert.deepEqual(calls.splice(0), [ENABLE, BOOTOUT, BOOTSTRAP]);

    await uninstallLaunchd(options);
    assert.deepEqual(calls.splice(0), [BOOTOUT]);
    for (const path of [settings, root + PLIST]) {
      await assert.rejects(Deno.stat(path), Deno.errors.NotFound);
    }
    await uninstallLaunchd(options);
    assert.deepEqual(calls, []);
  }));

Deno.test("launchd's lists of others are left alone, and a dry run changes nothing", () =>
  withMac(async (options, calls, told) => {
    const { root } = options;
    await installLaunchd(SERVICE, { ...options, dryRun: true });
    await uninstallLaunchd({ ...options, dryRun: true });
    assert.deepEqual([calls, [...Deno.readDirSync(root)]], [[], []]);
    assert(told.some((line) => line.includes("<key>KeepAlive</key>")));
    assert(!told.join().includes("secret"));
    await Deno.mkdir(`${root}/Library/LaunchDaemons`, { recursive: true });
    await Deno.writeTextFile(root + PLIST, "<plist/>");
    for (const go of [() => installLaunchd(SERVICE, options), () => uninstallLaunchd(options)]) {
      await assert.rejects(go(), /was not written by nexd install; move it away/);
    }
    assert.equal(await Deno.readTextFile(root + PLIST), "<plist/>");
  }));

Deno.test("launchd's refusal is told with where to look", () =>
  withMac(async (options) => {
    const run: LaunchdOptions["run"] = (_program, args) =>
      Promise.resolve({
        code: args[0] === "print" ? 113 : args[0] === "bootstrap" ? 5 : 0,
        stdout: "",
        stderr: "Bootstrap failed: 5: Input/output error\n",
      });
    await assert.rejects(
      installLaunchd(SERVICE, { ...options, run }),
      /bootstrap .* failed: Bootstrap failed: 5: Input\/output error; run as root, and see/,
    );
    await assert.rejects(
      installLaunchd({ ...SERVICE, launcher: ["/opt/a\nb"] }, options),
      { exitCode: 2 },
    );
  }));
