/**
 * The Debian package.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { Executable } from "./executable.ts";
import { DESCRIPTION, type Facts, MAINTAINER, NAME, SUMMARY } from "./facts.ts";
import { run } from "./run.ts";
import { afterInstall, afterRemove, beforeRemove } from "./scripts.ts";
import { configurationFiles, filesOf, writeTree } from "./tree.ts";

/** How to write one. */
export interface PackOptions {
  /** Directory that gets the package. */
  output: string;
  /** An empty directory that is removed afterwards. */
  work: string;
  /** Compress little: for tests. */
  quick: boolean;
}

/** Writes the package; returns its path. The same input gives the same bytes. */
export async function makeDeb(
  executable: Executable,
  facts: Facts,
  { output, work, quick }: PackOptions,
): Promise<string> {
  const root = `${work}/deb`;
  const files = await filesOf(executable, facts);
  const sums: string[] = [];
  let bytes = 0;
  await writeTree(files, root, facts.epoch);
  for (const entry of files) {
    if (!("content" in entry)) continue;
    const content = await Deno.readFile(root + entry.path);
    bytes += content.length;
    const sum = createHash("md5").update(content).digest("hex");
    if (!entry.path.startsWith("/etc/")) sums.push(`${sum}  ${entry.path.slice(1)}\n`);
  }
  const control = `Package: ${NAME}
Version: ${facts.version}
Architecture: ${facts.machine.deb}
Maintainer: ${MAINTAINER}
Installed-Size: ${Math.ceil(bytes / 1024)}
Depends: libc6 (>= 2.29), libgcc-s1, iproute2, nftables, init-system-helpers (>= 1.52)
Recommends: wireguard-tools, wireguard-go
Section: net
Priority: optional
Description: ${SUMMARY}
${DESCRIPTION.map((line) => ` ${line}`).join("\n")}
`;
  const meta = (name: string, content: string, mode: number) => ({
    path: `/DEBIAN/${name}`,
    mode,
    content,
  });
  await writeTree(
    [
      // Again, for the modes of its directories.
      ...files.filter((entry) => "directory" in entry),
      meta("control", control, 0o644),
      meta("conffiles", configurationFiles().map((path) => `${path}\n`).join(""), 0o644),
      meta("md5sums", sums.join(""), 0o644),
      meta("postinst", `#!/bin/sh\nset -e\n\n${afterInstall("deb")}\nexit 0\n`, 0o755),
      meta("prerm", `#!/bin/sh\nset -e\n\n${beforeRemove("deb")}\nexit 0\n`, 0o755),
      meta("postrm", `#!/bin/sh\nset -e\n\n${afterRemove("deb")}\nexit 0\n`, 0o755),
    ],
    root,
    facts.epoch,
  );
  const path = `${output}/${NAME}_${facts.version}_${facts.machine.deb}.deb`;
  await run("dpkg-deb", [
    // Higher levels take minutes for a few percent. More threads make other bytes.
    ...["--root-owner-group", "-Zxz", quick ? "-z0" : "-z2", "--threads-max=1"],
    ...["--build", root, `${work}/out.deb`],
  ], { env: { SOURCE_DATE_EPOCH: String(facts.epoch) }, from: "dpkg" });
  await Deno.copyFile(`${work}/out.deb`, path);
  return path;
}
