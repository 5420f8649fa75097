/** `nexd serve` in this process: what it says, and that its two halves share one port. */
import { deepEqual, equal, match, notEqual, ok, rejects } from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { cannotPebble, Pebble } from "../relay/cert/acme/testing/mod.ts";
import { upgradeRequest } from "../relay/derp/mod.ts";
import { TestClient } from "../relay/server/testing.ts";
import { prepareService, runServe } from "./mod.ts";
import { SERVE_OPTIONS } from "./options.ts";

const HOST = "localhost";

type Flags = Record<string, string | number | boolean | string[]>;

/** A running one. */
class Served implements AsyncDisposable {
  readonly lines: string[] = [];
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  readonly #up = Promise.withResolvers<void>();

  constructor(dir: string, flags: Flags = {}, json = true) {
    const values = {
      ...Object.fromEntries(SERVE_OPTIONS.map(({ name, default: value }) => [name, value])),
      ...{ hostname: HOST, addr: "127.0.0.1:0", "http-port": -1, "stun-port": 0 },
      ...{ certmode: "selfsigned", "state-dir": dir },
      ...flags,
    };
    this.#running = runServe(values, {
      json,
      version: "test",
      signal: this.#stop.signal,
      print: (line) => {
        this.lines.push(line);
        this.#up.resolve();
      },
    });
  }

  /** Waits until it has printed, or throws what it ended with. */
  async up(): Promise<this> {
    await Promise.race([this.#up.promise, this.#running]);
    return this;
  }

  // deno-lint-ignore no-explicit-any
  get said(): any {
    return JSON.parse(this.lines[0]!);
  }

  get port(): number {
    return this.said.relay.port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
}

/** A client that trusts what was printed, and takes every name for this host. */
function clientOf(served: Served): Deno.HttpClient & Disposable {
  return Deno.createHttpClient({ caCerts: [Deno.readTextFileSync(served.said.ca)], http2: false });
}

/** Asks with another Host than the one that the connection is made to. */
async function ask(served: Served, host: string, head: string, body = ""): Promise<string> {
  const caCerts = [Deno.readTextFileSync(served.said.ca)];
  using conn = await Deno.connectTls({ hostname: HOST, port: served.port, caCerts });
  const length = body === "" ? "" : `Content-Length: ${body.length}\r\n`;
  await conn.write(
    new TextEncoder().encode(
      `${head} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${length}\r\n${body}`,
    ),
  );
  return await new Response(conn.readable).text();
}

async function inTemporary(test: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "nexd-serve-" });
  try {
    await test(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("serve has API, sign-in and relay on one port, and knows them apart by host and path", async () => {
  await inTemporary(async (dir) => {
    await using served = await new Served(dir).up();
    const { port } = served;
    const status = async (host: string, head: string) =>
      (await ask(served, host, head)).split("\r\n")[0];
    equal(await status(`api.${HOST}:${port}`, "GET /api/users/me"), "HTTP/1.1 401 Unauthorized");
    equal(await status(HOST, "GET /api/users/me"), "HTTP/1.1 401 Unauthorized");
    equal(await status("127.0.0.1", "GET /derp/probe"), "HTTP/1.1 200 OK");
    equal(await status(HOST, "GET /generate_204"), "HTTP/1.1 204 No Content");
    equal(await status(`api.${HOST}`, "GET /derp/probe"), "HTTP/1.1 404 Not Found");
    match(await ask(served, HOST, "GET /debug/"), /^HTTP\/1\.1 200 [^]*relay/, "from loopback");
    const login = await ask(served, `api.${HOST}:${port}`, "POST /device/login/start");
    match(login, new RegExp(`"issuer":"https://auth\\.${HOST}:${port}"`));
    const keys = await ask(served, `auth.${HOST}:${port}`, "GET /.well-known/openid-configuration");
    match(keys, /^HTTP\/1\.1 200 /);

    match(await ask(served, `${HOST}:${port}`, "GET /"), /^HTTP\/1\.1 302 [^]*location: \/ui\//i);
    equal(served.said.dashboard, `https://${HOST}:${port}/ui/`);
    const page = await ask(served, `${HOST}:${port}`, "GET /ui/");
    const script = page.match(/src="([^"]+)"/)![1];
    equal(await status(`${HOST}:${port}`, `GET /ui/${script}`), "HTTP/1.1 200 OK");

    const caCerts = [Deno.readTextFileSync(served.said.ca)];
    const conn = await Deno.connectTls({ hostname: HOST, port, caCerts });
    const derp = new TestClient(conn);
    await derp.send(upgradeRequest(HOST, { fastStart: true }));
    await derp.login();
    derp.close();
  });
});

Deno.test("serve carries registrations and events, and a body limit holds", async () => {
  await inTemporary(async (dir) => {
    await using served = await new Served(dir).up();
    using client = clientOf(served);
    const url = `https://${HOST}:${served.port}`;
    const { access_token } = await (await fetch(`${url}/oauth/token`, {
      ...{ method: "POST", client },
      body: new URLSearchParams({
        ...{
          grant_type: "password",
          client_id: "nexodus-cli",
          scope:
            "openid read:users read:organizations write:organizations read:devices write:devices",
        },
        ...{ username: "admin", password: served.said.password },
      }),
    })).json();
    const headers = { authorization: `Bearer ${access_token}` };
    const call = async (method: string, path: string, body?: unknown) => {
      const response = await fetch(`${url}${path}`, {
        ...{ method, headers, client },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: response.status, body: await response.json() };
    };
    const [vpc] = (await call("GET", "/api/vpcs")).body;
    const stop = new AbortController();
    const stream = await fetch(`${url}/api/events`, {
      ...{ method: "POST", headers, client, signal: stop.signal },
      body: JSON.stringify([{ kind: "device", options: { "vpc-id": vpc.id } }]),
    });
    equal(stream.headers.get("content-type"), "application/json;stream=watch");
    const events = stream.body!.pipeThrough(new TextDecoderStream()).getReader();
    const next = async (pattern: RegExp) => {
      for (let text = ""; !pattern.test(text);) text += (await events.read()).value;
    };
    await next(/"tail"/);
    const { status, body: device } = await call("POST", "/api/devices", {
      ...{ vpc_id: vpc.id, hostname: "a", os: "linux" },
      public_key: crypto.getRandomValues(new Uint8Array(32)).toBase64(),
    });
    equal(status, 201, JSON.stringify(device));
    await next(new RegExp(device.id));
    await events.cancel();
    stop.abort();

    const huge = await ask(served, HOST, "POST /api/devices", "x".repeat(2_000_000));
    match(huge, /^HTTP\/1\.1 (401|413) /);
  });
});

Deno.test("serve prints all at the first start, and later the line that joins a host", async () => {
  await inTemporary(async (dir) => {
    let first = "";
    {
      await using served = await new Served(dir, {}, false).up();
      first = served.lines.join("\n");
    }
    match(first, /^nexd serves https:\/\/localhost:\d+ and its relay, STUN on UDP port \d+; /);
    match(first, /Sign in as {5}admin\nwith password {2}\S{20,} {3}\(shown only now\)\n/);
    const [join] = first.match(/nexd --reg-key 'https:\/\/localhost:\d+#RK:\S+' --ca sha256:\S+/)!;
    match(first, /update-ca-certificates/);
    await using again = await new Served(dir, {}, false).up();
    equal(again.lines.length, 2);
    const unported = (line: string) => line.replace(/:\d+#/, "#");
    equal(unported(again.lines[1]!), unported(`Join a host with: ${join}`));
  });
});

Deno.test("serve gives its CA to who asks, and its JSON names the fingerprint", async () => {
  await inTemporary(async (dir) => {
    await using served = await new Served(dir, { "certificate-names": ["relay.other"] }).up();
    const { ca, ca_fingerprint, password, username, join, service_url } = served.said;
    equal(username, "admin");
    ok(password.length >= 20);
    equal(service_url, `https://${HOST}:${served.port}`);
    const pem = Deno.readTextFileSync(ca);
    const hash = new X509Certificate(pem).fingerprint256.replaceAll(":", "").toLowerCase();
    equal(ca_fingerprint, `sha256:${hash}`);
    equal(join, `nexd --reg-key '${service_url}#${served.said.reg_key}' --ca ${ca_fingerprint}`);
    for (const host of [HOST, `api.${HOST}`]) {
      ok((await ask(served, host, "GET /ca.crt")).endsWith(`\r\n\r\n${pem}`));
    }
    match(await ask(served, HOST, "POST /ca.crt"), /^HTTP\/1\.1 405 [^]*Allow: GET/);
    const leaf = new X509Certificate(Deno.readTextFileSync(`${dir}/certs/${HOST}.crt`));
    deepEqual(
      leaf.subjectAltName!.split(", ").sort(),
      [HOST, `api.${HOST}`, `auth.${HOST}`, "relay.other"].map((name) => `DNS:${name}`).sort(),
    );
  });
});

Deno.test("serve gets one certificate for its three names from a CA by itself", async () => {
  if (await cannotPebble()) return;
  await inTemporary(async (dir) => {
    await using pebble = await Pebble.start();
    Deno.writeTextFileSync(`${dir}/pebble.crt`, pebble.ca);
    const hostname = "nexd.test";
    await using served = await new Served(`${dir}/state`, {
      ...{ hostname, certmode: "letsencrypt", "http-port": pebble.httpPort },
      ...{ "acme-directory": pebble.directoryUrl, "acme-ca": `${dir}/pebble.crt` },
    }).up();
    equal(served.said.ca, undefined);
    ok(!served.said.join.includes("--ca"), "everybody trusts that CA");
    for (const name of [hostname, `api.${hostname}`, `auth.${hostname}`]) {
      const tcp = await Deno.connect({ hostname: "127.0.0.1", port: served.port });
      using tls = await Deno.startTls(tcp, { hostname: name, caCerts: [await pebble.root()] });
      await tls.handshake();
    }
  });
});

Deno.test("serve is refused in one sentence for what cannot be, and leaves nothing open", async () => {
  await inTemporary(async (dir) => {
    await using first = await new Served(dir).up();
    await rejects(new Served(dir).up(), /another control plane is running on it/);
    const port = String(first.port);
    await rejects(new Served(`${dir}/b`, { addr: `127.0.0.1:${port}` }).up(), /port in use/);
    await rejects(new Served(`${dir}/c`, { hostname: "192.0.2.1" }).up(), /use a DNS name/);
    await rejects(new Served(`${dir}/d`, { certmode: "manual" }).up(), /no such file/);
    notEqual(first.said.password, undefined);
    // A start that failed has made no user: the next one shows the password.
    await using second = await new Served(`${dir}/b`).up();
    ok(second.said.password);
  });
});

Deno.test("serve tells no secret to the log of a service, and keeps the line that joins a host", async () => {
  await inTemporary(async (dir) => {
    Deno.env.set("NOTIFY_SOCKET", `${dir}/notify`);
    try {
      await using served = await new Served(dir, {}, false).up();
      equal(served.lines.length, 2);
      const text = served.lines.join("\n");
      ok(!/RK:|password/.test(text), text);
      match(text, /The line that joins a host is in .*\/join\.txt$/);
    } finally {
      Deno.env.delete("NOTIFY_SOCKET");
    }
    match(Deno.readTextFileSync(`${dir}/join.txt`), /^nexd --reg-key 'https.*#RK:.*--ca sha256:/);
    equal(Deno.statSync(`${dir}/join.txt`).mode! & 0o777, 0o600);
  });
});

Deno.test("serve as a service gets a password when it has none, and flags that cannot be are told at once", async () => {
  await inTemporary(async (dir) => {
    const values = { hostname: "nexd.example.org", "state-dir": dir };
    const first = await prepareService(values);
    const password = first.variables.get("NEXD_SERVE_ADMIN_PASSWORD")!;
    ok(first.lines.some((line) => line.endsWith(`admin with password ${password}`)));
    equal((await prepareService({ ...values, "admin-password": "chosen" })).variables.size, 0);
    Deno.writeTextFileSync(`${dir}/control.db`, "");
    equal((await prepareService(values)).variables.size, 0, "there is a user already");
    await rejects(prepareService({ "state-dir": dir }), /--hostname is missing/);
    await rejects(prepareService({ ...values, "stun-port": 99999 }), /--stun-port 99999/);
  });
});
