/**
 * The unmodified Go administration tool beside a control plane in this process: names lead there by a
 * hosts file that only the tool sees. Set NEXD_TEST_GO_NEXCTL to its path.
 *
 * @module
 */
import { equal } from "node:assert/strict";
import type { Device } from "../../control/api/types.ts";
import { hashPassword } from "../../control/auth/mod.ts";
import { QUICK } from "../../control/testing.ts";
import { type Control, startControl } from "../../control/server.ts";
import { newKey } from "../../control/testing.ts";
import { createAccount } from "../../control/users/mod.ts";
import { ensureSelfSigned } from "../../relay/cert/mod.ts";

const HOST = "control.test";
const NAMES = [HOST, `api.${HOST}`, `auth.${HOST}`];
const PASSWORD = "correct horse";

/** What a command has said. */
export interface Said {
  code: number;
  stdout: string;
  stderr: string;
}

/** A control plane with two users, `ada` who is the first one, and `sol`. */
export class NexctlHost {
  private constructor(
    readonly program: string,
    readonly dir: string,
    readonly control: Control,
    readonly ca: string,
  ) {}

  static async start(program: string): Promise<NexctlHost> {
    const dir = await Deno.makeTempDir({ prefix: "nexd-nexctl-" });
    const certificate = await ensureSelfSigned(`${dir}/certs`, [...NAMES, "localhost"]);
    await Deno.writeTextFile(`${dir}/hosts`, `127.0.0.1 localhost ${NAMES.join(" ")}\n`);
    const control = await startControl({
      hostname: HOST,
      addr: { hostname: "127.0.0.1", port: 0 },
      stateDir: `${dir}/state`,
      certificate: () => Promise.resolve(certificate),
      admin: { username: "ada", password: PASSWORD, cost: QUICK },
    });
    const passwordHash = await hashPassword(PASSWORD, QUICK);
    await control.store.write((write) =>
      createAccount(write, { username: "sol", passwordHash, email: "Sol@control.test" })
    );
    return new NexctlHost(program, dir, control, certificate.ca);
  }

  /** Of both users. */
  get password(): string {
    return PASSWORD;
  }

  get serviceUrl(): string {
    return this.control.serviceUrl;
  }

  /** Runs a command as a user. */
  async run(user: string, output: string, ...args: string[]): Promise<Said> {
    const script = 'mount --bind "$1" /etc/hosts && shift && exec "$@"';
    const { code, stdout, stderr } = await new Deno.Command("unshare", {
      args: [
        ...["--mount", "sh", "-c", script, "sh", `${this.dir}/hosts`, this.program],
        ...["--service-url", this.serviceUrl, "--username", user, "--password", PASSWORD],
        ...["--output", output, ...args],
      ],
      env: { SSL_CERT_FILE: `${this.dir}/certs/ca.crt` },
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, stdout: text(stdout), stderr: text(stderr) };
  }

  /** What a command that succeeds prints as JSON. */
  // deno-lint-ignore no-explicit-any -- as various as the commands
  async json(user: string, ...args: string[]): Promise<any> {
    const { code, stdout, stderr } = await this.run(user, "json", ...args);
    equal(code, 0, `${args.join(" ")}: ${stdout}${stderr}`);
    return stdout.trim() === "" ? undefined : JSON.parse(stdout);
  }

  /** Registers a device with a registration key. */
  async register(regKey: string, vpcId: string, hostname: string): Promise<Device> {
    using client = Deno.createHttpClient({ caCerts: [this.ca] });
    const answer = await fetch(`https://localhost:${this.control.address.port}/api/devices`, {
      method: "POST",
      headers: { authorization: `Bearer ${regKey}` },
      body: JSON.stringify({ vpc_id: vpcId, public_key: newKey(), hostname }),
      client,
    });
    equal(answer.status, 201);
    return await answer.json();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.control.close();
    await Deno.remove(this.dir, { recursive: true });
  }
}

/** Why the tool cannot run on this machine, or undefined. */
export async function cannotMount(): Promise<string | undefined> {
  try {
    const { code, stderr } = await new Deno.Command("unshare", { args: ["--mount", "true"] })
      .output();
    return code === 0 ? undefined : new TextDecoder().decode(stderr).trim();
  } catch (error) {
    return String(error);
  }
}
