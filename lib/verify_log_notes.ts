/**
 * The notes of a server's log that evidence shows: who signed, cosigned and stamped each, as far as the verifier named
 * them (docs/PROTOCOL.md, "What is shown of the server's log").
 *
 * @layer protocol
 */

import type { Bytes } from "./bytes.ts";
import type { Head } from "./log_envelope.ts";
import { MAX_NOTE_BYTES } from "./log_note.ts";
import { hasOwnForm, type LogNote, type NoteKey, openNote } from "./log_note_key.ts";
import { imprintOf, judgeToken, type TokenPolicy, type TokenVerdict } from "./timestamp_judge.ts";
import { cosignersOf, isSatisfied, satisfiedBy, satisfiedSince, type WitnessPolicy } from "./witness_policy.ts";
import type { Certificate, RevocationList } from "./x509.ts";

/** The checks of the server's log, in the order in which a verdict lists them. */
export const LOG_CHECKS = [
  "log form",
  "charter",
  "note",
  "log key",
  "head",
  "witness",
  "token",
  "after",
  "time",
  "search",
] as const;

/** One of {@link LOG_CHECKS}. */
export type LogCheckName = typeof LOG_CHECKS[number];

/** Whom the verifier goes by. */
export interface LogTrust extends TokenPolicy {
  /** Policies of witnesses, of which one that is satisfied suffices. */
  readonly policies: readonly WitnessPolicy[];
  /** The keys of logs that the verifier named. */
  readonly logs: readonly NoteKey[];
  /** Roots of time-stamping authorities, and how many of them have to stamp. */
  readonly roots: readonly Certificate[];
  readonly quorum: number;
  /** The verifier's clock, or the time as if it were, unix milliseconds. */
  readonly now: number;
  /** The time until which the tokens must hold: of the first renewal, else now (unix milliseconds). */
  readonly protectedAt: number;
}

/** The files beside a log.json. */
export interface LogFiles {
  /** `notes/<size>.note` and `tokens/<size>.<k>.tst`. */
  readonly names: readonly string[];
  /** The content; `undefined` if there is no such file. */
  read(name: string): Promise<Bytes | undefined>;
  /** Certificates of authorities, and revocation lists: to look things up in, never trusted. */
  readonly certificates: readonly Certificate[];
  readonly revocations: readonly RevocationList[];
}

/** What becomes of a check. */
export interface LogFindings {
  fail(check: LogCheckName, reason: string): void;
  skip(check: LogCheckName, reason: string): void;
}

/** A note with who signed and stamped it, as far as the verifier named them. */
export interface JudgedNote {
  readonly log: LogNote;
  /** When the first of the policies was satisfied, unix milliseconds; Infinity if none was. */
  readonly by: number;
  /** The latest time from which on the cosignatures satisfy a policy; -Infinity if none does. */
  readonly since: number;
  readonly cosigners: number;
  readonly named: number;
  readonly isSatisfied: boolean;
  readonly tokens: readonly { readonly file: string; readonly bytes: Bytes; readonly verdict: TokenVerdict }[];
}

/** The most tokens over one note. */
const MAX_TOKENS = 9;

/** The notes of one log. */
export class LogNotes {
  readonly #key: NoteKey;
  readonly #files: LogFiles;
  readonly #trust: LogTrust;
  readonly #findings: LogFindings;
  readonly #notes = new Map<number, Promise<JudgedNote | undefined>>();
  readonly #roots = new Map<number, string>();

  constructor(key: NoteKey, files: LogFiles, trust: LogTrust, findings: LogFindings) {
    this.#key = key;
    this.#files = files;
    this.#trust = trust;
    this.#findings = findings;
  }

  /** The note of that size, judged once; `undefined` if it doesn't hold, which is told. */
  note(size: number): Promise<JudgedNote | undefined> {
    const known = this.#notes.get(size) ?? this.#judgeNote(size);
    this.#notes.set(size, known);
    return known;
  }

  async #judgeNote(size: number): Promise<JudgedNote | undefined> {
    const name = `notes/${size}.note`;
    const bytes = await this.#files.read(name);
    if (!bytes) return undefined;
    const fail = (reason: string) => void this.#findings.fail("note", `${name} ${reason}`);
    const log = await openNote(bytes, this.#key, MAX_NOTE_BYTES);
    if (!log) return void fail("is not signed by the log's key");
    if (log.head.size !== size) return void fail("is of another size");
    if (!hasOwnForm(log, this.#key)) return void fail("has lines that no note of this log has");
    this.root(log.head);
    const tokens = [];
    for (let k = 1; k <= MAX_TOKENS; k++) {
      const file = `tokens/${size}.${k}.tst`;
      const token = await this.#files.read(file);
      if (!token) break;
      tokens.push({ file, bytes: token, verdict: await this.#judgeToken(file, token, bytes) });
    }
    return { log, tokens, ...await this.#cosigned(name, log) };
  }

  async #cosigned(name: string, log: LogNote) {
    const { policies, now } = this.#trust;
    let [by, since, named, satisfied] = [Infinity, -Infinity, 0, false];
    for (const policy of policies) {
      const cosigners = await cosignersOf(log.note, policy, Math.floor(now / 1000));
      if (!cosigners) {
        this.#findings.fail("note", `${name} has a line of a witness that you named, and it doesn't verify`);
        continue;
      }
      named = Math.max(named, cosigners.size);
      satisfied ||= isSatisfied(policy, cosigners);
      by = Math.min(by, 1000 * (satisfiedBy(policy, cosigners) ?? Infinity));
      since = Math.max(since, 1000 * (satisfiedSince(policy, cosigners) ?? -Infinity));
    }
    return { by, since, named, cosigners: log.note.signatures.length - 1, isSatisfied: satisfied };
  }

  async #judgeToken(file: string, token: Bytes, note: Bytes): Promise<TokenVerdict> {
    const { certificates, revocations } = this.#files;
    const evidence = { token, imprint: imprintOf(note), certificates, revocations };
    const { roots, now, protectedAt } = this.#trust;
    const verdict = await judgeToken(evidence, { roots }, this.#trust, { now, protectedAt });
    if (verdict.outcome === "wrong") this.#findings.fail("token", `${file}: ${verdict.reason}`);
    return verdict;
  }

  /** Takes a root that somebody saw or signed: two roots of one size of this log are two logs. */
  root({ size, root }: Head): void {
    const known = this.#roots.get(size);
    if (known !== undefined && known !== root) this.#findings.fail("log key", `the log has two roots of ${size} ticks`);
    this.#roots.set(size, root);
  }

  /** The K-th smallest time by which authorities that were named had stamped a note. */
  stampedBy({ tokens }: JudgedNote): number {
    const byRoot = new Map<string, number>();
    for (const { verdict } of tokens) {
      if (verdict.outcome !== "good") continue;
      const root = verdict.root.fingerprint;
      byRoot.set(root, Math.min(byRoot.get(root) ?? Infinity, verdict.by));
    }
    return [...byRoot.values()].sort((a, b) => a - b)[this.#trust.quorum - 1] ?? Infinity;
  }
}
