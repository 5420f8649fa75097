/** Two real WireGuards whose first messages cross on the relay. */
import { equal, ok } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { generatePrivateKey, publicKeyOf } from "../relay/derp/mod.ts";
import { Lab } from "../scripts/lab/mod.ts";
import { cannotMesh } from "../scripts/lab/support.ts";
import { Mesh } from "../scripts/mesh/mod.ts";
import type { HandshakeHost } from "./handshake_host.ts";

const HOST = fileURLToPath(new URL("./handshake_host.ts", import.meta.url));
const STEP_MS = 20_000;

Deno.test("two handshakes that cross on the relay are done at once, not after 5 s", async () => {
  if (await cannotMesh()) return;
  await using lab = await Lab.create({ hosts: 2, nat: "symmetric" });
  const mesh = new Mesh(lab, { agents: [] });
  await mesh.startRelay();
  const relay = mesh.parts.get("relay")!;
  const keys = { a: generatePrivateKey(), b: generatePrivateKey() };
  const ips = { a: "100.64.0.1", b: "100.64.0.2" };
  const start = (name: "a" | "b", peer: "a" | "b") => {
    const config: HandshakeHost = {
      privateKey: keys[name].toBase64(),
      peerKey: publicKeyOf(keys[peer]).toBase64(),
      tunnelIp: ips[name],
      peerIp: ips[peer],
      relayCa: `${lab.dir}/relay/ca.crt`,
    };
    return lab.host(name).spawn([Deno.execPath(), "run", "-A", HOST, JSON.stringify(config)], {
      env: { NO_COLOR: "1" },
      log: name,
    });
  };
  const ends = await Promise.all([start("a", "b"), start("b", "a")]);
  await Promise.all(ends.map((end) => end.waitFor(/^login$/, STEP_MS)));
  // Both initiations lie at the relay while it stands still: neither side has seen the other's.
  relay.kill("SIGSTOP");
  for (const end of ends) end.kill("SIGUSR1");
  await Promise.all(ends.map((end) => end.waitFor(/^sent$/, STEP_MS)));
  const went = Date.now();
  relay.kill("SIGCONT");
  const ups = (await Promise.all(ends.map((end) => end.waitFor(/^up /, STEP_MS))))
    .map((line) => /^up (\d+) (.*)$/.exec(line)!);
  const took = Math.max(...ups.map(([, at]) => Number(at))) - went;
  ok(took < 2_000, `it took ${took} ms`);
  const dropped = ups.map(([, , drops]) => JSON.parse(drops!).crossed_handshake as number);
  ok(dropped[0]! + dropped[1]! <= 1, `${dropped}`);
  const { stdout } = await lab.host("a").run(["ping", "-q", "-c", "100", "-i", "0.01", ips.b]);
  equal(/(\d+) received/.exec(stdout)?.[1], "100");
});
