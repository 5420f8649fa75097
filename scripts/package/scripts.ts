/**
 * What packages run on installation and removal. Each may run again at any point, and each works where
 * there is no systemd.
 *
 * @module
 */
import { units } from "./units.ts";

/** Which format they are for: the two tell them apart what happens differently. */
export type Format = "deb" | "rpm";

/** On an upgrade, which argument says so. */
const UPGRADED = { deb: '[ "$1" = configure ] && [ -n "$2" ]', rpm: '[ "$1" -ge 2 ]' };
const REMOVED = { deb: '[ "$1" = remove ]', rpm: '[ "$1" -eq 0 ]' };

const names = () => Object.keys(units()).map((name) => `${name}.service`).join(" ");
const systemctl = { deb: "deb-systemd-invoke", rpm: "systemctl" };

/** A new version takes over where the old one ran. Nothing starts that did not run. */
export function afterInstall(format: Format): string {
  return `if [ -d /run/systemd/system ]; then
  systemctl --system daemon-reload >/dev/null || true
  if ${UPGRADED[format]}; then
    for unit in ${names()}; do
      systemctl --quiet is-active "$unit" || continue
      ${systemctl[format]} restart "$unit" >/dev/null || true
    done
  fi
fi
`;
}

/** What runs is stopped, and puts back what it changed on the host. Caches are of use to nobody then. */
export function beforeRemove(format: Format): string {
  return `if ${REMOVED[format]}; then
  if [ -d /run/systemd/system ]; then
    for unit in ${names()}; do
      systemctl --quiet is-active "$unit" || continue
      ${systemctl[format]} stop "$unit" >/dev/null || true
    done
  fi
  rm -rf /var/cache/nexd/*
  for name in nexd-relay nexd-control; do
    rm -rf "/var/cache/$name" "/var/cache/private/$name"
  done
  if [ -d /var/cache/private ]; then rmdir --ignore-fail-on-non-empty /var/cache/private; fi
fi
`;
}

/**
 * The manager forgets the units. A purge, which only Debian has, takes everything: state, keys, and what
 * `nexd install` and `systemctl enable` wrote.
 */
export function afterRemove(format: Format): string {
  const purge = `if [ "$1" = purge ]; then
  for unit in ${names()}; do
    rm -f "/etc/systemd/system/multi-user.target.wants/$unit"
    file=/etc/systemd/system/$unit
    # Only what "nexd install" wrote; what a person wrote is theirs.
    if [ -f "$file" ] && head -n 1 "$file" | grep -q '^# Written by nexd install'; then
      rm -f "$file"
    fi
    rm -f "/etc/nexd/\${unit%.service}.env"
  done
  if [ -d /etc/nexd ]; then rmdir --ignore-fail-on-non-empty /etc/nexd; fi
  for name in nexd nexd-relay nexd-control; do
    rm -rf "/var/lib/$name" "/var/lib/private/$name" "/run/$name" "/run/private/$name"
  done
  rm -rf /var/cache/nexd
  if [ -d /var/lib/private ]; then rmdir --ignore-fail-on-non-empty /var/lib/private; fi
fi
`;
  return `${format === "deb" ? purge : ""}if [ -d /run/systemd/system ]; then
  systemctl --system daemon-reload >/dev/null || true
fi
`;
}
