/**
 * The files of settings that a package brings, made from the tables of flags: every variable, what it
 * does and what it is without one, all commented out.
 *
 * @module
 */
import { AGENT_OPTIONS, RELAY_ONBOARD_OPTIONS } from "../../agent/options.ts";
import { CONTROL_OPTIONS } from "../../control/options.ts";
import { RELAY_OPTIONS } from "../../relay/options.ts";
import { SERVE_OPTIONS } from "../../serve/options.ts";
import type { OptionSpec } from "../../command_line/mod.ts";

/** The flags behind a service's settings, and what to say above them. */
const FILES: Record<string, { about: string[]; options: readonly OptionSpec[] }> = {
  "nexd": {
    about: [
      "the agent (nexd.service). A registration key joins the mesh without a person; without one",
      "`systemctl status nexd` gives the address to sign in at.",
    ],
    options: AGENT_OPTIONS,
  },
  "nexd-control": {
    about: ["the control plane (nexd-control.service). NEXD_CONTROL_HOSTNAME has to be set."],
    options: CONTROL_OPTIONS as readonly OptionSpec[],
  },
  "nexd-relay": {
    about: ["the relay (nexd-relay.service). NEXD_DERP_HOSTNAME has to be set."],
    options: [...RELAY_OPTIONS, ...RELAY_ONBOARD_OPTIONS],
  },
  "nexd-serve": {
    about: [
      "control plane and relay in one (nexd-serve.service). NEXD_SERVE_HOSTNAME has to be set.",
    ],
    options: SERVE_OPTIONS,
  },
};

/** Set by the units, and not for a person to change here. */
const OF_THE_UNIT = ["NEXD_DERP_RUN_DIR"];

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

/** Every file of settings by the name of its service. */
export function settings(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(FILES).map(([name, { about, options }]) => {
      const seen = new Set<string>(OF_THE_UNIT);
      const entries = options.flatMap(({ env, help, default: usual, choices }) => {
        if (env === undefined || seen.has(env)) return [];
        seen.add(env);
        const more = choices === undefined ? "" : ` (${choices.join(", ")})`;
        const value = usual === undefined || Array.isArray(usual) ? "" : String(usual);
        return ["", ...wrap(help + more, 96).map((line) => `# ${line}`), `#${env}=${value}`];
      });
      const head = [
        `# Settings of ${about[0]}`,
        ...about.slice(1).map((line) => `# ${line}`),
        `# After a change: systemctl restart ${name}`,
        '# A line is NAME=value, or NAME="value" where it has spaces (systemd.exec(5), EnvironmentFile).',
      ];
      return [name, [...head, ...entries, ""].join("\n")];
    }),
  );
}
