import { deepEqual, equal, match, throws } from "node:assert/strict";
import { RELAY_OPTIONS } from "../options.ts";
import { readSettings, type Values } from "./settings.ts";

/** Values as the command line gives them when no flag is set. */
function defaults(): Values {
  return Object.fromEntries(RELAY_OPTIONS.map(({ name, default: value }) => [name, value]));
}

const read = (values: Values) => readSettings({ ...defaults(), ...values });

Deno.test("settings without flags are those of the reference relay, and fail closed", () => {
  const settings = read({});
  deepEqual(settings.addr, { hostname: "", port: 443 });
  equal(settings.httpPort, 80);
  equal(settings.stunPort, 3478);
  equal(settings.certificate.mode, "letsencrypt");
  equal(settings.keepAliveMs, 600_000);
  equal(settings.userTimeoutMs, 15_000);
  equal(settings.writeMs, 2_000);
  equal(settings.drainMs, 5_000);
  equal(settings.workers, undefined);
  equal(settings.acceptLimit, undefined);
  equal(settings.admission.failOpen, false);
  equal(settings.admission.tailscaled, undefined);
  equal(settings.derp, true);
  equal(settings.onboard, false);
});

Deno.test("settings come from flags in the reference relay's own spellings", () => {
  const settings = read({
    addr: "[::1]:8443",
    hostname: "192.0.2.1",
    certmode: "letsencrypt",
    "acme-ip-certs": true,
    "http-port": -1,
    stun: false,
    "tcp-keepalive-time": "1h0m0s",
    "tcp-user-timeout": "0",
    "tcp-write-timeout": "500ms",
    "accept-connection-limit": "2.5",
    "mesh-psk-file": "/k",
    "mesh-with": ["a", "b/c"],
    "verify-clients": true,
    workers: 4,
    home: "https://example.com/",
  });
  deepEqual(settings.addr, { hostname: "::1", port: 8443 });
  equal(settings.httpPort, undefined);
  equal(settings.stunPort, undefined);
  equal(settings.keepAliveMs, 3_600_000);
  equal(settings.userTimeoutMs, 0);
  equal(settings.writeMs, 500);
  deepEqual(settings.acceptLimit, { perSecond: 2.5, burst: 3 });
  deepEqual(settings.mesh.with, ["a", "b/c"]);
  equal(settings.admission.tailscaled, "/var/run/tailscale/tailscaled.sock");
  equal(settings.workers, 4);
  deepEqual(read({ "accept-connection-limit": "+Inf" }).acceptLimit, undefined);
  deepEqual(
    read({ "accept-connection-limit": "10", "accept-connection-burst": "100" }).acceptLimit,
    { perSecond: 10, burst: 100 },
  );
  const dev = read({ dev: true, addr: ":1" });
  deepEqual(dev.addr, { hostname: "", port: 3340 });
  equal(dev.certificate.mode, "none");
  equal(dev.httpPort, undefined);
});

Deno.test("settings name flag, value and remedy when a value cannot be used", () => {
  const gcp = {
    certmode: "gcp",
    "acme-email": "a@b.c",
    "acme-eab-kid": "k",
    "acme-eab-key": "AAAA",
  };
  equal(read(gcp).certificate.mode, "gcp");
  const cases: [Values, RegExp][] = [
    [{ addr: "host:port" }, /host:port/],
    [{ hostname: "a b" }, /--hostname a b: neither/],
    [{ hostname: "x".repeat(300) }, /--hostname x+…: neither/],
    [{ "http-port": 65_536 }, /--http-port 65536: not a port/],
    [{ "stun-port": -1 }, /--stun-port -1: not a port/],
    [{ certmode: "paper" }, /--certmode paper: use manual, letsencrypt, gcp or selfsigned/],
    [{ certmode: "none" }, /--certmode none/],
    [{ hostname: "192.0.2.1" }, /--hostname 192\.0\.2\.1: .*--acme-ip-certs/],
    [{ hostname: "::1" }, /--hostname ::1: .*--acme-ip-certs/],
    [{ certmode: "manual", "acme-ip-certs": true }, /--acme-ip-certs true: only certmode/],
    [{ ...gcp, hostname: "192.0.2.1" }, /--hostname 192\.0\.2\.1: certmode gcp/],
    [{ ...gcp, "acme-email": undefined }, /--certmode gcp: it needs --acme-email/],
    [{ ...gcp, "acme-eab-kid": undefined }, /it needs --acme-eab-kid/],
    [{ ...gcp, "acme-eab-key": undefined }, /it needs --acme-eab-key/],
    [{ "acme-email": "nobody" }, /--acme-email nobody: not a mail address/],
    [{ "acme-directory": "http://ca" }, /--acme-directory http:\/\/ca: not an https URL/],
    [{ workers: 0 }, /--workers 0: out of range; give 1 to 256/],
    [{ workers: 257 }, /--workers 257/],
    [{ drain: "5" }, /--drain 5: not a duration; write it as/],
    [{ drain: "1h" }, /--drain 1h: out of range; give 0 to 600s/],
    [{ "tcp-write-timeout": "-1s" }, /--tcp-write-timeout -1s: out of range/],
    [{ "tcp-user-timeout": "soon" }, /--tcp-user-timeout soon: not a duration/],
    [{ "tcp-keepalive-time": "1d" }, /--tcp-keepalive-time 1d/],
    [{ "mesh-with": ["a"] }, /--mesh-with a: no mesh key; give --mesh-psk-file/],
    [{ home: "nowhere" }, /--home nowhere: give blank or/],
    [{ home: "javascript:alert(1)" }, /--home/],
    [{ "verify-client-url": "ftp://x" }, /--verify-client-url: not an http or https URL; write/],
    [{ socket: "/s" }, /--socket \/s: .*--verify-clients/],
    [{ "accept-connection-limit": "many" }, /--accept-connection-limit many: give a number/],
    [{ "accept-connection-limit": "0" }, /--accept-connection-limit 0/],
    [{ "accept-connection-burst": "-3" }, /--accept-connection-burst -3/],
    [{ "max-connections-per-address": -1 }, /--max-connections-per-address -1: out of range/],
  ];
  for (const [values, pattern] of cases) {
    throws(() => read(values), (error: Error & { exitCode: number }) => {
      match(error.message, pattern);
      equal(error.message.includes("\n"), false);
      equal(error.exitCode, 2, error.message);
      return true;
    }, JSON.stringify(values));
  }
  // A secret's value is never shown.
  throws(() => read({ ...gcp, "acme-eab-key": "s3cret!" }), (error: Error) => {
    match(error.message, /^Cannot use --acme-eab-key: it is not base64/);
    return !error.message.includes("s3cret");
  });
});
