import { equal, match, ok } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { skip } from "../scripts/lab/support.ts";
import { inMesh } from "./support.ts";
import { taskArguments } from "../scripts/mesh/mod.ts";
import type { Mesh } from "../scripts/mesh/mod.ts";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));

interface Said {
  code: number;
  /** The line for the user: the last one on standard error that starts with `nexd:`. */
  line: string;
  stderr: string;
}

function readSaid(code: number, stderr: string): Said {
  const lines = stderr.split("\n").filter((line) => line.startsWith("nexd: "));
  return { code, line: lines.at(-1) ?? "", stderr };
}

/** Runs nexd here to its end, optionally wrapped in another command. */
async function nexd(args: string[], wrapper: string[] = []): Promise<Said> {
  const argv = [...wrapper, Deno.execPath(), "run", "-A", MAIN, ...args];
  const { code, stderr } = await new Deno.Command(argv[0]!, {
    args: argv.slice(1),
    env: { NO_COLOR: "1" },
    signal: AbortSignal.timeout(30_000),
    stdout: "null",
    stderr: "piped",
  }).output();
  return readSaid(code, new TextDecoder().decode(stderr));
}

/** Says that the user was told in one sentence, with `value` in it, and no stack trace. */
function told(said: Said, code: number, ...patterns: RegExp[]): void {
  equal(said.code, code, said.stderr);
  for (const pattern of patterns) match(said.line, pattern);
  ok(!/\n\s+at /.test(said.stderr), `a stack trace: ${said.stderr}`);
}

const relayIn = (dir: string, ...more: string[]) => [
  ...["relayderp", "--hostname", "relay.test", "--certmode", "selfsigned", "--certdir", dir],
  ...["-c", `${dir}/derper.key`, "--stun=false", "--http-port", "-1", ...more],
];

async function inDir(test: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await test(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("nexd names the flag and the remedy when the command line is wrong", async () => {
  told(await nexd(["relayderp", "--hostnme", "x"]), 2, /--hostnme/, /--hostname/);
  told(await nexd(["relayderp", "--stun=perhaps"]), 2, /--stun/, /perhaps/, /true or false/);
  told(await nexd(["relayderp", "--stun-port", "x1"]), 2, /--stun-port/, /x1/, /whole number/);
  told(await nexd(["control", "--certmode", "paper"]), 2, /paper/, /selfsigned/);
  told(await nexd(["dance"]), 2, /dance/);
  told(await nexd(["--reg-key", "http://control#RK:x"]), 2, /http:\/\/control/, /https/);
});

Deno.test("nexd takes booleans as Go programs spell them when a flag is one", async () => {
  await inDir(async (dir) => {
    // The next word is not swallowed: the error is about it.
    told(await nexd([...relayIn(dir), "--stun", "false"]), 2, /false/);
    // A single dash does too; the bad address shows that all before it was understood.
    told(
      await nexd([...relayIn(dir), "-stun=false", "-addr", "127.0.0.1:no"]),
      2,
      /127\.0\.0\.1:no/,
    );
  });
});

Deno.test("the relay names its key file when it is bad, and leaves it alone", async () => {
  await inDir(async (dir) => {
    await Deno.writeTextFile(`${dir}/derper.key`, '{"PrivateKey": "privkey:12"}');
    told(await nexd(relayIn(dir, "--addr", "127.0.0.1:0")), 1, /derper\.key/);
    equal(await Deno.readTextFile(`${dir}/derper.key`), '{"PrivateKey": "privkey:12"}');
  });
});

Deno.test("relay and control plane name the port when it is in use", async () => {
  await inDir(async (dir) => {
    using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const addr = `127.0.0.1:${taken.addr.port}`;
    told(await nexd(relayIn(dir, "--addr", addr)), 1, new RegExp(addr), /--addr/);
    const control = ["control", "--hostname", "control.test", "--certmode", "selfsigned"];
    const where = ["--state-dir", `${dir}/state`, "--certdir", dir, "--addr", addr];
    told(await nexd([...control, ...where]), 1, new RegExp(addr), /--addr/);
  });
});

Deno.test("the relay names the port when it may not listen there", async () => {
  await inDir(async (dir) => {
    // A user namespace of its own takes the right away and leaves the files readable.
    const said = await nexd(relayIn(dir, "--addr", "127.0.0.1:443"), ["unshare", "--user"]);
    if (/unshare/.test(said.stderr)) return skip(said.stderr.trim());
    told(said, 1, /127\.0\.0\.1:443/);
  });
});

Deno.test("status says what to start when no agent runs", async () => {
  await inDir(async (dir) => {
    told(await nexd(["status", "--unix-socket", `${dir}/no.sock`]), 1, /no\.sock/);
  });
});

/**
 * Starts an agent on host `a` with these flags instead of the mesh's; returns what it says. With a
 * command to run before it, on a host that no other agent is on.
 */
async function agent(mesh: Mesh, flags: Record<string, string>, wrap?: string): Promise<Said> {
  const { dir } = mesh.lab;
  const all: Record<string, string> = {
    "--reg-key": mesh.regKey,
    "--ca": `${dir}/control/certs/ca.crt`,
    "--relay-ca": `${dir}/relay/ca.crt`,
    "--public-relay": "relay:443",
    "--state-dir": `${dir}/probe`,
    "--unix-socket": `${dir}/probe.sock`,
    "--interface": "wgprobe",
    ...flags,
  };
  const servers = ["--stun-server", "relay:3478", "--stun-server", "control:3478"];
  const argv = [Deno.execPath(), ...taskArguments("agent"), ...Object.entries(all).flat()];
  const run = wrap === undefined
    ? [...argv, ...servers]
    : ["unshare", "--mount", "sh", "-c", `${wrap} && exec "$@"`, "sh", ...argv, ...servers];
  const { code, stderr } = await mesh.lab.host(wrap === undefined ? "a" : "relay").run(run, {
    env: { NO_COLOR: "1" },
  });
  return readSaid(code, stderr);
}

Deno.test("the agent says in one sentence what is wrong when it cannot join", async () => {
  await inMesh({ nat: "symmetric", agents: ["a"] }, async (mesh) => {
    const { dir } = mesh.lab;
    const state = `${dir}/probe/state.json`;

    // Keys and certificates.
    const unknown = mesh.regKey.replace(/RK:.*/, "RK:" + btoa("x".repeat(32)));
    told(await agent(mesh, { "--reg-key": unknown }), 1, /registration key/, /expired|deleted/);
    told(await agent(mesh, { "--ca": `${dir}/relay/ca.crt` }), 1, /control/, /--ca/);
    told(await agent(mesh, { "--ca": `${dir}/none.crt` }), 2, /none\.crt/);

    // A control plane that is not there: given up after a while at the very first start.
    const nowhere = mesh.regKey.replace("https://control", "https://control:444");
    told(await agent(mesh, { "--reg-key": nowhere }), 1, /control:444/);

    // The host.
    const hidden = await agent(mesh, {}, "mount -t tmpfs tmpfs /dev/net");
    told(hidden, 1, /\/dev\/net\/tun/);

    // A state file that cannot be read is kept, and nothing is written over it.
    await Deno.mkdir(`${dir}/probe`, { recursive: true });
    await Deno.writeTextFile(state, '{"private-key": "half');
    const corrupt = await agent(mesh, {});
    told(corrupt, 1, /state\.json\.corrupt/);
    const kept = [...Deno.readDirSync(`${dir}/probe`)].map((e) => e.name)
      .find((name) => name.startsWith("state.json.corrupt"));
    equal(await Deno.readTextFile(`${dir}/probe/${kept}`), '{"private-key": "half');

    // Two agents at once: by socket, and by state directory.
    told(await agent(mesh, { "--unix-socket": mesh.socketOf("a") }), 1, /a\.sock|already/);
    told(await agent(mesh, { "--state-dir": `${dir}/a` }), 1, /already|another/);
    equal((await mesh.status("a")).status, "Running");
    const { stdout } = await mesh.lab.host("a").run(["ip", "-o", "link"]);
    ok(!stdout.includes("wgprobe"), stdout);
  });
});
