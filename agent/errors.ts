/**
 * The agent's errors: one sentence for the person at the keyboard, and the exit code of the process.
 *
 * @module
 */

/** What ends the agent, or a command of it, in a way the user can mend. */
export class AgentError extends Error {
  override name = "AgentError";
  /** 1 while running, 2 for a wrong command line. */
  readonly exitCode: number;

  constructor(message: string, options: { exitCode?: number; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.exitCode = options.exitCode ?? 1;
  }
}

/** A wrong command line: exit code 2. */
export function usageError(message: string): AgentError {
  return new AgentError(message, { exitCode: 2 });
}

/** The text of anything thrown, on one line and bounded, fit for a log or a status. */
export function reasonOf(error: unknown, limit = 300): string {
  const text = error instanceof Error ? error.message : String(error);
  return cleanText(text, limit);
}

/**
 * Text from elsewhere made harmless for a terminal and bounded in length: control characters and
 * line breaks (C0, DEL, C1, bidirectional overrides) become spaces.
 */
export function cleanText(text: string, limit = 255): string {
  const flat = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ").trim();
  return flat.length <= limit ? flat : `${flat.slice(0, limit - 1)}…`;
}
