/**
 * The real-time scheduling class of Linux for the packet path (sched(7)).
 *
 * Each packet passes several processes, none of which does much with it. In the normal class a
 * process that wakes waits for the others' slices, or takes the processor from one that was about to
 * send a whole batch; in the round-robin class it runs at once and to the end of what is there, as
 * the kernel's own packet path does. The least priority of that class: all other real-time work goes
 * first, and the kernel keeps 5 % of each second for the normal class.
 */
import { libcPath } from "./libc.ts";

const SCHED_RR = 2;
const PRIORITY = 1;

const SYMBOLS = {
  sched_setscheduler: { parameters: ["i32", "i32", "buffer"], result: "i32" },
  sched_getscheduler: { parameters: ["i32"], result: "i32" },
} as const;

/** Whether to run in the real-time class; `auto` where there is more than one processor. */
export type RealtimeMode = "auto" | "on" | "off";

/**
 * Moves the calling thread, and every thread and process that it starts from then on, into the
 * real-time class.
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
    if (symbols.sched_getscheduler(0) === SCHED_RR) return undefined;
    // A struct of one int, on little-endian processors.
    const priority = Uint8Array.from([PRIORITY, 0, 0, 0]);
    return symbols.sched_setscheduler(0, SCHED_RR, priority) === 0
      ? undefined
      : "not permitted; it takes CAP_SYS_NICE, or LimitRTPRIO=1 in a unit";
  } finally {
    close();
  }
}

function open(path: string) {
  const library = Deno.dlopen(path, SYMBOLS);
  return { symbols: library.symbols, close: () => library.close() };
}
