import assert from "node:assert/strict";
import { callAgent, describeAgent, isAnswering, serveControl, stopAgent } from "./mod.ts";
import { type Local, NAMED_PIPES } from "./local.ts";
import { connectPipe, listenPipe } from "./pipe.ts";
import { STATUS } from "./testing.ts";

/** What Windows uses, over a unix socket here, which `node:net` treats alike. */
const OVER_NODE: Local = {
  connect: connectPipe,
  listen: listenPipe,
  remove: () => Promise.resolve(),
};

async function at(test: (path: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  const name = Deno.build.os === "windows" ? `\\\\.\\pipe\\nexd-test-${crypto.randomUUID()}` : "";
  try {
    await test(name || `${dir}/nexd.pipe`);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("control pipe answers, large answers and one client after another", () =>
  at(async (path) => {
    const many = { ...STATUS, peers: Array.from({ length: 2000 }, () => STATUS.peers[0]!) };
    const socket = await serveControl(path, { describe: () => many }, OVER_NODE);
    try {
      for (let round = 0; round < 3; round++) {
        const text = await callAgent(path, "Describe", { local: OVER_NODE });
        assert.deepEqual(JSON.parse(text), many);
      }
      await assert.rejects(callAgent(path, "Nope", { local: OVER_NODE }), /can't find method/);
      await assert.rejects(
        serveControl(path, { describe: () => STATUS }, OVER_NODE),
        /Another agent is running/,
      );
    } finally {
      await socket.close();
    }
    assert.equal(await isAnswering(path, OVER_NODE), false);
    await assert.rejects(callAgent(path, "Status", { local: OVER_NODE }), /is not running/);
  }));

Deno.test("control pipe closes on rubbish and stays up for others", () =>
  at(async (path) => {
    const socket = await serveControl(path, { describe: () => STATUS }, OVER_NODE);
    try {
      const conn = await connectPipe(path);
      await conn.write(new TextEncoder().encode("[]"));
      assert.equal(await conn.read(new Uint8Array(10)).catch(() => null), null);
      conn.close();
      const status = JSON.parse(await callAgent(path, "Describe", { local: OVER_NODE }));
      assert.deepEqual(status, STATUS);
    } finally {
      await socket.close();
    }
  }));

Deno.test("an agent is ended over its control socket, and waited for", () =>
  at(async (path) => {
    assert.equal(await stopAgent(path, OVER_NODE), false);
    const ended = Promise.withResolvers<void>();
    const socket = await serveControl(path, {
      describe: () => STATUS,
      stop: () => void socket.close().then(ended.resolve),
    }, OVER_NODE);
    assert.equal(await stopAgent(path, OVER_NODE), true);
    await ended.promise;
    assert.equal(await isAnswering(path, OVER_NODE), false);
  }));

Deno.test("a control pipe has the name of a pipe", async () => {
  await assert.rejects(NAMED_PIPES.connect("C:\\nexd.sock"), {
    exitCode: 2,
    message: /it is a pipe/,
  });
  if (Deno.build.os !== "windows") await assert.rejects(describeAgent("/nonexistent/nexd.sock"));
});
