#!/bin/sh
# Installs nexd on Linux and macOS: downloads the executable for this machine, compares its SHA-256
# with the release's list, tries it, and only then puts it in its place, in one step. --help says more.
#
# Everything is in functions and the last line calls them, in braces: a shell that gets this file cut
# off anywhere does nothing.

# Where releases are, without a slash at the end. The copy of this file in a release has it filled in.
RELEASES=""

say() {
  printf '%s\n' "$*"
}

fail() { # SENTENCE
  if [ -t 2 ] && [ -z "${NO_COLOR:-}" ]; then
    printf '\033[1;31minstall.sh:\033[0m %s\n' "$*" >&2
  else
    printf 'install.sh: %s\n' "$*" >&2
  fi
  exit 1
}

usage() {
  cat <<'TEXT'
Installs nexd on Linux and macOS, or removes it.

Usage: install.sh [options]

  --version X    that version instead of the newest
  --prefix DIR   the directory for the executable (default /usr/local/bin for root,
                 ~/.local/bin for others)
  --from URL     another server: SHA256SUMS and the executables are in URL, with
                 --version in URL/vX
  --uninstall    remove the executable; configuration and state stay
  --help         this text

Environment: NEXD_INSTALL_URL stands for --from, NO_COLOR switches colour off.
TEXT
}

has() { # COMMAND
  command -v "$1" >/dev/null 2>&1
}

# The triple of this machine, or a sentence on why there is no executable for it.
target_of_machine() {
  system=$(uname -s) || fail "cannot tell this system, uname does not work"
  machine=$(uname -m) || fail "cannot tell this machine, uname does not work"
  case $system in
    Darwin)
      # A shell under Rosetta is told that it runs on Intel.
      if [ "$machine" = x86_64 ] &&
        [ "$(sysctl -n sysctl.proc_translated 2>/dev/null || true)" = 1 ]; then
        machine=arm64
      fi
      ;;
    Linux)
      if has ldd && ldd --version 2>&1 | grep -qi musl; then
        fail "this system's C library is musl and nexd needs glibc; run the container image, or nexd from its source"
      fi
      if has getconf && [ "$(getconf LONG_BIT 2>/dev/null || true)" = 32 ]; then
        fail "this system runs 32-bit programs and nexd is a 64-bit one; run nexd from its source on a 64-bit system"
      fi
      ;;
    *)
      fail "there is no executable for $system here; for Windows see docs/platforms.md, for others run nexd from its source"
      ;;
  esac
  case $machine in
    x86_64 | amd64) machine=x86_64 ;;
    aarch64 | arm64) machine=aarch64 ;;
    *) fail "there is no executable for the processor $machine, only for x86_64 and aarch64" ;;
  esac
  case $system in
    Darwin) printf '%s\n' "$machine-apple-darwin" ;;
    Linux) printf '%s\n' "$machine-unknown-linux-gnu" ;;
  esac
}

# Downloads URL to FILE. Whatever goes wrong is one sentence.
download() { # URL FILE
  case $1 in
    https://*) protocols='=https' ;;
    http://*) protocols='=http,https' ;;
    *) fail "\"$1\" is not a URL that begins with https:// or http://" ;;
  esac
  if has curl; then
    said=$(curl -fsSL --proto "$protocols" --connect-timeout 20 --speed-limit 1 --speed-time 60 \
      --max-filesize 1000000000 -o "$2" "$1" 2>&1) ||
      fail "cannot download $1: ${said:-curl ended without a word}"
  elif has wget; then
    # BusyBox' wget knows fewer options than GNU's.
    options=-q
    if wget --version 2>/dev/null | grep -q GNU; then options="-nv --tries=2 --timeout=60"; fi
    # shellcheck disable=SC2086  # several words
    said=$(wget $options -O "$2" "$1" 2>&1) ||
      fail "cannot download $1: $(printf '%s' "${said:-wget ended without a word}" | tr '\n' ' ')"
  else
    fail "neither curl nor wget is here to download with; install one of them"
  fi
}

# The SHA-256 of FILE, 64 hexadecimal digits.
sha256() { # FILE
  if has sha256sum; then
    sum=$(sha256sum <"$1")
  elif has shasum; then
    sum=$(shasum -a 256 <"$1")
  elif has openssl; then
    sum=$(openssl dgst -sha256 -r <"$1")
  else
    fail "none of sha256sum, shasum and openssl is here to verify the download with; install one of them"
  fi
  printf '%s\n' "${sum%% *}"
}

# Removes what was not finished; $work is a directory in the one of the executable, or empty.
# shellcheck disable=SC2317  # a trap calls it
clean() {
  if [ -n "$work" ]; then rm -rf "$work"; fi
}

# The version that an executable says it is; nothing if it does not run.
version_of() { # FILE
  answer=$("$1" version </dev/null 2>/dev/null) || return 0
  for word in $answer; do
    case $word in
      [0-9]*.[0-9]*)
        printf '%s\n' "$word"
        return
        ;;
    esac
  done
}

uninstall() { # DIR
  if [ ! -e "$1/nexd" ] && [ ! -L "$1/nexd" ]; then
    say "There is no $1/nexd; nothing to remove."
    return
  fi
  [ ! -d "$1/nexd" ] || fail "$1/nexd is a directory, which this script did not make; look at it yourself"
  rm -f "$1/nexd" || fail "cannot remove $1/nexd; run this as its owner, such as with sudo"
  say "Removed $1/nexd. Configuration and state, such as /etc/nexd and /var/lib/nexd, stay."
}

install_nexd() { # URL DIR WANTED
  file=nexd-$(target_of_machine)
  dir=$2
  mkdir -p "$dir" 2>/dev/null || fail "cannot make the directory $dir; choose one with --prefix, or use sudo"
  [ -w "$dir" ] || fail "cannot write to $dir; choose a directory with --prefix, or use sudo"
  [ ! -d "$dir/nexd" ] || fail "$dir/nexd is a directory; choose another place with --prefix"
  # What cannot be verified need not be downloaded.
  sha256 /dev/null >/dev/null
  work=$(mktemp -d "$dir/.nexd-install.XXXXXX") || fail "cannot write to $dir; choose a directory with --prefix, or use sudo"

  download "$1/SHA256SUMS" "$work/sums"
  wanted=$(sed -n "s/^\([0-9a-f]\{64\}\) [ *]$file\$/\1/p" "$work/sums")
  [ "${#wanted}" -eq 64 ] || fail "the list $1/SHA256SUMS does not name $file once; nothing was installed"

  if [ -f "$dir/nexd" ] && [ -x "$dir/nexd" ] && [ "$(sha256 "$dir/nexd")" = "$wanted" ]; then
    say "$dir/nexd is nexd $(version_of "$dir/nexd") already; nothing to do."
    return
  fi

  say "Downloading $1/$file"
  download "$1/$file" "$work/nexd"
  got=$(sha256 "$work/nexd")
  [ "$got" = "$wanted" ] ||
    fail "$file is not what was released: its SHA-256 is $got instead of $wanted; nothing was installed, try again"
  chmod 755 "$work/nexd"
  version=$(version_of "$work/nexd")
  [ -n "$version" ] || fail "$file does not run on this system; nothing was installed"
  [ "$version" = "${3:-$version}" ] ||
    fail "the server gave version $version instead of $3; nothing was installed"
  # A rename in one directory: whoever looks finds the old file or the new one, and a program that
  # runs keeps its own.
  mv -f "$work/nexd" "$dir/nexd" || fail "cannot put nexd into $dir; what was there is still there"
  say "Installed nexd $version as $dir/nexd."
  found=$(command -v nexd 2>/dev/null || true)
  case :$PATH: in
    *":$dir:"*)
      [ "$found" = "$dir/nexd" ] || say "Note that \"nexd\" is $found, which comes before it in PATH."
      ;;
    *) say "Note that $dir is not in PATH." ;;
  esac
}

main() {
  set -eu
  umask 022
  version=
  from=${NEXD_INSTALL_URL:-}
  dir=
  what=install
  work=
  while [ $# -gt 0 ]; do
    case $1 in
      --version | --prefix | --from)
        [ -n "${2:-}" ] || fail "$1 takes a value; see --help"
        case $1 in
          --version) version=${2#v} ;;
          --prefix) dir=$2 ;;
          --from) from=$2 ;;
        esac
        shift
        ;;
      --uninstall) what=uninstall ;;
      --help | -h)
        usage
        return
        ;;
      *) fail "\"$1\" is not an option; see --help" ;;
    esac
    shift
  done
  case $version in
    *[!0-9A-Za-z.+-]*) fail "\"$version\" is not a version such as 0.1.0" ;;
  esac
  if [ -z "$dir" ]; then
    if [ "$(id -u)" = 0 ]; then
      dir=/usr/local/bin
    else
      [ -n "${HOME:-}" ] || fail "HOME is not set; choose a directory with --prefix"
      dir=$HOME/.local/bin
    fi
  fi
  case $dir in
    /*) ;;
    *) dir=$(pwd)/$dir ;;
  esac
  if [ "$what" = uninstall ]; then
    uninstall "$dir"
    return
  fi
  if [ -n "$from" ]; then
    url=${from%/}${version:+/v$version}
  elif [ -z "$RELEASES" ]; then
    fail "this copy belongs to no release; take the install.sh of one, or name a server with --from"
  elif [ -n "$version" ]; then
    url=$RELEASES/download/v$version
  else
    url=$RELEASES/latest/download
  fi
  trap clean EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  install_nexd "$url" "$dir" "$version"
}

{ main "$@"; exit; }
