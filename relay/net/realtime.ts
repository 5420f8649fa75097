/**
 * The real-time scheduling class of Linux for the packet path (sched(7)).
 *
 * Each packet passes several processes, none of which does much with it. In the normal class a
 * process that wakes waits for the others' slices, or takes the processor from one that was about to
 * send a whole batch; in the round-robin class it runs at once and to the end of what is there, as
 * the kernel's own packet path does. The least priorities of that class: all other real-time work
 * goes first, and the kernel keeps 5 % of each second for the normal class.
 *
 * V8's worker threads are one above the thread of the program. It collects garbage together with
 * them and spins until each has done its share; a worker that may not run then (of the normal class,
 * with all processors taken by threads of this one) stops it for as long as the kernel lets it
 * spin, which is 0.95 s.
 */
import { libcPath } from "./libc.ts";

const SCHED_RR = 2;
const PRIORITY = 1;
const WORKERS_PRIORITY = 2;

const SYMBOLS = {
  sched_setscheduler: { parameters: ["i32", "i32", "buffer"], result: "i32" },
  sched_getscheduler: { parameters: ["i32"], result: "i32" },
  open: { parameters: ["buffer", "i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  // Since glibc 2.30.
  getdents64: { parameters: ["i32", "buffer", "usize"], result: "isize", optional: true },
  close: { parameters: ["i32"], result: "i32" },
} as const;

type Libc = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** Whether to run in the real-time class; `auto` where there is more than one processor. */
export type RealtimeMode = "auto" | "on" | "off";

/**
 * Moves the calling thread, and every thread and process that it starts from then on, into the
 * real-time class, with the worker threads of this process' V8 one priority above it.
 *
 * @param cpus processors that this process may use
 * @returns undefined when it runs there now, else why it does not, as the end of a sentence
 */
export function runRealtime(
  mode: RealtimeMode,
  cpus: number = navigator.hardwareConcurrency,
): string | undefined {
  if (mode === "off") return "it is switched off";
  if (Deno.build.os !== "linux") return "this system has no such class for it";
  // The normal class would be left with next to nothing.
  if (mode === "auto" && cpus < 2) return "there is only one processor";
  const path = libcPath();
  if (path === undefined) return "this process may not call libc; start it with --allow-ffi";
  const { symbols, close } = open(path);
  try {
    // The workers first: a program that outranks them is worse off than in the normal class.
    const workers = v8Workers(symbols);
    if (workers === undefined) return "the threads of this process cannot be listed in /proc";
    const all = workers.every((tid) =>
      schedule(symbols, tid, WORKERS_PRIORITY) || schedule(symbols, tid, PRIORITY)
    );
    // What a process in this class starts is in it already.
    const inherited = symbols.sched_getscheduler(0) === SCHED_RR;
    return all && (inherited || schedule(symbols, 0, PRIORITY))
      ? undefined
      : "not permitted; it takes CAP_SYS_NICE, or LimitRTPRIO=2 in a unit";
  } finally {
    close();
  }
}

/** Puts a thread (0: the calling one) into the round-robin class; tells whether that is permitted. */
function schedule(libc: Libc, tid: number, priority: number): boolean {
  // A struct of one int, on little-endian processors.
  return libc.sched_setscheduler(tid, SCHED_RR, Uint8Array.of(priority, 0, 0, 0)) === 0;
}

/**
 * The ids of V8's worker threads in this process, undefined when they cannot be told. Through libc,
 * for Deno lets only a program with every permission read anything in `/proc`.
 */
function v8Workers(libc: Libc): number[] | undefined {
  const tids = threads(libc);
  return tids?.filter((tid) => {
    const name = new Uint8Array(16);
    const fd = libc.open(cString(`/proc/self/task/${tid}/comm`), 0);
    if (fd < 0) return false; // it has ended
    const length = Number(libc.read(fd, name, BigInt(name.length)));
    libc.close(fd);
    return new TextDecoder().decode(name.subarray(0, Math.max(0, length))).startsWith("V8 ");
  });
}

/** The ids of this process' threads, by getdents64(2); undefined when they cannot be listed. */
function threads(libc: Libc): number[] | undefined {
  const list = libc.getdents64;
  const fd = list === null ? -1 : libc.open(cString("/proc/self/task"), 0);
  if (list === null || fd < 0) return undefined;
  const tids: number[] = [];
  const entries = new DataView(new ArrayBuffer(8192));
  for (;;) {
    const end = Number(list(fd, entries.buffer, BigInt(entries.byteLength)));
    if (end <= 0) break;
    for (let at = 0; at < end; at += entries.getUint16(at + 16, true)) {
      // Inode and offset of 8 bytes each, the entry's length in 2, its type in 1, then its name.
      const name = new TextDecoder().decode(new Uint8Array(entries.buffer, at + 19, 10));
      const tid = Number.parseInt(name, 10);
      if (tid > 0) tids.push(tid);
    }
  }
  libc.close(fd);
  return tids;
}

function cString(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${text}\0`);
}

function open(path: string) {
  const library = Deno.dlopen(path, SYMBOLS);
  return { symbols: library.symbols, close: () => library.close() };
}
