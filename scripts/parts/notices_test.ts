import { equal, match, ok, throws } from "node:assert/strict";
import { graphs, notices, packagesOf } from "./mod.ts";
import { noticeIn } from "./notices.ts";

Deno.test("notices name every package of the program and its dashboard, with a copyright", async () => {
  const text = await notices();
  const known = await graphs();
  for (const graph of known) {
    for (const key of packagesOf(graph)) {
      const { name, version } = graph.npmPackages[key]!;
      ok(text.includes(`\n${name} ${version} (`), key);
    }
  }
  // One of the program's and one of the dashboard's.
  match(text, /^hono \S+ \(MIT\)\n(.+\n)*-+\n\n.*\n\nCopyright \(c\) 2021/m);
  match(text, /^preact \S+ \(MIT\)$/m);
  match(text, /^Deno \d\S+ \(MIT\), the runtime$/m);
  equal(text, await notices());
});

Deno.test("a notice comes from a package's own files, else its description, else its licence's name", () => {
  const folder = Deno.makeTempDirSync();
  const write = (name: string, value: string) => Deno.writeTextFileSync(`${folder}/${name}`, value);
  try {
    throws(() => noticeIn(folder, "one"), /one has no licence text/);
    write("package.json", '{"license": "GPL-3.0"}');
    throws(() => noticeIn(folder, "one"), /its licence is GPL-3.0, not MIT/);
    write("package.json", '{"license": "MIT", "author": {"name": "Ada"}}');
    match(noticeIn(folder, "one"), /^Copyright: Ada\n\nPermission is hereby granted/);
    const long = `Copyright (c) 2020 Grace\n\n${"Permission. ".repeat(30)}`.trim();
    write("README.md", `# One\n\n## License\n\nMIT\n\n[badge]: x\n`);
    match(noticeIn(folder, "one"), /^Copyright: Ada/);
    write("README.md", `# One\n\nLicense\n-------\n\n${long}\n\n## More\n\nother\n`);
    equal(noticeIn(folder, "one"), long);
    write("NOTICE", "kept\r\n");
    write("License.md", "Copyright 2021 Sol\n");
    equal(noticeIn(folder, "one"), "Copyright 2021 Sol\n\nkept");
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
