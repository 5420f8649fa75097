import { deepEqual, equal, rejects } from "node:assert/strict";
import { RelayError } from "../errors.ts";
import { type Handlers, Rpc, RpcError } from "./rpc.ts";

/** Two ends that call each other, and the stream from the second to the first. */
function pair(a: Handlers, b: Handlers) {
  const there = new TransformStream<Uint8Array, Uint8Array>();
  const back = new TransformStream<Uint8Array, Uint8Array>();
  return {
    first: new Rpc(back.readable, there.writable, a),
    second: new Rpc(there.readable, back.writable, b),
  };
}

async function closeBoth({ first, second }: ReturnType<typeof pair>): Promise<void> {
  await first.close();
  await second.close();
  await Promise.all([first.closed, second.closed]);
}

Deno.test("rpc carries calls, results and errors both ways", async () => {
  const ends = pair(
    { twice: (n: number) => 2 * n },
    {
      late: (n: number) => new Promise((resolve) => setTimeout(() => resolve(n), n)),
      fail: () => {
        throw new RelayError("Cannot do it", 2);
      },
      back: async (n: number) => await ends.second.call("twice", n, 1000),
      long: (text: string) => text.length,
    },
  );
  const { first } = ends;
  deepEqual(await Promise.all([first.call("late", 20, 1000), first.call("late", 1, 1000)]), [
    20,
    1,
  ]);
  equal(await first.call("back", 21, 1000), 42);
  equal(await first.call("long", "ü\n".repeat(300_000), 5000), 600_000);
  await rejects(
    first.call("fail", null, 1000),
    (error: RelayError) => error.exitCode === 2 && error.message === "Cannot do it",
  );
  await rejects(first.call("toString", null, 1000), /unknown call/);
  await closeBoth(ends);
});

Deno.test("rpc gives up on a call that is not answered, and on all when the stream ends", async () => {
  const ends = pair({}, { never: () => new Promise(() => {}) });
  await rejects(ends.first.call("never", null, 20), RpcError);
  const open = rejects(ends.first.call("never", null, 10_000), /the worker ended/);
  await closeBoth(ends);
  await open;
  await rejects(ends.first.call("never", null, 10_000), RpcError);
});

Deno.test("rpc ignores lines that are no message", async () => {
  const back = new TransformStream<Uint8Array, Uint8Array>();
  const rpc = new Rpc(back.readable, new WritableStream(), {});
  const writer = back.writable.getWriter();
  for (const line of ["", "hello", "null", "[]", '{"id":"x"}', '{"id":99,"result":1}', "{"]) {
    await writer.write(new TextEncoder().encode(line + "\n"));
  }
  const call = rpc.call("x", null, 1000);
  await writer.write(new TextEncoder().encode('{"id":1,"result":"it lives"}\n'));
  equal(await call, "it lives");
  await writer.close();
  await rpc.closed;
});
