import assert from "node:assert/strict";
import { localEndpoint } from "./mod.ts";

Deno.test("local endpoint is an address of this host", async () => {
  const own = Deno.networkInterfaces().map(({ address }) => address);
  const outside = own.filter((address) => !/^(127\.|169\.254\.|.*:)/.test(address));
  if (outside.length === 0) await assert.rejects(localEndpoint(), /give --local-endpoint-ip/);
  else assert.ok(own.includes(await localEndpoint()));
});

Deno.test("local endpoint takes an address that is given, and only an address", async () => {
  assert.equal(await localEndpoint("198.51.100.7"), "198.51.100.7");
  assert.equal(await localEndpoint("2001:db8::1"), "2001:db8::1");
  for (const bad of ["", "host", "10.1", "0.0.0.0", "224.0.0.1", "10.0.0.1:5", "::"]) {
    await assert.rejects(localEndpoint(bad), { exitCode: 2, message: /--local-endpoint-ip/ }, bad);
  }
});
