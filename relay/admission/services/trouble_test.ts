import { deepEqual, match } from "node:assert/strict";
import { Trouble } from "./trouble.ts";

Deno.test("trouble with a request is told by its cause, and without what its URL holds", async () => {
  const nobody = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const url = `http://127.0.0.1:${nobody.addr.port}/x?token=secret`;
  nobody.close();
  const said: string[] = [];
  const trouble = new Trouble((reason) => said.push(reason));
  trouble.note(await fetch(url).catch((error) => error));
  match(said[0]!, /refused/i);
  deepEqual(said.filter((reason) => /secret|127\.0\.0\.1|fetch failed/.test(reason)), []);
});

Deno.test("the same trouble is told once, and nothing of it can end a log line", () => {
  const said: string[] = [];
  const trouble = new Trouble((reason) => said.push(reason));
  trouble.note(new Error("a\nb\u202ec"));
  trouble.note(new Error("a\nb\u202ec"));
  trouble.note(new Error("d"));
  deepEqual(said, ["a b c"]);
});
