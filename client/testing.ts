/** What the tests of this room share: commands run in this process, against a control plane in it. */
import assert from "node:assert/strict";
import type { Transport } from "../agent/api/mod.ts";
import { ClientError, runClient } from "./mod.ts";
import { CLIENT_COMMANDS } from "./table.ts";
import type { Values } from "./values.ts";

/** Whoever answers requests: an application without a socket. */
export interface Answering {
  request(url: string, init: RequestInit, env: unknown): Response | Promise<Response>;
}

/** One request as it left. */
export interface Sent {
  method: string;
  url: URL;
  headers: Record<string, string>;
  body: string | undefined;
}

/** The values of a written command line, and its command. */
function valuesOf(words: readonly string[]): [path: string, values: Values] {
  const at = words.findIndex((word) => word.startsWith("--"));
  const path = words.slice(0, at < 0 ? undefined : at).join(" ");
  const spec = CLIENT_COMMANDS.find((one) => one.path === path);
  assert.ok(spec, `there is no command ${path}`);
  const values: Values = {};
  for (const { name, default: value } of spec.options) values[name] = value;
  for (let i = at; i >= 0 && i < words.length; i++) {
    const name = words[i]!.slice(2);
    const option = spec.options.find((one) => one.name === name);
    assert.ok(option, `${path} has no flag --${name}`);
    if (option.kind === "boolean") values[name] = true;
    else if (option.kind === "list") values[name] = words[++i]!.split(",");
    else values[name] = words[++i]!;
  }
  return [path, values];
}

/** A user who runs commands. */
export class TestUser {
  readonly dir: string = Deno.makeTempDirSync({ prefix: "nexd-client-" });
  readonly sent: Sent[] = [];
  /** Lines for the person. */
  readonly told: string[] = [];
  /** Called for each of them. */
  onTold: (line: string) => void = () => {};
  interactive = false;
  /** What is typed when a password is asked for, and what standard input holds. */
  typed: string[] = [];
  columns = 80;

  constructor(readonly app: Answering, readonly flags: readonly string[] = []) {}

  get file(): string {
    return `${this.dir}/home/sessions.json`;
  }

  /** Requests of the API that a user makes, without those for signing in. */
  get calls(): string[] {
    return this.sent.filter(({ url }) => url.pathname.startsWith("/api/"))
      .map(({ method, url, body }) => [method, url.pathname, ...(body ? [body] : [])].join(" "));
  }

  /** A session that somebody has begun, with an access token. */
  begin(service: string, accessToken: string): void {
    const api = service.replace("://", "://api.");
    Deno.mkdirSync(`${this.dir}/home`, { recursive: true });
    Deno.writeTextFileSync(
      this.file,
      JSON.stringify({
        current: service,
        sessions: [{
          ...{ api, service, access_token: accessToken, username: "ada" },
          expires_at: "2999-01-01T00:00:00Z",
        }],
      }),
    );
  }

  /** Runs a command; returns what it prints. */
  async run(...words: string[]): Promise<string> {
    const printed: string[] = [];
    const [path, values] = valuesOf([...words, ...this.flags]);
    await runClient(path, { "session-file": this.file, ...present(values) }, {
      json: false,
      columns: this.columns,
      signal: new AbortController().signal,
      version: "test",
      print: (text) => void printed.push(text),
      tell: (line) => {
        this.told.push(line);
        this.onTold(line);
      },
      interactive: this.interactive,
      secrets: {
        ask: () => Promise.resolve(this.typed.shift() ?? ""),
        lines: (count) => Promise.resolve(this.typed.splice(0, count)),
      },
      transport: this.#transport(),
    });
    return printed.join("\n");
  }

  /** What a command answers as JSON. */
  // deno-lint-ignore no-explicit-any -- as various as the commands
  async json(...words: string[]): Promise<any> {
    return JSON.parse(await this.run(...words, "--output", "json"));
  }

  /** The sentence with which a command fails. */
  async refused(...words: string[]): Promise<string> {
    const error = await this.run(...words).then(() => undefined, (error) => error);
    assert.ok(error instanceof ClientError || error?.exitCode !== undefined, `${error?.stack}`);
    return error.message;
  }

  #transport(): Transport {
    return {
      send: async (url, { method, headers, body, signal }) => {
        signal.throwIfAborted();
        this.sent.push({ method, url, headers, body });
        return await this.app.request(url.href, {
          method,
          headers,
          ...(body === undefined ? {} : { body }),
        }, { remoteAddr: { transport: "tcp", hostname: "192.0.2.1", port: 1 } });
      },
      close: () => {},
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.dir, { recursive: true });
  }
}

function present(values: Values): Values {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
