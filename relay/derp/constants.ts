/**
 * DERP, protocol version 2: the document of the wire.
 *
 * DERP carries small packets (WireGuard and disco) between clients that know each other by their
 * Curve25519 public key. After TCP, TLS and one HTTP/1.1 upgrade (see `head.ts`) both sides send
 * frames on the same byte stream until it ends:
 *
 * ```text
 * byte  0     1     2     3     4     5 …
 *      type  |  payload length, u32  | payload
 * ```
 *
 * All numbers are big-endian. The length does not count the five header bytes. A key is the 32
 * raw bytes of a Curve25519 public key, a WireGuard public key as it is. There is no error frame:
 * whoever breaks the rules is disconnected without a word. A frame of a type the receiver does
 * not know, or that only the other side may send, is read and thrown away.
 *
 * A login is three frames: ServerKey from the server, ClientInfo from the client, ServerInfo from
 * the server, in that order; the client does not wait for the last one before it sends packets.
 * ClientInfo and ServerInfo carry a NaCl box (see `login/box.ts`): `nonce(24) tag(16) ciphertext`.
 *
 * Who may send what: S server to client, C client to server, M a client that proved to know the
 * mesh key (another relay of the region).
 *
 * @module
 */

/** The protocol version this code speaks; it travels inside ClientInfo and ServerInfo. */
export const PROTOCOL_VERSION = 2;

/** Bytes in front of every payload: type and length. */
export const HEADER_LENGTH = 5;

/** Bytes of a public or private key. */
export const KEY_LENGTH = 32;

/** Bytes of the nonce of a NaCl box. */
export const NONCE_LENGTH = 24;

/** Bytes of the Poly1305 tag of a NaCl box. */
export const TAG_LENGTH = 16;

/** Largest packet inside SendPacket, RecvPacket and ForwardPacket, in bytes; keys not counted. */
export const MAX_PACKET = 65_536;

/** Largest ClientInfo payload a server takes, in bytes: before login, strangers get no more. */
export const MAX_CLIENT_INFO = 262_144;

/** Largest payload of any frame a client takes, in bytes. */
export const MAX_FRAME = 1_048_576;

/** Largest ServerKey payload a client takes, in bytes: 40 now, room for later versions. */
export const MAX_SERVER_KEY = 1024;

/** Largest Ping payload a server takes, in bytes; only the first eight mean anything. */
export const MAX_PING = 1000;

/** Bytes of a Ping that its Pong must bring back. */
export const PING_LENGTH = 8;

/** Start of the ServerKey payload: "DERP" and the key emoji U+1F511. */
export const MAGIC: Uint8Array = Uint8Array.of(0x44, 0x45, 0x52, 0x50, 0xf0, 0x9f, 0x94, 0x91);

/** Start of a disco packet: "TS" and the speech balloon U+1F4AC. */
export const DISCO_MAGIC: Uint8Array = Uint8Array.of(0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac);

/** Shortest packet that counts as disco, in bytes: magic, sender's key, nonce. */
export const MIN_DISCO = 62;

/** Frame types. The payload stands beside each; trailing bytes of later versions are ignored. */
export const FrameType = {
  /** S. `magic(8) key(32)`: the server's public key. First frame of a connection. */
  ServerKey: 0x01,
  /** C. `key(32) nonce(24) box(JSON)`: who the client is. First frame a client sends, once. */
  ClientInfo: 0x02,
  /** S. `nonce(24) box(JSON)`: the login is accepted. First frame after ServerKey. */
  ServerInfo: 0x03,
  /** C. `destination(32) packet(0…65536)`. */
  SendPacket: 0x04,
  /** S. `source(32) packet(0…65536)`: a SendPacket with type and key replaced. */
  RecvPacket: 0x05,
  /** S. Empty. Every 60 to 65 s, so that a client can notice a dead connection after 120 s. */
  KeepAlive: 0x06,
  /** C. `flag(1)`: 0 this relay is not, anything else it is, the client's home. Statistics only. */
  NotePreferred: 0x07,
  /** S. `key(32) reason(1)`, see {@linkcode PeerGoneReason}; old servers leave the reason out. */
  PeerGone: 0x08,
  /**
   * S, to a watching M. `key(32) address(16) port(2) flags(1)`, see {@linkcode PeerPresentFlag}:
   * a client connected. IPv4 as v4-mapped IPv6, zeros when unknown; old servers end earlier.
   */
  PeerPresent: 0x09,
  /** M. `source(32) destination(32) packet(0…65536)`: a packet for a client of the other relay. */
  ForwardPacket: 0x0a,
  /** M. Empty: asks for a PeerPresent per client now, then PeerPresent and PeerGone per change. */
  WatchConns: 0x10,
  /** M. `key(32)`: close all connections of that client. */
  ClosePeer: 0x11,
  /** Both. `data(8)`: answer with a Pong of the same bytes. */
  Ping: 0x12,
  /** Both. `data(8)` of the Ping. */
  Pong: 0x13,
  /** S. UTF-8 text of a problem with this connection; empty when it is well again. */
  Health: 0x14,
  /** S. `reconnectInMs(4) tryForMs(4)`: the server stops; come back after, and keep trying for. */
  Restarting: 0x15,
} as const;

/** One of the frame types this version knows. */
export type FrameType = typeof FrameType[keyof typeof FrameType];

/** Why a PeerGone was sent. */
export const PeerGoneReason = {
  /** A peer that this client had received packets from has disconnected. */
  Disconnected: 0x00,
  /** The destination of a disco packet is not connected here. */
  NotHere: 0x01,
} as const;

/** Bits of the flags byte of PeerPresent; 0 comes from servers too old to know them. */
export const PeerPresentFlag = {
  /** An ordinary client: set only when no other bit is. */
  Regular: 0x01,
  /** Logged in with the mesh key. */
  Mesh: 0x02,
  /** Said that it is a prober. */
  Prober: 0x04,
  /** Would rather be on another node of this region (it sent an Ideal-Node header). */
  NotIdeal: 0x08,
} as const;
