import { deepEqual, equal, ok } from "node:assert/strict";
import { Outside, readResolvers } from "./outside.ts";

const server = (host: string, more: { address?: string } = {}) => ({ host, port: 443, ...more });

Deno.test("outside has the addresses of servers by name, by address, and where they are dialled", async () => {
  const asked: string[] = [];
  const outside = new Outside((name) => {
    asked.push(name);
    return Promise.resolve([
      "203.0.113.3",
      "2001:DB8::3",
      "::ffff:203.0.113.4",
      "127.0.0.1",
      "junk",
    ]);
  });
  deepEqual(
    await outside.addressesOf([
      server("relay.lab"),
      server("pinned.lab", { address: "198.51.100.9" }),
      server("192.0.2.1"),
      server("[2001:db8::9]"),
    ]),
    ["192.0.2.1", "198.51.100.9", "2001:db8::3", "2001:db8::9", "203.0.113.3", "203.0.113.4"],
  );
  deepEqual(asked, ["relay.lab"]);
});

Deno.test("outside follows a name that moves, and keeps the old address for connections that live on", async () => {
  let now = 0, addresses = ["203.0.113.3"];
  const outside = new Outside(() => Promise.resolve(addresses), () => now);
  const look = async () => {
    await outside.addressesOf([server("relay.lab")]);
    await Promise.resolve().then(() => {}); // what was asked in the background
    await new Promise((resolve) => setTimeout(resolve, 0));
    return await outside.addressesOf([server("relay.lab")]);
  };
  deepEqual(await look(), ["203.0.113.3"]);
  addresses = ["203.0.113.4"];
  deepEqual(await look(), ["203.0.113.3"], "asked too soon");
  now += 61_000;
  deepEqual(await look(), ["203.0.113.3", "203.0.113.4"]);
  now += 601_000;
  deepEqual(await look(), ["203.0.113.4"]);
  deepEqual(await outside.addressesOf([]), []);
});

Deno.test("outside keeps what it knew when the name server fails, and is bounded when it lies", async () => {
  let now = 0, answer: () => Promise<string[]> = () => Promise.resolve(["203.0.113.3"]);
  const outside = new Outside(() => answer(), () => now);
  deepEqual(await outside.addressesOf([server("relay.lab")]), ["203.0.113.3"]);
  answer = () => Promise.reject(new Error("no answer"));
  now += 10_000_000;
  deepEqual(await outside.addressesOf([server("relay.lab")]), ["203.0.113.3"]);

  answer = () => Promise.resolve(Array.from({ length: 1000 }, (_, i) => `198.18.0.${i % 256}`));
  const names = Array.from({ length: 500 }, (_, i) => server(`host-${i}.lab`));
  const many = await outside.addressesOf(names);
  ok(many.length <= 16);
});

Deno.test("resolvers are told apart by where they are, from every file", async () => {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(
      path,
      "# nameserver 192.0.2.9\nnameserver 8.8.8.8\nnameserver\t10.0.0.2\nnameserver 127.0.0.53\n" +
        "nameserver fd00::53\nnameserver fe80::1%eth0\nnameserver junk\nsearch lab\n" +
        Array.from({ length: 20 }, (_, i) => `nameserver 9.9.9.${i}`).join("\n"),
    );
    const { global, local } = await readResolvers([path, "/nowhere"]);
    deepEqual(local, ["10.0.0.2", "fd00::53", "fe80::1"]);
    equal(global[0], "8.8.8.8");
    equal(global.length + local.length, 8);
  } finally {
    await Deno.remove(path);
  }
});
