/**
 * `nexd completion`: scripts for shells, made from the tree of commands itself, so that they cannot
 * fall behind it.
 *
 * @module
 */
import { usageError } from "../errors.ts";
import type { CommandContext, Values } from "./context.ts";

/** One command: its flags, its arguments, and the commands below it. */
export interface CommandTree {
  readonly name: string;
  readonly description: string;
  readonly flags: readonly {
    /** With its dashes. */
    readonly flag: string;
    readonly help: string;
    /** It takes a value. */
    readonly value: boolean;
    readonly choices: readonly string[];
  }[];
  readonly args: readonly string[];
  readonly commands: readonly CommandTree[];
}

const SHELLS: Record<string, (tree: CommandTree) => string> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
};

/** `nexd completion SHELL`. */
export function completion(
  _values: Values,
  { args, print, tree }: CommandContext,
): Promise<void> {
  const shell = args[0] ?? "";
  if (!Object.hasOwn(SHELLS, shell)) {
    throw usageError(`There is no completion for ${shell}; choose bash, zsh or fish`);
  }
  print(SHELLS[shell]!(tree()).trimEnd());
  return Promise.resolve();
}

/** Every command with the words that lead to it. */
function commandsOf(tree: CommandTree, path: string[] = []): [string[], CommandTree][] {
  return [
    [path, tree],
    ...tree.commands.flatMap((below) => commandsOf(below, [...path, below.name])),
  ];
}

/** Arguments whose words are known. */
const ARGUMENTS: Record<string, string[]> = { shell: Object.keys(SHELLS) };

/** Words that may follow a command. */
function wordsAfter(tree: CommandTree): string[] {
  return [
    ...tree.commands.map(({ name }) => name),
    ...tree.args.flatMap((name) => ARGUMENTS[name] ?? []),
    ...tree.flags.map(({ flag }) => flag),
    "--help",
  ];
}

/** Text in single quotes for a POSIX shell. */
const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

/** A `case` on the command's words: what may follow each, and the values of its flags. */
function casesOf(tree: CommandTree): string {
  return commandsOf(tree).map(([path, command]) => {
    const choices = command.flags.filter((flag) => flag.choices.length > 0)
      .map(({ flag, choices }) => `${flag}=${choices.join(",")}`);
    const takes = command.flags.filter(({ value }) => value).map(({ flag }) => flag);
    return `    ${quoted(path.join(" "))})
      words=${quoted(wordsAfter(command).join(" "))}
      takes=${quoted(takes.join(" "))}
      choices=${quoted(choices.join(" "))} ;;`;
  }).join("\n");
}

/** Walks the words typed so far, as bash and zsh both understand it. */
function walkOf(tree: CommandTree): string {
  const paths = commandsOf(tree).map(([path]) => path.join(" ")).filter((path) => path !== "");
  return `_nexd_lookup() {
  # Sets words, takes and choices for the command at "$1".
  case "$1" in
${casesOf(tree)}
    *) words= takes= choices= ;;
  esac
}

_nexd_is_command() {
  case "$1" in
    ${paths.map(quoted).join(" | ")}) return 0 ;;
  esac
  return 1
}`;
}

function bashScript(tree: CommandTree): string {
  return `# bash completion for nexd; load it with: source <(nexd completion bash)
${walkOf(tree)}

_nexd() {
  local cur prev at="" word next words takes choices i choice
  cur=\${COMP_WORDS[COMP_CWORD]}
  prev=\${COMP_WORDS[COMP_CWORD-1]}
  if [[ $cur == "=" ]]; then cur=""; fi
  if [[ $prev == "=" ]]; then prev=\${COMP_WORDS[COMP_CWORD-2]}; fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    [[ $word == -* ]] && continue
    next="\${at:+$at }$word"
    _nexd_is_command "$next" && at=$next
  done
  _nexd_lookup "$at"
  for choice in $choices; do
    if [[ $prev == "\${choice%%=*}" ]]; then
      choice=\${choice#*=}
      COMPREPLY=($(compgen -W "\${choice//,/ }" -- "$cur"))
      return
    fi
  done
  for choice in $takes; do
    if [[ $prev == "$choice" ]]; then
      COMPREPLY=($(compgen -f -- "$cur"))
      return
    fi
  done
  if [[ $cur != -* ]]; then
    # Flags only when they are asked for.
    words=" $words "
    while [[ $words == *" -"* ]]; do
      next=\${words#* -}
      words="\${words%%" -"*} \${next#* }"
      [[ $next == *" "* ]] || break
    done
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -F _nexd nexd
`;
}

function zshScript(tree: CommandTree): string {
  return `#compdef nexd
# zsh completion for nexd; write it to a file _nexd in a directory of $fpath
${walkOf(tree)}

_nexd() {
  local at="" word next words_typed takes choices choice prev
  local -a list
  words_typed=("\${words[@]}")
  prev=\${words_typed[CURRENT-1]}
  for word in "\${words_typed[@]:1:$((CURRENT-2))}"; do
    [[ $word == -* ]] && continue
    next="\${at:+$at }$word"
    _nexd_is_command "$next" && at=$next
  done
  local words
  _nexd_lookup "$at"
  for choice in \${=choices}; do
    if [[ $prev == \${choice%%=*} ]]; then
      list=(\${(s:,:)\${choice#*=}})
      compadd -a list
      return
    fi
  done
  for choice in \${=takes}; do
    if [[ $prev == $choice ]]; then
      _files
      return
    fi
  done
  list=(\${=words})
  compadd -a list
}

compdef _nexd nexd
`;
}

function fishScript(tree: CommandTree): string {
  const lines = ["# fish completion for nexd; load it with: nexd completion fish | source"];
  const text = (value: string) => `'${value.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  for (const [path, command] of commandsOf(tree)) {
    const after = path.length === 0
      ? "__fish_use_subcommand"
      : path.map((word) => `__fish_seen_subcommand_from ${word}`).join("; and ");
    const inner = command.commands.map(({ name }) => name).join(" ");
    const here = inner === "" || path.length === 0
      ? after
      : `${after}; and not __fish_seen_subcommand_from ${inner}`;
    for (const { name, description } of command.commands) {
      lines.push(`complete -c nexd -f -n ${text(here)} -a ${name} -d ${text(description)}`);
    }
    for (const word of command.args.flatMap((name) => ARGUMENTS[name] ?? [])) {
      lines.push(`complete -c nexd -f -n ${text(here)} -a ${word}`);
    }
    for (const { flag, help, value, choices } of command.flags) {
      const name = flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`;
      const takes = choices.length > 0 ? ` -x -a ${text(choices.join(" "))}` : value ? " -r" : "";
      lines.push(`complete -c nexd -n ${text(here)} ${name}${takes} -d ${text(help)}`);
    }
  }
  return lines.join("\n") + "\n";
}
