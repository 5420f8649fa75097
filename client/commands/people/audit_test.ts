import assert from "node:assert/strict";
import { TestControl } from "../../../control/testing.ts";
import { ClientError, runClient } from "../../mod.ts";
import { TestUser } from "../../testing.ts";

const SERVICE = "https://control.test";

Deno.test("audit list shows who did what, by time, actor, resource and action, in every form", async () => {
  await using control = await TestControl.start();
  await using ada = new TestUser(control.app);
  ada.begin(SERVICE, control.user);
  const vpc = await ada.json("vpc", "create", "--description", "lab");
  await ada.run("vpc", "update", "--vpc-id", vpc.id, "--description", "field");
  await control.register({ hostname: "one" });
  const table = (await ada.run("audit", "list")).split("\n").map((line) => line.trim());
  assert.match(table[0]!, /^TIME +ACTOR +ACTION +RESOURCE +FROM$/);
  assert.match(table[1]!, /^20\S+Z +reg-key \S+ +device\.create +device one$/);
  assert.match(table[2]!, /^20\S+Z +user ada +vpc\.update +vpc field +192\.0\.2\.1$/);
  const full = await ada.run("audit", "list", "--full", "--action", "vpc.update");
  assert.match(full, /description: lab > field/);
  const actions = async (...flags: string[]) =>
    (await ada.json("audit", "list", ...flags)).map(({ action }: { action: string }) => action);
  assert.deepEqual(await actions("--actor", "ada"), ["vpc.update", "vpc.create"]);
  assert.deepEqual(await actions("--resource", "one"), ["device.create"]);
  assert.deepEqual(await actions("--limit", "1", "--since", "1h"), ["device.create"]);
  assert.deepEqual(await actions("--since", "2999-01-01"), []);
  assert.match(await ada.run("audit", "list", "--output", "yaml"), /action: device\.create/);
  assert.match(await ada.run("audit", "list", "--output", "json-raw"), /^\[\{"id":3,/);
  assert.match(await ada.run("audit", "list", "--output", "no-header"), /^20/);
  assert.match(await ada.refused("audit", "list", "--since", "soon"), /--since soon is no time/);
  assert.match(await ada.refused("audit", "list", "--limit", "0"), /--limit 0 is no number/);
});

Deno.test("audit list --follow goes on with what comes until it is interrupted", async () => {
  await using control = await TestControl.start();
  await using ada = new TestUser(control.app);
  ada.begin(SERVICE, control.user);
  await control.register({ hostname: "one" });
  const stop = new AbortController();
  const printed: string[] = [];
  const running = runClient("audit list", {
    "session-file": ada.file,
    output: "column",
    follow: true,
  }, {
    json: false,
    columns: 120,
    signal: stop.signal,
    version: "test",
    print: (text) => {
      printed.push(text);
      if (printed.length === 1) void control.register({ hostname: "two" });
      else stop.abort();
    },
    transport: {
      send: async (url, { method, headers, signal }) => {
        signal.throwIfAborted();
        return await control.app.request(url.href, { method, headers });
      },
      close: () => {},
    },
  });
  await assert.rejects(running, (error) => error instanceof ClientError && error.exitCode === 130);
  assert.match(printed[0]!, /^TIME.*\n.* one/);
  assert.match(printed[1]!, /^20.*device\.create.* two/);
  assert.equal(printed.length, 2);
});
