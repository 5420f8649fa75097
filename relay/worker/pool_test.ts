import { deepEqual, equal } from "node:assert/strict";
import type { WorkerConfig } from "./config.ts";
import { Pool } from "./pool.ts";

/** A worker that takes its time for each list, and says in a file which it was told. */
const SLOW_WORKER = `
  read line; echo '{"id":1,"result":{"hostname":"","port":1}}'
  while read line; do
    id=\${line#*:}; id=\${id%%,*}
    case "$line" in *setKeys*) sleep 0.3; echo "$line" >> "$0" ;; esac
    echo "{\\"id\\":$id,\\"result\\":null}"
    case "$line" in *'"end"'*) exit ;; esac
  done`;

Deno.test("a worker that is slow is told the latest list next, not each in between", async () => {
  const told = await Deno.makeTempFile();
  const config = { addr: { hostname: "", port: 0 } } as Omit<WorkerConfig, "name" | "siblings">;
  const pool = await Pool.start({
    count: 1,
    command: { executable: "/bin/sh", args: ["-c", SLOW_WORKER, told] },
    config,
    meet: undefined,
    state: () => ({ stun: undefined, certificate: undefined }),
  });
  try {
    const first = pool.setKeys(["a"]);
    await new Promise((resolve) => setTimeout(resolve, 10)); // it is on its way
    await Promise.all([first, ...["b", "c", "d", "e"].map((key) => pool.setKeys([key]))]);
    const lines = (await Deno.readTextFile(told)).trim().split("\n");
    deepEqual(lines.map((line) => JSON.parse(line).argument), [["a"], ["e"]]);
  } finally {
    await pool.end();
    await Deno.remove(told);
  }
});

Deno.test("a pool answers as long as one of its workers does", async () => {
  const turn = await Deno.makeTempFile();
  // The second to start reads on, and says nothing.
  const script = `read line; echo '{"id":1,"result":{"hostname":"","port":1}}'
    if test -s "$0"; then cat > /dev/null; else echo 1 > "$0"; fi
    while read line; do
      id=\${line#*:}; id=\${id%%,*}
      echo "{\\"id\\":$id,\\"result\\":{}}"
      case "$line" in *'"end"'*) exit ;; esac
    done`;
  const config = { addr: { hostname: "", port: 0 } } as Omit<WorkerConfig, "name" | "siblings">;
  const pool = await Pool.start({
    count: 2,
    command: { executable: "/bin/sh", args: ["-c", script, turn] },
    config,
    meet: undefined,
    state: () => ({ stun: undefined, certificate: undefined }),
  });
  try {
    equal(await pool.answers(), true);
  } finally {
    await pool.end();
    await Deno.remove(turn);
  }
  equal(await pool.answers(), false, "none is left");
});
