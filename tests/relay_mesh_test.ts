import { deepEqual, ok } from "node:assert/strict";
import { encodeSendPacket, FrameType } from "../relay/derp/mod.ts";
import { RelayFiles, RelayProcess } from "./relay_process.ts";
import { pause } from "./support.ts";

Deno.test("two meshed relays of two workers each are one region", async () => {
  await using files = await RelayFiles.make();
  const { directory } = files;
  await Deno.writeTextFile(`${directory}/mesh.key`, "5a".repeat(32));
  const flags = (name: string, withPort?: number) => [
    ...["-c", `${directory}/${name}.key`, "--workers", "2", "--drain", "100ms"],
    ...["--mesh-psk-file", `${directory}/mesh.key`, "--mesh-ca", `${directory}/certs/ca.crt`],
    ...(withPort === undefined ? [] : ["--mesh-with", `localhost:${withPort}`]),
  ];
  // The CA is made by the first start; a relay meshes in one direction until the other is known.
  await using maker = await RelayProcess.start(files, ["--workers", "1", "--drain", "0"]);
  maker.kill("SIGTERM");
  await maker.ended();
  const probe = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = probe.addr;
  probe.close();
  await using one = await RelayProcess.start(files, flags("one", port));
  await using two = await RelayProcess.start(files, [
    ...flags("two", one.port),
    ...["--addr", `127.0.0.1:${port}`],
  ]);
  const clients = [];
  for (const relay of [one, two]) {
    for (let i = 0; i < 6; i++) clients.push(await relay.client());
  }
  try {
    // Links come up in the background; whatever is sent too early is lost, so keep asking.
    const heard = clients.map(() => new Set<string>());
    const reading = clients.map(async (client, i) => {
      for (let frame; (frame = await client.next()) !== undefined;) {
        if (frame.type === FrameType.RecvPacket) {
          heard[i]!.add(frame.payload.subarray(0, 32).toHex());
        }
      }
    });
    const all = new Set(clients.map(({ publicKey }) => publicKey.toHex()));
    for (const end = performance.now() + 20_000; heard.some((set) => set.size < all.size);) {
      ok(performance.now() < end, heard.map((set) => set.size).join(" "));
      for (const from of clients) {
        for (const [i, to] of clients.entries()) {
          if (heard[i]!.has(from.publicKey.toHex())) continue;
          await from.send(encodeSendPacket(to.publicKey, new Uint8Array(100)));
        }
      }
      await pause(100);
    }
    for (const set of heard) deepEqual(set, all);
    for (const client of clients) client.close();
    await Promise.all(reading);
  } finally {
    for (const client of clients) client.close();
  }
});
