import assert from "node:assert/strict";
import { settings } from "./config.ts";
import { readOidc } from "./oidc/mod.ts";
import { ControlError } from "./errors.ts";
import { CONTROL_OPTIONS } from "./options.ts";
import { asProse } from "./run.ts";
import type { Control } from "./server.ts";

Deno.test("flags left out have the defaults that the options name", () => {
  const config = settings({ hostname: "Control.Example." });
  assert.equal(config.hostname, "control.example");
  assert.deepEqual(config.addr, { hostname: "", port: 443 });
  assert.equal(config.certMode, "selfsigned");
  assert.equal(config.certDir, `${config.stateDir}/certs`);
  assert.deepEqual(config.admin, { username: "admin" });
  assert.deepEqual([config.rateLimit, config.corsOrigins], [500, []]);
  assert.deepEqual([config.proxies.any, config.publicPort], [false, undefined]);
  const defaults = Object.fromEntries(
    CONTROL_OPTIONS.map((
      option,
    ) => [option.name, "default" in option ? option.default : undefined]),
  );
  assert.deepEqual(settings({ ...defaults, hostname: "control.example" }), config);
});

Deno.test("--addr is read as the relay reads its own", () => {
  const addr = (text: string) => settings({ hostname: "control.example", addr: text }).addr;
  assert.deepEqual(addr(":8443"), { hostname: "", port: 8443 });
  assert.deepEqual(addr("[fe80::1%eth0]:443"), { hostname: "fe80::1%eth0", port: 443 });
  assert.deepEqual(addr("localhost:0"), { hostname: "localhost", port: 0 });
  for (const bad of [":", ":70000", "2001:db8::1:443x", "[::1", "a b:1"]) {
    assert.throws(() => addr(bad), { name: "AddressError", exitCode: 2 }, bad);
  }
});

Deno.test("flags that cannot be used are named with the remedy and exit code 2", () => {
  const hostname = "control.example";
  const cases: [Record<string, string | string[]>, RegExp][] = [
    [{}, /--hostname is missing/],
    [{ hostname: "192.0.2.1" }, /--hostname 192\.0\.2\.1: use a DNS name/],
    [{ hostname: "-bad-" }, /--hostname -bad-: use a DNS name/],
    [{ hostname: "a..b" }, /use a DNS name/],
    [{ hostname, certmode: "letsencrypt" }, /--certmode letsencrypt: use manual or selfsigned/],
    [{ hostname, "admin-username": "a b" }, /--admin-username a b/],
    [{ hostname, "rate-limit": "0" }, /--rate-limit 0: use a number/],
    [{ hostname, "rate-limit": "many" }, /--rate-limit many: use a number/],
    [{ hostname, "cors-origin": ["*"] }, /--cors-origin \*: use an origin/],
    [{ hostname, "cors-origin": ["https://a/b"] }, /--cors-origin https:\/\/a\/b: use an origin/],
    [{ hostname, "trusted-proxies": ["10.0.0"] }, /--trusted-proxies 10\.0\.0: use an address/],
    [{ hostname, "public-port": "https" }, /--public-port https: use a port/],
    [{ hostname, "oidc-issuer": "http://idp.test" }, /--oidc-issuer http:.*: use an https URL/],
    [{ hostname, "oidc-issuer": "https://idp.test/?a=1" }, /use an https URL/],
    [{ hostname, "oidc-operator": ["kim"] }, /--oidc-operator means nothing without --oidc-issuer/],
    [{ hostname, "admin-password": "x".repeat(257) }, /--admin-password: use at most 256/],
  ];
  for (const [values, message] of cases) {
    assert.throws(() => settings(values), (error: ControlError) => {
      assert.match(error.message, message);
      assert.equal(error.exitCode, 2);
      return error instanceof ControlError;
    });
  }
});

Deno.test("an issuer elsewhere has the defaults of Nexodus, and its authorities are read from a file", async () => {
  const given = settings({
    hostname: "control.example",
    "oidc-issuer": "https://idp.test/realm",
  });
  assert.deepEqual(given.oidc, {
    issuer: "https://idp.test/realm",
    clientId: "nexodus-cli",
    operators: [],
    webClientId: "nexodus-cli",
    audience: "account",
  });
  assert.deepEqual(await readOidc(given.oidc), given.oidc);
  assert.equal(await readOidc(undefined), undefined);
  const file = await Deno.makeTempFile();
  try {
    const asked = { ...given.oidc!, caFile: file };
    await assert.rejects(readOidc(asked), /holds no certificate in PEM/);
    const pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
    await Deno.writeTextFile(file, `# one\n${pem}\n# two\n${pem}\n`);
    assert.deepEqual(await readOidc(asked), {
      ...given.oidc,
      caCerts: [pem, pem],
    });
  } finally {
    await Deno.remove(file);
  }
  await assert.rejects(
    readOidc({ ...given.oidc!, caFile: file }),
    (error: ControlError) => /check path/.test(error.message) && error.exitCode === 2,
  );
});

Deno.test("the terminal shows how to join a host and how to trust the authority", () => {
  const control = {
    serviceUrl: "https://control.example:8443",
    username: "admin",
    password: "secret-word",
    regKey: "RK:key",
    caPath: "/state/certs/ca.crt",
    first: true,
  } as Control;
  const first = asProse(control, { stateDir: "/state" }).join("\n");
  assert.match(first, /nexd --reg-key 'https:\/\/control\.example:8443#RK:key' --ca \/state/);
  assert.match(first, /password: secret-word/);
  assert.match(first, /update-ca-certificates/);
  const { password: _, regKey: __, caPath: ___, ...later } = control;
  const again = asProse({ ...later, first: false } as Control, { stateDir: "/state" }).join("\n");
  assert.match(again, /shown at the first start/);
  assert.doesNotMatch(again, /undefined|--ca/);
  const issuer = "https://idp.test/realm";
  const elsewhere = asProse({ ...later, username: "", issuer } as Control, { stateDir: "/state" });
  assert.match(elsewhere.join("\n"), /Users sign in at https:\/\/idp\.test\/realm\n/);
  assert.doesNotMatch(elsewhere.join("\n"), /First user|undefined/);
});
