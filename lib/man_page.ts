/**
 * The manual page, in mdoc(7), made from the pages of all commands.
 *
 *     manPage({ version: "0.1.0", date: "November 29, 2026" }, pages)      man ./securechat.1
 *
 * @layer outside
 */

import { type CommandPage, type FlagRow } from "./command_line.ts";
import { SETTINGS } from "./config.ts";
import { EXIT_MEANINGS } from "./errors.ts";

/** A page with the heading under which help lists its command. */
export interface ManEntry extends CommandPage {
  readonly task: string;
}

/** The manual page. `date` is the release's: `November 29, 2026`. */
export function manPage({ version, date }: { version: string; date: string }, pages: readonly ManEntry[]): string {
  const settings = Object.entries(SETTINGS);
  return [
    `.Dd ${date}`,
    ".Dt SECURECHAT 1",
    ".Os",
    ".Sh NAME",
    ".Nm securechat",
    ".Nd a terminal chat that keeps a provable record",
    ".Sh SYNOPSIS",
    ".Nm",
    ".Ar command",
    ".Op Ar flag ...",
    ".Op Ar argument ...",
    ".Sh DESCRIPTION",
    ...sentences(
      "One program is server, client, certificate tool and verifier. People talk in rooms; each line is signed by its " +
        "author and has one place in one log, which the server signs. Afterwards each of them can prove to a " +
        "stranger, offline, who said what, when and in which order. Data goes to standard output, messages to " +
        `standard error. This is the manual of version ${version}.`,
    ),
    ".Sh COMMANDS",
    ...pages.flatMap(commandLines),
    ".Sh ENVIRONMENT",
    ...sentences(
      "Flags override the environment, and the environment overrides a file .env in the working folder. " +
        "verify, prove and cert check read no .env.",
    ),
    ".Bl -tag -width Ds",
    ...settings.flatMap(([name, { describe, fallback }]) => [
      `.It Ev ${name}`,
      ...sentences(`${describe}${fallback === undefined ? "" : ` (${fallback})`}`),
    ]),
    ".El",
    ".Sh EXIT STATUS",
    ".Bl -tag -width Ds",
    ...EXIT_MEANINGS.flatMap(([status, meaning]) => [`.It ${status}`, ...sentences(meaning)]),
    ".El",
    "",
  ].join("\n");
}

function commandLines({ name, summary, usage, flags }: ManEntry): string[] {
  return [
    `.Ss ${escape(`securechat ${name}`)}`,
    ...sentences(`${summary.slice(0, 1).toUpperCase()}${summary.slice(1)}.`),
    ".Bd -literal -offset indent",
    ...usage.split("\n").map((line) => escape(line)),
    ".Ed",
    ".Bl -tag -width Ds",
    ...flags.flatMap((flag) => [`.It ${flagItem(flag)}`, ...sentences(flag.describe)]),
    ".El",
  ];
}

function flagItem({ name, short, value }: FlagRow): string {
  const argument = value === undefined ? "" : ` Ar ${escape(value)}`;
  return `${short === undefined ? "" : `Fl ${short} , `}Fl Fl ${name}${argument}`.replace("Fl Fl ", "Fl -");
}

/** Text with each sentence on a new line, and no line longer than mandoc likes. */
function sentences(text: string): string[] {
  return text.replaceAll(/([.!?;:]) +(?=[A-Z])/g, "$1\n").split("\n").flatMap(wrap).map(escape);
}

function wrap(sentence: string): string[] {
  return sentence.match(/.{1,70}(?: |$)|\S+ ?/g)?.map((row) => row.trimEnd()) ?? [];
}

/** Text without requests or escapes. */
function escape(text: string): string {
  const plain = text.replaceAll("\\", "\\e").replaceAll("`", "\\(ga").replaceAll("…", "...").replaceAll("-", "\\-");
  return /^[.']/.test(plain) ? `\\&${plain}` : plain;
}
