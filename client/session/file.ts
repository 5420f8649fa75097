/**
 * The file of sessions: private to its user, replaced whole, at most one session a control plane.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { ensureStateDir, type OidcToken } from "../../agent/onboarding/mod.ts";
import { tryLockFile, writeFileAtomic } from "../../agent/platform/mod.ts";

const log = getLogger(["nexd", "client"]);

/** Largest file that is read, bytes; most sessions that are kept. */
const MAX_FILE = 4 << 20, MAX_SESSIONS = 32;
/** Longest CA certificates that are kept with a session, in UTF-16 units. */
const MAX_CA = 64 * 1024;
/** How long another command may hold the lock, and how often it is looked at, ms. */
const LOCK_WAIT = 10_000, LOCK_POLL = 50;

/** A user's session at one control plane. */
export interface KeptSession {
  /** Origin of the API that the tokens belong to. */
  api: string;
  /** As the user knows the control plane. */
  service: string;
  /** Undefined where nobody said: signed in by a link. */
  username?: string;
  /** What the control plane's certificate was checked with, besides the system's CAs. */
  ca?: KeptCa;
  token: OidcToken;
}

/** CA certificates, PEM, and the `sha256:…` that they were asked for by, if it was one. */
export interface KeptCa {
  pem: string;
  flag?: string;
}

/** What the file holds. */
interface Sessions {
  /** Service URL of the last `nexd user login`. */
  current?: string;
  sessions: KeptSession[];
}

/**
 * The file at a path; none at all where there is no path. Nothing here throws: what cannot be kept
 * is signed in for again.
 */
export class SessionFile {
  constructor(readonly path: string | undefined) {}

  /** What is kept; nothing where the file is absent, damaged or out of reach. */
  async read(): Promise<Sessions> {
    if (this.path === undefined) return { sessions: [] };
    try {
      const { size } = await Deno.stat(this.path);
      if (size > MAX_FILE) throw new Error(`it is larger than ${MAX_FILE} bytes`);
      return parse(JSON.parse(await Deno.readTextFile(this.path)));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) {
        const reason = error instanceof SyntaxError ? "it is not JSON" : `${error}`;
        log.warn("cannot use {path}: {reason}", { path: this.path, reason });
      }
      return { sessions: [] };
    }
  }

  /** The session at an API, if there is one of this user, or of any when none is named. */
  async find(api: string, username?: string): Promise<KeptSession | undefined> {
    const { sessions } = await this.read();
    return sessions.find((one) =>
      one.api === api && (username === undefined || one.username === username)
    );
  }

  /** Keeps a session in the place of the one at the same API. */
  async keep(session: KeptSession, { current = false } = {}): Promise<void> {
    await this.#change((all) => ({
      ...all,
      ...(current ? { current: session.service } : {}),
      sessions: [session, ...all.sessions.filter(({ api }) => api !== session.api)]
        .slice(0, MAX_SESSIONS),
    }));
  }

  /** Forgets the session at an API. */
  async forget(api: string): Promise<void> {
    await this.#change(({ current, sessions }) => {
      const gone = sessions.find((one) => one.api === api);
      return {
        ...(current === undefined || current === gone?.service ? {} : { current }),
        sessions: sessions.filter((one) => one !== gone),
      };
    });
  }

  /** Runs `work` while no other command does so. */
  async locked<T>(work: () => Promise<T>): Promise<T> {
    const lock = await this.#lock();
    try {
      return await work();
    } finally {
      lock?.release();
    }
  }

  async #change(change: (all: Sessions) => Sessions): Promise<void> {
    if (this.path === undefined) return;
    try {
      await ensureStateDir(directoryOf(this.path));
      await writeFileAtomic(this.path, textOf(change(await this.read())), 0o600);
    } catch (error) {
      log.warn("cannot keep the session in {path}: {reason}", {
        path: this.path,
        reason: `${error}`,
      });
    }
  }

  async #lock(): Promise<{ release(): void } | undefined> {
    if (this.path === undefined) return undefined;
    try {
      await ensureStateDir(directoryOf(this.path));
      for (const end = Date.now() + LOCK_WAIT; Date.now() < end;) {
        const lock = await tryLockFile(`${this.path}.lock`);
        if ("release" in lock) return lock;
        await new Promise((resolve) => setTimeout(resolve, LOCK_POLL));
      }
    } catch { /* then without */ }
    return undefined;
  }
}

/** The directory of a file. */
export function directoryOf(path: string): string {
  const at = path.lastIndexOf("/");
  return at < 0 ? "." : path.slice(0, Math.max(at, 1));
}

const text = (value: unknown) => typeof value === "string" && value !== "" ? value : undefined;

function parse(value: unknown): Sessions {
  const { current, sessions } = (value ?? {}) as { current?: unknown; sessions?: unknown };
  const service = text(current);
  return {
    ...(service === undefined ? {} : { current: service }),
    sessions: (Array.isArray(sessions) ? sessions : []).slice(0, MAX_SESSIONS)
      .map(parseSession).filter((session) => session !== undefined),
  };
}

function parseSession(value: unknown): KeptSession | undefined {
  const fields = (value ?? {}) as Record<string, unknown>;
  const api = text(fields.api), service = text(fields.service);
  const accessToken = text(fields.access_token), refreshToken = text(fields.refresh_token);
  const username = text(fields.username), pem = text(fields.ca), flag = text(fields.ca_flag);
  const expiresAt = Date.parse(text(fields.expires_at) ?? "");
  if (api === undefined || service === undefined || accessToken === undefined) return undefined;
  if (Number.isNaN(expiresAt)) return undefined;
  return {
    api,
    service,
    ...(username === undefined ? {} : { username }),
    ...(pem === undefined ? {} : { ca: { pem, ...(flag === undefined ? {} : { flag }) } }),
    token: { accessToken, expiresAt, ...(refreshToken === undefined ? {} : { refreshToken }) },
  };
}

function textOf({ current, sessions }: Sessions): string {
  const all = {
    current,
    sessions: sessions.map(({ api, service, username, ca, token }) => ({
      ...{ api, service, username },
      ...(ca === undefined || ca.pem.length > MAX_CA ? {} : { ca: ca.pem, ca_flag: ca.flag }),
      access_token: token.accessToken,
      refresh_token: token.refreshToken,
      expires_at: new Date(token.expiresAt).toISOString(),
    })),
  };
  return `${JSON.stringify(all, null, 2)}\n`;
}
