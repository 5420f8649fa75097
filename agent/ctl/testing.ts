/**
 * A status for tests: one peer through a relay, one that is not reached, one that cannot be.
 *
 * @module
 */
import type { AgentStatus } from "./types.ts";

/** When it was told. */
export const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);

/** The status. */
export const STATUS: AgentStatus = {
  status: "Running",
  version: "1.2.3",
  hostname: "edge-a",
  public_key: "B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw=",
  tunnel_ipv4: "100.64.0.1",
  tunnel_ipv6: "200::1",
  interface: "wg0",
  driver: "kernel",
  listen_port: 51820,
  nat: "symmetric",
  reflexive: "203.0.113.5:41000",
  relay_only: false,
  control: { url: "https://control.lab", state: "connected" },
  relay: {
    host: "relay.lab",
    port: 443,
    state: "connected",
    since: new Date(NOW).toISOString(),
    reconnects: 0,
    rttMs: 1.25,
  },
  capture: "linux",
  drops: {},
  peers: [{
    hostname: "edge-b",
    public_key: "K2",
    tunnel_ipv4: "100.64.0.2",
    tunnel_ipv6: "200::2",
    method: "via-derp-relay",
    code: "both-symmetric",
    reason: "both NATs are symmetric: through relay.lab",
    endpoint: "127.0.0.3:9002",
    relay: "relay.lab",
    healthy: true,
    last_handshake_ms: NOW - 12_000,
    rx_bytes: 2048,
    tx_bytes: 100,
    allowed_ips: ["100.64.0.2/32", "200::2/128"],
  }, {
    hostname: "edge-c",
    public_key: "K3",
    tunnel_ipv4: "100.64.0.3",
    tunnel_ipv6: "200::3",
    method: "none",
    code: "no-method",
    reason: "no way",
    endpoint: "",
    healthy: false,
    last_handshake_ms: null,
    rx_bytes: 0,
    tx_bytes: 0,
    allowed_ips: ["100.64.0.3/32"],
  }],
  skipped: [{ hostname: "odd", public_key: "x", code: "bad-key", reason: "its public key is bad" }],
};
