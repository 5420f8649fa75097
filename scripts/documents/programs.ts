/**
 * Programs that the hosts of a document's stage have instead of the machine's: what would change the
 * machine, or is not there, plays its part for the host alone. As text of shell scripts.
 *
 * @module
 */

/** Becomes the command, whoever it is to be run by. */
const SUDO = `if [ "$1" = -u ]; then shift 2; fi
exec "$@"`;

/** Copies from another host's directory, which is at hand. `places` are sed's lines. */
const SCP = (places: string) =>
  `last=$#
for word; do
  shift
  word=$(printf '%s' "$word" | sed '${places}')
  set -- "$@" "$word"
done
exec cp "$@"`;

/** `npx -y deno@VERSION …`, without asking a registry. */
const NPX = (deno: string) =>
  `if [ "$1" = -y ]; then shift; fi
case $1 in deno@*) shift ;; *) echo "no program $1 here" >&2; exit 1 ;; esac
exec ${deno} "$@"`;

/** Starts and ends what a unit names, with its settings; knows no dependencies and no sandbox. */
const SYSTEMCTL = `verb= unit= now=
for word; do
  case $word in
    --now) now=1 ;;
    -*) ;;
    *) if [ -z "$verb" ]; then verb=$word; else unit=\${word%.service}; fi ;;
  esac
done
dir=/run/units; mkdir -p $dir
file=/etc/systemd/system/$unit.service
alive() { pid=$(cat "$dir/$unit" 2>/dev/null) && kill -0 "$pid" 2>/dev/null; }
stop() {
  if alive; then
    kill -TERM "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
  fi
  rm -f "$dir/$unit"
}
setting() { sed -n "s/^$1=-\\{0,1\\}//p" "$file"; }
start() {
  alive && return
  [ -f "$file" ] || { echo "Unit $unit.service not found." >&2; exit 5; }
  for state in $(setting StateDirectory); do mkdir -p -m 700 "/var/lib/$state"; done
  for run in $(setting RuntimeDirectory); do mkdir -p "/run/$run"; done
  : >"$dir/$unit.log"
  (
    set -a
    eval "$(setting Environment | sed "s/=\\(.*\\)/='\\1'/")"
    for settings in $(setting EnvironmentFile); do [ -f "$settings" ] && . "$settings"; done
    eval "exec setsid $(setting ExecStart | sed 's/%%/%/g')"
  ) >>"$dir/$unit.log" 2>&1 </dev/null &
  echo $! >"$dir/$unit"
}
case $verb in
  daemon-reload) ;;
  enable) [ -z "$now" ] || start ;;
  disable) [ -z "$now" ] || stop ;;
  start) start ;;
  stop) stop ;;
  restart) stop; start ;;
  reload) alive && kill -HUP "$pid" ;;
  status|is-active) if alive; then echo "active (running)"; else echo inactive; exit 3; fi ;;
  *) echo "systemctl $verb is not played here" >&2; exit 1 ;;
esac`;

/** What a unit has said. */
const JOURNALCTL = `unit=
while [ $# -gt 0 ]; do
  case $1 in -u) unit=\${2%.service}; shift ;; esac
  shift
done
exec cat "/run/units/$unit.log"`;

/** What the programs need to know. */
export interface Surroundings {
  /** Command words of nexd, quoted for a shell. */
  nexd: string;
  /** Subcommands that have fewer permissions, each with the command words in place of both. */
  tasks: [string, string][];
  /** Path of the runtime. */
  deno: string;
  /** For each name of a host, and each directory of its own, where that is: `[name:/dir, path]`. */
  places: [string, string][];
}

/** Programs by name, as whole scripts. */
export function programs({ nexd, tasks, deno, places }: Surroundings): Record<string, string> {
  const sed = places.map(([place, path]) => `s,^${place.replaceAll(".", "\\.")},${path},`).join(
    ";",
  );
  const bodies = {
    nexd: `case $1 in
${tasks.map(([name, words]) => `  ${name}) shift; exec ${words} "$@" ;;`).join("\n")}
  *) exec ${nexd} "$@" ;;
esac`,
    deno: `exec ${deno} "$@"`,
    sudo: SUDO,
    scp: SCP(sed),
    npx: NPX(deno),
    systemctl: SYSTEMCTL,
    journalctl: JOURNALCTL,
  };
  return Object.fromEntries(
    Object.entries(bodies).map(([name, body]) => [name, `#!/bin/sh\n${body}\n`]),
  );
}
