import { resolve } from "node:path";
import { parseArgs } from "node:util";

/** What the demo was asked to do. */
export interface DemoArguments {
  hosts: number;
  nat: "symmetric" | "cone" | "open";
  json: boolean;
  keep: boolean;
  help: boolean;
  /** Path of a built executable, in place of the clone's source. */
  executable?: string;
  /** Id of a kept lab to end instead. */
  end?: string;
}

/** A mistake on the command line, in one sentence. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  readonly exitCode = 2;
}

/** What `--help` prints. */
export const HELP = `Two or more hosts behind NAT reach each other through a relay, on this machine.

Builds hosts, home routers, a control plane and a relay as network namespaces, joins the
hosts with real WireGuard, measures, proves what the relay saw, and removes it all.

Usage: deno task demo [options]

  --hosts N     hosts, 2 to 16 (default 2)
  --nat KIND    what every router does: symmetric (default), cone or open;
                with cone and open the path must be direct
  --executable PATH
                run all parts from this built file (see deno task compile), in an
                environment without Deno and Node, and not from the source
  --json        print one JSON object instead
  --keep        leave the lab standing and say how to enter and end it
  --end ID      end a lab that was kept
  --help        this text

Exit status: 0 when everything was as it must be, 1 when not, 2 for a wrong command line.
`;

const KINDS = ["symmetric", "cone", "open"] as const;

/**
 * Reads the command line.
 *
 * @throws {UsageError} naming what is wrong and what is right
 */
export function parseArguments(args: string[]): DemoArguments {
  const { values, positionals } = read(args);
  if (positionals.length > 0) {
    throw new UsageError(`"${positionals[0]}" is not an option; see --help`);
  }
  const hosts = Number(values.hosts);
  if (!/^\d+$/.test(values.hosts) || hosts < 2 || hosts > 16) {
    throw new UsageError(`--hosts takes a number from 2 to 16, not "${values.hosts}"`);
  }
  const nat = KINDS.find((kind) => kind === values.nat);
  if (nat === undefined) {
    throw new UsageError(`--nat takes symmetric, cone or open, not "${values.nat}"`);
  }
  const { json, keep, help, end, executable } = values;
  if (executable === "") throw new UsageError("--executable takes a path; see --help");
  return {
    ...{ hosts, nat, json, keep, help },
    ...(end === undefined ? {} : { end }),
    // A task runs in the clone wherever it was called.
    ...(executable === undefined
      ? {}
      : { executable: resolve(Deno.env.get("INIT_CWD") ?? Deno.cwd(), executable) }),
  };
}

function read(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        hosts: { type: "string", default: "2" },
        nat: { type: "string", default: "symmetric" },
        json: { type: "boolean", default: false },
        keep: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
        end: { type: "string" },
        executable: { type: "string" },
      },
    });
  } catch (error) {
    const text = (error as Error).message;
    const unknown = text.match(/Unknown option '([^']*)'/)?.[1];
    throw new UsageError(
      unknown ? `${unknown} is not an option of the demo; see --help` : `${text}; see --help`,
    );
  }
}
