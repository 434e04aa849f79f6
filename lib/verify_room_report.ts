/**
 * What a verification of a room's evidence answers: the result and its rows, as `verify_rows.ts` describes them
 * (docs/PROTOCOL.md, "What a room's evidence proves").
 *
 * @layer protocol
 */

import type { Trust } from "./certificate_path.ts";
import type { Checkpoint } from "./log_checkpoint.ts";
import { parseOrigin } from "./log_line.ts";
import { partners } from "./names.ts";
import { nameText } from "./text.ts";
import { formatTime } from "./time_text.ts";
import { MAX_CLOCK_DIFFERENCE } from "./transcript.ts";
import type { BadLine, LineVerdicts } from "./verify_bad_lines.ts";
import type { RoomCheckName, RoomFindings } from "./verify_findings.ts";
import type { RoomReceipt } from "./verify_form.ts";
import type { CertificateJudge } from "./verify_judge.ts";
import {
  type LogFound,
  openSentences,
  renewalSentences,
  type RenewalState,
  renewalState,
  stampSentences,
  witnessSentences,
} from "./verify_log_rows.ts";
import type { OpenedLine, ShownLines } from "./verify_lines.ts";
import type { Rights } from "./verify_rights.ts";
import {
  authorsText,
  capital,
  counted,
  type FailureText,
  FIRST_WORDS,
  linesText,
  momentText,
  periodText,
  personText,
  quotedNames,
  reasonSentences,
  type Result,
  revocationSentences,
  type Row,
  rowsOf,
  type RowTable,
  someOf,
  spanText,
  trustSentences,
} from "./verify_rows.ts";
import type { Check, LineSigner } from "./verify_verdict.ts";

/** A line of a room that isn't good. */
export interface BadRoomLine extends BadLine<RoomCheckName> {
  /** Its text, if its author signed it but had no right to write it: it must not be shown as good. */
  readonly opened?: OpenedLine;
}

/** What the evidence says it is; anybody could have written this where the result is not `valid` or `partly_valid`. */
export interface AboutRoom {
  readonly type: "room";
  readonly room: string;
  readonly origin: string;
  readonly from_index: number;
  readonly message_count: number;
  /** Size and time of the last checkpoint. */
  readonly size: number;
  readonly checkpoint_time: string;
  readonly created_at: string;
  /** The certificate that signed the receipt. */
  readonly exported_by: string;
}

/** The answer. */
export interface RoomVerdict {
  readonly result: Result;
  /** The first row: the answer, and what it is about. */
  readonly sentence: string;
  /** What is proved, and what isn't. */
  readonly rows: readonly Row[];
  readonly checks: readonly Check<RoomCheckName>[];
  /** Who signed the lines that are good. */
  readonly signers: readonly LineSigner[];
  readonly lines: LineVerdicts<BadRoomLine>;
  /** The SHA-256 of each CA that certificates of the evidence lead to: of those given, the ones that judged. */
  readonly judges: readonly string[];
  /** Who said what in lines that are good, in order; nothing if the result is `invalid`. */
  readonly opened: readonly OpenedLine[];
  /** `undefined` if the receipt can't be read. */
  readonly about: AboutRoom | undefined;
  /** Of a bundle: when it was renewed, and when it has to be. */
  readonly renewal?: RenewalState | undefined;
}

/** What a verdict is made of. */
export interface Outcome {
  readonly receipt: RoomReceipt;
  readonly findings: RoomFindings;
  readonly shown: ShownLines;
  /** What the verifier was given. */
  readonly given: Trust;
  /** The same without its CAs, if the certificates are of another CA. */
  readonly trust: Trust;
  /** If the certificates are of another CA than those given: which. */
  readonly foreign: string | undefined;
  readonly judge: CertificateJudge;
  /** What came out of judging rights, or why that was not done. */
  readonly rights: Rights | string;
  /** What was found of the server's log. */
  readonly log: LogFound;
  /** A time at which all certificates were judged, unix milliseconds. */
  readonly at: number | undefined;
  /** The verifier's clock, unix milliseconds. */
  readonly now: number | undefined;
}

/** What the rows are made of. */
interface Found extends Outcome {
  readonly result: Result;
  readonly signers: readonly LineSigner[];
  readonly lines: LineVerdicts;
  readonly opened: readonly OpenedLine[];
}

/** The verdict if nothing of a receipt can be judged. */
export function unreadable(findings: RoomFindings): RoomVerdict {
  for (const { name } of findings.list()) if (name !== "form") findings.skip(name, "the receipt's form is wrong");
  const lines = { from: 0, count: 0, good: 0, bad: [] };
  const sentences = reasonSentences(lines, findings.failures(), FAILURES);
  return {
    result: "invalid",
    sentence: `${FIRST_WORDS.invalid} This is not a room's receipt or a line proof.`,
    rows: [{ name: "Reasons", sentences }],
    checks: findings.list(),
    signers: [],
    lines,
    judges: [],
    opened: [],
    about: undefined,
  };
}

/** The verdict. */
export function conclude(outcome: Outcome): RoomVerdict {
  const { receipt: { from }, findings, shown, judge } = outcome;
  const verdicts = findings.bad.verdicts(from, shown.end - from);
  const result = resultOf(findings, verdicts);
  const isInvalid = result === "invalid";
  const lines = isInvalid ? verdicts : { ...verdicts, bad: withWords(verdicts.bad, shown) };
  const opened = isInvalid ? [] : shown.opened.filter(({ index }) => !findings.bad.faultsOf(index));
  const found: Found = { ...outcome, result, signers: shown.signers, lines, opened };
  return {
    result,
    sentence: `${FIRST_WORDS[result]} ${headline(found)}`,
    rows: rowsOf(ROWS, found),
    checks: findings.list(),
    signers: shown.signers,
    lines,
    judges: [...judge.authorities],
    opened,
    about: about(outcome),
    renewal: renewalState(outcome.log),
  };
}

function resultOf(findings: RoomFindings, { count, good }: LineVerdicts): Result {
  if (findings.isFalse() || good === 0) return "invalid";
  if (findings.isOpen) return "undecided";
  return good < count ? "partly_valid" : "valid";
}

function withWords(bad: readonly BadLine<RoomCheckName>[], shown: ShownLines): BadRoomLine[] {
  const words = new Map(shown.opened.map((line) => [line.index, line] as const));
  return bad.map((line) => {
    const opened = line.faults.every(({ check }) => check === "rights") ? words.get(line.index) : undefined;
    return opened ? { ...line, opened } : line;
  });
}

function about({ receipt }: Outcome): AboutRoom {
  const { room, origin, from, count, checkpoint, createdAt, signer } = receipt;
  return {
    ...{ type: "room", room, origin, from_index: from, message_count: count, size: checkpoint.size },
    ...{ checkpoint_time: formatTime(checkpoint.time * 1000), created_at: formatTime(createdAt) },
    exported_by: signer.leaf.fingerprint,
  };
}

// ---- the first row

function headline(found: Found): string {
  const { result, receipt: { origin, room, from }, lines } = found;
  const server = parseOrigin(origin)?.server;
  const pair = partners(room);
  const name = pair ? `the conversation of ${pair[0]} and ${pair[1]}` : room;
  const what = `${name}${server === undefined ? "" : ` on ${server}`}, ${spanText(from, lines.count)}`;
  switch (result) {
    case "valid":
      return `${what}, ${periodOf(found)}`;
    case "partly_valid":
      return `${what} except ${badLines(lines)}, ${periodOf(found)}`;
    case "invalid":
      return `${what}: rely on none of it.`;
    case "undecided":
      return `${what}: ${
        found.foreign === undefined
          ? "without the CA's certificate nobody can tell whose signatures these are."
          : "another CA than the one given issued these certificates."
      }`;
  }
}

function badLines({ bad, count, good }: LineVerdicts): string {
  return linesText(bad.map(({ index }) => index), count - good);
}

/** When the server had signed the first of the lines, and when the last, by its own word. */
function periodOf(outcome: Outcome): string {
  const [first, last] = [firstCheckpoint(outcome), lastCheckpoint(outcome)];
  return first === last ? `by ${momentText(last.time * 1000)}` : periodText(first.time * 1000, last.time * 1000);
}

/** The first checkpoint that covers the first line. */
function firstCheckpoint({ receipt: { checkpoint, earlier, from } }: Outcome): Checkpoint {
  return earlier.find(({ size }) => size > from) ?? checkpoint;
}

/** The first checkpoint that covers the last line. */
function lastCheckpoint({ receipt: { checkpoint, earlier }, shown: { end } }: Outcome): Checkpoint {
  return earlier.find(({ size }) => size >= end) ?? checkpoint;
}

// ---- the rows below it

const ROWS: RowTable<Found> = {
  Reasons: reasons,
  Authors: authors,
  Integrity: integrity,
  Withheld: withheld,
  Time: time,
  Witnesses: ({ result, log }) => result === "invalid" ? [] : witnessSentences(log),
  Unknown: unknown,
  Revocation: ({ trust, judge, result }) => result === "invalid" ? [] : revocationSentences(trust, judge),
  Trusted: ({ given, judge }) => trustSentences(given, [...judge.authorities]),
};

/** What a failed check of the frame means. Checks of single lines name their lines instead. */
const FAILURES: Readonly<Partial<Record<RoomCheckName, FailureText>>> = {
  "form": { says: "The receipt is malformed", tellsWhy: true },
  "transcript": { says: "The transcript is malformed", tellsWhy: true },
  "origin": { says: "The receipt names no log of this room", tellsWhy: true },
  "count": { says: "The number of lines is not the receipt's", tellsWhy: true },
  "signer": { says: "The receipt's signer can't be relied on", tellsWhy: true },
  "statement": { says: "The receipt is not as it was signed", tellsWhy: false },
  "certs": { says: "A certificate is missing", tellsWhy: true },
  "seqno": { says: "An author's lines are not complete", tellsWhy: true },
  "checkpoint signature": { says: "A checkpoint is not signed by the server that it names", tellsWhy: true },
  "checkpoint server": { says: "A checkpoint is not validly signed by this room's server", tellsWhy: true },
  "checkpoints": { says: "The checkpoints contradict the lines, or each other", tellsWhy: true },
  "proof": {
    says: "The lines are not those that the server signed: some were altered, reordered, added or left out",
    tellsWhy: false,
  },
  "times": { says: "Times contradict each other", tellsWhy: true },
  "opening form": { says: "The file with the lines' texts is malformed", tellsWhy: true },
  "seen": { says: "What an author had seen contradicts the lines", tellsWhy: true },
  "revocation": { says: "A certificate was revoked", tellsWhy: true },
  "bundle": { says: "The file is not a bundle as this program writes it", tellsWhy: true },
  "log form": { says: "What is shown of the server's log is malformed", tellsWhy: true },
  "charter": { says: "The server's log is not vouched for by the server", tellsWhy: true },
  "note": { says: "A note of the server's log is false", tellsWhy: true },
  "log key": { says: "The server's log is another one", tellsWhy: true },
  "head": { says: "The server's log doesn't register what is shown", tellsWhy: true },
  "token": { says: "A time stamp is false", tellsWhy: true },
  "after": { says: "What lines are said to be younger than doesn't hold", tellsWhy: true },
  "time": { says: "The server dated a checkpoint back", tellsWhy: true },
  "search": { says: "The search of the server's log doesn't hold", tellsWhy: true },
  "renewal": { says: "A renewal doesn't hold", tellsWhy: true },
  "policy": { says: "What you demanded is not there", tellsWhy: true },
};

function reasons({ findings, lines, foreign }: Found): string[] {
  const sentences = reasonSentences(lines, findings.failures(), FAILURES);
  return foreign === undefined ? sentences : [`${capital(foreign)}.`, ...sentences];
}

function authors({ result, receipt: { signer }, signers }: Found): string[] {
  if (result === "invalid") return [];
  const unsure = result === "undecided" ? "By certificates that are not checked: " : "";
  return [`${unsure}${authorsText(signers)}.`, `Exported by ${personText(signer.leaf.subject)}.`];
}

function integrity({ result, receipt: { from }, lines: { count, good }, opened, rights }: Found): string[] {
  if (result === "invalid") return [];
  const last = from + count - 1;
  const isWhole = good === count;
  const sentences = count === 1
    ? ["The line is as its author signed it, at its place in the room's log."]
    : isWhole
    ? [`No line between ${from} and ${last} was altered, reordered or left out.`]
    : [
      `No line between ${from} and ${last} was reordered or left out, and no other line than those named above was altered.`,
      "Each line named above has its place in the log, but nothing that it says counts.",
    ];
  if (opened.length > 0) {
    const which = opened.length === count ? "each line" : linesText(opened.map(({ index }) => index));
    sentences.push(`The text shown for ${which} is what was signed.`);
  }
  if (typeof rights !== "string") {
    sentences.push(
      `By the lines themselves, each author${
        isWhole ? "" : " of the others"
      } had joined, had consented to recording and ` +
        "was allowed to write each line; invitations and accounts are not in the record.",
    );
  }
  return result === "undecided" ? ["As far as this can be told without the CA:", ...sentences] : sentences;
}

function withheld({ result, receipt, findings, shown, lines: { count }, rights }: Found): string[] {
  if (result === "invalid") return [];
  const { from, checkpoint: { size } } = receipt;
  const closed = shown.judged.filter(({ index, isOpened }) => !isOpened && index >= from).map(({ index }) => index);
  const sentences: string[] = [];
  if (closed.length > 0) {
    const all = count === 1 ? "The text of the line." : `The text of all ${count} lines.`;
    sentences.push(closed.length === count ? all : `The text of ${linesText(closed)}.`);
  }
  if (typeof rights !== "string" && rights.erased > 0) {
    sentences.push(`Erased by its own author: the text of ${counted(rights.erased)}, taken to be words and no action.`);
  }
  const around = [
    ...(from > 0 ? [spanText(0, from)] : []),
    ...(size > shown.end ? [spanText(shown.end, size - shown.end)] : []),
  ];
  if (around.length > 0) sentences.push(`The log also has ${around.join(" and ")}, not shown here.`);
  return [...sentences, ...furtherNames(receipt, shown, findings)];
}

/** What was signed, and has no meaning here and isn't printed. */
function furtherNames({ further }: RoomReceipt, shown: ShownLines, findings: RoomFindings): string[] {
  const ofLines = shown.opened.flatMap(({ index, further }) =>
    further && !findings.bad.faultsOf(index) ? [`line ${index} (${quotedNames(further)})`] : []
  );
  return [
    ...(ofLines.length > 0 ? [`Signed fields that this program doesn't know, of ${someOf(ofLines)}.`] : []),
    ...(further.length > 0
      ? [`Signed fields of the receipt that this program doesn't know: ${quotedNames(further)}.`]
      : []),
  ];
}

function time(found: Found): string[] {
  const { result, receipt: { checkpoint, createdAt }, lines: { count }, at, now } = found;
  const judged = at === undefined
    ? []
    : [`Every certificate is judged as of ${momentText(at)}, by --at, and not as of the times in the evidence.`];
  const clock = now === undefined ? [] : ([["checkpoint", checkpoint.time * 1000], ["receipt", createdAt]] as const)
    .filter(([, time]) => time > now + MAX_CLOCK_DIFFERENCE)
    .map(([what, time]) =>
      `The ${what} is of ${momentText(time)}, and this computer's clock says ${momentText(now)}: one of them is wrong.`
    );
  if (result === "invalid") return [...judged, ...clock];
  const [first, last] = [firstCheckpoint(found), lastCheckpoint(found)];
  return [
    first === last
      ? `The server signed that it had ${count === 1 ? "the line" : "these lines"} by ${momentText(last.time * 1000)}.`
      : `The server signed that it had the first line by ${momentText(first.time * 1000)}, and the last by ` +
        `${momentText(last.time * 1000)}.`,
    ...stampSentences(found.log),
    ...renewalSentences(found.log),
    "The time shown with a line is its author's claim.",
    ...isTimed(found.log)
      ? []
      : ["A server and an author together could have backdated a line, limited only by what others had seen."],
    ...judged,
    ...clock,
  ];
}

/** Whether somebody whom the verifier named says when the lines existed. */
function isTimed({ summary }: LogFound): boolean {
  return summary?.isStamped === true || summary?.witnessedBy !== undefined;
}

function unknown({ result, receipt: { checkpoint: { size } }, rights, log }: Found): string[] {
  if (result === "invalid") return [];
  const sentences = [
    `Anything after line ${size - 1}; who held each key; ${
      isTimed(log) ? "" : "whether the clocks were right; "
    }whether anybody read what they had received${
      log.summary?.isWitnessed ? "" : "; whether isolated members were shown the same log"
    }.`,
    ...openSentences(log),
  ];
  if (typeof rights === "string") {
    return [
      ...sentences,
      `Whether each author had joined, had consented to recording and was allowed to write: not judged, since ${rights}.`,
    ];
  }
  if (rights.unvouched.length === 0) return sentences;
  const joins = rights.unvouched.map(({ index, username }) => `line ${index} as "${nameText(username)}"`);
  return [
    ...sentences,
    `Whether the same person joined again with a new certificate, in ${someOf(joins)}: only the server says so.`,
  ];
}
