/**
 * DERP over WebSocket (DERP: WebSocket variant; RFC 6455): the handshake, and the connection as a
 * stream of bytes.
 *
 * @module
 */
export { CloseCode } from "./decoder.ts";
export { type Handshake, handshake } from "./handshake.ts";
export { closeFrame, WebSocketTransport } from "./transport.ts";
