/**
 * The shell text that starts an unpacked program: which permissions and V8 flags a subcommand gets,
 * from the tasks of deno.json, so that there is one source of them.
 */
import { CONTROL_COMMANDS } from "../../control/options.ts";
import config from "../../deno.json" with { type: "json" };
import { CompileError } from "./errors.ts";

/** How a task names the runtime's own path, which only a task's shell can work out. */
const OWN_PATH = "$(deno eval 'console.log(Deno.execPath())')";

/** What a worker of the relay may see of the environment; it starts nothing. */
const WORKER_VARIABLES = "NEXD_LOG*,NO_COLOR,FORCE_COLOR,CLICOLOR_FORCE";

/** Deno's flags in a task, up to the program. */
export function flagsOf(task: "relay" | "control" | "serve" | "agent"): string[] {
  const [deno, run, ...words] = config.tasks[task].replace(OWN_PATH, "SELF").split(" ");
  const end = words.indexOf("main.ts");
  if (deno !== "deno" || run !== "run" || end < 0) {
    throw new CompileError(`Cannot compile: the task ${task} is not "deno run FLAGS main.ts"`);
  }
  return words.slice(0, end);
}

/** Flags for the shell. Only the executable's own path is filled in when it starts. */
function quoted(flags: string[]): string {
  return flags.map((flag) =>
    flag === "--allow-run=SELF" ? '"--allow-run=$nexd_path"' : `'${flag.replaceAll("'", "'\\''")}'`
  ).join(" ");
}

/** The flags of a relay's worker: those of the relay, without what only its supervisor does. */
function workerFlags(): string[] {
  return flagsOf("relay").filter((flag) => !flag.startsWith("--allow-run")).map((flag) =>
    flag.startsWith("--allow-env=") ? `--allow-env=${WORKER_VARIABLES}` : flag
  );
}

/**
 * What is sourced with `nexd_dir` (the directory that it is in), `nexd_kind` and `nexd_path` (the
 * executable's), and the arguments of the command line.
 */
export function launchText(): string {
  const choices = [
    ["relayderp", flagsOf("relay")],
    ["relayderp-worker", workerFlags()],
    [["control", ...CONTROL_COMMANDS.map(({ name }) => name)].join("|"), flagsOf("control")],
    ["serve", flagsOf("serve")],
    ["*", flagsOf("agent")],
  ] as const;
  const unstable = config.unstable.map((name) => `--unstable-${name}`);
  const common = ["--quiet", "--no-config", "--no-lock", "--no-remote", "--no-npm", ...unstable];
  return `# Starts nexd with what its subcommand needs, and no more.
nexd_own() { # DIRECTORY: ours, and nobody else may write to it
  [ -d "$1/." ] && [ -w "$1/." ] || return 1
  case $(LC_ALL=C ls -ldn "$1/." 2>/dev/null) in
  d????-??-*) ;;
  *) return 1 ;;
  esac
  [ -O "$1/." ]
}
# What V8 made of the program is kept, where that can be done in private.
if [ -n "\${DENO_DIR-}" ]; then :
elif [ -w "$nexd_dir/cache/." ] && [ -O "$nexd_dir/cache/." ]; then DENO_DIR=$nexd_dir/cache
elif [ -n "\${CACHE_DIRECTORY-}" ] && nexd_own "\${CACHE_DIRECTORY%%:*}"; then
  DENO_DIR=\${CACHE_DIRECTORY%%:*}/runtime
elif [ -n "\${XDG_CACHE_HOME-}" ] && nexd_own "$XDG_CACHE_HOME"; then
  DENO_DIR=$XDG_CACHE_HOME/nexd/runtime
elif [ -n "\${HOME-}" ] && nexd_own "$HOME/.cache"; then DENO_DIR=$HOME/.cache/nexd/runtime
elif nexd_own /var/cache/nexd; then DENO_DIR=/var/cache/nexd/runtime
else DENO_DIR=/dev/null/none
fi
export DENO_DIR DENO_NO_UPDATE_CHECK=1 NEXD_SELF="$nexd_kind:$nexd_path"
case \${1-} in
${
    choices.map(([words, flags]) =>
      `${words}) set -- ${quoted([...flags, ...common])} "$nexd_dir/app/main.js" "$@" ;;`
    ).join("\n")
  }
esac
exec "$nexd_dir/runtime/nexd" run "$@"
`;
}

/** Finds the executable's own path, whatever it was called by; in an empty environment as well. */
export const OWN_PATH_TEXT =
  `export PATH="\${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}"
nexd_path=$0
case $nexd_path in
*/*) ;;
*) nexd_path=$(command -v -- "$nexd_path") ;;
esac
case $nexd_path in
/*) ;;
*) nexd_path=$(pwd)/$nexd_path ;;
esac
`;

/** The executable in an unpacked directory, which may be linked to from a directory of PATH. */
export function unpackedText(): string {
  return `#!/bin/sh
${OWN_PATH_TEXT}nexd_kind=unpacked
nexd_dir=$nexd_path
[ ! -L "$nexd_dir" ] || nexd_dir=$(readlink -f -- "$nexd_dir")
nexd_dir=\${nexd_dir%/*}
. "$nexd_dir/launch"
`;
}
