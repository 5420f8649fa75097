/** One file for Linux: a shell script, and after it the packed files that it unpacks once. */
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import config from "../../deno.json" with { type: "json" };
import type { Content } from "./contents.ts";
import { CompileError } from "./errors.ts";
import { OWN_PATH_TEXT } from "./launch.ts";

/** Bytes of the script, filled up; the packed files begin after them. */
const SCRIPT_BYTES = 16_384;

/** How {@linkcode gzip} marks the system; any would do, but it shall be the same everywhere. */
const UNIX = 3;

function gzip(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const packed = new Uint8Array(gzipSync(bytes, { level: 9 }));
  packed[9] = UNIX; // and no name or time is in it
  return packed;
}

/**
 * The executable that unpacks `files`: the same bytes for the same files.
 *
 * @throws {CompileError} when the script is too long
 */
export function unpacking(files: Content[]): Uint8Array<ArrayBuffer> {
  const packed = files.map(({ bytes }) => gzip(bytes));
  let offset = SCRIPT_BYTES + 1; // tail counts from 1
  const table = files.map(({ path, executable, sha256 }, i) => {
    const line = { path, executable, sha256, offset, length: packed[i]!.length };
    offset += line.length;
    return line;
  });
  const list = files.map(({ path, sha256 }) => `${sha256}  ${path}\n`).join("");
  const megabytes = Math.ceil(files.reduce((sum, { bytes }) => sum + bytes.length, 0) / 1e6);
  const script = new TextEncoder().encode(scriptText({
    id: `nexd-${config.version}-${createHash("sha256").update(list).digest("hex").slice(0, 32)}`,
    megabytes,
    list,
    puts: table.map(({ path, executable, offset, length }) =>
      `  put ${offset} ${length} ${executable ? 755 : 644} ${path} &&\n`
    ).join(""),
  }));
  if (script.length > SCRIPT_BYTES - 1) {
    throw new CompileError(
      `Cannot compile: the script has ${script.length} bytes, more than ${SCRIPT_BYTES}`,
    );
  }
  const whole = new Uint8Array(offset - 1);
  whole.fill("#".charCodeAt(0), 0, SCRIPT_BYTES - 1);
  whole[SCRIPT_BYTES - 1] = "\n".charCodeAt(0);
  whole.set(script);
  table.forEach(({ offset }, i) => whole.set(packed[i]!, offset - 1));
  return whole;
}

interface Script {
  /** Name of the directory. */
  id: string;
  megabytes: number;
  /** For sha256sum. */
  list: string;
  puts: string;
}

function scriptText({ id, megabytes, list, puts }: Script): string {
  return `#!/bin/sh
# nexd ${config.version} for ${Deno.build.target}: this script, and after it Deno and the program, packed.
# It unpacks them once into a directory of the user's own and starts them from there.
#   NEXD_UNPACK_DIR=DIR       unpack below DIR and nowhere else
#   nexd --unpack-to DIR      unpack to DIR for everybody, and start DIR/nexd without this script
id=${id}
${OWN_PATH_TEXT}nexd_kind=unpacking
reasons=
why() { reasons="$reasons
  $1: $2"; return 1; }

safe() { # DIRECTORY: nobody but us and root may put something else in the place of what is in it
  mode=$(LC_ALL=C ls -ldn "$1/." 2>/dev/null) || return 1
  case $mode in
  d????-??-* | d????????[tT]*) ;;
  *) return 1 ;;
  esac
  [ -O "$1/." ] && return 0
  set -- $mode
  [ "$3" = 0 ]
}

private() { # DIRECTORY: ours, no link, and closed to all others
  [ -d "$1" ] && [ ! -L "$1" ] && [ -O "$1" ] || return 1
  case $(LC_ALL=C ls -ldn "$1" 2>/dev/null) in
  drwx--?---*) return 0 ;;
  esac
  return 1
}

ready() { # BASE: whether it is unpacked there
  nexd_dir=$1/$id
  [ -e "$nexd_dir/ready" ] && private "$nexd_dir" && safe "$1"
}

put() { # OFFSET LENGTH MODE PATH
  tail -c "+$1" "$nexd_path" | head -c "$2" | gzip -dc >"$to/$4" && chmod "$3" "$to/$4"
}

files() { # into $to
  mkdir "$to/app" "$to/runtime" &&
${puts}  (cd "$to" && sha256sum -c - >/dev/null) <<END
${list}END
}

tools() {
  for tool in tail head gzip sha256sum mktemp chmod mkdir mv rm find; do
    command -v "$tool" >/dev/null 2>&1 && continue
    echo "nexd: cannot unpack itself without $tool: install it (gzip, coreutils or busybox)" >&2
    exit 1
  done
}

end() { [ -z "\${to-}" ] || rm -rf "$to"; exit "$1"; }

starts() { # DIRECTORY: whether programs may be started from there
  printf '#!/bin/sh\\nexit 0\\n' >"$1/try" && chmod 700 "$1/try" && "$1/try" && rm "$1/try"
}

fill() { # BASE NAME: unpacks and checks into a directory of its own, $to
  to=$(mktemp -d "$1/.$2.XXXXXX" 2>/dev/null) || { to=; why "$1" "cannot be written to"; return 1; }
  if ! starts "$to" 2>/dev/null; then
    why "$1" "does not let programs be started (noexec), or is full"
  elif ! files 2>/dev/null; then
    why "$1" "what was unpacked is not what was packed: it is full (${megabytes} MB are needed), or $nexd_path is damaged"
  else
    return 0
  fi
  rm -rf "$to"
  to=
  return 1
}

unpack() { # BASE
  mkdir -p "$1" 2>/dev/null
  [ -d "$1/." ] || { why "$1" "cannot be made"; return 1; }
  [ -w "$1/." ] || { why "$1" "cannot be written to"; return 1; }
  safe "$1" || { why "$1" "belongs to somebody else, or others may write to it"; return 1; }
  nexd_dir=$1/$id
  if [ -e "$nexd_dir" ] || [ -L "$nexd_dir" ]; then
    # Nothing of ours: a directory gets its name when all is in it.
    [ -O "$nexd_dir" ] && rm -rf "$nexd_dir" 2>/dev/null ||
      { why "$nexd_dir" "is there and is not ours"; return 1; }
  fi
  fill "$1" "$id" || return 1
  mkdir "$to/cache" && : >"$to/ready" && sync
  name=\${to##*/}
  mv "$to" "$nexd_dir" 2>/dev/null
  # Another start was first: then it went into that one's directory, or nowhere.
  rm -rf "\${nexd_dir:?}/$name" "$to"
  to=
  ready "$1" || { why "$nexd_dir" "was changed while it was unpacked"; return 1; }
  sweep "$1"
}

sweep() { # BASE: what older versions left, unless it runs or ran today; and starts that were cut off
  find "$1/." ! -name . -prune -name '.nexd-*' -mtime +0 -exec rm -rf {} + 2>/dev/null
  for old in "$1"/nexd-*; do
    [ "$old" != "$nexd_dir" ] && private "$old" || continue
    [ -z "$(find "$old/used" -mtime -1 2>/dev/null)" ] || continue
    ls -l /proc/[0-9]*/exe 2>/dev/null | grep -qF "$old/" || rm -rf "$old"
  done
}

open_to_all() { # ready|unpack DIRECTORY: below one that everybody writes to
  set -- "$1" "$2/nexd-$(id -u)"
  [ ! -L "$2" ] || { why "$2" "is a link"; return 1; }
  "$1" "$2"
}

places() { # ready|unpack
  if [ -n "\${NEXD_UNPACK_DIR-}" ]; then
    "$1" "$NEXD_UNPACK_DIR"
    return
  fi
  { [ -n "\${CACHE_DIRECTORY-}" ] && "$1" "\${CACHE_DIRECTORY%%:*}"; } ||
    { [ -n "\${XDG_CACHE_HOME-}" ] && "$1" "$XDG_CACHE_HOME/nexd"; } ||
    { [ -n "\${HOME-}" ] && "$1" "$HOME/.cache/nexd"; } ||
    { [ "$(id -u)" = 0 ] && "$1" /var/cache/nexd; } ||
    { [ -n "\${RUNTIME_DIRECTORY-}" ] && "$1" "\${RUNTIME_DIRECTORY%%:*}"; } ||
    open_to_all "$1" /dev/shm || open_to_all "$1" /tmp
}

trap 'end 129' HUP
trap 'end 130' INT
trap 'end 143' TERM
if [ "\${1-}" = --unpack-to ]; then
  if [ $# -ne 2 ] || [ -z "$2" ]; then
    echo "nexd: --unpack-to takes a directory, which must not be there yet" >&2
    exit 2
  fi
  tools
  umask 022
  if [ -e "$2" ] || [ -L "$2" ]; then
    rmdir "$2" 2>/dev/null ||
      { echo "nexd: cannot unpack to $2: it is there already and not an empty directory" >&2; exit 1; }
  fi
  case $2 in
  */*) base=\${2%/*} ;;
  *) base=. ;;
  esac
  mkdir -p "\${base:-/}" && fill "\${base:-/}" nexd ||
    { echo "nexd: cannot unpack to $2$reasons" >&2; exit 1; }
  chmod 755 "$to" "$to/app" "$to/runtime" && mv "$to" "$2" || end 1
  exit 0
fi
if ! places ready; then
  tools
  mask=$(umask)
  umask 077
  reasons=
  if ! places unpack; then
    echo "nexd: there is no place to unpack itself to:$reasons
Set NEXD_UNPACK_DIR to a directory of yours that holds ${megabytes} MB and lets programs be started, or let root \\
unpack it once with: nexd --unpack-to /usr/lib/nexd" >&2
    exit 1
  fi
  umask "$mask"
fi
trap - HUP INT TERM
: >"$nexd_dir/used"
. "$nexd_dir/launch"
exit 70
`;
}
