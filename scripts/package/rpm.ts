/**
 * The RPM package.
 *
 * @module
 */
import type { PackOptions } from "./deb.ts";
import type { Executable } from "./executable.ts";
import { DESCRIPTION, type Facts, LICENSE, NAME, SUMMARY } from "./facts.ts";
import { run } from "./run.ts";
import { afterInstall, afterRemove, beforeRemove } from "./scripts.ts";
import { configurationFiles, type Entry, filesOf, writeTree } from "./tree.ts";

const octal = (mode: number) => mode.toString(8).padStart(4, "0");

/** A line of %files. */
function fileLine(entry: Entry, configuration: readonly string[]): string {
  const { path } = entry;
  if ("directory" in entry) return `%dir %attr(${octal(entry.directory)},root,root) ${path}`;
  const mode = "link" in entry ? "" : `%attr(${octal(entry.mode)},root,root) `;
  const kind = configuration.includes(path)
    ? "%config(noreplace) "
    : path.startsWith("/usr/share/doc/") || path.startsWith("/usr/share/man/")
    ? "%doc "
    : "";
  return `${kind}${mode}${path}`;
}

/** Text where the format would expand macros. */
const plain = (text: string) => text.replaceAll("%", "%%");

/** The recipe, which takes every file from `tree`. */
export function spec(facts: Facts, entries: readonly Entry[], tree: string): string {
  const configuration = configurationFiles();
  const release = facts.version.replaceAll("-", "~");
  return `Name: ${NAME}
Version: ${release}
Release: 1
Summary: ${SUMMARY}
License: ${LICENSE}
BuildArch: ${facts.machine.rpm}
AutoReqProv: no
Requires: glibc, libgcc, iproute, nftables
Recommends: wireguard-tools, wireguard-go

%description
${DESCRIPTION.join("\n")}

%install
cp -a "${tree}/." %{buildroot}/

%files
${
    ["", "/app", "/runtime"].map((name) => `%dir %attr(0755,root,root) /usr/lib/nexd${name}`)
      .join("\n")
  }
%dir %attr(0755,root,root) /usr/share/doc/nexd
${entries.map((entry) => fileLine(entry, configuration)).join("\n")}

%post
${plain(afterInstall("rpm"))}
%preun
${plain(beforeRemove("rpm"))}
%postun
${plain(afterRemove("rpm"))}`;
}

/** Writes the package; returns its path. The same input and rpmbuild give the same bytes. */
export async function makeRpm(
  executable: Executable,
  facts: Facts,
  { output, work, quick }: PackOptions,
): Promise<string> {
  const tree = `${work}/rpm-tree`, top = `${work}/rpm`;
  const entries = await filesOf(executable, facts, "rpm");
  await writeTree(entries, tree, facts.epoch);
  await Deno.mkdir(top);
  await Deno.writeTextFile(`${top}/nexd.spec`, spec(facts, entries, tree));
  const defines = {
    _topdir: top,
    _rpmdir: top,
    _build_name_fmt: "out.rpm",
    _buildhost: "localhost",
    _binary_payload: quick ? "w1.gzdio" : "w12.zstdio",
    _build_id_links: "none",
    // The program is taken as it is: nothing is stripped, compressed or compiled anew.
    __os_install_post: "%{nil}",
    debug_package: "%{nil}",
    use_source_date_epoch_as_buildtime: "1",
    clamp_mtime_to_source_date_epoch: "1",
    source_date_epoch_from_changelog: "0",
  };
  await run("rpmbuild", [
    "--quiet",
    ...["--target", `${facts.machine.rpm}-linux`],
    ...Object.entries(defines).flatMap(([name, value]) => ["--define", `${name} ${value}`]),
    ...["-bb", `${top}/nexd.spec`],
  ], { env: { SOURCE_DATE_EPOCH: String(facts.epoch) }, from: "rpm" });
  const path = `${output}/${NAME}-${facts.version}-1.${facts.machine.rpm}.rpm`;
  await Deno.copyFile(`${top}/out.rpm`, path);
  return path;
}
