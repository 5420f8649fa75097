import assert from "node:assert/strict";
import config from "../deno.json" with { type: "json" };
import type { Device } from "./api/types.ts";
import { newKey } from "./testing.ts";

const ROOT = new URL("../", import.meta.url).pathname;

/** `nexd control` as a process of its own, with the permissions that its task grants. */
class Process {
  readonly #child: Deno.ChildProcess;
  readonly #stdout: ReadableStreamDefaultReader<string>;
  #rest = "";
  stderr = "";
  readonly #errors: Promise<void>;

  constructor(flags: string[]) {
    const [, ...task] = config.tasks.control.split(" ");
    const child = new Deno.Command(Deno.execPath(), {
      args: [...task, ...flags],
      cwd: ROOT,
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#child = child;
    this.#stdout = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    this.#errors = (async () => {
      for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
        this.stderr += text;
      }
    })();
  }

  async line(): Promise<string> {
    while (!this.#rest.includes("\n")) {
      const { done, value } = await this.#stdout.read();
      if (done) throw new Error(`the process ended: ${this.stderr}`);
      this.#rest += value;
    }
    const end = this.#rest.indexOf("\n");
    const line = this.#rest.slice(0, end);
    this.#rest = this.#rest.slice(end + 1);
    return line;
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  async ended(): Promise<number> {
    const { code } = await this.#child.status;
    await this.#stdout.cancel();
    await this.#errors;
    return code;
  }
}

interface Printed {
  service_url: string;
  username: string;
  password?: string;
  reg_key: string;
  ca: string;
}

/** A client of the control plane that printed this. */
function client(printed: Printed) {
  const { port } = new URL(printed.service_url);
  const http = Deno.createHttpClient({ caCerts: [Deno.readTextFileSync(printed.ca)] });
  return {
    http,
    async call(method: string, path: string, body?: unknown): Promise<Response> {
      return await fetch(`https://localhost:${port}${path}`, {
        method,
        headers: { authorization: `Bearer ${printed.reg_key}` },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        client: http,
      });
    },
  };
}

Deno.test("nexd control survives a kill at any moment with every device that was answered", async () => {
  const stateDir = await Deno.makeTempDir({ prefix: "nexd-control-" });
  const flags = ["--hostname", "localhost", "--addr", "127.0.0.1:0", "--state-dir", stateDir];
  const answered: Device[] = [];
  let keys: string[] = [];
  try {
    for (let round = 0; round < 2; round++) {
      const process = new Process([...flags, "--json"]);
      const printed = JSON.parse(await process.line()) as Printed;
      if (round === 0) assert.ok(printed.password);
      else assert.equal(printed.password, undefined);
      keys = [...keys, printed.reg_key];
      const { http, call } = client(printed);
      const me = await (await call("GET", "/api/reg-keys/me")).json();
      const known = await (await call("GET", "/api/devices")).json() as Device[];
      const ids = new Set(known.map((device) => device.id));
      for (const device of answered) assert.ok(ids.has(device.id), "an answered device is there");
      const register = async () => {
        for (let i = 0; i < 40; i++) {
          const body = { vpc_id: me.vpc_id, public_key: newKey() };
          const response = await call("POST", "/api/devices", body);
          assert.equal(response.status, 201);
          answered.push(await response.json());
          // Some requests are under way whenever this comes.
          if (answered.length % 60 === 20) process.kill("SIGKILL");
        }
      };
      await Promise.allSettled(Array.from({ length: 4 }, register));
      assert.notEqual(await process.ended(), 0);
      http.close();
    }
    assert.equal(keys[0], keys[1]);
    const process = new Process(flags);
    const prose = [await process.line(), await process.line(), await process.line()];
    assert.match(prose[0]!, /^Control plane is up at https:\/\/localhost:\d+/);
    assert.match(await process.line(), /nexd --reg-key 'https:\/\/localhost:\d+#RK:.*' --ca /);
    const addresses = answered.flatMap((device) => device.allowed_ips);
    assert.equal(new Set(addresses).size, addresses.length, "no address was given out twice");
    process.kill("SIGTERM");
    assert.equal(await process.ended(), 0, process.stderr);
  } finally {
    await Deno.remove(stateDir, { recursive: true });
  }
});

Deno.test("nexd control says in one sentence what is wrong, and exits with its code", async () => {
  const stateDir = await Deno.makeTempDir({ prefix: "nexd-control-" });
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr as Deno.NetAddr;
  const common = ["--hostname", "localhost", "--state-dir", stateDir];
  const cases: [string[], RegExp, number][] = [
    [[...common, "--addr", `127.0.0.1:${port}`], /the port is in use; stop the other server/, 1],
    [
      [...common, "--certmode", "manual", "--certdir", `${stateDir}/none`],
      /localhost\.(crt|key): no such file/,
      1,
    ],
    [["--addr", ":0"], /--hostname is missing/, 2],
  ];
  try {
    for (const [flags, message, code] of cases) {
      const process = new Process(flags);
      assert.equal(await process.ended(), code, process.stderr);
      assert.match(process.stderr, message);
      assert.equal(process.stderr.trim().split("\n").length, 1, process.stderr);
    }
  } finally {
    await Deno.remove(stateDir, { recursive: true });
  }
});
