import assert from "node:assert/strict";
import { isHeld, makeLabDir, makeTestDir, removeStaleDirs } from "./dirs.ts";

for (const [what, make] of [["lab", makeLabDir], ["run of the tests", makeTestDir]] as const) {
  Deno.test(`the directory of a ${what} is swept when nobody holds it any more`, () => {
    const { dir, lock } = make();
    Deno.mkdirSync(`${dir}/left`);
    assert.ok(isHeld(dir));
    assert.ok(!removeStaleDirs().includes(dir));
    lock.close();
    removeStaleDirs(); // or a lab that starts at this moment does it
    assert.throws(() => Deno.statSync(dir), Deno.errors.NotFound);
  });
}
