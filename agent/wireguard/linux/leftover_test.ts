import assert from "node:assert/strict";
import { AgentError } from "../../errors.ts";
import type { runIp } from "../../platform/mod.ts";
import { aliasOf, removeMarked } from "./leftover.ts";

const token = "0123456789abcdef0123456789abcdef";

/** An `ip` with one interface, and what it says when that is to be deleted. */
function ipWith(alias: string, refusal?: string): typeof runIp {
  return (args) =>
    Promise.resolve(
      args.includes("show")
        ? { code: 0, stdout: `[{"ifname":"wg9","ifalias":"${alias}"}]`, stderr: "" }
        : { code: refusal === undefined ? 0 : 2, stdout: "", stderr: refusal ?? "" },
    );
}

Deno.test("removeMarked removes what carries our mark, and tells when it stays", async () => {
  const own = aliasOf(token);
  assert.equal(await removeMarked("wg9", token, ipWith(own)), true);
  assert.equal(await removeMarked("wg9", token, ipWith("somebody's")), false);
  const gone = 'Cannot find device "wg9"';
  assert.equal(await removeMarked("wg9", token, ipWith(own, gone)), false);
  await assert.rejects(
    removeMarked("wg9", token, ipWith(own, "RTNETLINK answers: Operation not permitted")),
    (error) => error instanceof AgentError && /wg9: .*not permitted; run ip/.test(error.message),
  );
});
