/**
 * What a package of Linux installs, as one list, and that list on disk.
 *
 * @module
 */
import { dirname } from "node:path";
import { gzipSync } from "node:zlib";
import { buildProgram } from "../../main.ts";
import { treeOf } from "../../command_line/mod.ts";
import { type Executable, noticesOf } from "./executable.ts";
import { type Facts, MAINTAINER, ROOT } from "./facts.ts";
import { manual } from "./manual.ts";
import { settings } from "./settings.ts";
import { run } from "./run.ts";
import type { Format } from "./scripts.ts";
import { settingsPath, units } from "./units.ts";

/** One file of a package. */
export type Entry =
  & { path: string }
  & ({ mode: number; content: Uint8Array | string | { from: string } } | { link: string } | {
    directory: number;
  });

export const HOME = "/usr/lib/nexd";
/** What V8 made of the program for root: a directory of its own, so that a purge finds it. */
const CACHE = "/var/cache/nexd";
const DOC = "/usr/share/doc/nexd";
/** Where each shell looks; zsh looks elsewhere on Debian. */
const ZSH = { deb: "vendor-completions", rpm: "site-functions" };
const COMPLETIONS = {
  bash: "/usr/share/bash-completion/completions/nexd",
  fish: "/usr/share/fish/vendor_completions.d/nexd.fish",
};

/** Files that a person may change, which an upgrade leaves alone. */
export const configurationFiles = (): string[] => Object.keys(settings()).map(settingsPath);

/** The copyright file in Debian's machine-readable form, with the runtime's. */
function copyright(): string {
  return `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: nexd

Files: *
Copyright: The nexd contributors
License: Apache-2.0

Files: usr/lib/nexd/runtime/nexd
Copyright: 2018-2026 the Deno authors
License: Expat
Comment: ${DOC}/NOTICES.gz has what is linked with it.

Files: usr/lib/nexd/app/*
Copyright: The nexd contributors, and the authors named in NOTICES.gz
License: Apache-2.0 and notices
Comment: The packages of others in it each have the licence that
 ${DOC}/NOTICES.gz, printed by "nexd version --licenses" too, gives.

License: Apache-2.0
 On Debian systems the full text is in /usr/share/common-licenses/Apache-2.0;
 it is also in ${DOC}/LICENSE.gz.

License: Apache-2.0 and notices
 Those of ${DOC}/NOTICES.gz, which has their full texts
 and copyright notices, and of the rest that which follows as Apache-2.0.

License: Expat
 Permission is hereby granted, free of charge, to any person obtaining a copy
 of this software and associated documentation files (the "Software"), to deal
 in the Software without restriction, including without limitation the rights
 to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
 copies of the Software, and to permit persons to whom the Software is
 furnished to do so, subject to the following conditions:
 .
 The above copyright notice and this permission notice shall be included in all
 copies or substantial portions of the Software.
 .
 THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
 IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
 FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
 AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
 LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
 OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
 SOFTWARE.
`;
}

/** Lintian's findings that are so on purpose. */
const OVERRIDES = `# The runtime is taken as its authors publish it.
nexd: embedded-library
nexd: hardening-no-relro
# Keys are written into the settings.
nexd: non-standard-file-perm
nexd: non-standard-dir-perm
# To see whether a service runs; what changes one goes through deb-systemd-invoke.
nexd: maintainer-script-calls-systemctl
`;

function changelog({ version, epoch }: Facts): string {
  const date = new Date(epoch * 1000).toUTCString().replace("GMT", "+0000");
  return `nexd (${version}) stable; urgency=medium\n\n  * Version ${version}.\n\n` +
    ` -- ${MAINTAINER}  ${date}\n`;
}

/** Everything that a package of Linux installs, sorted by path. */
export async function filesOf(
  executable: Executable,
  facts: Facts,
  format: Format = "deb",
): Promise<Entry[]> {
  const tree = treeOf(buildProgram());
  const page = manual(tree, facts.version, facts.epoch);
  const shells = await Promise.all(
    Object.entries({
      ...COMPLETIONS,
      zsh: `/usr/share/zsh/${ZSH[format]}/_nexd`,
    }).map(async ([shell, path]) => ({
      path,
      mode: 0o644,
      content: await run(executable.launcher, ["completion", shell]),
    })),
  );
  const entries: Entry[] = [
    ...executable.files.map(({ name, mode }) => ({
      path: `${HOME}/${name}`,
      mode,
      content: { from: `${executable.directory}/${name}` },
    })),
    { path: "/usr/bin/nexd", link: "../lib/nexd/nexd" },
    { path: CACHE, directory: 0o700 },
    { path: `${HOME}/cache`, link: CACHE },
    ...shells,
    { path: "/usr/share/man/man1/nexd.1.gz", mode: 0o644, content: gzip(page) },
    { path: `${DOC}/copyright`, mode: 0o644, content: copyright() },
    { path: `${DOC}/changelog.gz`, mode: 0o644, content: gzip(changelog(facts)) },
    {
      path: `${DOC}/LICENSE.gz`,
      mode: 0o644,
      content: gzip(await Deno.readTextFile(`${ROOT}LICENSE`)),
    },
    {
      path: `${DOC}/NOTICES.gz`,
      mode: 0o644,
      content: gzip(await noticesOf(executable)),
    },
    ...(format === "deb"
      ? [{ path: "/usr/share/lintian/overrides/nexd", mode: 0o644, content: OVERRIDES }]
      : []),
    ...Object.entries(units()).map(([name, content]) => ({
      path: `/usr/lib/systemd/system/${name}.service`,
      mode: 0o644,
      content,
    })),
    // Keys are written into them.
    ...Object.entries(settings()).map(([name, content]) => ({
      path: settingsPath(name),
      mode: 0o600,
      content,
    })),
  ];
  return entries.sort((a, b) => a.path < b.path ? -1 : 1);
}

const gzip = (text: string) => new Uint8Array(gzipSync(text, { level: 9 }));

/** Writes the list below a directory, with one time for all. */
export async function writeTree(
  entries: readonly Entry[],
  root: string,
  epoch: number,
): Promise<void> {
  for (const entry of entries) {
    const path = `${root}${entry.path}`;
    await Deno.mkdir(dirname(path), { recursive: true, mode: 0o755 });
    if ("directory" in entry) {
      await Deno.mkdir(path, { recursive: true });
      continue;
    }
    if ("link" in entry) {
      await Deno.symlink(entry.link, path);
      continue;
    }
    const { content, mode } = entry;
    if (content instanceof Uint8Array) await Deno.writeFile(path, content);
    else if (typeof content === "string") await Deno.writeTextFile(path, content);
    else await Deno.copyFile(content.from, path);
    await Deno.chmod(path, mode);
    await Deno.utime(path, epoch, epoch);
  }
  await setTimes(root, epoch);
  for (const entry of entries) {
    if ("directory" in entry) await Deno.chmod(`${root}${entry.path}`, entry.directory);
  }
}

/** Directories get the modes and times that they have on every machine. */
async function setTimes(directory: string, epoch: number): Promise<void> {
  for await (const entry of Deno.readDir(directory)) {
    if (entry.isDirectory) await setTimes(`${directory}/${entry.name}`, epoch);
  }
  await Deno.chmod(directory, 0o755);
  await Deno.utime(directory, epoch, epoch);
}
