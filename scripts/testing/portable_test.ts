import { deepEqual, equal, ok } from "node:assert/strict";
import { isPortable, portableFiles } from "./portable.ts";
import { jobsOf } from "./suites.ts";

Deno.test("a test file is portable when neither it nor a helper of it needs Linux", () => {
  const files: Record<string, string> = {
    "a/plain_test.ts":
      'import { x } from "./room.ts";\nDeno.listen({ hostname: "127.0.0.1", port: 0 });',
    "a/room.ts": 'new Deno.Command("ip");', // the product's own, which knows its systems
    "a/helped_test.ts": 'import { x } from "../b/support.ts";',
    "b/support.ts": 'import { y } from "./fakes.ts";\nimport "./fakes.ts";',
    "b/fakes.ts": 'Deno.listen({ path: x, transport: "unix" });',
    "a/round_test.ts": 'import { x } from "./round_support.ts";',
    "a/round_support.ts": 'import { x } from "./round_test.ts";',
    "a/address_test.ts": 'connect("127.0.0.3")',
    "a/lab_test.ts": 'import { skip } from "../scripts/lab/support.ts";',
  };
  const portable = Object.keys(files).filter((path) => path.endsWith("_test.ts"))
    .filter((path) => isPortable(path, (name) => files[name]));
  deepEqual(portable, ["a/plain_test.ts", "a/round_test.ts"]);
});

Deno.test("the portable tests are part of the rooms', and most files of the protocols are among them", () => {
  const portable = portableFiles();
  const rooms = new Set(jobsOf(["rooms"]).flatMap(({ paths }) => paths));
  ok(portable.length > 100, `${portable.length}`);
  ok(portable.every((path) => rooms.has(path)));
  equal(portable.includes("relay/ops/systemd_test.ts"), false);
  for (const room of ["relay", "proxy", "client", "agent", "control"]) {
    ok(portable.some((path) => path.startsWith(`${room}/`)), room);
  }
});
