import assert from "node:assert/strict";
import { residentRanges, searchMemory } from "./memory.ts";

Deno.test("searchMemory finds what a process holds and not what it does not", async () => {
  const script = `
    const kept = new Uint8Array(1 << 20);
    const half = ${JSON.stringify("6e6578642d6d61726b")};
    for (let i = 0; i < half.length; i += 2) kept[5000 + i / 2] = parseInt(half.slice(i, i + 2), 16);
    for (let i = 0; i < 4; i++) kept[5009 + i] = 0xf0 + i;
    console.log("ready");
    setInterval(() => kept[0]++, 1000);`;
  const child = new Deno.Command(Deno.execPath(), { args: ["eval", script], stdout: "piped" })
    .spawn();
  const reader = child.stdout.getReader();
  try {
    await reader.read();
    const mark = new TextEncoder().encode("nexd-mark");
    const inside = await searchMemory(child.pid, new Uint8Array([...mark, 0xf0, 0xf1, 0xf2, 0xf3]));
    assert.ok(inside.found >= 1, "held");
    assert.ok(inside.searched > 1 << 20);
    const absent = new Uint8Array([...mark, 0xe0, 0xe1, 0xe2, 0xe3]);
    assert.equal((await searchMemory(child.pid, absent)).found, 0);
  } finally {
    child.kill("SIGKILL");
    await child.status;
    await reader.cancel();
  }
});

Deno.test("residentRanges leaves out what cannot be read or was never touched", () => {
  const smaps = `1000-2000 r--p 00000000 00:00 0
Rss:                   4 kB
2000-3000 ---p 00000000 00:00 0
Rss:                   4 kB
3000-4000 rw-p 00000000 00:00 0
Rss:                   0 kB
7fff00000000-7fff00001000 r--p 00000000 00:00 0   [vvar]
Rss:                   4 kB
`;
  assert.deepEqual(residentRanges(smaps), [[0x1000, 0x2000]]);
});
