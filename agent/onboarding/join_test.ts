import assert from "node:assert/strict";
import { AgentError } from "../errors.ts";
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
    const join = parseJoin(key, service);
    assert.equal(join.apiUrl.href, api);
    assert.equal(join.token, "RK:abc");
  }
});

Deno.test("parseJoin takes a key of the real form", () => {
  const token = "RK:3vYx0m0uXwF0C1c1yJr0m5t7o0m2m9b0Gd8qV1xQ2Hk=";
  assert.equal(parseJoin(`https://control.lab#${token}`, undefined).token, token);
});

Deno.test("parseJoin refuses what cannot work and says what to write", () => {
  assert.throws(() => parseJoin(undefined, undefined), usage(/--reg-key/));
  assert.throws(
    () => parseJoin("http://control.lab#RK:a", undefined),
    usage(/not https; write https:\/\/control.lab/),
  );
  assert.throws(() => parseJoin("RK:a", "http://control.lab"), usage(/not https/));
  assert.throws(
    () => parseJoin("https://control.lab#RK:a", "https://control.lab"),
    usage(/--service-url/),
  );
  assert.throws(() => parseJoin("https://control.lab", undefined), usage(/RK:/));
  assert.throws(() => parseJoin("control.lab#RK:a", undefined), usage(/not a URL/));
  assert.throws(() => parseJoin("https://control.lab#RK:", undefined), usage(/RK:/));
  assert.throws(() => parseJoin("RK:a b", undefined), usage(/RK:/));
});

Deno.test("parseJoin never shows the key", () => {
  for (const key of ["https://h#XX:secret-part", "http://h#RK:secret-part", "secret-part"]) {
    assert.throws(() => parseJoin(key, undefined), (e) => !(e as Error).message.includes("secret"));
  }
});
