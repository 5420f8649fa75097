/**
 * The DERP test vectors, typed.
 *
 * `derp-handshake.json` was computed (boxes agreed on by three libraries), `derper-transcripts.json`
 * was recorded from the reference relay and its client library. Private keys in them are public
 * test data.
 *
 * @module
 */

/** A frame with, when it is sealed, what is inside and between whom. */
export interface FrameVector {
  name: string;
  type: string;
  payloadLen: number;
  hex: string;
  sender?: string;
  receiver?: string;
  json?: string;
  nonce?: string;
  addr?: string | null;
  flags?: number;
}

/** Computed vectors; all bytes as hex. */
export interface Handshake {
  protocolVersion: number;
  magicHex: string;
  discoMagicHex: string;
  meshKeyHex: string;
  keys: Record<string, {
    unclampedSeed: string;
    privateRaw: string;
    publicRaw: string;
    privateText: string;
    publicText: string;
    wireguardPrivateBase64: string;
    wireguardPublicBase64: string;
    shortString: string;
  }>;
  derivedBoxKeys: Record<string, { x25519Shared: string; boxKey: string }>;
  derperKeyFile: string;
  tailscaleKeyTextExample: { private: string; publicFromX25519: string };
  frames: FrameVector[];
  negatives: { name: string; why: string; hex: string }[];
  http: {
    request_plain_upgrade: string;
    request_fast_start_second_choice_node: string;
    response_101: string;
  };
  transcripts: Record<string, { from: "client" | "server"; hex: string; note?: string }[]>;
  stun: {
    txid: string;
    request: string;
    response_ipv4_family1: { addr: string; hex: string };
    response_ipv4_as_mapped_family2: { addr: string; hex: string };
    response_ipv6: { addr: string; hex: string };
    ignored_requests: Record<string, string>;
  };
  metaCert: { subject: string; serial: string; derHex: string };
}

/** One recorded read of one side, or its end of stream. */
export interface RecordedEvent {
  ms: number;
  from: "client" | "server";
  hex?: string;
  end?: boolean;
}

/** A recorded connection, from the HTTP request to the end of stream. */
export interface RecordedConnection {
  who: string;
  addressSeenByRelay: string;
  events: RecordedEvent[];
}

/** Recorded bytes; all as hex. */
export interface Recording {
  relay: string;
  meshKeyHex: string;
  keys: Record<string, { private: string; public: string }>;
  certificateChain: string[];
  http: {
    name: string;
    listener: "tls" | "plain";
    request: string;
    response: string;
    closedByRelay: boolean;
  }[];
  stun: { name: string; client: string; request: string; response: string }[];
  transcripts: { name: string; about: string; connections: RecordedConnection[] }[];
}

const read = (name: string) =>
  JSON.parse(Deno.readTextFileSync(new URL(name, import.meta.url)));

/** Reads the computed vectors. */
export function loadHandshake(): Handshake {
  return read("derp-handshake.json");
}

/** Reads the recorded transcripts. */
export function loadRecording(): Recording {
  return read("derper-transcripts.json");
}
