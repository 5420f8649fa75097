import assert from "node:assert/strict";
import fc from "fast-check";
import { keyFromBase64, publicKeyOf } from "../../relay/derp/mod.ts";
import { AgentError } from "../errors.ts";
import { sealToken } from "../testing/fake_control.ts";
import { openSealedToken } from "./mod.ts";

Deno.test("openSealedToken opens the computed vector", () => {
  const publicKey = publicKeyOf(keyFromBase64("AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="));
  const sealed = "djE=:ZLEBsdC-WocEvQePmJUAH8A-jp-VIvGI3RKNmEbUhGY=:" +
    "xEqdSSpsVgPgwjRQ5fLndWh3KHmGRr-VAkTd6UxAig==";
  assert.equal(openSealedToken(sealed, publicKey), "DT:sample-token");
});

Deno.test("openSealedToken opens what the Go server sealed", async () => {
  const url = new URL("../../tests/vectors/control/sealed-token.json", import.meta.url);
  const vector = JSON.parse(await Deno.readTextFile(url));
  const publicKey = publicKeyOf(keyFromBase64(vector.private_key));
  assert.equal(publicKey.toBase64(), vector.public_key);
  assert.equal(openSealedToken(vector.bearer_token, publicKey), vector.opened);
});

Deno.test("openSealedToken throws only its own error, whatever it is given", () => {
  const publicKey = publicKeyOf(keyFromBase64("AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="));
  const good = sealToken("DT:x-token", publicKey);
  assert.equal(openSealedToken(good, publicKey), "DT:x-token");
  const refused = (text: string) =>
    assert.throws(() => openSealedToken(text, publicKey), (e) => e instanceof AgentError);
  fc.assert(fc.property(fc.string(), refused));
  fc.assert(fc.property(fc.nat(good.length - 1), fc.constantFrom("A", "!", ""), (at, char) => {
    const text = good.slice(0, at) + char + good.slice(at + 1);
    if (text !== good) refused(text);
  }));
  refused(`djE=:${"A".repeat(43)}=:${"A".repeat(40)}`); // low-order key
  refused(sealToken("DT: \n", publicKey));
  refused(sealToken("DT:x-token", publicKeyOf(new Uint8Array(32).fill(7))));
});
