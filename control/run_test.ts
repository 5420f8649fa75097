import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import config from "../deno.json" with { type: "json" };
import type { Device } from "./api/types.ts";
import { openToken } from "./auth/mod.ts";
import { newKey } from "./testing.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

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
    try {
      this.#child.kill(signal);
    } catch {
      // It has ended.
    }
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
    async call(
      method: string,
      path: string,
      body?: unknown,
      bearer = printed.reg_key,
    ): Promise<Response> {
      return await fetch(`https://localhost:${port}${path}`, {
        method,
        headers: { authorization: `Bearer ${bearer}` },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        client: http,
      });
    },
  };
}

/** How often the control plane is killed. */
const KILLS = Number(Deno.env.get("NEXD_TEST_KILLS") ?? 10);

/** What a client was told of its device: the answer that came last, and what it had asked for since. */
interface Told {
  device: Device;
  /** Value of a metadata key, counted up. */
  count: number;
  asked: number;
  deleted: "no" | "asked" | "yes";
}

Deno.test("nexd control survives kills at any moment with everything that was answered", async () => {
  const stateDir = await Deno.makeTempDir({ prefix: "nexd-control-" });
  const flags = ["--hostname", "localhost", "--addr", "127.0.0.1:0", "--state-dir", stateDir];
  const told: Told[] = [];
  const keys = new Set<string>();
  let answers = 0;
  let process: Process | undefined;
  try {
    for (let round = 0; round <= KILLS; round++) {
      const running = process = new Process([...flags, "--json"]);
      const printed = JSON.parse(await running.line()) as Printed;
      assert.equal(printed.password === undefined, round > 0);
      keys.add(printed.reg_key);
      const { http, call } = client(printed);
      await checkTold(told, call);
      const me = await (await call("GET", "/api/reg-keys/me")).json();
      // Several write at once, so that some requests are under way whenever it comes.
      const end = answers + 1 + Math.floor(Math.random() * 60);
      const answered = () => {
        if (++answers === end && round < KILLS) {
          setTimeout(() => running.kill("SIGKILL"), Math.random() * 10);
        }
      };
      if (round === KILLS) {
        running.kill("SIGTERM");
      } else {
        const writers = Array.from({ length: 6 }, () => write(me.vpc_id, told, call, answered));
        for (const one of await Promise.allSettled(writers)) {
          // Cut off, but never answered anything that was not asked for.
          if (one.status === "rejected" && one.reason instanceof assert.AssertionError) {
            throw one.reason;
          }
        }
      }
      assert.equal(await running.ended() === 0, round === KILLS, running.stderr);
      http.close();
    }
    assert.equal(keys.size, 1);
    checkAddresses(`${stateDir}/control.db`);
  } finally {
    process?.kill("SIGKILL");
    await Deno.remove(stateDir, { recursive: true });
  }
});

type Call = ReturnType<typeof client>["call"];

/** Makes, changes and deletes devices until the server is gone. */
async function write(vpcId: string, told: Told[], call: Call, answered: () => void): Promise<void> {
  for (;;) {
    const public_key = newKey();
    const made = await call("POST", "/api/devices", { vpc_id: vpcId, public_key });
    assert.equal(made.status, 201);
    const one: Told = { device: await made.json(), count: 0, asked: 0, deleted: "no" };
    told.push(one);
    answered();
    for (let i = Math.floor(Math.random() * 3); i > 0; i--) {
      one.asked++;
      const path = `/api/devices/${one.device.id}/metadata/count`;
      const put = await call("PUT", path, { count: one.asked });
      assert.equal(put.status, 200);
      await put.body?.cancel();
      one.count = one.asked;
      answered();
    }
    if (Math.random() < 0.7) continue;
    one.deleted = "asked";
    const token = openToken(one.device.bearer_token!, public_key);
    const gone = await call("DELETE", `/api/devices/${one.device.id}`, undefined, token);
    assert.equal(gone.status, 200);
    await gone.body?.cancel();
    one.deleted = "yes";
    answered();
  }
}

/** Everything that was answered is so; what was not may be either way. */
async function checkTold(told: Told[], call: Call): Promise<void> {
  const list = await (await call("GET", "/api/devices")).json() as Device[];
  const known = new Map(list.map((device) => [device.id, device]));
  for (const { device, deleted } of told) {
    const now = known.get(device.id);
    if (deleted === "yes") assert.equal(now, undefined, "a deleted device is gone");
    if (deleted === "no") assert.deepEqual(now?.allowed_ips, device.allowed_ips);
  }
  for (const { device, count, asked } of told.slice(-20)) {
    if (count === 0 || !known.has(device.id)) continue;
    const value = await (await call("GET", `/api/devices/${device.id}/metadata/count`)).json();
    assert.ok([count, asked].includes(value.value.count), `${JSON.stringify(value)}, not ${count}`);
  }
}

/** Each address is either free or has one device. */
function checkAddresses(path: string): void {
  const database = new DatabaseSync(path);
  const number = (text: string) =>
    text.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  const devices = database.prepare("SELECT ipv4_address AS a FROM devices WHERE deleted_at IS NULL")
    .all().map((row) => number(String(row.a)));
  const gaps = database.prepare("SELECT first, last FROM address_gaps WHERE family = 4").all()
    .map((row) => [parseInt(String(row.first), 16), parseInt(String(row.last), 16)] as const);
  const pool = database.prepare("SELECT first, last FROM address_pools WHERE family = 4").get()!;
  assert.equal(new Set(devices).size, devices.length, "no address has two devices");
  for (const address of devices) {
    assert.ok(!gaps.some(([first, last]) => first <= address && address <= last), "none is free");
  }
  const free = gaps.reduce((sum, [first, last]) => sum + last - first + 1, 0);
  const size = parseInt(String(pool.last), 16) - parseInt(String(pool.first), 16) + 1;
  assert.equal(free + devices.length, size, "none is lost");
  assert.equal(database.prepare("PRAGMA integrity_check").get()!.integrity_check, "ok");
  database.close();
}

Deno.test("nexd control tells how to join a host, and ends when asked to", async () => {
  const stateDir = await Deno.makeTempDir({ prefix: "nexd-control-" });
  try {
    const flags = ["--hostname", "localhost", "--addr", "127.0.0.1:0", "--state-dir", stateDir];
    const process = new Process(flags);
    assert.match(await process.line(), /^Control plane is up at https:\/\/localhost:\d+/);
    const prose = [await process.line(), await process.line(), await process.line()];
    assert.match(prose[2]!, /nexd --reg-key 'https:\/\/localhost:\d+#RK:.*' --ca /);
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
