import { deepEqual, equal, throws } from "node:assert/strict";
import fc from "fast-check";
import { loadHandshake, loadRecording } from "../../tests/vectors/mod.ts";
import {
  encodeBindingRequest,
  encodeBindingResponse,
  isStun,
  newTransactionId,
  parseBindingRequest,
  parseBindingResponse,
} from "./mod.ts";

const { stun } = loadHandshake();
const recorded = loadRecording().stun;
const bytes = (hex: string) => Uint8Array.fromHex(hex);
const TXID = bytes(stun.txid);
const txid = fc.uint8Array({ minLength: 12, maxLength: 12 });
const port = fc.integer({ min: 0, max: 65535 });

function split(address: string): { address: string; port: number } {
  const colon = address.lastIndexOf(":");
  return {
    address: address.slice(0, colon).replace(/[[\]]/g, ""),
    port: Number(address.slice(colon + 1)),
  };
}

/** A success answer with these attributes, each given as type and value. */
function response(...attributes: [number, number[]][]): Uint8Array {
  const body = attributes.flatMap(([type, value]) => [
    type >> 8,
    type & 255,
    value.length >> 8,
    value.length & 255,
    ...value,
    ...new Array<number>((4 - value.length % 4) % 4).fill(0),
  ]);
  const head = [1, 1, body.length >> 8, body.length & 255, 0x21, 0x12, 0xa4, 0x42];
  return Uint8Array.of(...head, ...TXID, ...body);
}

Deno.test("a STUN request equals the vector when encoded and is read back", () => {
  equal(encodeBindingRequest(TXID).toHex(), stun.request);
  deepEqual(parseBindingRequest(bytes(stun.request)), TXID);
});

Deno.test("a STUN response equals the vector when encoded", () => {
  for (const vector of [stun.response_ipv4_family1, stun.response_ipv6]) {
    equal(encodeBindingResponse(TXID, split(vector.addr)).toHex(), vector.hex);
  }
  const { addr, hex } = stun.response_ipv4_family1;
  const mapped = { address: "::ffff:203.0.113.7", port: split(addr).port };
  equal(encodeBindingResponse(TXID, mapped).toHex(), hex);
});

Deno.test("every STUN response vector gives its address when read", () => {
  const { response_ipv4_family1, response_ipv4_as_mapped_family2, response_ipv6 } = stun;
  for (
    const { addr, hex } of [response_ipv4_family1, response_ipv4_as_mapped_family2, response_ipv6]
  ) {
    deepEqual(parseBindingResponse(bytes(hex)), { txid: TXID, ...split(addr) });
  }
});

Deno.test("recorded STUN traffic is judged as the recorded relay judged it when read", () => {
  equal(recorded.length, 4);
  for (const { name, request, response, client } of recorded) {
    const id = parseBindingRequest(bytes(request));
    equal(id === undefined, response === "", name);
    if (id) deepEqual(parseBindingResponse(bytes(response)), { txid: id, ...split(client) }, name);
  }
});

Deno.test("a STUN request is ignored when it is not of the relay's clients", () => {
  for (const [name, hex] of Object.entries(stun.ignored_requests)) {
    equal(parseBindingRequest(bytes(hex)), undefined, name);
  }
  const good = bytes(stun.request);
  const altered = (at: number, value: number) => {
    const copy = good.slice();
    copy[at] = value;
    return copy;
  };
  const bad: Record<string, Uint8Array> = {
    "a byte missing": good.subarray(0, 39),
    "bytes behind the fingerprint": Uint8Array.of(...good, 0, 0, 0, 0),
    "no fingerprint": good.subarray(0, 32),
    "an indication": altered(1, 0x11),
    "a response": altered(0, 0x01),
    "top bits set": altered(0, 0x80),
    "another cookie": altered(4, 0),
    "an attribute too long": altered(23, 200),
    "nothing": new Uint8Array(),
  };
  for (const [name, datagram] of Object.entries(bad)) {
    equal(parseBindingRequest(datagram), undefined, name);
  }
  // Only the fingerprint protects the transaction id; the header's length is not looked at, but
  // counts in the fingerprint.
  equal(parseBindingRequest(altered(8, 0xff)), undefined);
  equal(parseBindingRequest(altered(3, 0xff)), undefined);
});

Deno.test("a STUN response is read when other servers' attributes stand in it", () => {
  const address = [203, 0, 113, 7];
  const plain: [number, number[]] = [0x0001, [0, 1, 0x12, 0x34, ...address]];
  const xor = address.map((byte, i) => byte ^ [0x21, 0x12, 0xa4, 0x42][i]!);
  const xored = [0, 1, 0x12 ^ 0x21, 0x35 ^ 0x12, ...xor];
  const read = (...attributes: [number, number[]][]) => {
    const found = parseBindingResponse(response(...attributes));
    return found && `${found.address}:${found.port}`;
  };
  equal(read(plain), "203.0.113.7:4660");
  equal(read([0x0020, xored]), "203.0.113.7:4661");
  equal(read([0x8020, xored]), "203.0.113.7:4661");
  equal(read(plain, [0x0020, xored]), "203.0.113.7:4661", "XOR wins when it comes last");
  equal(read([0x8020, xored], plain), "203.0.113.7:4661", "and when it comes first");
  equal(read([0x8022, [1, 2, 3, 4, 5]], [0x802b, []], [0x0020, xored]), "203.0.113.7:4661");
  equal(read([0x0020, [0, 9, ...xored.slice(2)]], plain), "203.0.113.7:4660", "unknown family");
  equal(read([0x0020, xored.slice(0, 7)]), undefined, "address cut short");
  equal(read([0x0020, [0, 2, ...xored.slice(2)]]), undefined, "IPv6 with 4 bytes");
  equal(read([0x0020, []], [0x0001, [0]]), undefined);
  equal(read(), undefined);
  const longer = Uint8Array.of(...response(plain), 9, 9, 9);
  equal(parseBindingResponse(longer)?.address, "203.0.113.7", "bytes behind the declared length");
  equal(parseBindingResponse(longer.subarray(0, 31)), undefined, "shorter than declared");
  const refusal = response(plain);
  refusal[1] = 0x11;
  equal(parseBindingResponse(refusal), undefined, "an error answer");
});

Deno.test("STUN messages round-trip when ids and addresses are any", () => {
  fc.assert(fc.property(txid, fc.ipV4(), port, (id, address, port) => {
    deepEqual(parseBindingRequest(encodeBindingRequest(id)), id);
    const answer = encodeBindingResponse(id, { address, port });
    deepEqual(parseBindingResponse(answer), { txid: id, address, port });
  }));
  fc.assert(fc.property(txid, fc.ipV6(), port, (id, address, port) => {
    const answer = encodeBindingResponse(id, { address, port });
    const read = parseBindingResponse(answer)!;
    equal(read.port, port);
    deepEqual(encodeBindingResponse(id, read), answer);
  }));
  equal(newTransactionId().length, 12);
});

Deno.test("the STUN parsers never throw when given arbitrary bytes", () => {
  const head = fc.constantFrom([], [0, 1], [1, 1]).chain((type) =>
    fc.uint8Array({ maxLength: 100 }).map((tail) =>
      Uint8Array.of(...type, ...type.length ? [0, tail.length & 0xfc] : [], ...tail)
    )
  );
  const stunLike = fc.tuple(
    fc.constantFrom(0, 1),
    fc.nat(80),
    txid,
    fc.uint8Array({ maxLength: 80 }),
  )
    .map(([type, length, id, body]) =>
      Uint8Array.of(type, 1, 0, length, 0x21, 0x12, 0xa4, 0x42, ...id, ...body)
    );
  fc.assert(
    fc.property(fc.oneof(head, stunLike), (datagram) => {
      equal(parseBindingRequest(datagram), undefined);
      const read = parseBindingResponse(datagram);
      if (read) equal(isStun(datagram), true);
    }),
    { numRuns: 500 },
  );
});

Deno.test("the STUN encoders refuse ids, addresses and ports that are none", () => {
  throws(() => encodeBindingRequest(new Uint8Array(11)), RangeError);
  const good = { address: "192.0.2.1", port: 1 };
  throws(() => encodeBindingResponse(new Uint8Array(13), good), RangeError);
  for (const address of ["", "localhost", "1.2.3", "0x7f.1.1.1", "1.2.3.4.5", "::g"]) {
    throws(() => encodeBindingResponse(TXID, { ...good, address }), RangeError, address);
  }
  for (const port of [-1, 65536, 1.5, NaN]) {
    throws(() => encodeBindingResponse(TXID, { ...good, port }), RangeError);
  }
  equal(encodeBindingResponse(TXID, { address: "fe80::1%eth0", port: 1 }).length, 44);
});
