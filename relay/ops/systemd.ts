/**
 * The service manager's notification protocol (sd_notify): one datagram of `NAME=value` lines to the
 * socket named in NOTIFY_SOCKET. The runtime cannot send from an unnamed unix socket, so this is
 * libc's socket and sendto.
 *
 * There is no socket activation: the runtime's own listeners cannot take a descriptor, and the one of
 * its Node layer that can has no TLS that holds back a fast sender. A replacement that listens on the
 * same port before the old relay stops serves the same end.
 */
import { libcPath } from "../net/mod.ts";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_NOSIGNAL = 0x4000;
const CLOCK_MONOTONIC = 1;
const SUN_PATH = 108;

const SYMBOLS = {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  sendto: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
  clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
} as const;

/** What the service manager is told. */
export interface Notifier {
  ready(status: string): void;
  reloading(): void;
  stopping(status: string): void;
  status(text: string): void;
  /** "Still alive", for the watchdog. */
  alive(): void;
  /** Milliseconds within which the watchdog wants to hear `alive`; undefined when there is none. */
  readonly watchdogMs: number | undefined;
  close(): void;
}

/** Environment that decides where to, read where the program may. */
export interface NotifyEnvironment {
  NOTIFY_SOCKET?: string | undefined;
  WATCHDOG_USEC?: string | undefined;
  WATCHDOG_PID?: string | undefined;
}

const SILENT: Notifier = {
  ready() {},
  reloading() {},
  stopping() {},
  status() {},
  alive() {},
  watchdogMs: undefined,
  close() {},
};

/** The notifier of this process; one that does nothing where no service manager listens. */
export function openNotifier(env: NotifyEnvironment = readEnvironment()): Notifier {
  const address = socketAddress(env.NOTIFY_SOCKET ?? "");
  const path = libcPath();
  if (address === undefined || path === undefined) return SILENT;
  const library = Deno.dlopen(path, SYMBOLS);
  const fd = library.symbols.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    library.close();
    return SILENT;
  }
  const encoder = new TextEncoder();
  let open = true;
  const send = (...lines: string[]) => {
    if (!open) return;
    const bytes = encoder.encode(lines.join("\n"));
    // A manager that does not take it is no reason to fail.
    library.symbols.sendto(fd, bytes, BigInt(bytes.length), MSG_NOSIGNAL, address, address.length);
  };
  const monotonicMicros = () => {
    const time = new BigInt64Array(2);
    library.symbols.clock_gettime(CLOCK_MONOTONIC, new Uint8Array(time.buffer));
    return time[0]! * 1_000_000n + time[1]! / 1000n;
  };
  return {
    ready: (status) => send("READY=1", `STATUS=${oneLine(status)}`),
    reloading: () => send("RELOADING=1", `MONOTONIC_USEC=${monotonicMicros()}`),
    stopping: (status) => send("STOPPING=1", `STATUS=${oneLine(status)}`),
    status: (status) => send(`STATUS=${oneLine(status)}`),
    alive: () => send("WATCHDOG=1"),
    watchdogMs: watchdogMs(env),
    close() {
      if (!open) return;
      open = false;
      library.symbols.close(fd);
      library.close();
    },
  };
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ").slice(0, 512);
}

/** sockaddr_un of a path, or of an abstract name spelled `@name`. Undefined for anything else. */
function socketAddress(name: string): Uint8Array<ArrayBuffer> | undefined {
  if (!/^[/@]./.test(name)) return undefined;
  const path = new TextEncoder().encode(name);
  if (path.length >= SUN_PATH) return undefined;
  // A path ends with NUL; an abstract name begins with it and ends where the length says.
  const abstract = name.startsWith("@");
  const address = new Uint8Array(2 + path.length + (abstract ? 0 : 1));
  new Uint16Array(address.buffer, 0, 1)[0] = AF_UNIX;
  address.set(path, 2);
  if (abstract) address[2] = 0;
  return address;
}

function watchdogMs({ WATCHDOG_USEC, WATCHDOG_PID }: NotifyEnvironment): number | undefined {
  if (WATCHDOG_PID !== undefined && WATCHDOG_PID !== "" && WATCHDOG_PID !== String(Deno.pid)) {
    return undefined;
  }
  if (!/^\d{1,15}$/.test(WATCHDOG_USEC ?? "")) return undefined;
  const ms = Number(WATCHDOG_USEC) / 1000;
  return ms > 0 ? ms : undefined;
}

function readEnvironment(): NotifyEnvironment {
  const env: NotifyEnvironment = {};
  for (const name of ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] as const) {
    if (Deno.permissions.querySync({ name: "env", variable: name }).state !== "granted") continue;
    env[name] = Deno.env.get(name);
  }
  return env;
}
