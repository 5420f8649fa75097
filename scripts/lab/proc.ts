/**
 * What /proc says about processes, all in the pid numbers of the namespace this program runs in.
 *
 * @module
 */

function read(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined; // the process is gone
  }
}

/** Pids of the direct children of a process. */
export function childrenOf(pid: number): number[] {
  const text = read(`/proc/${pid}/task/${pid}/children`);
  if (text !== undefined) return text.trim().split(/\s+/).filter(Boolean).map(Number);
  return isAlive(pid) ? searchChildren(pid) : [];
}

/** For kernels without CONFIG_PROC_CHILDREN. */
function searchChildren(parent: number): number[] {
  const found: number[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    const stat = /^\d+$/.test(name) ? read(`/proc/${name}/stat`) : undefined;
    if (stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[1] === String(parent)) {
      found.push(Number(name));
    }
  }
  return found;
}

/** Pids of all processes below a process, parents before children. */
export function descendantsOf(pid: number): number[] {
  const found = childrenOf(pid);
  for (let i = 0; i < found.length; i++) found.push(...childrenOf(found[i]!));
  return found;
}

/** The number a process has in its own, innermost pid namespace. */
export function innermostPid(pid: number): number | undefined {
  const line = read(`/proc/${pid}/status`)?.match(/^NSpid:\s+(.*)$/m)?.[1];
  return line === undefined ? undefined : Number(line.trim().split(/\s+/).at(-1));
}

/**
 * When a process started, in clock ticks since boot: with the pid it names one process for good,
 * where the pid alone may by now belong to another. Undefined when there is no such process or it
 * is a zombie.
 */
export function startTimeOf(pid: number): number | undefined {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" ? undefined : Number(fields[19]);
}

/** Whether a process exists and is not a zombie. */
export function isAlive(pid: number): boolean {
  return startTimeOf(pid) !== undefined;
}

/** Sends a signal; false when the process is already gone. */
export function signal(pid: number, name: Deno.Signal): boolean {
  try {
    Deno.kill(pid, name);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    // ESRCH arrives as a plain error in some versions; what matters is whether it still runs.
    if (!isAlive(pid)) return false;
    throw error;
  }
}
