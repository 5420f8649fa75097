/**
 * What fuzzing starts from: recorded and computed bytes, and files as the relay writes them.
 *
 * @module
 */

import { ensureSelfSigned } from "../../relay/cert/mod.ts";
import { clientFrame } from "../../relay/http/websocket/testing.ts";
import { encodeClientInfo, generatePrivateKey, publicKeyOf } from "../../relay/derp/mod.ts";
import { loadHandshake, loadRecording } from "../../tests/vectors/mod.ts";

/** Seeds by what reads them. */
export interface Corpus {
  /** Frames as clients and relays send them, one behind the other. */
  streams: Uint8Array[];
  /** Payloads of single frames. */
  payloads: Uint8Array[];
  /** Payloads of ClientInfo, and the JSON in them. */
  clientInfos: Uint8Array[];
  requests: Uint8Array[];
  chunked: Uint8Array[];
  webSocket: Uint8Array[];
  stun: Uint8Array[];
  pems: Uint8Array[];
  keyFiles: Uint8Array[];
  verdicts: Uint8Array[];
  /** Whole clients: the request, then frames. */
  clients: Uint8Array[];
}

const utf8 = (text: string) => new TextEncoder().encode(text);
const HEADER = 5;

/** Gathers it. */
export async function loadCorpus(): Promise<Corpus> {
  const recording = loadRecording();
  const connections = recording.transcripts.flatMap((transcript) => transcript.connections);
  const said = (from: string) =>
    connections.map(({ events }) =>
      Uint8Array.fromHex(
        events.filter((event) => event.from === from).map((event) => event.hex ?? "").join(""),
      )
    ).filter((bytes) => bytes.length > 0);
  const clients = said("client");
  const streams = [...clients.map(behindHead), ...said("server").map(behindHead)]
    .filter((bytes) => bytes.length > 0);
  const frames = handshakeFrames();
  const info = encodeClientInfo(generatePrivateKey(), publicKeyOf(generatePrivateKey()), {
    version: 2,
    canAckPings: true,
  });
  return {
    clients,
    streams,
    payloads: frames.map((frame) => frame.subarray(HEADER)),
    clientInfos: [
      info.subarray(HEADER),
      ...[
        '{"version":2,"CanAckPings":false}',
        '{"version":2,"CanAckPings":false,"IsProber":true,"AppName":"x"}',
        `{"meshKey":"${"5c".repeat(32)}","version":2,"CanAckPings":false}`,
        '{"MESHKEY":"","version":1e3,"a":{"b":[1,2,null]}}',
      ].map(utf8),
    ],
    requests: [
      ...recording.http.map(({ request }) => requestBytes(request)),
      ...clients.map((bytes) => bytes.subarray(0, bytes.length - behindHead(bytes).length)),
      utf8(
        "GET /derp HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\n" +
          "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
          "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: derp\r\n\r\n",
      ),
    ],
    chunked: ["0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", "a;x=y\r\n0123456789\r\n0\r\nT: v\r\n\r\n"]
      .map(utf8),
    webSocket: [1, 125, 126, 4_096, 32_768, 32_769].map((length) =>
      clientFrame(2, new Uint8Array(length).fill(length))
    ).concat([clientFrame(8, Uint8Array.of(3, 232)), clientFrame(9, utf8("ping"))]),
    stun: recording.stun.flatMap(({ request, response }) =>
      [request, response].filter(Boolean).map((hex) => Uint8Array.fromHex(hex))
    ),
    pems: await pems(),
    keyFiles: [
      `{\n\t"PrivateKey": "privkey:${"ab".repeat(32)}"\n}`,
      `nodekey:${"cd".repeat(32)}`,
      `${"EF".repeat(32)}\n`,
      "relay1.example:443/10.0.0.1,relay2.example,[::1]:8443",
    ].map(utf8),
    verdicts: ['{"Allow":true}', '{"allow":false} x', '{"Allow":[{"\\u0041":"}"}]}'].map(utf8),
  };
}

/** Recorded requests are text or hexadecimal. */
function requestBytes(request: string): Uint8Array {
  return /^([0-9a-f]{2})+$/.test(request) ? Uint8Array.fromHex(request) : utf8(request);
}

function behindHead(bytes: Uint8Array): Uint8Array {
  const at = new TextDecoder("latin1").decode(bytes).indexOf("\r\n\r\n");
  return at < 0 ? bytes : bytes.subarray(at + 4);
}

/** Every frame of the computed vectors. */
function handshakeFrames(): Uint8Array[] {
  const found: Uint8Array[] = [];
  const visit = (value: unknown) => {
    if (typeof value !== "object" || value === null) return;
    if ("hex" in value && "payloadLen" in value && typeof value.hex === "string") {
      found.push(Uint8Array.fromHex(value.hex));
    }
    Object.values(value).forEach(visit);
  };
  visit(loadHandshake());
  return found;
}

async function pems(): Promise<Uint8Array[]> {
  const directory = await Deno.makeTempDir({ prefix: "nexd-fuzz-" });
  try {
    await ensureSelfSigned(directory, ["localhost", "127.0.0.1"]);
    return [...Deno.readDirSync(directory)]
      .filter((entry) => /\.(crt|key)$/.test(entry.name))
      .map((entry) => Deno.readFileSync(`${directory}/${entry.name}`));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
