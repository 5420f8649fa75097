import { deepEqual, match, throws } from "node:assert/strict";
import { agreedVersion, topEntry } from "./versions.ts";

const config = (version: unknown) => JSON.stringify({ version });
const log = (...headings: string[]) =>
  `# Changelog\n\nWhat changed.\n\n${
    headings.map((line) => `## ${line}\n\n### Added\n\n- x\n`).join("\n")
  }`;

Deno.test("the version is agreed on when configuration, change log and tag have one", () => {
  const text = "### Added\n\n- x";
  const dated = log("[Unreleased]", "[1.2.3] - 2026-01-31", "[1.2.2] - 2025-12-01");
  deepEqual(agreedVersion(config("1.2.3"), dated, "v1.2.3"), {
    version: "1.2.3",
    date: "2026-01-31",
    text,
  });
  const open = log("[1.2.3-rc.1] - unreleased");
  deepEqual(agreedVersion(config("1.2.3-rc.1"), open), { version: "1.2.3-rc.1", text });
});

Deno.test("the sentence names what differs when the version is not agreed on", () => {
  const cases: [unknown, string, string | undefined, RegExp][] = [
    [
      "1.2.4",
      log("[1.2.3] - 2026-01-31"),
      undefined,
      /version 1\.2\.4 and CHANGELOG\.md .* 1\.2\.3/,
    ],
    ["1.2.3", log("[1.2.3] - 2026-01-31"), "1.2.3", /the tag is "1\.2\.3".*wants v1\.2\.3/],
    ["1.2.3", log("[1.2.3] - 2026-01-31"), "v1.2.4", /the tag is "v1\.2\.4"/],
    ["1.2.3", log("[1.2.3] - unreleased"), "v1.2.3", /1\.2\.3 is unreleased; put the day/],
    ["1.2.3", log("1.2.3 - 2026-01-31"), undefined, /begins with "## 1\.2\.3 - 2026-01-31"/],
    ["1.2.3", log("[1.2.3] - 2026-02-31"), undefined, /begins with "## \[1\.2\.3\] - 2026-02-31"/],
    ["1.2.3", log("[1.2.3]"), undefined, /begins with "## \[1\.2\.3\]"/],
    ["1.2.3", "# Changelog\n", undefined, /no entry with a version/],
    ["1.2", log("[1.2] - 2026-01-31"), undefined, /deno\.json has the version "1\.2"/],
    [undefined, log("[1.2.3] - 2026-01-31"), undefined, /the version "undefined"/],
  ];
  for (const [version, changelog, tag, sentence] of cases) {
    throws(() => agreedVersion(config(version), changelog, tag), {
      name: "ReleaseError",
      message: sentence,
    });
  }
});

Deno.test("the project's own version and change log agree when both are read", () => {
  const read = (path: string) => Deno.readTextFileSync(new URL(`../../${path}`, import.meta.url));
  agreedVersion(read("deno.json"), read("CHANGELOG.md"));
  match(topEntry(read("CHANGELOG.md")).text, /^### Added$/m);
});
