/**
 * The rows with which a verdict begins: the answer, then what is proved and what isn't, each under a name.
 *
 *     VERIFIED   #ops on chat.example, lines 0 to 3, 28 Nov 2026 20:17:21 to 20:17:24 UTC
 *     Authors    alice (2 lines), bob (2 lines). Exported by alice.
 *     Integrity  No line between 0 and 3 was altered, reordered or left out.
 *
 * One row is one function, from what was found to the row's sentences; a row without sentences is left out. A room's
 * rows stand in `verify_room_report.ts`, a session's in `verify_session_report.ts`.
 *
 * Names and texts from the evidence are in quotes here, unless they are plain usernames or server names: nothing that
 * somebody put into the evidence can pass for a sentence of the verdict.
 *
 * @layer protocol
 */

import type { Trust } from "./certificate_path.ts";
import { quoted, shortName } from "./text.ts";
import { formatTime } from "./time_text.ts";
import type { LineFault, LineVerdicts } from "./verify_bad_lines.ts";
import { type Check, type LineSigner, type ListFindings, signerText } from "./verify_verdict.ts";

/** `partly_valid`: some lines are bad, and all others stand. `invalid`: nothing stands. `undecided`: no CA, or another. */
export type Result = "valid" | "partly_valid" | "invalid" | "undecided";

/** The words with which each result begins. */
export const FIRST_WORDS: Readonly<Record<Result, string>> = {
  valid: "VERIFIED",
  partly_valid: "PARTLY VERIFIED",
  invalid: "NOT VERIFIED",
  undecided: "UNDECIDED",
};

/** One row below the answer. */
export interface Row {
  readonly name: RowName;
  readonly sentences: readonly string[];
}

/** The names of rows, in their order. */
export const ROW_NAMES = [
  "Reasons",
  "Authors",
  "Integrity",
  "Withheld",
  "Time",
  "Witnesses",
  "Search",
  "Unknown",
  "Revocation",
  "Trusted",
] as const;

/** One of {@link ROW_NAMES}. */
export type RowName = typeof ROW_NAMES[number];

/** The functions that give the rows' sentences. */
export type RowTable<Found> = Readonly<Partial<Record<RowName, (found: Found) => readonly string[]>>>;

/** The rows that have something to say. */
export function rowsOf<Found>(table: RowTable<Found>, found: Found): Row[] {
  return ROW_NAMES.flatMap((name) => {
    const sentences = table[name]?.(found) ?? [];
    return sentences.length > 0 ? [{ name, sentences }] : [];
  });
}

/** The rows with one more sentence at the end of one of them. */
export function withSentence(rows: readonly Row[], name: RowName, sentence: string): Row[] {
  const others = rows.filter((row) => row.name !== name);
  const sentences = [...rows.find((row) => row.name === name)?.sentences ?? [], sentence];
  return [...others, { name, sentences }].sort((one, other) =>
    ROW_NAMES.indexOf(one.name) - ROW_NAMES.indexOf(other.name)
  );
}

// ---- times

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Unix milliseconds as `28 Nov 2026 20:17:21 UTC`; evidence may name a time beyond any calendar. */
export function momentText(at: number): string {
  const [day, time] = partsOf(at);
  return time === undefined ? day : `${day} ${time} UTC`;
}

/** `28 Nov 2026 20:17:21 to 20:17:24 UTC`, with the second day where it is another; a single moment where both are one. */
export function periodText(from: number, to: number): string {
  const [[firstDay, first], [lastDay, last]] = [partsOf(from), partsOf(to)];
  if (momentText(from) === momentText(to)) return momentText(to);
  if (first === undefined || last === undefined) return `${momentText(from)} to ${momentText(to)}`;
  return `${firstDay} ${first} to ${firstDay === lastDay ? "" : `${lastDay} `}${last} UTC`;
}

function partsOf(at: number): [day: string, time?: string] {
  const [, year = "", month, day, time] = /^(\d{4,})-(\d\d)-(\d\d)T(\d\d:\d\d:\d\d)Z$/.exec(formatTime(at)) ?? [];
  return time === undefined ? [formatTime(at)] : [`${Number(day)} ${MONTHS[Number(month) - 1]} ${year}`, time];
}

// ---- lines

/** So many ranges of lines, authors, and things of other kinds are named in a sentence; more are counted. */
const MAX_NAMED = 8;

/** `1 line`, `2 lines`. */
export function counted(count: number, noun = "line"): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** `line 4`, `lines 4 to 7 and 9`: indexes rise. `count`: how many there are, if only the first are at hand. */
export function linesText(indexes: readonly number[], count = indexes.length): string {
  const ranges: [number, number][] = [];
  for (const index of indexes) {
    const last = ranges.at(-1);
    if (last?.[1] === index - 1) last[1] = index;
    else ranges.push([index, index]);
  }
  const shown = ranges.slice(0, MAX_NAMED);
  const named = shown.reduce((sum, [from, to]) => sum + to - from + 1, 0);
  const texts = shown.flatMap(([from, to]) => to - from === 1 ? [`${from}`, `${to}`] : rangeText(from, to));
  return `${count === 1 ? "line" : "lines"} ${listed(count > named ? [...texts, `${count - named} more`] : texts)}`;
}

function rangeText(from: number, to: number): string {
  if (from === to) return `${from}`;
  return `${from} ${to - from === 1 ? "and" : "to"} ${to}`;
}

/** `line 5`, `lines 0 to 3`: so many from that one on. */
export function spanText(from: number, count: number): string {
  return count === 0 ? "no lines" : `${count === 1 ? "line" : "lines"} ${rangeText(from, from + count - 1)}`;
}

/** `a, b and c`. */
export function listed(items: readonly string[]): string {
  return items.length < 2 ? items.join("") : `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`;
}

/** The first few of many items, and how many more. */
export function someOf(items: readonly string[], count = items.length): string {
  return listed(count > MAX_NAMED ? [...items.slice(0, MAX_NAMED), `${count - MAX_NAMED} more`] : items);
}

// ---- people

/** A certificate's holder: `alice`, `the server chat.example`, or the whole subject in quotes where it is not plain. */
export function personText(subject: string): string {
  const [, username] = /^CN=CLIENT: ([A-Za-z0-9._-]{1,64})$/.exec(subject) ?? [];
  const [, server] = /^CN=SERVER: ([A-Za-z0-9.-]{1,253})$/.exec(subject) ?? [];
  return username ?? (server === undefined ? `"${shortName(subject)}"` : `the server ${server}`);
}

/** One of these signers, so that no two are called the same. */
export function authorText(signer: LineSigner, all: readonly LineSigner[]): string {
  const plain = `"${shortName(signer.subject)}"`;
  const whole = signerText(signer, all);
  return whole === plain ? personText(signer.subject) : whole;
}

/** `alice (2 lines), bob (1 line)`. */
export function authorsText(signers: readonly LineSigner[]): string {
  return someOf(signers.map((signer) => `${authorText(signer, signers)} (${counted(signer.lines)})`));
}

// ---- why not

/** What to say of a failed check that is not about single lines, and whether the reason that was found is told, too. */
export interface FailureText {
  readonly says: string;
  readonly tellsWhy: boolean;
}

/** So many reasons stand in the row; `--details` has all. */
const MAX_REASONS = 10;

/** One sentence for each reason why lines are bad, which names these lines, and for each other check that failed. */
export function reasonSentences<Name extends string>(
  { bad, count, good }: LineVerdicts,
  failed: readonly Pick<Check<Name>, "name" | "reasons" | "expected" | "found">[],
  texts: Readonly<Partial<Record<Name, FailureText>>>,
): string[] {
  const byReason = new Map<string, number[]>();
  for (const { index, faults } of bad) {
    for (const reason of new Set(faults.map(reasonOf))) {
      const known = byReason.get(reason);
      if (known) known.push(index);
      else byReason.set(reason, [index]);
    }
  }
  const ofLines = [...byReason].map(([reason, indexes]) => `${capital(linesText(indexes))}: ${reason}.`);
  if (count - good > bad.length) ofLines.push(`${counted(count - good - bad.length, "more line")} can't be relied on.`);
  const others = failed.map(({ name, reasons: [first], expected, found }) => {
    const { says = name, tellsWhy = true } = texts[name] ?? {};
    const values = expected !== undefined && found !== undefined && expected.length < 20 && found.length < 20;
    return `${says}${tellsWhy && first !== undefined ? `: ${clause(first)}` : ""}${
      values ? ` (${expected} expected, ${found} found)` : ""
    }.`;
  });
  const all = [...others, ...ofLines];
  return all.length <= MAX_REASONS
    ? all
    : [...all.slice(0, MAX_REASONS), `${all.length - MAX_REASONS} more: --details lists them.`];
}

function reasonOf({ reason }: LineFault): string {
  return clause(reason);
}

/** A reason as the end of a sentence of ours. */
function clause(reason: string): string {
  return reason.replace(/^(?:It|Its|This|The)\b/, (word) => word.toLowerCase()).replace(/\.$/, "");
}

/** The text with a capital letter in front. */
export function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

// ---- revocation and trust

/** Which revocation lists were used, of what time, and whose certificates no list was given for. */
export function revocationSentences({ authorities, revocations }: Trust, found: ListFindings): string[] {
  if (revocations.length === 0) return ["Not checked: no list was given."];
  if (authorities.length === 0) return ["Not checked: no certificate of a CA was given, so no list can be trusted."];
  const sentences = revocations.map((list) => {
    const which = `the list of "${shortName(list.issuer)}" of ${momentText(list.thisUpdate)}`;
    return found.passedOver.has(list)
      ? `${capital(which)} was not used for some certificates that name the same issuer: another key signed them.`
      : `Checked with ${which}: later revocations are unknown.`;
  });
  for (const issuer of found.issuersWithoutList) {
    sentences.push(
      `Not checked for certificates that "${shortName(issuer)}" issued: no list signed with its key was given.`,
    );
  }
  return sentences;
}

/** Which of the given CAs certificates of the evidence lead to, and that nothing else is trusted. */
export function trustSentences({ authorities }: Trust, judges: readonly string[]): string[] {
  if (authorities.length === 0) return ["Nothing: no certificate of a CA was given (--ca)."];
  const used = authorities.filter(({ fingerprint }) => judges.includes(fingerprint));
  const idle = authorities.filter((authority) => !used.includes(authority));
  const named = used.map(({ subject, fingerprint }) =>
    `CA "${shortName(subject)}". Confirm its SHA-256 with the CA's owner: ${fingerprint}.`
  );
  if (used.length === 0) {
    return authorities.slice(0, MAX_NAMED).map(({ subject, fingerprint }) =>
      `CA "${shortName(subject)}", which issued none of these certificates. Its SHA-256: ${fingerprint}.`
    );
  }
  if (idle.length === 0) return named;
  return [...named, `Given, but not needed: ${someOf(idle.map(({ subject }) => `CA "${shortName(subject)}"`))}.`];
}

/** Names that somebody else chose, in quotes, in a sentence. */
export function quotedNames(names: readonly string[]): string {
  return someOf(names.slice(0, MAX_NAMED).map(quoted), names.length);
}
