/**
 * Everything of the relay that reads bytes from outside, each with what it must hold whatever the
 * bytes: it throws its own error or none, and where the stream was cut makes no difference.
 *
 * @module
 */

import { deepEqual } from "node:assert/strict";
import fc from "fast-check";
import { readKey } from "../../relay/admission/keys.ts";
import { allows, objectEnd } from "../../relay/admission/services/verdict.ts";
import { CertificateError } from "../../relay/cert/error.ts";
import { certificateNames, parseChain, parseKey } from "../../relay/cert/inspect.ts";
import * as derp from "../../relay/derp/mod.ts";
import { ChunkedBody } from "../../relay/http/wire/chunked.ts";
import { headEnd, HeadError, parseHead } from "../../relay/http/wire/head.ts";
import { FrameDecoder } from "../../relay/http/websocket/decoder.ts";
import { clientFrame } from "../../relay/http/websocket/testing.ts";
import { handshake } from "../../relay/http/websocket/handshake.ts";
import { MeshError, parseMeshKey, parseMeshWith } from "../../relay/mesh/mod.ts";
import { AddressError } from "../../relay/net/mod.ts";
import { openSiblingPresent } from "../../relay/server/mod.ts";
import * as stun from "../../relay/stun/mod.ts";
import type { Corpus } from "./corpus.ts";
import { cut, join, mutate, Random } from "./random.ts";

/** A decoder under test. */
export interface Target {
  name: string;
  /** Bytes to start from. */
  seeds: Uint8Array[];
  /** Gives it bytes; throws when it breaks a promise. */
  run(bytes: Uint8Array, random: Random): void | Promise<void>;
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const utf8 = (value: string) => new TextEncoder().encode(value);

type OwnError = abstract new (...args: never[]) => Error;

/** Calls a decoder; its own kind of error is an answer, any other is passed on. */
function allow<T>(own: OwnError | OwnError[], decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    if ([own].flat().some((kind) => error instanceof kind)) return undefined;
    throw error;
  }
}

/** What comes out of a byte stream that is pushed in pieces, in a form to compare. */
function sameHoweverCut(
  bytes: Uint8Array,
  random: Random,
  decode: (pieces: Uint8Array[]) => unknown,
): void {
  deepEqual(decode(cut(random, bytes)), decode(bytes.length === 0 ? [] : [bytes]));
}

function frames(pieces: Uint8Array[]): unknown {
  const reader = new derp.FrameReader(70_000);
  const found: string[] = [];
  for (const piece of pieces) {
    reader.push(piece);
    for (;;) {
      let frame: derp.Frame | undefined;
      try {
        frame = reader.next();
      } catch (error) {
        if (!(error instanceof derp.DerpError)) throw error;
        return [...found, "too long"];
      }
      if (frame === undefined) break;
      found.push(`${frame.type}:${frame.payload.toHex()}`);
    }
  }
  return found;
}

function webSocket(pieces: Uint8Array[]): unknown {
  const decoder = new FrameDecoder();
  let out = new Uint8Array(0);
  for (const piece of pieces) {
    const copy = piece.slice();
    const n = decoder.decode(copy, copy.length);
    if (n > copy.length) throw new Error(`${n} bytes out of ${copy.length}`);
    out = join(out, copy.subarray(0, n));
  }
  return [out.toHex(), decoder.failure, decoder.closed, decoder.closeCode];
}

function chunked(pieces: Uint8Array[]): unknown {
  const skip = new ChunkedBody();
  let used = 0;
  for (const piece of pieces) {
    if (skip.done || skip.bad) break;
    used += skip.push(piece, 0, piece.length);
  }
  return [used, skip.done, skip.bad];
}

const PAYLOADS = [
  derp.decodeServerKey,
  derp.decodeNotePreferred,
  derp.decodePeerGone,
  derp.decodePing,
  derp.decodePacket,
  derp.decodeForwardPacket,
  derp.decodeClosePeer,
  derp.decodeHealth,
  derp.decodeRestarting,
] as ((payload: Uint8Array) => unknown)[];

/** All of them. */
export function targets(corpus: Corpus): Target[] {
  const server = derp.generatePrivateKey();
  const client = derp.generatePrivateKey();
  const box = new derp.BoxKey(client, derp.publicKeyOf(server));
  return [
    {
      name: "DERP stream",
      seeds: corpus.streams,
      run: (bytes, random) => sameHoweverCut(bytes, random, frames),
    },
    {
      name: "DERP payloads",
      seeds: corpus.payloads,
      run(bytes) {
        for (const decode of PAYLOADS) allow(derp.DerpError, () => decode(bytes));
        openSiblingPresent(bytes, 0x20);
      },
    },
    {
      name: "ClientInfo",
      seeds: corpus.clientInfos,
      run(bytes, random) {
        allow(derp.DerpError, () => derp.openClientInfo(server, bytes));
        // A box that opens, with anything in it.
        const sealed = join(derp.publicKeyOf(client), box.seal(bytes, random.bytes(24)));
        const opened = allow(derp.DerpError, () => derp.openClientInfo(server, sealed));
        if (opened === undefined) return;
        if (opened.info.meshKey !== undefined && !/^[0-9a-f]{64}$/.test(opened.info.meshKey)) {
          throw new Error(`a mesh key ${opened.info.meshKey}`);
        }
      },
    },
    {
      name: "HTTP head",
      seeds: corpus.requests,
      run(bytes) {
        const end = headEnd(bytes, 0, bytes.length, 0);
        if (end !== undefined) allow(HeadError, () => parseHead(bytes.subarray(0, end)));
      },
    },
    {
      name: "chunked body",
      seeds: corpus.chunked,
      run: (bytes, random) => sameHoweverCut(bytes, random, chunked),
    },
    {
      name: "WebSocket handshake",
      seeds: corpus.requests,
      async run(bytes) {
        const end = headEnd(bytes, 0, bytes.length, 0);
        if (end === undefined) return;
        const head = allow(HeadError, () => parseHead(bytes.subarray(0, end)));
        if (head !== undefined) await handshake(head);
      },
    },
    {
      name: "WebSocket frames",
      seeds: corpus.webSocket,
      run: (bytes, random) => sameHoweverCut(bytes, random, webSocket),
    },
    {
      name: "STUN",
      seeds: corpus.stun,
      run(bytes) {
        stun.isStun(bytes);
        const id = stun.parseBindingRequest(bytes);
        if (id !== undefined && id.length !== 12) throw new Error(`an id of ${id.length} bytes`);
        stun.parseBindingResponse(bytes);
      },
    },
    {
      name: "certificates",
      seeds: corpus.pems,
      run(bytes) {
        const pem = text(bytes);
        const chain = allow(CertificateError, () => parseChain(pem, "given"));
        if (chain !== undefined) certificateNames(pem);
        allow(CertificateError, () => parseKey(pem, "given"));
      },
    },
    {
      name: "key files",
      seeds: corpus.keyFiles,
      run(bytes) {
        allow(derp.DerpError, () => derp.parseDerperKeyFile(text(bytes)));
        readKey(text(bytes));
        allow(MeshError, () => parseMeshKey(text(bytes)));
        allow([MeshError, AddressError], () => parseMeshWith(text(bytes).split(",")));
      },
    },
    {
      name: "admission answers",
      seeds: corpus.verdicts,
      run(bytes) {
        const end = objectEnd(bytes);
        if (end === undefined) return;
        if (end > bytes.length) throw new Error(`an object of ${end} in ${bytes.length} bytes`);
        allows(text(bytes.subarray(0, end)));
      },
    },
  ];
}

/** What fast-check makes up for a target, where bytes alone would never look like anything. */
function structured(name: string): fc.Arbitrary<Uint8Array> | undefined {
  const bytes = (maxLength: number) => fc.uint8Array({ maxLength });
  switch (name) {
    case "DERP stream":
      return fc.array(
        fc.tuple(fc.integer({ min: 0, max: 0x24 }), bytes(300)),
        { maxLength: 12 },
      ).map((all) => join(...all.map(([type, payload]) => derp.encodeFrame(type, payload))));
    case "ClientInfo":
      return fc.record({
        meshKey: fc.oneof(fc.string({ maxLength: 70 }), fc.constant("ab".repeat(32))),
        version: fc.anything(),
        CanAckPings: fc.oneof(fc.boolean(), fc.anything()),
        IsProber: fc.boolean(),
        AppName: fc.string({ unit: "binary", maxLength: 300 }),
        more: fc.anything(),
      }, { requiredKeys: [] }).map((value) => utf8(stringify(value)));
    case "admission answers":
      return fc.oneof(
        fc.json({ maxDepth: 5 }),
        fc.record({ Allow: fc.anything() }).map(stringify),
      ).map(utf8);
    case "WebSocket frames":
      return fc.array(
        fc.record({ opcode: fc.nat(15), fin: fc.boolean(), payload: bytes(200) }),
        { maxLength: 8 },
      ).map((all) =>
        join(...all.map(({ opcode, fin, payload }) => clientFrame(opcode, payload, { fin })))
      );
    case "HTTP head":
    case "WebSocket handshake":
      return fc.tuple(
        fc.constantFrom("GET /derp HTTP/1.1", "POST / HTTP/1.0", "OPTIONS * HTTP/1.1"),
        fc.array(
          fc.tuple(
            fc.oneof(
              fc.constantFrom("Host", "Upgrade", "Connection", "Sec-WebSocket-Protocol"),
              fc.constantFrom("Content-Length", "Transfer-Encoding", "Sec-WebSocket-Key"),
              fc.string({ maxLength: 12 }),
            ),
            fc.oneof(
              fc.constantFrom("x", "derp", "websocket", "Upgrade", "0", "chunked"),
              fc.string({ unit: "binary", maxLength: 40 }),
            ),
          ),
          { maxLength: 10 },
        ),
        fc.constantFrom("\r\n", "\n"),
      ).map(([line, headers, end]) =>
        utf8([line, ...headers.map(([name, value]) => `${name}: ${value}`), "", ""].join(end))
      );
    default:
      return undefined;
  }
}

/** JSON of anything; what JSON cannot say is left out. */
function stringify(value: unknown): string {
  try {
    return JSON.stringify(value, (_, one) => typeof one === "bigint" ? Number(one) : one) ?? "";
  } catch {
    return "{}"; // a circle
  }
}

/** Inputs of one round for one target. */
const MUTATED = 120;
const MADE_UP = 25;
const RANDOM = 15;

/**
 * One round over all targets.
 *
 * @returns how many inputs were given
 * @throws the first broken promise, with the target's name and the bytes
 */
export async function fuzzDecoders(
  all: Target[],
  seed: number,
  round: number,
): Promise<number> {
  let inputs = 0;
  for (const [i, target] of all.entries()) {
    const random = new Random(seed, round, i);
    const give = async (bytes: Uint8Array) => {
      inputs += 1;
      try {
        await target.run(bytes, random);
      } catch (error) {
        const hex = bytes.length > 2_000 ? `${bytes.length} bytes` : bytes.toHex();
        throw new Error(`${target.name}: ${(error as Error).stack}\ninput ${hex}`);
      }
    };
    for (let n = 0; n < MUTATED; n++) {
      await give(mutate(random, random.pick(target.seeds)));
    }
    for (let n = 0; n < RANDOM; n++) await give(random.bytes(random.length(2_000)));
    const made = structured(target.name);
    if (made === undefined) continue;
    const parameters = { seed: random.word() | 0, numRuns: MADE_UP, endOnFailure: false };
    await fc.assert(fc.asyncProperty(made, give), parameters);
  }
  return inputs;
}
