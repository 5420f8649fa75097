import assert from "node:assert/strict";
import { readCaFile, systemCaCertificates } from "./mod.ts";

/** A self-signed P-256 certificate made for this test; nobody has its key. */
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBhTCCASugAwIBAgIUYQLy8y/wfWs23xg6KbYg/hjEFpgwCgYIKoZIzj0EAwIw
FzEVMBMGA1UEAwwMbmV4ZCB0ZXN0IENBMCAXDTI2MTEyMzEwNTUzMVoYDzIxMjYx
MDMwMTA1NTMxWjAXMRUwEwYDVQQDDAxuZXhkIHRlc3QgQ0EwWTATBgcqhkjOPQIB
BggqhkjOPQMBBwNCAATtYZIQ9UeOc9ZucApVlMbUczkyv1MwxvfCqv/WZt28GR83
W8DHYA60pqFhP0gu/zrkAdS9y3Q9v8zsQgtHl7qjo1MwUTAdBgNVHQ4EFgQUeFKA
zBnMla6Kx+g17T3RIqz+3cswHwYDVR0jBBgwFoAUeFKAzBnMla6Kx+g17T3RIqz+
3cswDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEA8CBdvPo+TYHX
c40gqSBN+lCIX290oDKzpEjEAM+tz70CIEgWFNo9rzDchuSYQMbFx6HDg9Qi2TtC
V89EluyYQdwp
-----END CERTIFICATE-----
`;

async function withFile(content: string, body: (path: string) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempFile({ prefix: "nexd-ca-" });
  try {
    await Deno.writeTextFile(path, content);
    await body(path);
  } finally {
    await Deno.remove(path);
  }
}

Deno.test("system CAs are PEM texts, read once", () => {
  const list = systemCaCertificates();
  assert.ok(Array.isArray(list));
  for (const pem of list) assert.match(pem, /^-----BEGIN CERTIFICATE-----/);
  assert.equal(systemCaCertificates(), list);
});

Deno.test("CA file gives its certificates one by one, comments skipped", async () => {
  await withFile(`# one\n${CERTIFICATE}\n# two\n${CERTIFICATE}`, async (path) => {
    assert.deepEqual(await readCaFile(path), [CERTIFICATE, CERTIFICATE]);
  });
});

Deno.test("CA file that is none is refused in one sentence with its name", async () => {
  const broken = CERTIFICATE.replace(/^MII/m, "AAA");
  const key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
  for (
    const [content, reason] of [
      ["", "it holds no PEM certificate"],
      ["junk", "it holds no PEM certificate"],
      [CERTIFICATE + key, "it holds a private key"],
      [CERTIFICATE + broken, "its certificate 2 is malformed"],
    ]
  ) {
    await withFile(content!, (path) =>
      assert.rejects(readCaFile(path), {
        exitCode: 2,
        message: `Cannot use ${path} as a CA file: ${reason}; give a file of PEM certificates`,
      }));
  }
  await assert.rejects(readCaFile("/nonexistent/ca.pem"), { message: /no such file/ });
  await assert.rejects(readCaFile("/"), { message: /it is a directory/ });
});
