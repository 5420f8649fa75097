/**
 * The flags of the commands that administer a control plane. Pure data: the command line is built from
 * it. Names follow Nexodus' `nexctl`, names in the environment those of our agent.
 *
 * @module
 */

/** One flag: its spelling, environment name, kind and help text. */
export interface OptionSpec {
  name: string;
  /** A second spelling, one letter. */
  alias?: string;
  env?: string;
  kind: "string" | "boolean" | "list";
  default?: string | boolean | string[];
  help: string;
  hidden?: true;
  choices?: string[];
  placeholder?: string;
}

/** How an answer is printed. */
export const FORMATS = ["column", "no-header", "json", "json-raw", "yaml"];

/** Flags of all these commands; they may stand before the command's name as well. */
export const CLIENT_OPTIONS: OptionSpec[] = [
  {
    name: "service-url",
    env: "NEXD_SERVICE_URL",
    kind: "string",
    placeholder: "URL",
    help: "control plane, https only; otherwise that of the last nexd user login",
  },
  {
    name: "username",
    env: "NEXD_USERNAME",
    kind: "string",
    placeholder: "NAME",
    help: "sign in as this user; without one, a link to sign in with is shown",
  },
  {
    name: "password",
    env: "NEXD_PASSWORD",
    kind: "string",
    placeholder: "TEXT",
    help: "the user's password; left out, it is asked for on the terminal",
  },
  {
    name: "output",
    kind: "string",
    default: "column",
    choices: FORMATS,
    placeholder: "FORM",
    help: "column, no-header, json, json-raw (as it came) or yaml",
  },
  {
    name: "ca",
    env: "NEXD_CA",
    kind: "string",
    placeholder: "FILE|sha256:HEX",
    help: "PEM file of extra CAs trusted for the control plane, or the fingerprint of its own; " +
      "otherwise that of the session",
  },
  {
    name: "insecure-skip-tls-verify",
    env: "NEXD_INSECURE_SKIP_TLS_VERIFY",
    kind: "boolean",
    default: false,
    help: "do not check the control plane's certificate",
  },
  {
    name: "session-file",
    env: "NEXD_SESSION_FILE",
    kind: "string",
    placeholder: "FILE",
    help: "where the session is kept; otherwise $HOME/.nexodus/sessions.json",
  },
  {
    name: "debug",
    env: "NEXCTL_DEBUG",
    kind: "boolean",
    default: false,
    help: "log each request on standard error",
  },
];

/** Shows more columns. */
export const FULL: OptionSpec = {
  name: "full",
  alias: "f",
  kind: "boolean",
  default: false,
  help: "show all columns, however wide",
};

/** A flag that takes the id of something. */
export const idOption = (name: string, help: string): OptionSpec => ({
  ...{ name, kind: "string", placeholder: "UUID", help },
});

/** A flag that takes text. */
export const textOption = (name: string, help: string, placeholder = "TEXT"): OptionSpec => ({
  ...{ name, kind: "string", placeholder, help },
});
