/**
 * The formula for Homebrew, from the release's list of checksums.
 *
 * @module
 */
import { PackageError } from "./errors.ts";
import { LICENSE, SUMMARY } from "./facts.ts";

/** The release's executables by Homebrew's blocks. */
const FILES = {
  on_macos: { on_arm: "nexd-aarch64-apple-darwin", on_intel: "nexd-x86_64-apple-darwin" },
  on_linux: {
    on_arm: "nexd-aarch64-unknown-linux-gnu",
    on_intel: "nexd-x86_64-unknown-linux-gnu",
  },
} as const;

/**
 * Checksums by file name, from the form of sha256sum.
 *
 * @throws {PackageError} naming a line that is none
 */
export function readChecksums(text: string): Map<string, string> {
  const sums = new Map<string, string>();
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const [, sum, name] = line.match(/^([0-9a-f]{64}) [ *]([\w.+~-]+)$/) ?? [];
    if (sum === undefined || name === undefined || sums.has(name)) {
      throw new PackageError(`The list of checksums has the line ${JSON.stringify(line)}`, 2);
    }
    sums.set(name, sum);
  }
  return sums;
}

/**
 * The formula's text.
 *
 * @param base URL of the directory with the release's files
 * @throws {PackageError} when an executable is not in the list, or the URL is none
 */
export function formula(version: string, base: string, sums: Map<string, string>): string {
  if (!/^https?:\/\/[\w.:\/~%-]+$/.test(base)) {
    throw new PackageError(`--base-url ${base}: give where the release's files are, https://…`, 2);
  }
  const blocks = Object.entries(FILES).map(([system, machines]) => {
    const inner = Object.entries(machines).map(([machine, name]) => {
      const sum = sums.get(name);
      if (sum === undefined) {
        throw new PackageError(`The list of checksums has no ${name}: is the release complete?`);
      }
      return `    ${machine} do
      url "${base.replace(/\/+$/, "")}/${name}"
      sha256 "${sum}"
    end`;
    });
    const needs = system === "on_macos"
      ? '\n\n    depends_on "wireguard-go"\n    depends_on "wireguard-tools"'
      : "";
    return `  ${system} do\n${inner.join("\n")}${needs}\n  end`;
  });
  return `class Nexd < Formula
  desc "${SUMMARY}"
  homepage "${new URL(base).origin}"
  version "${version}"
  license "${LICENSE}"

${blocks.join("\n\n")}

  def install
    bin.install Dir["nexd-*"].first => "nexd"
    chmod 0755, bin/"nexd"
    generate_completions_from_executable(bin/"nexd", "completion")
  end

  def caveats
    <<~EOS
      The agent as a service of the system, with its settings:
        sudo nexd install --reg-key https://HOST#RK:...
      Before nexd is uninstalled: sudo nexd uninstall
    EOS
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/nexd version")
  end
end
`;
}
