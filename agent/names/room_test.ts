import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { Device, Vpc } from "../../control/api/types.ts";
import type { HostFacts } from "../host/mod.ts";
import { editFile } from "./file.ts";
import { hostsFile } from "./mod.ts";
import { underLoad } from "../../scripts/lab/support.ts";

const BASE = "127.0.0.1 localhost\n127.0.1.1 me.lan me\n";
const relay = (host: string, address = "203.0.113.9") => ({ host, address, port: 443, pin: true });

function factsOf(...relays: HostFacts["relays"]): HostFacts {
  return {
    interfaceName: "wg0",
    self: {} as HostFacts["self"],
    device: {} as Device,
    vpc: { ipv4_cidr: "100.64.0.0/10", ipv6_cidr: "200::/64" } as Vpc,
    devices: [],
    securityGroups: [],
    synced: true,
    plans: [],
    relays,
    servers: [{ host: "stun.example", port: 3478 }],
  };
}

async function inDir(test: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await test(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

function roomOn(path: string, more: Partial<Parameters<typeof hostsFile>[0]> = {}) {
  return hostsFile({
    path,
    owner: "wg0",
    forbidden: ["api.try.example"],
    hostname: () => "thishost.lan",
    dns: () => Promise.resolve([]),
    ...more,
  });
}

const read = (path: string) => Deno.readTextFile(path);

Deno.test("room pins relays' names and leaves the file as it was", () =>
  inDir(async (dir) => {
    const path = `${dir}/hosts`;
    await Deno.writeTextFile(path, BASE.trimEnd());
    await Deno.chmod(path, 0o640);
    const room = roomOn(path);
    await room.repair!();
    await room.apply!(factsOf({ host: "unpinned.example", port: 443 }));
    assert.equal(await read(path), BASE.trimEnd());
    await room.apply!(factsOf(relay("Relay.example"), relay("relay.example", "2001:db8::9")));
    const text = await read(path);
    assert.ok(text.startsWith(BASE) && text.includes("\n203.0.113.9 relay.example # nexd wg0\n"));
    assert.ok(text.includes("\n2001:db8::9 relay.example # nexd wg0\n"));
    assert.equal((await Deno.stat(path)).mode! & 0o777, 0o640);
    assert.deepEqual(room.notes(), [
      `relay.example is 203.0.113.9 in ${path}`,
      `relay.example is 2001:db8::9 in ${path}`,
    ]);
    await room.apply!(factsOf(relay("relay.example", "198.51.100.7")));
    assert.ok(!(await read(path)).includes("203.0.113.9"));
    await room.apply!(factsOf());
    assert.equal(await read(path), BASE.trimEnd());
    await room.close();
    assert.deepEqual([...Deno.readDirSync(dir)].map(({ name }) => name), ["hosts"]);
  }));

Deno.test("room does not write again when nothing changed, and mends what others damage", () =>
  inDir(async (dir) => {
    const path = `${dir}/hosts`;
    await Deno.writeTextFile(path, BASE);
    const room = roomOn(path);
    const facts = factsOf(relay("relay.example"));
    await room.apply!(facts);
    const { ino } = await Deno.stat(path);
    await room.apply!(facts);
    assert.equal((await Deno.stat(path)).ino, ino);
    const pinned = await read(path);
    await Deno.writeTextFile(path, pinned.replace(/203.*\n/, "") + "10.0.0.1 theirs\n");
    await room.apply!(facts);
    assert.equal(await read(path), BASE + "10.0.0.1 theirs\n" + pinned.slice(BASE.length));
    await Deno.remove(path);
    await room.apply!(facts);
    assert.ok((await read(path)).includes("relay.example"));
    await room.close();
    await assert.rejects(read(path), Deno.errors.NotFound);
  }));

Deno.test("room removes a crash's block at the next start, and only its own", () =>
  inDir(async (dir) => {
    const path = `${dir}/hosts`;
    await Deno.writeTextFile(path, BASE);
    await roomOn(path).apply!(factsOf(relay("one.example")));
    await roomOn(path, { owner: "wg1" }).apply!(factsOf(relay("two.example")));
    await roomOn(path).repair!();
    const text = await read(path);
    assert.ok(!text.includes("one.example") && text.includes("two.example"));
    const [old, fresh] = [`${dir}/.nexd-hosts-0123456789ab`, `${dir}/.nexd-hosts-ba9876543210`];
    for (const half of [old, fresh, `${dir}/.nexd-hosts-mine`]) await Deno.writeTextFile(half, "");
    await Deno.utime(old, 0, 0);
    await roomOn(path, { owner: "wg1" }).repair!();
    assert.equal(await read(path), BASE);
    // Another agent may be writing the other one at this moment.
    await assert.rejects(Deno.stat(old), Deno.errors.NotFound);
    assert.equal([...Deno.readDirSync(dir)].length, 3);
  }));

Deno.test("room refuses names and addresses that could redirect something else", () =>
  inDir(async (dir) => {
    const path = `${dir}/hosts`;
    await Deno.writeTextFile(path, BASE);
    const room = roomOn(path);
    const bad = [
      ...[relay("localhost"), relay("api.try.example"), relay("auth.try.example")],
      ...[relay("stun.example"), relay("thishost.lan"), relay("thishost"), relay("a b\n9.9.9.9 x")],
      ...[relay("r.example", "127.0.0.1"), relay("r.example", "100.64.0.1")],
      { host: "r.example", port: 443, pin: true },
    ];
    await room.apply!(factsOf(...bad));
    assert.equal(await read(path), BASE);
    assert.equal(room.notes().length, bad.length);
    assert.ok(room.notes().every((note) => /is not pinned: /.test(note) && !note.includes("\n")));
    await room.apply!(factsOf(relay("me.lan"), relay("r.example"), relay("r.example", "9.9.9.9")));
    assert.match(room.notes().join("; "), /r.example is not pinned: another relay.*me.lan is not/);
    assert.equal((await read(path)).split("# nexd wg0").length, 2);
    const many = Array.from({ length: 40 }, (_, i) => relay(`r${i}.example`));
    await room.apply!(factsOf(...many));
    assert.equal((await read(path)).split("# nexd wg0").length, 33);
    await room.close();
    assert.equal(await read(path), BASE);
  }));

Deno.test("room never pins a name by which another relay is looked up", () =>
  inDir(async (dir) => {
    const path = `${dir}/hosts`;
    await Deno.writeTextFile(path, BASE);
    const room = roomOn(path);
    await room.apply!(factsOf(
      relay("relay.example"),
      relay("public.example"),
      { host: "Public.example", port: 443 },
    ));
    assert.equal(
      await read(path),
      `${BASE}${
        [
          "# BEGIN nexd wg0 (removed when nexd ends)",
          "203.0.113.9 relay.example # nexd wg0",
          "# END nexd wg0",
        ].join("\n")
      }\n`,
    );
    assert.match(room.notes()[0]!, /public\.example is not pinned: another relay has this name/);
    await room.close();
  }));

Deno.test("room pins no name that the DNS knows, before or after", () =>
  inDir(async (dir) => {
    const path = `${dir}/hosts`;
    await Deno.writeTextFile(path, BASE);
    let now = 0;
    const answers: Record<string, string[]> = { "shop.example": ["198.51.100.1", "2001:db8::1"] };
    const asked: string[] = [];
    const dns = (name: string) => {
      asked.push(name);
      return Promise.resolve(answers[name] ?? []);
    };
    const room = roomOn(path, { dns, now: () => now });
    const facts = factsOf(relay("relay.example"), relay("shop.example"));
    await room.apply!(facts);
    const pinned = await read(path);
    assert.ok(pinned.includes("203.0.113.9 relay.example") && !pinned.includes("shop"));
    assert.equal(
      room.notes()[0],
      "shop.example is not pinned: the DNS knows it, at 198.51.100.1",
    );
    // A name server that reads the hosts file tells what we wrote, or what we wrote before.
    answers["relay.example"] = ["203.0.113.9"];
    now += 60_000;
    await room.apply!(facts);
    await room.apply!(factsOf(relay("relay.example", "203.0.113.10"), relay("shop.example")));
    assert.ok((await read(path)).includes("203.0.113.10 relay.example"));
    assert.deepEqual(asked, ["relay.example", "shop.example", "shop.example"]);
    // It is the relay's own, and is not told as a problem.
    await room.apply!(factsOf(relay("shop.example", "198.51.100.1")));
    assert.equal(await read(path), BASE);
    assert.deepEqual(room.notes(), []);
  }));

Deno.test("room pins while no name server answers, and takes that back when one does", () =>
  inDir(async (dir) => {
    const path = `${dir}/hosts`;
    await Deno.writeTextFile(path, BASE);
    const { promise, resolve } = Promise.withResolvers<string[]>();
    const room = roomOn(path, { dns: () => promise });
    const facts = factsOf(relay("shop.example"));
    const began = performance.now();
    await room.apply!(facts);
    assert.ok(performance.now() - began < underLoad(2_000));
    assert.ok((await read(path)).includes("shop.example"));
    resolve(["198.51.100.1"]);
    await promise;
    await room.apply!(facts);
    assert.equal(await read(path), BASE);
    const failing = roomOn(path, { dns: () => Promise.reject(new Error("refused")) });
    await failing.apply!(facts);
    assert.ok((await read(path)).includes("shop.example"));
    await failing.close();
  }));

Deno.test("room tells of another's line for the same name", () =>
  inDir(async (dir) => {
    const path = `${dir}/hosts`;
    await Deno.writeTextFile(path, `${BASE}10.0.0.1 relay.example\n`);
    const room = roomOn(path);
    await room.apply!(factsOf(relay("relay.example")));
    assert.match(
      room.notes()[0]!,
      /^line 3 of .* gives relay.example as 10.0.0.1, not 203.0.113.9/,
    );
    await room.close();
  }));

Deno.test("room follows a link and writes a file with two names in place", () =>
  inDir(async (dir) => {
    const real = `${dir}/real`, path = `${dir}/hosts`, second = `${dir}/second`;
    await Deno.writeTextFile(real, BASE);
    await Deno.symlink(real, path);
    await Deno.link(real, second);
    const room = roomOn(path);
    await room.apply!(factsOf(relay("relay.example")));
    assert.ok((await Deno.lstat(path)).isSymlink);
    assert.ok((await read(second)).includes("relay.example"), "it is still the same file");
    await room.close();
    assert.equal(await read(second), BASE);
    await Deno.remove(real);
    await roomOn(path).apply!(factsOf(relay("relay.example")));
    assert.ok((await Deno.lstat(path)).isSymlink, "a link that leads nowhere is left alone");
  }));

Deno.test("room tells what to do when the file cannot be changed, and tries again later", () =>
  inDir(async (dir) => {
    const path = `${dir}/hosts`;
    await Deno.mkdir(path);
    let now = 0;
    const room = roomOn(path, { now: () => now });
    const facts = factsOf(relay("relay.example"));
    await room.apply!(facts);
    assert.match(room.notes()[0]!, /Cannot change .*add "203.0.113.9 relay.example" to it by hand/);
    await Deno.remove(path);
    await Deno.writeTextFile(path, "x".repeat((16 << 20) + 1));
    await room.apply!(facts);
    assert.match(room.notes()[0]!, /larger than 16 MiB/);
    await Deno.writeTextFile(path, BASE);
    now += 30_000;
    await room.apply!(facts);
    assert.ok((await read(path)).includes("relay.example"));
    await room.close();
  }));

Deno.test("an edit keeps bytes that are no text", () =>
  inDir(async (dir) => {
    const path = `${dir}/hosts`;
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    await Deno.writeFile(path, bytes);
    const room = roomOn(path);
    await room.apply!(factsOf(relay("relay.example")));
    assert.deepEqual((await Deno.readFile(path)).subarray(0, 256), bytes);
    await room.close();
    assert.deepEqual(await Deno.readFile(path), bytes);
  }));

Deno.test("lines that others append at the same time are all there in the end", () =>
  inDir(async (dir) => {
    const path = `${dir}/hosts`;
    await Deno.writeTextFile(path, BASE);
    const script = 'i=0; while [ $i -lt 150 ]; do echo "10.0.0.1 n$i" >> "$0"; i=$((i+1)); done';
    const writer = new Deno.Command("sh", { args: ["-c", script, path] }).spawn();
    let done = false;
    void writer.status.then(() => done = true);
    const room = roomOn(path);
    let rounds = 0;
    while (!done || rounds < 5) {
      await room.apply!(factsOf(relay(`r${rounds++}.example`)));
      await room.apply!(factsOf());
    }
    await room.close();
    const lines = (await read(path)).split("\n");
    for (let i = 0; i < 150; i++) assert.ok(lines.includes(`10.0.0.1 n${i}`), `n${i} is lost`);
    assert.ok(lines.every((line) => !line.includes("nexd")));
  }));

Deno.test("an edit is made again when somebody replaces or rewrites the file meanwhile", () =>
  inDir(async (dir) => {
    for (const how of ["replace", "rewrite"]) {
      const path = `${dir}/${how}`;
      await Deno.writeTextFile(path, "a\n");
      let calls = 0;
      await editFile(path, (text) => {
        if (calls++ === 0) {
          Deno.writeTextFileSync(`${path}.new`, "b\n");
          if (how === "replace") Deno.renameSync(`${path}.new`, path);
          else Deno.writeTextFileSync(path, "b\n");
        }
        return `${text}ours\n`;
      });
      assert.deepEqual([await read(path), calls], ["b\nours\n", 2]);
    }
    const path = `${dir}/busy`;
    await Deno.writeTextFile(path, "a\n");
    let n = 0;
    await assert.rejects(
      editFile(path, (text) => {
        Deno.writeTextFileSync(path, `${n++}\n`);
        return `${text}ours\n`;
      }),
      /others change it all the time/,
    );
    assert.equal(await read(path), `${n - 1}\n`);
    assert.equal(Buffer.from(await Deno.readFile(path)).length, 2);
  }));

Deno.test("a hosts file in UTF-16, which no system reads, is left as it is", () =>
  inDir(async (dir) => {
    const path = `${dir}/hosts`;
    const bytes = new Uint8Array([0xff, 0xfe, 0x23, 0, 0x0d, 0, 0x0a, 0]);
    await Deno.writeFile(path, bytes);
    await assert.rejects(editFile(path, (text) => `${text}x`), /it is in UTF-16.*save it as UTF-8/);
    assert.deepEqual(await Deno.readFile(path), bytes);
    // An UTF-8 mark and the line ends of others stay.
    await Deno.writeFile(path, new TextEncoder().encode("\uFEFF127.0.0.1 a\r\n"));
    await editFile(path, (text) => `${text}b`);
    assert.equal(
      new TextDecoder("utf-8", { ignoreBOM: true }).decode(await Deno.readFile(path)),
      "\uFEFF127.0.0.1 a\r\nb",
    );
  }));
