/**
 * What a verification of a room's evidence answers: the verdict, its sentence, and what the record proves and what it
 * doesn't (docs/PROTOCOL.md, "What a room's evidence proves").
 *
 * @layer protocol
 */

import { MAX_CLOCK_DIFFERENCE } from "./transcript.ts";
import type { Trust } from "./certificate_path.ts";
import { quoted, shortName } from "./text.ts";
import { type Check, type LineSigner, revocationNotes, signersText } from "./verify_verdict.ts";
import { type BadLine, type LineVerdicts, namesOf, someOf } from "./verify_bad_lines.ts";
import type { RoomCheckName, RoomFindings } from "./verify_findings.ts";
import type { RoomReceipt } from "./verify_form.ts";
import type { CertificateJudge } from "./verify_judge.ts";
import type { OpenedLine, ShownLines } from "./verify_lines.ts";
import type { Rights } from "./verify_rights.ts";
import { timeText } from "./verify_times.ts";

/** A line of a room that isn't good. */
export interface BadRoomLine extends BadLine<RoomCheckName> {
  /** Its words, where its author signed them and only had no right to: they are not to be shown as good. */
  readonly opened?: OpenedLine;
}

/** The answer. */
export interface RoomVerdict {
  /** `partly_valid`: some lines are bad, and all others stand. `invalid`: nothing stands. */
  readonly result: "valid" | "partly_valid" | "invalid" | "undecided";
  /** One plain sentence. */
  readonly sentence: string;
  readonly checks: readonly Check<RoomCheckName>[];
  /** What the record proves, and what it doesn't. */
  readonly notes: readonly string[];
  readonly signers: readonly LineSigner[];
  readonly lines: LineVerdicts<BadRoomLine>;
  /** The SHA-256 of each CA that certificates of the evidence lead to: of those given, the ones that judged. */
  readonly judges: readonly string[];
  /** Who said what in lines that are good, in order; nothing where the verdict is "invalid". */
  readonly opened: readonly OpenedLine[];
}

/** What a verdict is made of. */
export interface Outcome {
  readonly receipt: RoomReceipt;
  readonly findings: RoomFindings;
  readonly shown: ShownLines;
  readonly trust: Trust;
  /** Where the certificates are of another CA than those given: which. */
  readonly foreign: string | undefined;
  readonly judge: CertificateJudge;
  /** What came out of judging rights, or why that was not done. */
  readonly rights: Rights | string;
  /** The verifier's clock, unix milliseconds. */
  readonly now: number | undefined;
}

/** The verdict where nothing of a receipt can be judged. */
export function unreadable(findings: RoomFindings): RoomVerdict {
  for (const { name } of findings.list()) if (name !== "form") findings.skip(name, "the receipt's form is wrong");
  return {
    ...{ result: "invalid", sentence: "Invalid: this is no room's receipt or line proof (form)." },
    ...{
      checks: findings.list(),
      notes: [],
      signers: [],
      opened: [],
      lines: { from: 0, count: 0, good: 0, bad: [] },
      judges: [],
    },
  };
}

/** The verdict. */
export function conclude(outcome: Outcome): RoomVerdict {
  const judges = [...outcome.judge.authorities];
  const { receipt: { from }, findings, shown } = outcome;
  const checks = findings.list();
  const signers = shown.signers;
  const count = shown.end - from;
  const verdicts = findings.bad.verdicts(from, count);
  const { good } = verdicts;
  const isInvalid = findings.isFalse() || good === 0;
  const lines = { ...verdicts, bad: isInvalid ? verdicts.bad : withWords(verdicts.bad, shown) };
  if (isInvalid) {
    const failed = checks.filter((check) => check.outcome === "failed").map(({ name }) => name).join(", ");
    const sentence = findings.isFalse()
      ? `Invalid: what is shown of this room does not hold (${failed}).`
      : `Invalid: no line that is shown of this room is good (${failed}).`;
    return { result: "invalid", sentence, checks, notes: [], signers, lines, judges, opened: [] };
  }
  const opened = shown.opened.filter(({ index }) => !findings.bad.faultsOf(index));
  const notes = notesOn(outcome, opened.length);
  if (findings.isOpen) {
    const holds = good < count
      ? `of ${count} lines ${good} hold, as far as could be checked`
      : "what could be checked holds";
    const why = outcome.foreign ?? "without a CA nobody knows whose signatures these are";
    const sentence = `Undecided: ${outcome.foreign === undefined ? `${holds}, but ` : ""}${why}.`;
    return { result: "undecided", sentence, checks, notes, signers, lines, judges, opened };
  }
  const result = good < count ? "partly_valid" : "valid";
  const sentence = sentenceOf(outcome, signers, lines, opened.length);
  return { result, sentence, checks, notes, signers, lines, judges, opened };
}

function withWords(bad: readonly BadLine<RoomCheckName>[], shown: ShownLines): BadRoomLine[] {
  const words = new Map(shown.opened.map((line) => [line.index, line] as const));
  return bad.map((line) => {
    const opened = line.faults.every(({ check }) => check === "rights") ? words.get(line.index) : undefined;
    return opened ? { ...line, opened } : line;
  });
}

function sentenceOf(
  { receipt, shown }: Outcome,
  signers: readonly LineSigner[],
  lines: LineVerdicts,
  opened: number,
): string {
  const { count, good } = lines;
  const { from, origin, signer } = receipt;
  const which = count === 1 ? `line ${from}` : `lines ${from} to ${shown.end - 1}`;
  const by = signersText(signers);
  const words = opened === 0 ? "the words are not shown" : `${opened} of ${count} opened`;
  const said = `signed by ${by}, shown by "${shortName(signer.leaf.subject)}"; ${words}.`;
  if (good === count) return `Valid: ${which} of ${origin}, ${said}`;
  return `Partly valid: of ${which} of ${origin} ${good} hold, ${said} Not good: ${namesOf(lines)}.`;
}

function notesOn(outcome: Outcome, openedCount: number): string[] {
  const { receipt: { from, earlier, checkpoint }, findings, shown, trust, judge } = outcome;
  const [end, count, time] = [shown.end, shown.end - from, timeText(checkpoint.time * 1000)];
  const isWhole = findings.bad.size === 0;
  const each = isWhole ? "Each line" : "Each good line";
  const by = earlier.length === 0
    ? `by ${time}`
    : `by the time of the first checkpoint shown that covers it, the last of ${time}`;
  return [
    `${each}: this key signed these bytes, and the server placed them here ${by}.`,
    openedCount === 0
      ? "The words themselves are not shown: no line is opened."
      : `Opened, so that these are the words: ${openedCount} of ${count} lines.`,
    "Between two shown lines of one author none is missing, and none before seqno 0.",
    `Between ${from} and ${end} none is missing. After the last shown, and after ${checkpoint.size}: unknown.`,
    ...(isWhole ? [] : [
      "A bad line has its place in the log, and nothing that it says counts here: whether its author wrote it, or " +
      "another line stood there for its author, is what its reason says or leaves open.",
    ]),
    ...rightsNotes(outcome.rights),
    ...furtherNotes(outcome),
    ...clockNotes(outcome),
    "Not proved: who held the key; that a line's own time is true (server and author together can backdate, bounded " +
    "only by what others had seen); that what was seen was read; that members kept wholly apart saw the same log.",
    ...revocationNotes(trust, judge),
  ];
}

function rightsNotes(rights: Rights | string): string[] {
  if (typeof rights === "string") {
    return [`Not judged: roles, membership and consent, since ${rights}. An act in a line is its author's word alone.`];
  }
  const erased = rights.erased === 0
    ? ""
    : ` Closed, since their own authors erased them, and taken to be words, not acts: ${rights.erased} of the lines.`;
  const notes = [
    "Roles, membership and consent are judged from the lines, which show no rule of who is invited, and no account " +
    `that a certificate is bound to.${erased}`,
  ];
  if (rights.unvouched.length === 0) return notes;
  const joins = rights.unvouched.map(({ index, username }) => `line ${index} (${quoted(username)})`);
  const whose = "so that only the server says that it is the same person";
  return [
    ...notes,
    `Joined under a name that another certificate had first and never vouched for, ${whose}: ${someOf(joins)}.`,
  ];
}

/** More names than {@link someOf} lists. */
const MAX_QUOTED = 20;

/** What was signed and isn't printed. */
function furtherNotes({ receipt, shown }: Outcome): string[] {
  const listed = (names: readonly string[]) => someOf(names.slice(0, MAX_QUOTED).map(quoted), names.length);
  const ofLines = shown.opened.flatMap(({ index, further }) => further ? [`line ${index} (${listed(further)})`] : []);
  const notes: string[] = [];
  if (ofLines.length > 0) notes.push(`Signed beside the words and not shown here, names in: ${someOf(ofLines)}.`);
  if (receipt.further.length > 0) {
    notes.push(`Signed with the receipt, and not judged here, the names: ${listed(receipt.further)}.`);
  }
  return notes;
}

/** Times that the verifier's own clock has not reached. */
function clockNotes({ receipt: { checkpoint, createdAt }, now }: Outcome): string[] {
  if (now === undefined) return [];
  const late = [["checkpoint", checkpoint.time * 1000], ["receipt", createdAt]] as const;
  return late.filter(([, at]) => at > now + MAX_CLOCK_DIFFERENCE).map(([what, at]) =>
    `The ${what} is of ${timeText(at)}, and this computer's clock says ${timeText(now)}: one of them is wrong.`
  );
}
