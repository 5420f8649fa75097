/** For tests: what a process holds, to see whether strangers make it grow. */

/** Open descriptors of this process. */
export function openFiles(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}

/** Waits until `met`, looking now and then; fails after a while. */
export async function until(met: () => boolean, what: string): Promise<void> {
  for (let i = 0; !met(); i++) {
    if (i > 2_000) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
