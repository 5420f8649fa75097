import { equal, match, ok } from "node:assert/strict";
import { encodePing, FrameType } from "../relay/derp/mod.ts";
import { ensureSelfSigned } from "../relay/cert/mod.ts";
import { RelayFiles, RelayProcess } from "./relay_process.ts";
import { pause } from "./support.ts";

Deno.test("a relay tells the service manager how it is, from start to end", async () => {
  await using files = await RelayFiles.make();
  const path = `${files.directory}/notify`;
  const manager = Deno.listenDatagram({ transport: "unixpacket", path });
  try {
    const next = async (): Promise<string> =>
      new TextDecoder().decode((await manager.receive())[0]);
    await using relay = await RelayProcess.start(files, ["--workers", "2", "--drain", "100ms"], {
      NOTIFY_SOCKET: path,
      WATCHDOG_USEC: "400000",
    });
    match(await next(), /^READY=1\nSTATUS=serves localhost on port \d+$/);
    equal(await next(), "WATCHDOG=1");
    relay.kill("SIGHUP");
    let text = await next();
    while (text === "WATCHDOG=1") text = await next();
    match(text, /^RELOADING=1\nMONOTONIC_USEC=\d+$/);
    while ((text = await next()) === "WATCHDOG=1");
    match(text, /^READY=1\n/);

    const workers = await relay.workers();
    const heard: string[] = [];
    const listening = (async () => {
      while ((text = await next()) === "WATCHDOG=1") {
        heard.push(text);
      }
    })();
    // A worker that hangs is the relay's to replace.
    Deno.kill(workers[0]!, "SIGSTOP");
    await pause(1_000);
    ok(heard.length >= 2, "the watchdog hears nothing though a worker lives");
    // None that answers is no life. One notification may have been on its way.
    Deno.kill(workers[1]!, "SIGSTOP");
    heard.splice(0);
    await pause(1_000);
    for (const pid of workers) Deno.kill(pid, "SIGCONT");
    ok(heard.length <= 1, `${heard.length} times told that all is well`);
    heard.splice(0);
    await pause(1_000);
    ok(heard.length >= 2, "the watchdog hears nothing of workers that live again");

    relay.kill("SIGTERM");
    await listening;
    match(text, /^STOPPING=1\n/);
    equal((await relay.ended()).code, 0);
  } finally {
    manager.close();
  }
});

/** The leaf certificate that a relay shows, by openssl; undefined without it. */
async function fingerprint(port: number): Promise<string | undefined> {
  try {
    const { stdout } = await new Deno.Command("sh", {
      args: [
        "-c",
        `openssl s_client -connect 127.0.0.1:${port} -servername localhost </dev/null 2>/dev/null |` +
        " openssl x509 -noout -fingerprint -sha256",
      ],
      stderr: "null",
    }).output();
    return new TextDecoder().decode(stdout).trim() || undefined;
  } catch {
    return undefined;
  }
}

Deno.test("SIGHUP serves new certificate files and drops no connection", async () => {
  await using files = await RelayFiles.make();
  const { directory } = files;
  const certs = `${directory}/certs`;
  const put = async () => {
    const made = await ensureSelfSigned(`${directory}/made-${crypto.randomUUID()}`, ["localhost"]);
    await Deno.mkdir(certs, { recursive: true });
    await Deno.writeTextFile(`${certs}/localhost.crt`, made.cert);
    await Deno.writeTextFile(`${certs}/localhost.key`, made.key);
    return made.ca;
  };
  const ca = await put();
  const args = ["--certmode", "manual", "--workers", "2", "--drain", "100ms"];
  await using relay = await RelayProcess.start(files, args);
  await Deno.writeTextFile(`${directory}/ca.crt`, ca);
  relay.said.ca = `${directory}/ca.crt`;
  const client = await relay.client();
  const before = await fingerprint(relay.port);

  const newCa = await put();
  relay.kill("SIGHUP");
  await Deno.writeTextFile(`${directory}/ca.crt`, newCa);
  let other: Awaited<ReturnType<RelayProcess["client"]>> | undefined;
  for (const end = performance.now() + 10_000; other === undefined;) {
    other = await relay.client().catch(() => undefined);
    ok(performance.now() < end, "the new certificate is not served");
  }
  if (before !== undefined) ok(before !== await fingerprint(relay.port));
  await client.send(encodePing(new Uint8Array(8)));
  await client.expect(FrameType.Pong);
  client.close();
  other.close();
});

Deno.test("SIGHUP keeps the old rate limits when the new file is bad", async () => {
  await using files = await RelayFiles.make();
  const file = `${files.directory}/rate.json`;
  await Deno.writeTextFile(file, '{"PerClientRateLimitBytesPerSec": 100000}');
  const args = ["--rate-config", file, "--workers", "1", "--drain", "100ms"];
  await using relay = await RelayProcess.start(files, args);
  await Deno.writeTextFile(file, "{");
  relay.kill("SIGHUP");
  await relay.logs(/The rate limits stay as they are: .*not JSON/);
  relay.kill("SIGTERM");
  equal((await relay.ended()).code, 0);
});
