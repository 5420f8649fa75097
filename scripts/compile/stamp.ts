/** The commit that a build tells, and the module that tells it. */
import { STAMP } from "../../command_line/mod.ts";
import { ROOT, run } from "./deno.ts";

/**
 * The commit of the source: NEXD_COMMIT, else what git says, with `+` after it where a file that git
 * knows was changed; `unknown` where there is neither.
 */
export async function commitOf(): Promise<string> {
  const given = Deno.env.get("NEXD_COMMIT");
  if (given !== undefined && /^[0-9a-f]{7,64}\+?$/.test(given)) return given;
  try {
    const commit = (await run("git", ["rev-parse", "HEAD"])).trim();
    const changed = await run("git", ["status", "--porcelain", "--untracked-files=no"]);
    return commit + (changed === "" ? "" : "+");
  } catch {
    return "unknown";
  }
}

/**
 * Writes the modules that a build begins with into `dir`: the stamp before the program.
 *
 * @param notices what the authors of its parts want said
 * @returns path of the module to start
 */
export function writeEntry(dir: string, commit: string, notices: string): string {
  // Loaded only by who asks for it.
  Deno.writeTextFileSync(`${dir}/notices.ts`, `export default ${JSON.stringify(notices)};\n`);
  // CommonJS packages in a bundle ask a global require for the runtime's own modules.
  Deno.writeTextFileSync(
    `${dir}/stamp.ts`,
    `import { createRequire } from "node:module";
globalThis[Symbol.for(${JSON.stringify(STAMP)})] = {
  commit: ${JSON.stringify(commit)},
  notices: () => import("./notices.ts").then((module) => module.default),
};
if (!Deno.build.standalone) globalThis.require = createRequire(import.meta.url);
`,
  );
  // A bundle is one module, and then main.ts has run already.
  const main = JSON.stringify(`file://${ROOT}main.ts`);
  Deno.writeTextFileSync(
    `${dir}/main.ts`,
    `import "./stamp.ts";\nimport { main } from ${main};\nDeno.exit(await main(Deno.args));\n`,
  );
  return `${dir}/main.ts`;
}
