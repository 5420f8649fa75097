/**
 * The door of the commands that administer a control plane, as Nexodus' `nexctl` does: devices, VPCs,
 * registration keys, security groups, organizations, invitations, users.
 *
 * @module
 */
import type { Transport } from "../agent/api/mod.ts";
import { askSecret } from "../agent/onboarding/mod.ts";
import { Calls } from "./calls.ts";
import { COMMANDS, type Secrets } from "./commands/mod.ts";
import { usageError } from "./errors.ts";
import { type Format, render } from "./output/mod.ts";
import { Account } from "./session/mod.ts";
import { Flags, type Values } from "./values.ts";

export { ClientError } from "./errors.ts";

/** What a command may use of its surroundings. */
export interface ClientContext {
  /** As `--output json`. */
  json: boolean;
  /** Columns of the terminal; 80 where there is none. */
  columns: number;
  signal: AbortSignal;
  version: string;
  /** Writes the answer to standard output. */
  print(text: string): void;
  /** Writes a line for the person at the terminal; otherwise to standard error. */
  tell?(line: string): void;
  /** A person is there; otherwise when standard input and standard error are a terminal. */
  interactive?: boolean;
  /** Another transport, for tests. */
  transport?: Transport;
  /** Other places that passwords come from, for tests. */
  secrets?: Secrets;
}

/**
 * Runs one command.
 *
 * @param path its words, such as `vpc list`, of the table
 * @throws {ClientError | AgentError} one sentence with an exit code
 */
export async function runClient(
  path: string,
  values: Values,
  context: ClientContext,
): Promise<void> {
  const flags = new Flags(values, path);
  const format = formatOf(values, context.json);
  const { signal, version, transport } = context;
  const account = await Account.open(flags, {
    ...{ signal, version },
    tell: context.tell ?? tell,
    interactive: context.interactive ?? (Deno.stdin.isTerminal() && Deno.stderr.isTerminal()),
    ...(transport === undefined ? {} : { transport }),
  });
  try {
    const calls = new Calls(account, signal);
    const secrets = context.secrets ?? {
      ask: (label, remedy) => askSecret(label, remedy, signal),
      lines: readLines,
    };
    const result = await COMMANDS[path]!({ flags, calls, account, secrets });
    const look = { full: flags.on("full"), columns: context.columns };
    const show = async (text: string, format: Format) => {
      const shown = await render({ ...result, text }, { format, ...look });
      if (shown !== undefined) context.print(shown);
    };
    await show(result.text, format);
    for await (const text of result.more?.(signal) ?? []) {
      await show(text, format === "column" ? "no-header" : format);
    }
  } finally {
    account.close();
  }
}

function formatOf(values: Values, json: boolean): Format {
  const format = values.output as Format;
  if (!json) return format;
  if (format !== "column" && format !== "json") {
    throw usageError(`--json and --output ${format} contradict each other; leave one out`);
  }
  return "json";
}

function tell(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
}

/** The first lines of standard input, which is at most 8 KiB. */
async function readLines(count: number): Promise<string[]> {
  let text = "";
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(1024);
  while (text.split("\n").length <= count && text.length < 8192) {
    const n = await Deno.stdin.read(buffer);
    if (n === null) break;
    text += decoder.decode(buffer.subarray(0, n), { stream: true });
  }
  return text.split(/\r?\n/).slice(0, count);
}
