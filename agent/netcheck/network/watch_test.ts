import assert from "node:assert/strict";
import { until } from "../../testing/wait.ts";
import { watchNetwork } from "./mod.ts";

const skip = (why: string) => {
  // deno-lint-ignore no-console
  console.log(`skip: ${why}`);
};

async function ip(...args: string[]): Promise<string | undefined> {
  const { code, stderr } = await new Deno.Command("ip", { args, stderr: "piped" }).output()
    .catch((error) => ({ code: 1, stderr: new TextEncoder().encode(String(error)) }));
  return code === 0 ? undefined : new TextDecoder().decode(stderr).trim();
}

Deno.test("an address of another interface counts, that of the tunnel does not", async () => {
  const id = crypto.getRandomValues(new Uint8Array(3)).toHex();
  const [tunnel, other] = [`nxt${id}`, `nxo${id}`];
  const refused = await ip("link", "add", tunnel, "type", "veth", "peer", "name", other);
  if (refused !== undefined) return skip(refused);
  const seen: string[] = [];
  const watch = watchNetwork({ tunnel, interval: 5, onChange: (reason) => seen.push(reason) });
  try {
    if (watch.by !== "netlink") return skip("no netlink");
    await ip("link", "set", tunnel, "up");
    await ip("address", "add", "192.0.2.77/32", "dev", tunnel);
    await ip("route", "add", "192.0.2.80/32", "dev", tunnel);
    await ip("address", "add", "192.0.2.78/32", "dev", other);
    await until(() => seen.length > 0, "the other's address");
    // Tests beside this one may change the host's addresses as well.
    assert(seen.every((reason) => /address|interface|route/.test(reason)), seen.join());
  } finally {
    watch.close();
    await ip("link", "del", tunnel); // its other end goes with it
  }
});

Deno.test("a host that slept is noticed by its clocks", async () => {
  let wall = 1_000_000, running = 0;
  const seen: string[] = [];
  const watch = watchNetwork({
    tunnel: "wg0",
    interval: 5,
    calls: undefined,
    clock: { wall: () => wall, running: () => running },
    onChange: (reason) => seen.push(reason),
  });
  try {
    assert.equal(watch.by, "addresses");
    wall += 60_000;
    running += 59_000;
    await new Promise((resolve) => setTimeout(resolve, 30));
    assert.equal(seen.filter((reason) => reason.includes("slept")).length, 0);
    wall += 60_000;
    await until(() => seen.some((reason) => reason.includes("slept")), "the sleep");
    await new Promise((resolve) => setTimeout(resolve, 30));
    assert.equal(seen.filter((reason) => reason.includes("slept")).length, 1);
  } finally {
    watch.close();
  }
});
