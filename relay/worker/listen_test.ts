import { equal, ok } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { BothListeners } from "./both.ts";
import { isFree, listen } from "./listen.ts";

const TIMES = { keepAliveMs: 60_000, userTimeoutMs: 15_000 };

Deno.test("two listeners are accepted from as from one", async () => {
  const [a, b] = [1, 2].map(() => Deno.listen({ hostname: "127.0.0.1", port: 0 }));
  const ports = [a, b].map((listener) => listener!.addr.port);
  const both = new BothListeners(a!, b!);
  const clients = await Promise.all(
    [0, 1, 1, 0, 0, 1].map((which) => Deno.connect({ hostname: "127.0.0.1", port: ports[which]! })),
  );
  const seen: number[] = [];
  for (let i = 0; i < 6; i++) {
    const conn = await both.accept();
    seen.push((conn.localAddr as Deno.NetAddr).port);
    conn.close();
  }
  equal(seen.filter((port) => port === ports[0]).length, 3);
  const pending = both.accept().then(() => "accepted", () => "closed");
  both.close();
  equal(await pending, "closed");
  for (const client of clients) client.close();
});

Deno.test("a port is shared only by those who say so, and found in use by others", () => {
  const options = { certificate: undefined, times: TIMES };
  using first = listen({ hostname: "127.0.0.1", port: 0 }, options);
  const addr = { hostname: "127.0.0.1", port: (first.addr as Deno.NetAddr).port };
  ok(!isFree(addr));
  using second = listen(addr, options);
  equal((second.addr as Deno.NetAddr).port, addr.port);
  first.close();
  ok(!isFree(addr));
  second.close();
  ok(isFree(addr));
  ok(isFree({ hostname: "", port: 0 }));
});

/** Serves every address in a network namespace of its own, where IPv6 wildcards are IPv6 only. */
const PROGRAM = `
  const { listen } = await import(${JSON.stringify(new URL("./listen.ts", import.meta.url).href)});
  const { startStunServer } = await import(${
  JSON.stringify(new URL("../stun/server.ts", import.meta.url).href)
});
  const listener = listen({ hostname: "", port: 0 }, { certificate: undefined, times: ${
  JSON.stringify(TIMES)
} });
  const { port } = listener.addr;
  const reached = [];
  for (const hostname of ["127.0.0.1", "::1"]) {
    const conn = await Deno.connect({ hostname, port });
    (await listener.accept()).close();
    conn.close();
    reached.push(hostname);
  }
  listener.close();
  const stun = await startStunServer({ hostname: "", port: 0 });
  for (const hostname of ["127.0.0.1", "::1"]) {
    const socket = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
    await socket.send(new Uint8Array(3), { transport: "udp", hostname, port: stun.port });
    socket.close();
  }
  while (stun.counters.requests.not_stun < 2) await new Promise((r) => setTimeout(r, 5));
  await stun.close();
  console.log(reached.join(" "));`;

Deno.test("every address is served where the system keeps IPv6 wildcards to IPv6", async () => {
  const shell = 'ip link set lo up && echo 1 > /proc/sys/net/ipv6/bindv6only && exec "$@"';
  const program = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(program, PROGRAM);
    const config = fileURLToPath(new URL("../../deno.json", import.meta.url));
    const run = [Deno.execPath(), "run", "-A", "--quiet", "--config", config, program];
    const { success, stdout, stderr } = await new Deno.Command("timeout", {
      args: ["20", "unshare", "--net", "--map-root-user", "sh", "-c", shell, "sh", ...run],
    }).output();
    const said = new TextDecoder().decode(stderr);
    if (!success && /unshare|ip:|ip link|bindv6only|Permission|Operation/.test(said)) {
      // deno-lint-ignore no-console
      return console.log(`skip: no network namespace here: ${said.trim()}`);
    }
    equal(new TextDecoder().decode(stdout).trim(), "127.0.0.1 ::1", said);
  } finally {
    await Deno.remove(program);
  }
});
