/**
 * The reference client library against our relay, through a load tool built on it. Set
 * NEXD_TEST_DERPLOAD to the tool's path.
 */
import assert from "node:assert/strict";
import { TestRelay } from "./testing.ts";

/** Runs the tool in one mode; its one line of JSON. Undefined, with a reason said, without it. */
async function derpload(mode: string[]): Promise<Record<string, number> | undefined> {
  const tool = Deno.env.get("NEXD_TEST_DERPLOAD");
  if (tool === undefined || tool === "") {
    // deno-lint-ignore no-console -- a test's skip line
    console.log("skip: NEXD_TEST_DERPLOAD does not name the load tool of the reference client");
    return undefined;
  }
  await using setup = await TestRelay.start();
  const url = `https://localhost:${setup.relay.address.port}/derp`;
  const { code, stdout, stderr } = await new Deno.Command(tool, {
    args: ["-url", url, "-pid", String(Deno.pid), ...mode],
    env: { SSL_CERT_FILE: setup.certificate.caPath },
    signal: AbortSignal.timeout(30_000),
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  assert.equal(setup.relay.metrics()["protocolErrors"], 0);
  assert.equal(setup.relay.metrics()["loginsRefused"], 0);
  return JSON.parse(new TextDecoder().decode(stdout));
}

Deno.test("the reference client logs in when it dials our relay", async () => {
  const result = await derpload(["logins", "-n", "20", "-c", "4"]);
  if (result !== undefined) assert.equal(result["n"], 20);
});

Deno.test("the reference client loses nothing within a window of 64 through our relay", async () => {
  const result = await derpload(["pairs", "-n", "2", "-secs", "1"]);
  if (result === undefined) return;
  assert.equal(result["stalls"], 0);
  assert(result["kpps"]! > 0);
});

Deno.test("the reference client gets answers when it bounces packets through our relay", async () => {
  const result = await derpload(["rtt", "-n", "200"]);
  if (result === undefined) return;
  assert(result["p50_us"]! < 20_000, `${result["p50_us"]} us`);
});

Deno.test("raw frames in batches all arrive when they go through our relay", async () => {
  const result = await derpload(["bulk", "-n", "2", "-window", "128", "-secs", "1"]);
  if (result !== undefined) assert.equal(result["lost"], 0);
});
