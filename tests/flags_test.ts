import { deepEqual, equal, ok } from "node:assert/strict";
import { getConfig, reset } from "@logtape/logtape";
import { AGENT_OPTIONS, RELAY_MODE_OPTIONS, ROUTER_OPTIONS } from "../agent/options.ts";
import { configureLog } from "../command_line/log.ts";
import { RELAY_OPTIONS } from "../relay/options.ts";

const MAIN = new URL("../main.ts", import.meta.url).pathname;

/** Runs nexd to its end. */
async function nexd(args: string[]) {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", MAIN, ...args],
    env: { NO_COLOR: "1" },
    signal: AbortSignal.timeout(30_000),
  }).output();
  return { code, stderr: new TextDecoder().decode(stderr) };
}

/** What Nexodus' agent has: flag, variable, and the default where that is more than nothing. */
type Row = [name: string, env?: string, value?: string | number | boolean];

const AGENT: Row[] = [
  ["service-url", "NEXD_SERVICE_URL"],
  ["reg-key", "NEXD_REG_KEY"],
  ["username", "NEXD_USERNAME"],
  ["password", "NEXD_PASSWORD"],
  ["vpc-id", "NEXD_VPC_ID"],
  ["security-group-id", "NEXAPI_SECURITY_GROUP_ID"],
  ["insecure-skip-tls-verify", "NEXD_INSECURE_SKIP_TLS_VERIFY", false],
  ["state-dir", "NEXD_STATE_DIR"],
  ["stun-server", "NEXD_STUN_SERVER"],
  ["listen-port", "NEXD_LISTEN_PORT", 0],
  ["request-ip", "NEXD_REQUESTED_IP"],
  ["local-endpoint-ip", "NEXD_LOCAL_ENDPOINT_IP"],
  ["relay-only", "NEXD_RELAY_ONLY", false],
  ["exit-node-client", "NEXD_EXIT_NODE_CLIENT", false],
  ["unix-socket"],
  // Variables without a flag; the flags are ours, and hidden.
  ["use-wireguard-go", "NEXD_USE_WIREGUARD_GO"],
  ["derp-dev-mode", "NEXD_DERP_DEV_MODE"],
];
const ROUTER: Row[] = [
  ["advertise-cidr", "NEXD_REQUESTED_ADVERTISE_CIDR"],
  ["child-prefix"],
  ["network-router", "NEXD_NET_ROUTER_NODE", false],
  ["disable-nat", "NEXD_DISABLE_NAT", false],
  ["exit-node", "NEXD_EXIT_NODE", false],
];
const RELAYDERP: Row[] = [
  ["onboard", "NEXD_DERP_ONBOARD", false],
  ["hostname", "NEXD_DERP_HOSTNAME", "relay.nexodus.io"],
  ["certmode", "NEXD_DERP_CERT_MODE", "letsencrypt"],
  ["certdir", "NEXD_DERP_CERT_DIR"],
  ["addr", "NEXD_DERP_LISTEN_ADDR", ":443"],
  ["http-port", "NEXD_DERP_HTTP_PORT", 80],
  ["stun", "NEXD_DERP_RUN_STUN", true],
  ["stun-port", "NEXD_DERP_STUN_PORT", 3478],
  ["accept-connection-limit", "NEXD_DERP_ACCEPT_CONN_LIMIT"],
  ["accept-connection-burst", "NEXD_DERP_ACCEPT_CONN_BURST"],
  ["dev", "NEXD_DERP_DEV_MODE", false],
  ["c", "NEXD_DERP_CONFIG_PATH"],
  ["mesh-psk-file", "NEXD_DERP_MESH_PSK_FILE"],
  ["mesh-with", "NEXD_DERP_MESH_WITH"],
  ["bootstrap-dns-names", "NEXD_DERP_BOOTSTRAP_DNS_NAMES"],
  ["unpublished-bootstrap-dns-names", "NEXD_DERP_UNPUBLISHED_BOOTSTRAP_DNS_NAMES"],
  ["verify-clients", "NEXD_DERP_VERIFY_CLIENTS", false],
];

Deno.test("nexd has every flag of Nexodus' agent, with its variable and its default", () => {
  const tables = [
    [AGENT_OPTIONS, AGENT],
    [
      RELAY_MODE_OPTIONS,
      AGENT.map((row) => row[0] === "listen-port" ? [...row.slice(0, 2), 51820] : row),
    ],
    [ROUTER_OPTIONS, [...AGENT, ...ROUTER]],
    [RELAY_OPTIONS, RELAYDERP],
  ] as const;
  for (const [options, rows] of tables) {
    for (const [name, env, value] of rows) {
      const option = options.find((one) => one.name === name);
      deepEqual([name, option?.env, option?.default], [name, env, value]);
    }
  }
});

Deno.test("a service URL may stand as one word, and not beside its flag", async () => {
  const key = ["--reg-key", "RK:abc"], dir = await Deno.makeTempDir();
  try {
    for (const mode of [[], ["router", "--exit-node"], ["relay"]]) {
      // It was taken for the service URL when it is the reason why the agent does not start.
      const word = await nexd([...mode, "http://control.lab", ...key, "--state-dir", dir]);
      equal(word.code, 2, word.stderr);
      ok(/control\.lab is not https/.test(word.stderr), word.stderr);
      const flag = ["--service-url", "https://control.lab"];
      const twice = await nexd([...mode, "https://control.lab", ...flag, ...key]);
      equal(twice.code, 2, twice.stderr);
      ok(/given twice/.test(twice.stderr), twice.stderr);
    }
    const two = await nexd(["https://a.lab", "https://b.lab", ...key]);
    equal(two.code, 2, two.stderr);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("NEXD_LOGLEVEL means debug, whatever it says", async () => {
  const before = Deno.env.get("NEXD_LOGLEVEL");
  const level = async () => {
    await configureLog({ "log-level": "info", "log-format": "text" });
    return getConfig()?.loggers.find(({ category }) => category.includes("nexd"))?.lowestLevel;
  };
  try {
    Deno.env.delete("NEXD_LOGLEVEL");
    equal(await level(), "info");
    Deno.env.set("NEXD_LOGLEVEL", "quiet");
    equal(await level(), "debug");
  } finally {
    if (before === undefined) Deno.env.delete("NEXD_LOGLEVEL");
    else Deno.env.set("NEXD_LOGLEVEL", before);
    await reset();
  }
});
