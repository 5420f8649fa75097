import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { encodeSendPacket, FrameType } from "../relay/derp/mod.ts";
import type { TestClient } from "../relay/server/testing.ts";
import { taskArguments } from "../scripts/mesh/mod.ts";
import { RelayFiles, RelayProcess } from "./relay_process.ts";
import { pause } from "./support.ts";

/** Each client sends one packet to each; all must arrive, whichever workers they are on. */
async function everybodyReachesEverybody(clients: TestClient[]): Promise<void> {
  const expected = clients.map((c) => c.publicKey.toHex()).sort();
  await Promise.all(clients.map(async (client) => {
    for (const other of clients) {
      await client.send(encodeSendPacket(other.publicKey, client.publicKey));
    }
  }));
  await Promise.all(clients.map(async (client) => {
    const from: string[] = [];
    while (from.length < clients.length) {
      const frame = await client.next();
      ok(frame !== undefined, "the connection ended");
      if (frame.type !== FrameType.RecvPacket) continue; // somebody left
      deepEqual(frame.payload.subarray(0, 32), frame.payload.subarray(32));
      from.push(frame.payload.subarray(0, 32).toHex());
    }
    deepEqual(from.sort(), expected);
  }));
}

/** Clients until each worker has at least two. */
async function spread(relay: RelayProcess): Promise<TestClient[]> {
  const clients: TestClient[] = [];
  for (let i = 0; i < 12; i++) clients.push(await relay.client());
  return clients;
}

async function metric(relay: RelayProcess, name: string): Promise<number> {
  const client = Deno.createHttpClient({ caCerts: [await Deno.readTextFile(relay.said.ca!)] });
  try {
    const answer = await fetch(`https://localhost:${relay.port}/debug/varz`, { client });
    const text = await answer.text();
    return Number(text.match(new RegExp(`^${name} (.*)$`, "m"))![1]);
  } finally {
    client.close();
  }
}

Deno.test("workers share one port, and one that dies is replaced while the others go on", async () => {
  await using files = await RelayFiles.make();
  await using relay = await RelayProcess.start(files, ["--workers", "2", "--drain", "100ms"]);
  equal(relay.said.workers, 2);
  equal(relay.said.replaces, false);
  const clients = await spread(relay);
  await everybodyReachesEverybody(clients);
  equal(await metric(relay, "derp_current_connections"), 12, "each page shows the whole relay");
  equal(await metric(relay, "derp_packets_received"), 144);

  // The key came by standard input: neither arguments nor environment have it.
  const key = JSON.parse(await Deno.readTextFile(`${files.directory}/derper.key`)).PrivateKey
    .replace("privkey:", "");
  const before = await relay.workers();
  equal(before.length, 2);
  for (const pid of before) {
    for (const file of ["cmdline", "environ"]) {
      ok(!(await Deno.readTextFile(`/proc/${pid}/${file}`)).includes(key), file);
    }
  }

  await pause(5_100); // the supervisor has asked for the workers' counters once
  Deno.kill(before[0]!, "SIGKILL");
  await relay.logs(/Worker \w+ replaces it/);
  const after = await relay.workers();
  equal(after.length, 2);
  equal(after.filter((pid) => before.includes(pid)).length, 1);
  equal(await metric(relay, "derp_packets_received"), 144, "counters never fall");

  // The dead worker's clients see the end, and come back; the others never noticed.
  const alive: TestClient[] = [];
  await Promise.all(clients.map(async (client) => {
    await client.send(encodeSendPacket(client.publicKey, client.publicKey)).catch(() => {});
    for (;;) {
      const frame = await client.next();
      if (frame === undefined) return client.close();
      if (frame.type === FrameType.RecvPacket) return void alive.push(client);
    }
  }));
  ok(alive.length > 0 && alive.length < 12, `${alive.length} of 12 stayed`);
  while (alive.length < 12) alive.push(await relay.client());
  await everybodyReachesEverybody(alive);

  relay.kill("SIGTERM");
  equal((await relay.ended()).code, 0);
  for (const client of alive) client.close();
  for (const pid of after) {
    await Deno.stat(`/proc/${pid}`).then(() => ok(false, `worker ${pid} is left`), () => {});
  }
  deepEqual([...Deno.readDirSync(`${files.directory}/run`)], []);
});

Deno.test("workers end with their supervisor, and the next relay starts beside their sockets", async () => {
  await using files = await RelayFiles.make();
  await using relay = await RelayProcess.start(files, ["--workers", "2"]);
  const workers = await relay.workers();
  relay.kill("SIGKILL");
  await relay.ended();
  const gone = async (pid: number) => {
    // A zombie has ended too; it is left to whoever adopted it.
    const state = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "");
    return state === "" || / Z /.test(state);
  };
  const until = performance.now() + 2_000;
  while (!(await Promise.all(workers.map(gone))).every(Boolean)) {
    ok(performance.now() < until, "workers outlive their supervisor");
    await pause(20);
  }
  await using next = await RelayProcess.start(files, [
    ...["--workers", "2", "--addr", `127.0.0.1:${relay.port}`],
  ]);
  equal(next.said.replaces, false);
  const clients = await spread(next);
  await everybodyReachesEverybody(clients);
  for (const client of clients) client.close();
});

Deno.test("a signal to the whole process group ends a relay as one to itself does", async () => {
  await using files = await RelayFiles.make();
  await using relay = await RelayProcess.start(files, ["--workers", "2", "--drain", "100ms"]);
  for (const pid of await relay.workers()) Deno.kill(pid, "SIGTERM");
  const client = await relay.client();
  relay.kill("SIGTERM");
  ok((await client.expect(FrameType.Restarting)).length === 8);
  equal((await relay.ended()).code, 0);
  ok(!/died/.test(relay.log), relay.log);
  client.close();
});

Deno.test("a relay refuses a port that another relay or program has", async () => {
  await using files = await RelayFiles.make();
  await using relay = await RelayProcess.start(files, ["--workers", "2"]);
  await using others = await RelayFiles.make();
  const addr = ["--addr", `127.0.0.1:${relay.port}`];
  const refused = async (files: RelayFiles, args: string[]) => {
    const error = await RelayProcess.start(files, args).then(() => undefined, (e) => e as Error);
    match(error!.message, /Cannot listen on 127\.0\.0\.1:\d+: port in use; .*--addr"/);
  };
  await refused(others, addr);
  // The same key, but nobody answers in its run directory.
  await refused(files, [...addr, "--run-dir", `${files.directory}/run2`]);
  const client = await relay.client();
  await everybodyReachesEverybody([client]);
  client.close();
});

/** Runs a relay that may not start processes; returns what it says and how it ends. */
async function withoutRun(files: RelayFiles, args: string[]) {
  const { directory } = files;
  const { code, stdout, stderr } = await new Deno.Command("timeout", {
    args: [
      ...["-s", "TERM", "--preserve-status", "3", Deno.execPath()],
      ...taskArguments("relay").filter((arg) => !arg.startsWith("--allow-run")),
      ...["--json", "--hostname", "localhost", "--certmode", "selfsigned", "--certdir", directory],
      ...["-c", `${directory}/k`, "--run-dir", `${directory}/run`, "--addr", "127.0.0.1:0"],
      ...["--http-port", "-1", "--stun=false", ...args],
    ],
    env: { NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

Deno.test("a relay that may start no processes serves in one, unless several were asked for", async () => {
  await using files = await RelayFiles.make();
  const several = await withoutRun(files, ["--workers", "2"]);
  equal(several.code, 2, several.stderr);
  match(several.stderr, /Cannot use --workers 2: .*--allow-run=.*--workers 1"/);
  const one = await withoutRun(files, []);
  notEqual(one.stdout, "");
  equal(JSON.parse(one.stdout).workers, 1);
  if (navigator.hardwareConcurrency > 1) match(one.stderr, /Serves in one process and on one core/);
});
