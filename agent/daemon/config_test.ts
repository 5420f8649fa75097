import assert from "node:assert/strict";
import { AgentError } from "../errors.ts";
import { AGENT_OPTIONS, RELAY_MODE_OPTIONS, ROUTER_OPTIONS } from "../options.ts";
import { socketPathOf } from "../ctl/mod.ts";
import { readConfig, type Values } from "./mod.ts";

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

Deno.test("config names the credential, the VPC and the group, and refuses what a key excludes", async () => {
  const id = "5F0C3B1E-8d1a-4c55-9a0e-2b6f7d9c1a10";
  const user = { "reg-key": undefined, "service-url": "https://control.lab", "username": "ada" };
  const config = await readConfig(
    { ...GIVEN, ...user, "vpc-id": id, "security-group-id": id },
    "1",
  );
  assert.deepEqual(config.join.credential, { kind: "password", username: "ada" });
  assert.equal(config.vpcId, id.toLowerCase());
  assert.equal(config.securityGroupId, id.toLowerCase());
  await refused({ "vpc-id": id }, /leave out --vpc-id and --security-group-id/);
  await refused({ ...user, "vpc-id": "5" }, /--vpc-id 5 is not a UUID; give one like/);
  await refused(
    { ...user, "security-group-id": "" + "x".repeat(99) },
    /--security-group-id x{60} /,
  );
});

Deno.test("config of a router and an exit node holds their networks, canonical and once", async () => {
  const read = (values: Values) => readConfig({ ...GIVEN, ...values }, "1", "router");
  const config = await read({
    "advertise-cidr": ["172.16.42.0/24", "2001:DB8:1::/48", "172.16.42.0/24"],
    "child-prefix": ["10.1.0.0/16"],
    "network-router": true,
    "disable-nat": true,
  });
  assert.deepEqual(config.advertiseCidrs, ["172.16.42.0/24", "2001:db8:1::/48", "10.1.0.0/16"]);
  assert(config.networkRouter && config.disableNat && config.mode === "router");
  const exit = await read({ "exit-node": true });
  assert.deepEqual([exit.advertiseCidrs, exit.exitNode], [["0.0.0.0/0", "::/0"], true]);
  const wrong = (values: Values, message: RegExp) =>
    assert.rejects(read(values), (error) => {
      assert(error instanceof AgentError && error.exitCode === 2);
      assert.match(error.message, message);
      return true;
    });
  await wrong({}, /nothing to route; give --advertise-cidr/);
  await wrong({ "network-router": true, "exit-node": true }, /add --advertise-cidr/);
  await wrong({ "exit-node": true, "exit-node-client": true }, /leave out --exit-node-client/);
  for (const text of ["172.16.42.1/24", "2001:db8::1/64"]) {
    await wrong({ "advertise-cidr": [text] }, /host bits set; give (172.16.42.0|2001:db8::)\//);
  }
  for (
    const text of ["10.0.0.0", "10.1/16", "10.0.0.0/33", "lan", "fe80::%eth0/64", "1.2.3.4/-1"]
  ) {
    await wrong({ "advertise-cidr": [text] }, /is not a network; give an address and a prefix/);
  }
});

Deno.test("config takes the driver and the relays' development port from Nexodus' variables", async () => {
  const read = async (values: Values) => await readConfig({ ...GIVEN, ...values }, "1");
  assert.equal((await read({})).driver, "auto");
  assert.equal((await read({ "use-wireguard-go": "yes" })).driver, "wireguard-go");
  assert.equal((await read({ "use-wireguard-go": "false" })).driver, "auto");
  assert.equal(
    (await read({ "use-wireguard-go": "1", "wireguard-driver": "kernel" })).driver,
    "kernel",
  );
  const dev = await read({ "derp-dev-mode": "1", "public-relay": "relay.lab" });
  assert.deepEqual([dev.relayPort, dev.publicRelay.port], [3340, 3340]);
});

Deno.test("options are named once and have Nexodus' variables and defaults", () => {
  for (const options of [AGENT_OPTIONS, ROUTER_OPTIONS, RELAY_MODE_OPTIONS]) {
    const names = options.map((o) => o.name);
    assert.equal(new Set(names).size, names.length);
    const odd = options.flatMap(({ env }) => env?.startsWith("NEXD_") === false ? [env] : []);
    assert.deepEqual(odd, ["NEXAPI_SECURITY_GROUP_ID"]);
  }
  assert.equal(RELAY_MODE_OPTIONS.find((o) => o.name === "listen-port")!.default, 51820);
});

Deno.test("socketPathOf prefers the flag", () => {
  assert.equal(socketPathOf({ "unix-socket": "/x/y" }), "/x/y");
  assert.match(socketPathOf({}), /nexd\.sock$/);
});
