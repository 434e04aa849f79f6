/**
 * Completion scripts for shells, made from the pages of all commands: names of commands, their parts, flags, and the
 * kind of a flag's value (one of a few words, a file, a folder).
 *
 *     completionScript("bash", pages)      source <(securechat completion bash)
 *
 * The scripts are static: pressing Tab starts no program. They contain only our own text, for which single quotes are
 * enough.
 *
 * @layer outside
 */

import type { CommandPage, FlagRow } from "./command_line.ts";

/** The shells for which there are scripts. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

/** One of {@link SHELLS}. */
export type Shell = typeof SHELLS[number];

/** The script for a shell. */
export function completionScript(shell: Shell, pages: readonly CommandPage[]): string {
  const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;
  return scripts[shell](pages);
}

/** How a flag's value is completed. */
type Value = { readonly words: readonly string[] } | "file" | "folder" | "other" | undefined;

function valueOf({ value }: FlagRow): Value {
  if (value === undefined) return undefined;
  if (value === "FILE") return "file";
  if (value === "DIR") return "folder";
  const words = value.split("|");
  return words.length > 1 && words.every((word) => /^[a-z0-9]+$/.test(word)) ? { words } : "other";
}

/** The words that may follow a command: its parts. */
function partsOf(pages: readonly CommandPage[], name: string): string[] {
  return pages.flatMap(({ name: other }) => other.startsWith(`${name} `) ? [other.slice(name.length + 1)] : []);
}

function topLevel(pages: readonly CommandPage[]): { name: string; summary: string }[] {
  return [
    ...pages.filter(({ name }) => !name.includes(" ")),
    { name: "help", summary: "explain a command" },
    { name: "version", summary: "print the version" },
  ];
}

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

// ---- bash

function bashScript(pages: readonly CommandPage[]): string {
  const names = topLevel(pages).map(({ name }) => name);
  const values = pages.flatMap((page) =>
    page.flags.flatMap((flag) => {
      const value = valueOf(flag);
      if (value === undefined) return [];
      const reply = value === "file"
        ? "compgen -f"
        : value === "folder"
        ? "compgen -d"
        : `compgen -W ${quoted(value === "other" ? "" : value.words.join(" "))}`;
      return [`    ${quoted(`${page.name} --${flag.name}`)}) _securechat_reply "$(${reply} -- "$word")"; return;;`];
    })
  );
  const flags = pages.map(({ name, flags }) =>
    `    ${quoted(name)}) flags=${quoted(flags.map((flag) => `--${flag.name}`).join(" "))};;`
  );
  const parts = pages.flatMap(({ name }) => {
    const words = partsOf(pages, name);
    return words.length === 0 ? [] : [`    ${name}) parts=${quoted(words.join(" "))};;`];
  });
  return `# bash completion for securechat: source <(securechat completion bash)
_securechat_reply() { mapfile -t COMPREPLY <<<"$1"; [ -n "$1" ] || COMPREPLY=(); }
_securechat() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} command=\${COMP_WORDS[1]} parts= flags=
  if [ "$COMP_CWORD" = 1 ] || { [ "$COMP_CWORD" = 2 ] && [ "$command" = help ]; }; then
    _securechat_reply "$(compgen -W ${quoted(names.join(" "))} -- "$word")"
    return
  fi
  case $command in
${parts.join("\n")}
  esac
  local part=\${COMP_WORDS[2]}
  if [ "$COMP_CWORD" -gt 2 ] && [[ " $parts " == *" $part "* ]]; then command="$command $part" parts=; fi
  [ "$COMP_CWORD" = 2 ] || parts=
  case "$command $before" in
${values.join("\n")}
  esac
  case $command in
${flags.join("\n")}
  esac
  if [[ $word == -* ]]; then
    _securechat_reply "$(compgen -W "$flags" -- "$word")"
  elif [ -n "$parts" ]; then
    _securechat_reply "$(compgen -W "$parts" -- "$word")"
  else
    _securechat_reply "$(compgen -f -- "$word")"
  fi
}
complete -o filenames -F _securechat securechat
`;
}

// ---- zsh

function zshScript(pages: readonly CommandPage[]): string {
  const described = (rows: readonly { name: string; summary: string }[]) =>
    rows.map(({ name, summary }) => `    ${quoted(`${name}:${summary}`)}`).join("\n");
  const cases = pages.map((page) => {
    const parts = partsOf(pages, page.name);
    const inner = parts.length === 0 ? "" : `      if (( CURRENT == 2 )); then
        local -a parts=(${parts.map(quoted).join(" ")})
        _describe part parts
      elif [[ " ${parts.join(" ")} " == *" $words[2] "* ]]; then
        _securechat_flags "${page.name} $words[2]"
        return
      fi
`;
    return `    ${quoted(page.name)})\n${inner}      _arguments ${page.flags.map(zshFlag).join(" ")} '*:file:_files';;`;
  });
  return `#compdef securechat
# zsh completion for securechat: source <(securechat completion zsh), or a file _securechat in a folder of fpath
_securechat_flags() {
  case $1 in
${cases.join("\n")}
  esac
}
_securechat() {
  local -a commands=(
${described(topLevel(pages))}
  )
  if (( CURRENT == 2 )) || [[ $words[2] == help ]]; then
    _describe command commands
    return
  fi
  local name=$words[2]
  shift words
  (( CURRENT-- ))
  _securechat_flags $name
}
if [[ $funcstack[1] == _securechat ]]; then _securechat; else compdef _securechat securechat; fi
`;
}

function zshFlag(flag: FlagRow): string {
  const value = valueOf(flag);
  const describe = flag.describe.replaceAll(/[[\]:\\]/g, (character) => `\\${character}`);
  const action = value === "file"
    ? ":file:_files"
    : value === "folder"
    ? ":folder:_files -/"
    : value === undefined
    ? ""
    : `:value:${value === "other" ? "" : `(${value.words.join(" ")})`}`;
  return quoted(`--${flag.name}[${describe}]${action}`);
}

// ---- fish

function fishScript(pages: readonly CommandPage[]): string {
  const rows = ["# fish completion for securechat: securechat completion fish | source", "complete -c securechat -f"];
  for (const { name, summary } of topLevel(pages)) {
    rows.push(`complete -c securechat -n __fish_use_subcommand -a ${name} -d ${fishQuoted(summary)}`);
  }
  const names = topLevel(pages).map(({ name }) => name).join(" ");
  rows.push(`complete -c securechat -n '__fish_seen_subcommand_from help' -a ${quoted(names)}`);
  for (const page of pages) {
    const [command = "", part] = page.name.split(" ");
    const parts = partsOf(pages, page.name);
    const isHere = part === undefined
      ? `__fish_seen_subcommand_from ${command}${
        parts.length === 0 ? "" : `; and not __fish_seen_subcommand_from ${parts.join(" ")}`
      }`
      : `__fish_seen_subcommand_from ${command}; and __fish_seen_subcommand_from ${part}`;
    const from = `complete -c securechat -n ${quoted(isHere)}`;
    if (parts.length > 0) rows.push(`${from} -a ${quoted(parts.join(" "))}`);
    else rows.push(`${from} -F`);
    for (const flag of page.flags) {
      rows.push(`${from} -l ${flag.name} -d ${fishQuoted(flag.describe)}${fishValue(flag)}`);
    }
  }
  return `${rows.join("\n")}\n`;
}

const fishQuoted = (text: string) => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;

function fishValue(flag: FlagRow): string {
  const value = valueOf(flag);
  if (value === undefined) return "";
  if (value === "file") return " -r -F";
  if (value === "folder") return " -x -a '(__fish_complete_directories)'";
  return value === "other" ? " -x" : ` -x -a ${quoted(value.words.join(" "))}`;
}
