import assert from "node:assert/strict";
import fc from "fast-check";
import { changeIn, type LinkStates } from "./netlink.ts";

const TUNNEL = 7, ETH = 2;
const ignored = (index: number) => index === 1 || index === TUNNEL;
const UP = 0x1 | 0x40 | 0x10000;

/** One message: header and body. */
function message(type: number, body: number[]): Uint8Array {
  const length = 16 + body.length;
  const bytes = new Uint8Array((length + 3) & ~3);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, length, true);
  view.setUint16(4, type, true);
  bytes.set(body, 16);
  return bytes;
}

const u32 = (n: number) => [n & 0xff, (n >>> 8) & 0xff, (n >>> 16) & 0xff, n >>> 24];
const link = (index: number, flags: number, type = 16) =>
  message(type, [0, 0, 0, 0, ...u32(index), ...u32(flags), ...u32(0)]);
const address = (index: number, scope = 0, type = 20) =>
  message(type, [2, 24, 0, scope, ...u32(index)]);
const route = (bits: number, index: number | undefined, type = 24, kind = 1) =>
  message(type, [
    ...[2, bits, 0, 0, 254, 3, 0, kind, ...u32(0)],
    ...[8, 0, 15, 0, ...u32(254)], // RTA_TABLE
    ...(index === undefined ? [] : [8, 0, 4, 0, ...u32(index)]), // RTA_OIF
  ]);
const join = (...parts: Uint8Array[]) => new Uint8Array(parts.flatMap((part) => [...part]));

Deno.test("the kernel's messages count when they are about the way to the Internet", () => {
  const known = (): LinkStates => new Map([[ETH, UP], [TUNNEL, UP]]);
  const table: [string, Uint8Array, RegExp | undefined][] = [
    ["a new address", address(ETH), /address/],
    ["an address gone", address(ETH, 0, 21), /address/],
    ["a link-local address", address(ETH, 253), undefined],
    ["an address of the loopback", address(1), undefined],
    ["an address of the tunnel", address(TUNNEL), undefined],
    ["a default route", route(0, ETH), /default route/],
    ["a default route gone", route(0, ETH, 25), /default route/],
    ["a default route with several ways", route(0, undefined), /default route/],
    ["a default route through the tunnel", route(0, TUNNEL), undefined],
    ["a route to a peer", route(32, TUNNEL), undefined],
    ["a route to a network", route(24, ETH), undefined],
    ["a default route that refuses", route(0, undefined, 24, 7), undefined],
    ["a cable pulled", link(ETH, 0x1), /interface/],
    ["a link as it was", link(ETH, UP | 0x1000), undefined],
    ["a link gone", link(ETH, 0, 17), /interface/],
    ["a new link", link(9, UP), undefined],
    ["the tunnel gone", link(TUNNEL, 0, 17), undefined],
    ["something else", message(3, [1, 2, 3, 4]), undefined],
    ["nothing", new Uint8Array(0), undefined],
    ["several", join(route(32, TUNNEL), address(TUNNEL), address(ETH)), /address/],
    ["several, of no interest last", join(address(ETH), route(32, TUNNEL)), /address/],
  ];
  for (const [name, batch, expected] of table) {
    const reason = changeIn(batch, known(), ignored);
    if (expected === undefined) assert.equal(reason, undefined, name);
    else assert.match(reason ?? "nothing", expected, name);
  }
});

Deno.test("a link counts when its state is another one than before", () => {
  const links: LinkStates = new Map();
  const told = [UP, UP, 0x1, 0x1, UP].map((flags) =>
    changeIn(link(ETH, flags), links, ignored) !== undefined
  );
  assert.deepEqual(told, [false, false, true, false, true]);
});

Deno.test("messages of any content are read within their bounds", () => {
  const links: LinkStates = new Map();
  const noise = fc.uint8Array({ maxLength: 200 });
  fc.assert(fc.property(noise, (bytes) => void changeIn(bytes, links, () => false)));
  const type = fc.constantFrom(16, 17, 20, 21, 24, 25);
  fc.assert(fc.property(type, noise, (type, bytes) => {
    changeIn(message(type, [...bytes]), links, () => false);
  }));
  assert(links.size <= 1024);
});
