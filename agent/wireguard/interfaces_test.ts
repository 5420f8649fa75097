import assert from "node:assert/strict";
import { networksOf, watchInterface } from "./interfaces.ts";
import { entry } from "./testing/system.ts";

Deno.test("interfaces give the networks that the host is in, by others than the own", () => {
  assert.deepEqual(
    networksOf([
      entry("lo0", "127.0.0.1", "255.0.0.0"),
      entry("en0", "192.168.1.5", "255.255.255.0"),
      entry("en0", "192.168.1.6", "255.255.255.0"),
      entry("en0", "fe80::1", "ffff:ffff:ffff:ffff::"),
      entry("en0", "2001:db8::5", "ffff:ffff:ffff:ffff::"),
      entry("utun3", "100.100.0.1", "255.255.255.255"),
      entry("utun7", "fd00::1", "ffff:ffff:ffff:ffff::"),
      entry("odd", "no address", "255.0.255.0"),
    ], "utun7"),
    [
      { cidr: "192.168.1.0/24", interfaceName: "en0" },
      { cidr: "2001:db8::/64", interfaceName: "en0" },
    ],
  );
});

Deno.test("interfaces tell when one that was seen goes", async () => {
  const list = [entry("utun7", "100.64.0.1", "255.255.255.255")];
  let looks = 0;
  const keep = setInterval(() => {}, 1000);
  const watch = watchInterface("utun7", () => looks++ < 1 ? list : []);
  assert.equal(await watch.gone, "interface utun7 was removed");
  watch.stop();
  clearInterval(keep);
});
