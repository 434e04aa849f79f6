/**
 * What a verification of a session's evidence answers: the result and its rows, as `verify_rows.ts` describes them
 * (docs/PROTOCOL.md, "The end, and receipts").
 *
 * @layer protocol
 */

import type { Trust } from "./certificate_path.ts";
import { quoted } from "./text.ts";
import { formatTime } from "./time_text.ts";
import type { BadLine, LineVerdicts } from "./verify_bad_lines.ts";
import type { Certificates } from "./verify_certificates.ts";
import type { ReceiptFields } from "./verify_receipt.ts";
import {
  authorsText,
  authorText,
  capital,
  counted,
  type FailureText,
  FIRST_WORDS,
  linesText,
  momentText,
  periodText,
  personText,
  reasonSentences,
  type Result,
  revocationSentences,
  type Row,
  rowsOf,
  type RowTable,
  spanText,
  trustSentences,
} from "./verify_rows.ts";
import type { CheckName } from "./verify_session_checks.ts";
import type { SessionLog } from "./verify_session.ts";
import type { Check, LineSigner } from "./verify_verdict.ts";

/** What the receipt says it is; anybody could have written this if the result is not `valid` or `partly_valid`. */
export interface AboutSession {
  readonly type: "session";
  /** The side that signed the receipt. */
  readonly signed_by: string | null;
  readonly created_at: string | null;
  /** Of a version-2 session: its hash, and the certificate of the other side. */
  readonly session: string | null;
  readonly other_fingerprint: string | null;
}

/** The answer. */
export interface Verdict {
  readonly result: Result;
  /** The first row: the answer, and what it is about. */
  readonly sentence: string;
  /** What is proved, and what isn't. */
  readonly rows: readonly Row[];
  readonly checks: readonly Check<CheckName>[];
  /** The receipt's fields that nobody signed: anybody could have written them. Empty for version 2. */
  readonly unsigned: readonly string[];
  /** Who signed the lines that are good. */
  readonly signers: readonly LineSigner[];
  readonly lines: LineVerdicts;
  /** The SHA-256 of each CA that certificates of the evidence lead to: of those given, the ones that judged. */
  readonly judges: readonly string[];
  readonly about: AboutSession;
}

/** What a verdict is made of. */
export interface Outcome {
  readonly receipt: ReceiptFields;
  readonly checks: readonly Check<CheckName>[];
  readonly signers: readonly LineSigner[];
  readonly lines: LineVerdicts<BadLine<CheckName>>;
  readonly people: Certificates;
  readonly log: SessionLog;
  /** What the verifier was given. */
  readonly given: Trust;
  /** If the certificates are of another CA than those given: which. */
  readonly foreign: string | undefined;
  /** What is odd about times and doesn't refute the evidence. */
  readonly timeNotes: readonly string[];
  /** A time at which all certificates were judged, unix milliseconds. */
  readonly at: number | undefined;
  /** The verifier's clock, unix milliseconds. */
  readonly now: number | undefined;
}

interface Found extends Outcome {
  readonly result: Result;
}

/** The checks that are about single lines: one that fails for a line leaves the others as they are. */
const LINE_CHECKS: ReadonlySet<CheckName> = new Set(["line certificates", "line signatures"]);

/** The verdict. */
export function conclude(outcome: Outcome): Verdict {
  const { receipt, checks, signers, lines, people } = outcome;
  const result = resultOf(checks, lines);
  const found = { ...outcome, result };
  return {
    result,
    sentence: `${FIRST_WORDS[result]} ${headline(found)}`,
    rows: rowsOf(ROWS, found),
    checks,
    unsigned: receipt.unsigned,
    signers,
    lines,
    judges: [...people.authorities],
    about: {
      type: "session",
      signed_by: receipt.signer?.leaf.fingerprint ?? null,
      created_at: receipt.createdAt === undefined ? null : formatTime(receipt.createdAt),
      session: receipt.session ?? null,
      other_fingerprint: receipt.other ?? null,
    },
  };
}

function resultOf(checks: readonly Check<CheckName>[], { count, good }: LineVerdicts): Result {
  const isFalse = checks.some(({ name, outcome }) => outcome === "failed" && !LINE_CHECKS.has(name));
  if (isFalse || (count > 0 && good === 0)) return "invalid";
  // The statement signature is the one check that a valid receipt may lack: version 1 has none.
  const isOpen = checks.some(({ name, outcome }) => outcome === "not checked" && name !== "statement signature");
  return isOpen ? "undecided" : good < count ? "partly_valid" : "valid";
}

// ---- the first row

function headline({ result, receipt, lines, foreign }: Found): string {
  const span = spanText(lines.from, lines.count);
  if (result === "invalid") return `A session, ${span}: rely on none of it.`;
  if (result === "undecided") {
    return `A session, ${span}: ${
      foreign === undefined
        ? "without the CA's certificate nobody can tell whose signatures these are."
        : "another CA than the one given issued these certificates."
    }`;
  }
  const person = personText(receipt.signer?.leaf.subject ?? "");
  const whose = receipt.role === "server" ? `with ${person}` : `as recorded by ${person}`;
  const bad = linesText(lines.bad.map(({ index }) => index), lines.count - lines.good);
  const except = result === "valid" ? "" : ` except ${bad}`;
  const when = receipt.isVersion2 && receipt.createdAt !== undefined
    ? `, receipt of ${momentText(receipt.createdAt)}`
    : "";
  return `A session ${whose}, ${span}${except}${when}`;
}

// ---- the rows below it

const ROWS: RowTable<Found> = {
  Reasons: reasons,
  Authors: authors,
  Integrity: integrity,
  Withheld: ({ result }) =>
    result === "invalid" ? [] : ["The words: a session's transcript is encrypted, and its key is not kept."],
  Time: time,
  Unknown: unknown,
  Revocation: ({ people, result }) => result === "invalid" ? [] : revocationSentences(people.trust, people),
  Trusted: ({ given, people }) => trustSentences(given, [...people.authorities]),
};

/** What a failed check means. Checks of single lines name their lines instead. */
const FAILURES: Readonly<Partial<Record<CheckName, FailureText>>> = {
  "receipt form": { says: "The receipt is malformed", tellsWhy: true },
  "transcript form": { says: "The transcript is malformed", tellsWhy: true },
  "transcript hash": {
    says: "The transcript is not the one that was signed: lines were altered, reordered, added or left out",
    tellsWhy: false,
  },
  "message count": { says: "The number of lines is not the receipt's", tellsWhy: false },
  "first seqno": { says: "The first line is not the one that the receipt names", tellsWhy: false },
  "last seqno": { says: "The last line is not the one that the receipt names", tellsWhy: false },
  "signer certificate": { says: "The receipt's signer can't be relied on", tellsWhy: true },
  "receipt signature": { says: "The receipt is not signed by its signer for this transcript", tellsWhy: false },
  "statement signature": { says: "The signature over all fields of the receipt doesn't hold", tellsWhy: true },
  "session": { says: "The receipt is not this session's", tellsWhy: true },
  "line order": { says: "An author's sequence numbers do not rise", tellsWhy: true },
  "room lines": { says: "Lines were written in a room, and not in a session", tellsWhy: true },
  "times": { says: "Times contradict each other", tellsWhy: true },
};

function reasons({ checks, lines, foreign }: Found): string[] {
  const failed = checks.filter(({ name, outcome }) => outcome === "failed" && !LINE_CHECKS.has(name));
  const sentences = reasonSentences(lines, failed, FAILURES);
  return foreign === undefined ? sentences : [`${capital(foreign)}.`, ...sentences];
}

/** So many are named who wrote lines and weren't the session's client; more are counted. */
const MAX_STRANGERS = 10;

/** Nothing in a line says of which session it is: whoever signs a receipt may put into it what others signed elsewhere. */
function authors({ result, receipt, signers }: Found): string[] {
  if (result === "invalid") return [];
  const unsure = result === "undecided" ? "By certificates that are not checked: " : "";
  const sentences = signers.length === 0 ? [] : [`${unsure}${authorsText(signers)}.`];
  if (receipt.signer) sentences.push(`Receipt signed by ${personText(receipt.signer.leaf.subject)}.`);
  const client = receipt.role === "client" ? receipt.fingerprint : receipt.other;
  const strangers = client === undefined ? [] : signers.filter(({ fingerprint }) => fingerprint !== client);
  for (const stranger of strangers.slice(0, MAX_STRANGERS)) {
    sentences.push(
      `Not this session's client: ${authorText(stranger, signers)}, whose lines may come from elsewhere.`,
    );
  }
  const more = strangers.length - MAX_STRANGERS;
  if (more > 0) sentences.push(`${more} more authors are not this session's client.`);
  return sentences;
}

function integrity({ result, receipt, lines: { count, good } }: Found): string[] {
  if (result === "invalid") return [];
  const sentences = [
    `Since the receipt was signed, no line was altered, added, reordered or left out.`,
    ...(good < count ? ["The lines named above are in the receipt, but nothing shows who wrote them."] : []),
    receipt.isVersion2
      ? "Every field of the receipt is signed."
      : `A version-1 receipt: nobody signed ${unsignedText(receipt.unsigned)}; anybody could have written them.`,
  ];
  return result === "undecided" ? ["As far as this can be told without the CA:", ...sentences] : sentences;
}

function time({ result, receipt, log, timeNotes, at, now }: Found): string[] {
  const judged = at === undefined
    ? []
    : [`Every certificate is judged as of ${momentText(at)}, by --at, and not as of the times in the evidence.`];
  const clock = log.clockNotes(receipt.createdAt, now);
  if (result === "invalid") return [...judged, ...clock];
  const { period } = log;
  const claims = period === undefined ? [] : [
    `By their authors' own clocks the lines are of ${periodText(period.from, period.to)}.`,
    receipt.role === "server"
      ? "A server refuses messages that are more than 5 minutes from its own clock."
      : "Nobody else confirms these times.",
  ];
  return [...claims, ...timeNotes, ...judged, ...clock];
}

function unknown({ result, receipt: { role }, log: { roomLike } }: Found): string[] {
  if (result === "invalid") return [];
  return [
    ...(role === "client"
      ? ["Whether the server accepted these lines, or ever saw them: it signed nothing here."]
      : []),
    "What else was said (a refused message leaves no line); who held each key; whether the clocks were right.",
    ...(roomLike > 0
      ? [`Whether ${counted(roomLike)} that may be a room's, by the length of the body, belong to this session.`]
      : []),
  ];
}

/** Fields that version 1 doesn't sign and that this program knows; the names of others are somebody's own words. */
const KNOWN_UNSIGNED = ["certs", "created_at", "other_fingerprint", "peer"];
/** So many names of unknown fields are listed; more are counted. */
const MAX_UNKNOWN = 3;

/** Fields' names in a sentence: known ones as they are, others in quotes and as what they are. */
export function unsignedText(names: readonly string[]): string {
  const known = names.filter((name) => KNOWN_UNSIGNED.includes(name));
  const unknown = names.filter((name) => !KNOWN_UNSIGNED.includes(name));
  if (unknown.length === 0) return known.join(", ");
  const shown = unknown.slice(0, MAX_UNKNOWN).map(quoted).join(", ");
  const more = unknown.length > MAX_UNKNOWN ? ` and ${unknown.length - MAX_UNKNOWN} more` : "";
  return [...known, `${counted(unknown.length, "unknown field")} (${shown}${more})`].join(", ");
}
