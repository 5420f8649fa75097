/** What a mesh's parts run: the clone's source by its tasks, or an executable. */
import { fileURLToPath } from "node:url";
import config from "../../deno.json" with { type: "json" };

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** How a task names the runtime's own path, which only a task's shell can work out. */
const OWN_PATH = "$(deno eval 'console.log(Deno.execPath())')";

/** Where a system's own programs are; no Deno and no Node is looked for there. */
const SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin";

/** A task of deno.json that runs the program. */
export type Task = "control" | "relay" | "serve" | "agent";

/** The `deno` arguments of a task of deno.json, for any working directory. */
export function taskArguments(task: Task): string[] {
  const line = config.tasks[task].replace(OWN_PATH, Deno.execPath());
  const [deno, ...args] = line.split(" ");
  if (deno !== "deno") throw new Error(`Cannot use task ${task}: it does not start with deno`);
  return args.map((arg) => arg === "main.ts" ? `${ROOT}main.ts` : arg);
}

/**
 * The command of a part, to which its arguments are added.
 *
 * @param executable path of a built program, started with nothing of this process's environment
 * @param unpackDir where such a one unpacks itself
 * @param env variables for the part; a clone's has all of this process besides
 */
export function commandOf(
  task: Task,
  executable: string | undefined,
  unpackDir: string,
  env: Record<string, string>,
): string[] {
  if (executable === undefined) return [Deno.execPath(), ...taskArguments(task)];
  const words = config.tasks[task].split(" ");
  return [
    ...["env", "-i", `PATH=${SYSTEM_PATH}`, `NEXD_UNPACK_DIR=${unpackDir}`],
    ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
    executable,
    ...words.slice(words.indexOf("main.ts") + 1),
  ];
}
