/**
 * The host, as the doctor looks at it; another one in tests.
 *
 * @module
 */
import { lookup } from "node:dns/promises";
import { type CommandResult, runCommand } from "../platform/mod.ts";
import { MAC_PLACES } from "../wireguard/mod.ts";
import { get, limited, openTls } from "./http.ts";

/** A file, as far as its rights go. */
export interface FileFacts {
  mode: number;
  uid: number;
  directory: boolean;
}

/** What can be asked of the host. Nothing of it changes anything but `tryWrite`, for a moment. */
export interface System {
  os: typeof Deno.build.os;
  uid: number | undefined;
  /** Text of a file; undefined when it cannot be read. */
  read(path: string): Promise<string | undefined>;
  /** Undefined when there is none. */
  stat(path: string): Promise<FileFacts | undefined>;
  /** Rejects with the reason when the device cannot be opened. */
  open(path: string): Promise<void>;
  /** Writes a new file in a directory and removes it. Rejects with the reason. */
  tryWrite(directory: string): Promise<void>;
  /** Where a program is. */
  find(program: string): Promise<string | undefined>;
  run(program: string, args: readonly string[]): Promise<CommandResult>;
  /** Addresses of a name. Rejects with an error that has a `code`. */
  resolve(name: string): Promise<string[]>;
  /** The head of an HTTPS answer. Rejects with the reason. */
  head(host: string, port: number, path: string, caCerts: readonly string[]): Promise<string>;
  /** ms since the epoch */
  now(): number;
}

/** This host. */
export const THIS_HOST: System = {
  os: Deno.build.os,
  get uid() {
    return Deno.build.os === "windows" ? undefined : Deno.uid() ?? undefined;
  },
  read: (path) => Deno.readTextFile(path).catch(() => undefined),
  async stat(path) {
    const info = await Deno.stat(path).catch(() => undefined);
    if (info === undefined) return undefined;
    return { mode: (info.mode ?? 0) & 0o7777, uid: info.uid ?? 0, directory: info.isDirectory };
  },
  open: async (path) => (await Deno.open(path, { read: true, write: true })).close(),
  async tryWrite(directory) {
    const path = await Deno.makeTempFile({ dir: directory, prefix: ".nexd-doctor-" });
    try {
      await Deno.writeFile(path, new Uint8Array(4096));
    } finally {
      await Deno.remove(path);
    }
  },
  async find(program) {
    const places = Deno.build.os === "darwin" ? MAC_PLACES : [];
    for (const directory of [...(Deno.env.get("PATH") ?? "").split(":"), ...places]) {
      if (!directory.startsWith("/")) continue;
      const info = await Deno.stat(`${directory}/${program}`).catch(() => undefined);
      if (info?.isFile && ((info.mode ?? 0) & 0o111) !== 0) return `${directory}/${program}`;
    }
    return undefined;
  },
  run: runCommand,
  resolve: async (name) => (await lookup(name, { all: true })).map(({ address }) => address),
  head: (host, port, path, caCerts) =>
    limited(() => openTls(host, port, caCerts), (conn) => get(conn, host, path)),
  now: Date.now,
};
