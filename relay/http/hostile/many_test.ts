/** Too many connections: of one address, of everybody, and for the process. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { upgradeRequest } from "../../derp/mod.ts";
import { encode, PlainFront, readAll, readHead } from "../front_testing.ts";

Deno.test("Front lets one address have so many strangers, and takes others when they have gone", async () => {
  const perAddress = { unfinished: 5, total: 100 };
  await using setup = new PlainFront({ headMs: 60_000 }, { perAddress });
  const held = await Promise.all(Array.from({ length: 5 }, () => setup.connect()));
  // Taken in turn, so once this one is refused the five are in.
  using sixth = await setup.connect();
  assert.equal((await readAll(sixth)).length, 0);
  assert.equal(setup.relay.counters.addressLimited, 1);
  held[0]!.close();
  let head = "";
  while (head === "") {
    using again = await setup.ask(upgradeRequest("a"));
    head = await readHead(again).then((answer) => answer.head, () => "");
  }
  assert.match(head, /^HTTP\/1\.1 101 /);
  for (const conn of held.slice(1)) conn.close();
});

Deno.test("Front closes surplus connections at once, counts them, and goes on", async () => {
  const acceptLimit = { perSecond: 20, burst: 3 };
  await using setup = new PlainFront({}, { acceptLimit });
  const answers = await Promise.all(Array.from({ length: 10 }, async () => {
    using conn = await setup.connect();
    await conn.write(encode("GET /derp/probe HTTP/1.1\r\nHost: a\r\n\r\n")).catch(() => {});
    return await readHead(conn).then(() => true, () => false);
  }));
  const refused = answers.filter((answered) => !answered).length;
  assert(refused >= 5, `${refused} refused`);
  assert.equal(setup.relay.counters.acceptLimited, refused);
  let answered = false;
  while (!answered) {
    using conn = await setup.connect();
    await conn.write(encode("GET /derp/probe HTTP/1.1\r\nHost: a\r\n\r\n")).catch(() => {});
    answered = await readHead(conn).then(() => true, () => false);
    if (!answered) await new Promise((resolve) => setTimeout(resolve, 20));
  }
});

Deno.test("Front ends the oldest strangers when there are too many, not those that have logged in", async () => {
  await using setup = new PlainFront({ headMs: 60_000 }, { unfinished: 4 });
  const held = [];
  for (let i = 0; i < 4; i++) held.push(await setup.connect());
  using last = await setup.ask("GET /derp/probe HTTP/1.1\r\nHost: a\r\n\r\n");
  assert.match((await readHead(last)).head, /^HTTP\/1\.1 200 /);
  assert.equal((await readAll(held[0]!)).length, 0);
  assert.equal(setup.relay.counters.acceptLimited, 1);
  await held[1]!.write(encode("GET /derp/probe HTTP/1.1\r\nHost: a\r\n\r\n"));
  assert.match((await readHead(held[1]!)).head, /^HTTP\/1\.1 200 /);
  for (const conn of held) conn.close();
});

/** A relay in a process that may have few descriptors; ends when its input does. */
const SMALL = `
  import { PlainFront } from ${
  JSON.stringify(new URL("../front_testing.ts", import.meta.url).href)
};
  const setup = new PlainFront({ headMs: 60_000 });
  console.log(setup.port);
  await Deno.stdin.read(new Uint8Array(1));
  Deno.exit(0);
`;

Deno.test("Front survives a process that has no descriptor left, and serves when it has again", async () => {
  const directory = await Deno.makeTempDir({ prefix: "nexd-few-" });
  await Deno.writeTextFile(`${directory}/relay.ts`, SMALL);
  const config = fileURLToPath(new URL("../../../deno.json", import.meta.url));
  const script = 'ulimit -n 80; exec "$0" run -A --config "$1" "$2"';
  const process = new Deno.Command("bash", {
    args: ["-c", script, Deno.execPath(), config, `${directory}/relay.ts`],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = process.stdout.getReader();
  const port = Number(new TextDecoder().decode((await reader.read()).value));
  const connect = () => Deno.connect({ hostname: "127.0.0.1", port });
  // More than there are descriptors for: the kernel takes them, the process cannot.
  const held: Deno.Conn[] = [];
  for (let i = 0; i < 150; i++) held.push(await connect());
  // Strangers make room for the next, so this one is answered while the rest are still there.
  let head = "";
  while (head === "") {
    using conn = await connect();
    await conn.write(encode("GET /derp/probe HTTP/1.1\r\nHost: a\r\n\r\n"));
    head = await readHead(conn).then((answer) => answer.head, () => "");
  }
  assert.match(head, /^HTTP\/1\.1 200 /);
  for (const conn of held) conn.close();
  await process.stdin.close();
  await reader.cancel();
  assert.equal((await process.status).code, 0);
  await Deno.remove(directory, { recursive: true });
});
