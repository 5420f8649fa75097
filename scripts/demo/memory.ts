/**
 * Searches the whole memory of a process, to show what it has never seen.
 *
 * @module
 */

import { Buffer } from "node:buffer";

/** What a search came to. */
export interface MemorySearch {
  /** Places where the bytes stand. */
  found: number;
  /** Bytes looked through. */
  searched: number;
}

const CHUNK = 4 << 20;

/**
 * Counts where `needle` stands in a process's readable memory. Pages that were never touched are
 * left out: they hold nothing.
 *
 * @throws {Deno.errors.PermissionDenied} when the process is not ours to read
 */
export async function searchMemory(pid: number, needle: Uint8Array): Promise<MemorySearch> {
  const total: MemorySearch = { found: 0, searched: 0 };
  using memory = Deno.openSync(`/proc/${pid}/mem`, { read: true });
  const buffer = Buffer.alloc(CHUNK);
  const overlap = needle.length - 1;
  for (const [from, to] of residentRanges(await Deno.readTextFile(`/proc/${pid}/smaps`))) {
    for (let at = from; at < to;) {
      await new Promise((resolve) => setTimeout(resolve, 0)); // others may run between chunks
      const want = Math.min(CHUNK, to - at);
      const got = readAt(memory, buffer.subarray(0, want), at);
      if (got <= 0) break; // a mapping that went away, or a device's
      total.searched += got;
      total.found += countIn(buffer.subarray(0, got), needle);
      at += at + got < to && got > overlap ? got - overlap : got;
    }
  }
  return total;
}

/** Readable address ranges of which something is in memory, from the text of smaps. */
export function residentRanges(smaps: string): [from: number, to: number][] {
  const ranges: [number, number][] = [];
  let range: [number, number] | undefined;
  for (const line of smaps.split("\n")) {
    const head = line.match(/^([0-9a-f]+)-([0-9a-f]+) (r?)/);
    if (head) {
      const [from, to] = [parseInt(head[1]!, 16), parseInt(head[2]!, 16)];
      // The kernel's own pages near the top of the address space cannot be read this way.
      range = head[3] === "r" && to < 2 ** 47 && !/\[v(var|syscall|dso)/.test(line)
        ? [from, to]
        : undefined;
    } else if (range && /^Rss:\s+[1-9]/.test(line)) {
      ranges.push(range);
      range = undefined;
    }
  }
  return ranges;
}

function readAt(file: Deno.FsFile, buffer: Uint8Array, at: number): number {
  try {
    file.seekSync(at, Deno.SeekMode.Start);
    return file.readSync(buffer) ?? 0;
  } catch {
    return 0;
  }
}

function countIn(haystack: Buffer, needle: Uint8Array): number {
  let count = 0;
  for (let at = haystack.indexOf(needle); at >= 0; at = haystack.indexOf(needle, at + 1)) count++;
  return count;
}
