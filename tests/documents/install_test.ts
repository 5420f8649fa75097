import { deepEqual, equal } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import config from "../../deno.json" with { type: "json" };
import { blocksOf } from "../../scripts/documents/mod.ts";
import { cannotLab, skip } from "../../scripts/lab/support.ts";
import { cannotBuild, executable, temporary } from "../executable.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** Where nexd may lie after a command. */
const PLACES = ["/usr/local/bin/nexd", "/opt/nexd/bin/nexd"] as const;

Deno.test("docs/install.md has commands that install a release, twice, take it back, and do it by hand", async () => {
  if (cannotBuild() || await cannotLab()) return;
  if (Deno.uid() !== 0) return skip("this needs root, over whose directories others are laid");
  const { success: downloads } = await new Deno.Command("sh", {
    args: ["-c", "command -v curl || command -v wget"],
    stdout: "null",
  }).output();
  if (!downloads) return skip("neither curl nor wget is installed");
  await using dir = await temporary();
  const dist = `${dir.path}/dist`;
  await Deno.mkdir(dist);
  const given = Deno.env.get("NEXD_ACCEPTANCE_EXECUTABLE") ?? await executable();
  await Deno.copyFile(given, `${dist}/nexd-${Deno.build.target}`);
  const made = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", `${ROOT}scripts/release.ts`, "--dist", dist, "--partial"],
      ...["--repository", "https://github.com/OWNER/nexd"],
    ],
  }).output();
  equal(made.code, 0, new TextDecoder().decode(made.stderr));
  await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (r) => {
    const name = new URL(r.url).pathname.replace(/^\/(nexd\/|v[\d.]+\/)?/, "");
    if (!/^[\w.-]+$/.test(name)) return new Response(null, { status: 404 });
    return new Response((await Deno.open(`${dist}/${name}`)).readable);
  });
  const url = `http://127.0.0.1:${server.addr.port}`;
  const blocks = blocksOf("docs/install.md", await Deno.readTextFile(`${ROOT}docs/install.md`));
  const commands = blocks.filter(({ manner }) => manner.kind === "elsewhere")
    .flatMap(({ steps }) => steps).map(({ command }) =>
      command.replace("https://files.example.org", url).replace("0.1.0", config.version)
        .replace("x86_64-unknown-linux-gnu", Deno.build.target)
    );
  const look = `for place in ${PLACES.join(" ")}; do
    if [ -e "$place" ]; then echo "= $place $("$place" version)"; fi
  done
  echo =`;
  const script = ["mount -t tmpfs tmpfs /usr/local/bin && mount -t tmpfs tmpfs /opt"]
    .concat(commands.map((command) => `${command}\n${look}`)).join("\n");
  const { code, stdout, stderr } = await new Deno.Command("unshare", {
    args: ["--mount", "sh", "-ec", script],
    cwd: dist,
    clearEnv: true,
    env: {
      PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
      HOME: dir.path,
      NEXD_INSTALL_URL: url,
      NEXD_UNPACK_DIR: `${dir.path}/unpacked`,
    },
  }).output();
  const said = new TextDecoder().decode(stdout);
  equal(code, 0, `${said}${new TextDecoder().decode(stderr)}`);
  const [usual, opt] = PLACES.map((place) => `= ${place} ${config.version}`);
  deepEqual(said.split("\n").filter((line) => line.startsWith("=")), [
    ...[usual, "="], // the newest
    ...[usual, opt, "="], // a version, elsewhere
    ...[usual, opt, "="], // from a server of one's own
    ...[opt, "="], // taken back
    ...[opt, "="], // its sum holds
    ...[usual, opt, "="], // by hand
  ]);
});
