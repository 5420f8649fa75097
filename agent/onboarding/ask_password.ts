/**
 * Asking for a password on the terminal, without showing it.
 *
 * @module
 */
import { cleanText, usageError } from "../errors.ts";

/** Bytes of a password at most. */
const MAX_BYTES = 1024;
/** Return, line feed, backspace, delete, Ctrl-C, Ctrl-D, Ctrl-U. */
const CR = 13, LF = 10, BS = 8, DEL = 127, INTERRUPT = 3, END = 4, CLEAR = 21;

/** A terminal as far as asking needs it. */
export interface Terminal {
  isTerminal(): boolean;
  setRaw(mode: boolean): void;
  /** The next bytes, or null at the end. */
  read(into: Uint8Array): Promise<number | null>;
  write(text: string): void;
}

const OWN: Terminal = {
  isTerminal: () => Deno.stdin.isTerminal() && Deno.stderr.isTerminal(),
  setRaw: (mode) => Deno.stdin.setRaw(mode),
  read: (into) => Deno.stdin.read(into),
  write: (text) => void Deno.stderr.writeSync(new TextEncoder().encode(text)),
};

/**
 * Asks the person at the terminal for a user's password; nothing of it is shown.
 *
 * @throws {AgentError} exit code 2 when there is no terminal, or the person gave up (Ctrl-C, Ctrl-D):
 * it names what to give instead
 */
export async function askPassword(
  username: string,
  signal: AbortSignal,
  terminal: Terminal = OWN,
): Promise<string> {
  const name = cleanText(username, 64);
  const remedy =
    `The password of user ${name} is missing; give --password, set NEXD_PASSWORD, or start nexd ` +
    "on a terminal to be asked for it";
  return await askSecret(`Password of ${name}`, remedy, signal, terminal);
}

/**
 * Asks the person at the terminal for anything that is not shown.
 *
 * @param remedy the sentence of the error when there is no terminal, or the person gave up
 * @throws {AgentError} exit code 2
 */
export async function askSecret(
  label: string,
  remedy: string,
  signal: AbortSignal,
  terminal: Terminal = OWN,
): Promise<string> {
  const missing = () => usageError(remedy);
  if (!terminal.isTerminal()) throw missing();
  terminal.write(`${label}: `);
  terminal.setRaw(true);
  const bytes: number[] = [];
  const buffer = new Uint8Array(256);
  try {
    for (;;) {
      const aborted = new Promise<null>((resolve) => {
        if (signal.aborted) resolve(null);
        else signal.addEventListener("abort", () => resolve(null), { once: true });
      });
      const n = await Promise.race([terminal.read(buffer), aborted]);
      if (n === null) throw missing();
      for (const byte of buffer.subarray(0, n)) {
        if (byte === CR || byte === LF) {
          return new TextDecoder().decode(Uint8Array.from(bytes));
        }
        if (byte === INTERRUPT || byte === END) throw missing();
        if (byte === CLEAR) bytes.length = 0;
        else if (byte === BS || byte === DEL) eraseLast(bytes);
        else if (bytes.length < MAX_BYTES) bytes.push(byte);
      }
    }
  } finally {
    terminal.setRaw(false);
    terminal.write("\n");
  }
}

/** Takes the last character away: in UTF-8 all bytes from its first one on. */
function eraseLast(bytes: number[]): void {
  while (bytes.length > 0 && (bytes.pop()! & 0xc0) === 0x80);
}
