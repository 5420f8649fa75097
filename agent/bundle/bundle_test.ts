import assert from "node:assert/strict";
import { archive, collect } from "./mod.ts";
import { secretsIn, secretsOf, withoutSecrets } from "./secrets.ts";

/** Secrets as they stand in the files, the log and the environment of a host. */
const SECRETS = {
  key: "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=",
  device: "DT:0b5c8d1e-very-secret",
  join: "RK:kZ6u2s-registration",
  password: "correct horse",
  jwt: "eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl",
};

Deno.test("a bundle has what was asked of the host, and none of its secrets", async () => {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(
      `${directory}/state.json`,
      JSON.stringify({
        "private-key": SECRETS.key,
        "public-key": "PUBLIC",
        auth: { "access-token": "opaque-access" },
        "device-token": SECRETS.device,
      }),
    );
    const log = `registered with ${SECRETS.join}\nAuthorization: Bearer ${SECRETS.jwt}\n` +
      `private_key=${SECRETS.key}\n${SECRETS.device} opaque-access password: ${SECRETS.password}\n`;
    const files = await collect({
      stateDir: directory,
      environment: {
        NEXD_REG_KEY: `https://control.lab#${SECRETS.join}`,
        NEXD_PASSWORD: SECRETS.password,
        NEXD_OTHER_TOKEN: "a;b c",
        NEXD_RELAY_ONLY: "true",
        HOME: "/home/somebody",
      },
      run: (program, args) => {
        if (program === "wg") return Promise.reject(new Error("wg is missing"));
        const stdout = program === "journalctl" ? log : `${program} says\n`;
        assert(!args.includes("showconf"));
        return Promise.resolve({ code: 0, stdout, stderr: "" });
      },
      files: [{ name: "status.json", text: `{"public_key":"PUBLIC","x":"${SECRETS.jwt}"}` }],
    });
    const all = files.map(({ name, text }) => `${name}\n${text}`).join("\n");
    for (const secret of [...Object.values(SECRETS), "opaque-access", "kZ6u2s", "horse", "b c"]) {
      assert(!all.includes(secret), `${secret} is in ${all}`);
    }
    for (const wanted of ["PUBLIC", "ip says", "wg is missing", "NEXD_RELAY_ONLY=true"]) {
      assert(all.includes(wanted), wanted);
    }
    assert(!all.includes("somebody"));
    assert.match(all, /^600 \d+ \S+ "state\.json"$|^644 \d+ \S+ "state\.json"$/m);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("withoutSecrets knows secrets by their form, and leaves other text alone", () => {
  const plain = "peer pgj1L1tCUnAyQLzg7tlDHry1qm0oWv0ZbOjgLXT7/DY= at 127.0.0.3:9002, token ring";
  assert.equal(withoutSecrets(plain, []), plain);
  assert.equal(withoutSecrets("x RK:abc y", []), "x RK:<removed> y");
  assert.equal(withoutSecrets('"refresh_token":"abcdef"', []), '"refresh_token":"<removed>"');
  assert.equal(
    withoutSecrets("see https://c/device?user_code=ABCD-EF", []).includes("ABCD"),
    false,
  );
  for (const line of ["nexd --username ada --password hunter22 x", "nexd -password='a b' x"]) {
    assert.match(withoutSecrets(line, []), /password[ =]<removed> x$/);
  }
  assert.deepEqual(secretsIn("not JSON"), []);
  const login = { deviceCode: "device-code", userCode: "BCDF-GHJK", url: "https://auth.lab/" };
  assert.deepEqual(secretsIn(JSON.stringify({ login })), [login.deviceCode, login.userCode]);
  assert.deepEqual(secretsOf({ NEXD_REG_KEY: "https://h#RK:1234567", PATH: "/bin" }), [
    "https://h#RK:1234567",
    "RK:1234567",
  ]);
});

Deno.test("an archive is one that tar can read", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const files = [{ name: "a/one.txt", text: "x".repeat(600) }, { name: "a/leer.txt", text: "" }, {
      name: "a/zwei.txt",
      text: "Grüße\n",
    }];
    await Deno.writeFile(`${directory}/t.tgz`, await archive(files, new Date(0)));
    const { code } = await new Deno.Command("tar", {
      args: ["-xzf", `${directory}/t.tgz`, "-C", directory],
    }).output();
    assert.equal(code, 0);
    for (const { name, text } of files) {
      assert.equal(await Deno.readTextFile(`${directory}/${name}`), text);
    }
    await assert.rejects(archive([{ name: "n".repeat(100), text: "" }], new Date(0)), RangeError);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a bundle of macOS and Windows asks their own programs, never for keys or settings", async () => {
  for (
    const [os, wanted] of [["darwin", "scutil --dns"], ["windows", "ipconfig.exe /all"]] as const
  ) {
    const lines: string[] = [];
    const run = (program: string, args: readonly string[]) => {
      lines.push([program, ...args].join(" "));
      return Promise.resolve({ code: 0, stdout: "", stderr: "" });
    };
    const files = await collect({ stateDir: "/nonexistent", environment: {}, run, os, files: [] });
    assert(lines.some((line) => line.endsWith(wanted)), os);
    assert(!lines.some((line) => /showconf|nexd\.json|^(ip|nft|systemctl) /.test(line)), os);
    assert.deepEqual(new Set(files.map(({ name }) => name)).size, files.length);
  }
});
