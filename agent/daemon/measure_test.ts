import assert from "node:assert/strict";
import { AgentError } from "../errors.ts";
import { measureHost } from "./measure.ts";

Deno.test("measureHost names a remedy when no UDP port is free", async () => {
  const config = { listenPort: 0, stunServers: [] };
  const doors = {
    freeUdpPort: () => Promise.resolve(undefined),
    probe: () => Promise.reject(new Error("not reached")),
    localEndpoint: () => Promise.reject(new Error("not reached")),
  };
  await assert.rejects(measureHost(config, doors, { port: 5, nat: undefined }), (error) => {
    assert(error instanceof AgentError);
    assert.match(error.message, /^Cannot find a free UDP port.*; stop .* --listen-port$/);
    return true;
  });
});
