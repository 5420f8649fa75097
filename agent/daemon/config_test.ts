import assert from "node:assert/strict";
import { AgentError } from "../errors.ts";
import { AGENT_OPTIONS } from "../options.ts";
import { readConfig, socketPathOf, type Values } from "./mod.ts";

/** Values as the command line gives them when no flag is set. */
const DEFAULTS: Values = Object.fromEntries(AGENT_OPTIONS.map((o) => [o.name, o.default]));
const GIVEN: Values = {
  ...DEFAULTS,
  "reg-key": "https://control.lab#RK:abc",
  "state-dir": "/tmp/s/",
  "unix-socket": "/tmp/s.sock",
};

const refused = (values: Values, pattern: RegExp) =>
  assert.rejects(readConfig({ ...GIVEN, ...values }, "1"), (error) => {
    assert(error instanceof AgentError, String(error));
    assert.equal(error.exitCode, 2);
    assert.match(error.message, pattern);
    return true;
  });

Deno.test("config of few flags has Nexodus' defaults", async () => {
  const config = await readConfig(GIVEN, "1");
  assert.equal(config.join.apiUrl.href, "https://api.control.lab/");
  assert.equal(config.stateDir, "/tmp/s");
  assert.equal(config.socketPath, "/tmp/s.sock");
  assert.equal(config.interfaceName, "wg0");
  assert.equal(config.listenPort, 0);
  assert.equal(config.relayOnly, false);
  assert.equal(config.insecureSkipTlsVerify, false);
  assert.deepEqual(config.publicRelay, { host: "relay.nexodus.io", port: 443 });
  assert.equal(config.capture, "auto");
  assert(config.stunServers.length >= 2);
  for (const server of config.stunServers) assert.match(server, /^stun\d?\.l\.google\.com:19302$/);
  assert.equal(new Set(config.stunServers).size, config.stunServers.length);
});

Deno.test("config takes every flag", async () => {
  const config = await readConfig({
    ...GIVEN,
    "stun-server": ["relay", "[2001:db8::1]:3479", "10.0.0.1:3478"],
    "public-relay": "relay.lab:8443",
    "listen-port": 51820,
    "request-ip": "100.64.9.9",
    "local-endpoint-ip": "192.168.7.7",
    "relay-only": true,
    "insecure-skip-tls-verify": true,
    "interface": "wg+lab=1",
    "capture": "portable",
  }, "1");
  assert.deepEqual(config.stunServers, ["relay:3478", "[2001:db8::1]:3479", "10.0.0.1:3478"]);
  assert.deepEqual(config.publicRelay, { host: "relay.lab", port: 8443 });
  assert.equal(config.listenPort, 51820);
  assert.equal(config.requestIp, "100.64.9.9");
  assert.equal(config.localEndpointIp, "192.168.7.7");
  assert.equal(config.relayOnly && config.insecureSkipTlsVerify, true);
  assert.equal(config.interfaceName, "wg+lab=1");
  assert.equal(config.capture, "portable");
});

Deno.test("config names the flag and the value that is wrong", async () => {
  await refused({ "reg-key": undefined }, /--reg-key/);
  await refused({ "service-url": "https://other" }, /--service-url/);
  await refused({ "stun-server": ["one:1"] }, /one:1.*--stun-server at least twice/);
  await refused({ "stun-server": ["a:1", "b:x"] }, /--stun-server b:x/);
  await refused({ "listen-port": 70000 }, /--listen-port 70000/);
  await refused({ "listen-port": -1 }, /--listen-port -1/);
  for (const name of ["a name", "../../etc", "..", "x".repeat(16), "lo", "all", "default", "-x"]) {
    await refused({ "interface": name }, /as an interface name: choose .* with --interface/);
  }
  await refused(
    { "request-ip": "100.64.0.256" },
    /--request-ip 100\.64\.0\.256 is not an IPv4 address; give four numbers from 0 to 255/,
  );
  await refused({ "request-ip": "200::5" }, /--request-ip/);
  await refused({ "local-endpoint-ip": "localhost" }, /--local-endpoint-ip localhost/);
  await refused({ "public-relay": ":443" }, /--public-relay :443/);
  await refused({ "ca": "/nonexistent/ca.pem" }, /\/nonexistent\/ca\.pem/);
  await refused({ "relay-ca": "/nonexistent/ca.pem" }, /\/nonexistent\/ca\.pem/);
});

Deno.test("options hold what the agent does and no flag that it would ignore", () => {
  const names = AGENT_OPTIONS.map((o) => o.name);
  assert.equal(new Set(names).size, names.length);
  for (const later of ["username", "password", "vpc-id", "security-group-id", "exit-node-client"]) {
    assert(!names.includes(later), later);
  }
  for (const { env } of AGENT_OPTIONS) assert(env === undefined || env.startsWith("NEXD_"));
});

Deno.test("socketPathOf prefers the flag", () => {
  assert.equal(socketPathOf({ "unix-socket": "/x/y" }), "/x/y");
  assert.match(socketPathOf({}), /nexd\.sock$/);
});
