import assert from "node:assert/strict";
import { AgentError } from "../../errors.ts";
import { parseJoin } from "./mod.ts";

const usage = (pattern: RegExp) => (error: unknown) =>
  error instanceof AgentError && error.exitCode === 2 && pattern.test(error.message);

Deno.test("parseJoin puts api. before the host, keeps the port and clears the path", () => {
  for (
    const [key, service, api] of [
      ["https://try.example.test:8443#RK:abc", undefined, "https://api.try.example.test:8443/"],
      ["https://control.lab/some/path#RK:abc", undefined, "https://api.control.lab/"],
      ["RK:abc", "https://control.lab", "https://api.control.lab/"],
      ["RK:abc", undefined, "https://api.try.nexodus.io/"],
      ["https://192.0.2.7:8443#RK:abc", undefined, "https://192.0.2.7:8443/"],
      ["https://[2001:db8::1]#RK:abc", undefined, "https://[2001:db8::1]/"],
    ] as const
  ) {
    const join = parseJoin({ regKey: key, serviceUrl: service });
    assert.equal(join.apiUrl.href, api);
    assert.deepEqual(join.credential, { kind: "reg-key", token: "RK:abc" });
  }
});

Deno.test("parseJoin takes a key of the real form", () => {
  const token = "RK:3vYx0m0uXwF0C1c1yJr0m5t7o0m2m9b0Gd8qV1xQ2Hk=";
  const { credential } = parseJoin({ regKey: `https://control.lab#${token}` });
  assert.deepEqual(credential, { kind: "reg-key", token });
});

Deno.test("parseJoin refuses what cannot work and says what to write", () => {
  assert.throws(
    () => parseJoin({ regKey: "http://control.lab#RK:a" }),
    usage(/not https; write https:\/\/control.lab/),
  );
  assert.throws(
    () => parseJoin({ regKey: "RK:a", serviceUrl: "http://control.lab" }),
    usage(/not https/),
  );
  assert.throws(
    () => parseJoin({ regKey: "https://control.lab#RK:a", serviceUrl: "https://control.lab" }),
    usage(/--service-url/),
  );
  assert.throws(() => parseJoin({ regKey: "https://control.lab" }), usage(/RK:/));
  assert.throws(() => parseJoin({ regKey: "control.lab#RK:a" }), usage(/not a URL/));
  assert.throws(() => parseJoin({ regKey: "https://control.lab#RK:" }), usage(/RK:/));
  assert.throws(() => parseJoin({ regKey: "RK:a b" }), usage(/RK:/));
});

Deno.test("parseJoin takes a user, or a code to confirm when nobody is named", () => {
  const serviceUrl = "https://control.lab";
  const credential = (flags: Parameters<typeof parseJoin>[0]) =>
    parseJoin({ serviceUrl, ...flags }).credential;
  assert.deepEqual(credential({}), { kind: "device" });
  assert.deepEqual(credential({ username: "ada" }), { kind: "password", username: "ada" });
  assert.deepEqual(credential({ username: "ada", password: "p" }), {
    kind: "password",
    username: "ada",
    password: "p",
  });
  assert.throws(() => credential({ password: "p" }), usage(/no user: add --username/));
  assert.throws(() => credential({ username: "a\nb" }), usage(/--username/));
  assert.throws(
    () => credential({ username: "a", password: "p".repeat(1025) }),
    usage(/--password/),
  );
  assert.throws(
    () => parseJoin({ regKey: "RK:a", username: "ada" }),
    usage(/leave out --username and --password .*, or --reg-key/),
  );
});

Deno.test("parseJoin never shows the key", () => {
  for (const key of ["https://h#XX:secret-part", "http://h#RK:secret-part", "secret-part"]) {
    assert.throws(
      () => parseJoin({ regKey: key }),
      (e) => !(e as Error).message.includes("secret"),
    );
  }
});
