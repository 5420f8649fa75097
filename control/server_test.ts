import assert from "node:assert/strict";
import type { Device } from "./api/types.ts";
import { verifyPassword } from "./auth/mod.ts";
import { Proxies } from "./http/mod.ts";
import type { ControlConfig } from "./server.ts";
import { HOST, Place, readUntil, until } from "./testing_server.ts";

Deno.test("an agent joins over HTTPS with what the first start made", async () => {
  using place = new Place();
  await using running = await place.start({ admin: { password: "correct horse" } });
  const { control } = running;
  assert.equal(control.serviceUrl, `https://${HOST}:${control.address.port}`);
  assert.deepEqual([control.first, control.username, control.password], [
    true,
    "admin",
    "correct horse",
  ]);
  const me = await running.call("GET", "/api/reg-keys/me", control.regKey!);
  assert.equal(me.body.owner_id, control.userId);
  assert.equal(me.body.vpc_id, control.userId);
  const vpc = await running.call("GET", `/api/vpcs/${me.body.vpc_id}`, control.regKey!);
  assert.deepEqual(vpc.body, {
    id: control.userId,
    organization_id: control.userId,
    description: "default vpc",
    private_cidr: false,
    ipv4_cidr: "100.64.0.0/10",
    ipv6_cidr: "200::/64",
    revision: 1,
  });
  const { token } = await running.register();
  assert.equal((await running.call("GET", "/api/devices", token)).body.length, 1);
  const user = await control.store.db.selectFrom("accounts").selectAll().executeTakeFirstOrThrow();
  assert.ok(await verifyPassword("correct horse", user.password_hash));
});

Deno.test("stream headers come at once, events unasked, and the end without its final chunk", async () => {
  using place = new Place();
  await using running = await place.start();
  const { token } = await running.register();
  const quiet = await running.raw("/api/events", token, "[]");
  const head = await readUntil(quiet, /\r\n\r\n/);
  assert.match(head, /^HTTP\/1.1 200 OK\r\n/);
  assert.match(head, /^content-type: application\/json;stream=watch\r$/im);
  assert.match(head, /transfer-encoding: chunked/i);
  assert.match(head, /cache-control: no-cache, no-store/i);
  const watch = JSON.stringify([{ kind: "device", options: { "vpc-id": running.control.userId } }]);
  const conn = await running.raw("/api/events", token, watch);
  await readUntil(conn, /"type":"tail"}\n\n/);
  await running.register();
  await readUntil(conn, /100\.64\.0\.2\/32.*\n\n/s);
  const rest = (async () => {
    const buffer = new Uint8Array(65536);
    const n = await conn.read(buffer).catch(() => null);
    return n === null ? "" : new TextDecoder().decode(buffer.subarray(0, n));
  })();
  await running.control.close();
  assert.equal(await rest, "");
  quiet.close();
  conn.close();
});

Deno.test("a client that goes away is noticed at once, and goes offline after the grace", async () => {
  using place = new Place();
  await using running = await place.start({ online: { graceMs: 50 } });
  const { device, token } = await running.register();
  const online = async () => {
    const { body } = await running.call("GET", `/api/devices/${device.id}`, token);
    return body.online;
  };
  const conn = await running.raw("/api/events", token, "[]");
  await readUntil(conn, /\r\n\r\n/);
  assert.equal(await online(), true);
  conn.close();
  await until(() => running.control.streams() === 0);
  await until(async () => !await online());
});

Deno.test("a restart keeps devices, tokens and the registration key, not the password", async () => {
  using place = new Place();
  let before;
  {
    await using first = await place.start();
    assert.match(first.control.password ?? "", /^[a-z0-9]{5}(-[a-z0-9]{5}){3}$/);
    before = { ...await first.register(), regKey: first.control.regKey };
  }
  const kept = JSON.parse(Deno.readTextFileSync(`${place.stateDir}/bootstrap.json`));
  assert.deepEqual(Object.keys(kept), ["note", "username", "reg_key"]);
  for (const name of ["bootstrap.json", "secret.key", "control.db"]) {
    assert.equal(Deno.statSync(`${place.stateDir}/${name}`).mode! & 0o777, 0o600, name);
  }
  assert.equal(Deno.statSync(place.stateDir).mode! & 0o777, 0o700);
  {
    await using second = await place.start({
      admin: { username: "other", password: "ignored it" },
    });
    const { control } = second;
    assert.deepEqual([control.first, control.username, control.password, control.regKey], [
      false,
      "admin",
      undefined,
      before.regKey,
    ]);
    const list = await second.call("GET", "/api/devices", before.token);
    assert.deepEqual(list.body.map((row: Device) => row.id), [before.device.id]);
    assert.deepEqual((await second.register()).device.allowed_ips, [
      "100.64.0.2/32",
      "200::2/128",
    ]);
  }
  // The file may be deleted, or be anything: then the key is not shown, and all else works.
  for (const damage of ["{broken", undefined]) {
    if (damage) Deno.writeTextFileSync(`${place.stateDir}/bootstrap.json`, damage);
    else Deno.removeSync(`${place.stateDir}/bootstrap.json`);
    await using again = await place.start();
    assert.equal(again.control.regKey, undefined);
  }
});

Deno.test("a port in use and an address of another host are named with the remedy", async () => {
  using place = new Place();
  using other = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = other.addr as Deno.NetAddr;
  const start = (addr: ControlConfig["addr"]) => place.start({ addr });
  await assert.rejects(start({ hostname: "127.0.0.1", port }), (error: Error) => {
    assert.equal(
      error.message,
      `Cannot listen on 127.0.0.1:${port}: the port is in use; ` +
        "stop the other server or choose another --addr",
    );
    assert.equal((error as { exitCode?: number }).exitCode, 1);
    return true;
  });
  await assert.rejects(start({ hostname: "192.0.2.77", port: 0 }), /no such address/);
  for (const hostname of ["nosuchhost.invalid", "a..b"]) {
    await assert.rejects(start({ hostname, port: 0 }), (error: Error) => {
      assert.equal(
        error.message,
        `Cannot listen on ${hostname}:0: the name has no address; ` +
          "give --addr an IP address of this host, or :PORT for all",
      );
      return true;
    });
  }
  const unusable = () => Promise.resolve({ cert: "none", key: "none" });
  await assert.rejects(place.start({ certificate: unusable }), /check the files in --certdir/);
  // What failed left nothing locked, and no user whose password nobody saw.
  await using running = await place.start({ addr: { hostname: "", port: 0 } });
  assert.equal(running.control.first, true);
});

Deno.test("a reader that stops reading is cut off while others go on", async () => {
  using place = new Place();
  await using running = await place.start({ stream: { stallMs: 300 } });
  const { store } = running.control;
  const { token } = await running.register();
  for (let i = 0; i < 100; i++) await running.register();
  const filler = JSON.stringify(Array(16).fill({ source: "s", address: "x".repeat(128) }));
  const watch = JSON.stringify([{ kind: "device", options: { "vpc-id": running.control.userId } }]);
  const stuck = await running.raw("/api/events", token, watch);
  const other = await running.register();
  const reader = await running.raw("/api/events", other.token, watch);
  await readUntil(reader, /"type":"tail"/);
  await until(() => running.control.streams() === 2);
  const rows = await store.db.selectFrom("devices").select(["id", "vpc_id"]).execute();
  let heard = "";
  const drain = (async () => {
    const buffer = new Uint8Array(65536);
    for (let n; (n = await reader.read(buffer).catch(() => null)) !== null;) {
      heard = (heard + new TextDecoder().decode(buffer.subarray(0, n))).slice(-65536);
    }
  })();
  await until(async () => {
    await store.write(async (write) => {
      for (const { id, vpc_id } of rows) {
        const revision = await write.revision("devices", vpc_id);
        await write.db.updateTable("devices").set({ revision, endpoints_json: filler })
          .where("id", "=", id).execute();
      }
    });
    return running.control.streams() === 1;
  });
  // The one that is left is the one that reads.
  const path = `/api/devices/${other.device.id}`;
  const renamed = await running.fetch("PATCH", path, other.token, { hostname: "still-heard" });
  assert.equal(renamed.status, 200, await renamed.text());
  await until(() => heard.includes("still-heard"));
  await running.control.close();
  await drain;
  stuck.close();
  reader.close();
});

Deno.test("behind a proxy clients are told apart by its word, and told the port that it has", async () => {
  using place = new Place();
  const config = { proxies: new Proxies(["127.0.0.1"]), publicPort: 443, rateLimit: 1 };
  await using running = await place.start(config);
  assert.equal(running.control.serviceUrl, `https://${HOST}`);
  const ask = async (from: string) => {
    const response = await running.fetch("GET", "/api/fflags", "nobody", undefined, from);
    await response.body?.cancel();
    return response.status;
  };
  const many = await Promise.all(Array.from({ length: 25 }, () => ask("192.0.2.1")));
  assert.deepEqual([...new Set(many)].sort(), [401, 429]);
  assert.equal(await ask("192.0.2.2"), 401);
});
