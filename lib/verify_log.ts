/**
 * What the server's log adds to a room's evidence (docs/PROTOCOL.md, "What is shown of the server's log"): that a head
 * of the room was registered, that witnesses cosigned the log and authorities stamped it, and so between which two times
 * each line was made.
 *
 *     charter ── the server's certificate vouches for the log's key
 *     head ───── the room's head → its tick → a note     cosigned (witness), stamped (token): the lines existed by then
 *     after ──── the log that a line names → a tick → a token or note: the line was written after it
 *
 * The verifier names whom it goes by: policies of witnesses, the log's key, roots of authorities. Nothing that comes
 * with the evidence is trusted. A token that is wrong fails; one whose authority nobody named counts for nothing.
 *
 * @layer protocol
 */

import { type Bytes, encodeBase64, encodeHex, encodeUtf8, parseHex } from "./bytes.ts";
import { sha256 } from "./hash.ts";
import { type Charter, charterHash, isCharterSigned, parseCharter } from "./log_charter.ts";
import type { Checkpoint } from "./log_checkpoint.ts";
import type { Head, LogPin } from "./log_envelope.ts";
import type { LogEvidence, ShownAfter, ShownHead, ShownNote } from "./log_evidence.ts";
import { parseOrigin } from "./log_line.ts";
import { isSameKey, KEY_TYPE, type NoteKey, parseVkey } from "./log_note_key.ts";
import { areTagsOf, headHash, parseTick, placeOfTag, tagOf, type Tick } from "./log_tick.ts";
import { leafHash, verifyInclusion } from "./log_tree.ts";
import { VerifyingKey } from "./pss.ts";
import type { CertificateJudge } from "./verify_judge.ts";
import {
  type JudgedNote,
  LOG_CHECKS,
  type LogFiles,
  type LogFindings,
  LogNotes,
  type LogTrust,
} from "./verify_log_notes.ts";
import { parseChain } from "./verify_verdict.ts";

export { LOG_CHECKS, type LogCheckName, type LogFiles, type LogFindings, type LogTrust } from "./verify_log_notes.ts";

/** The receipt's part that the log is about. */
export interface LogSubject {
  readonly origin: string;
  readonly checkpoint: Checkpoint;
  /** Earlier checkpoints, within the lines. */
  readonly earlier: readonly Checkpoint[];
}

/** What the server's log says of the receipt's checkpoint. */
export interface LogSummary {
  readonly origin: string;
  /** The number of the cosignatures over the checkpoint's note, and how many are of witnesses that were named. */
  readonly cosignatures: number;
  readonly cosigners: number;
  readonly isWitnessed: boolean;
  /** By when witnesses had seen the log, unix milliseconds. */
  readonly witnessedBy: number | undefined;
  readonly isStamped: boolean;
  readonly stampedBy: number | undefined;
  /** When the first certificate ends on which these stamps rely, unix milliseconds; and whether that has come. */
  readonly stampEnds: number | undefined;
  readonly hasEnded: boolean;
  /** The subjects of the authorities that stamped it. */
  readonly authorities: readonly string[];
  /** Why tokens count for nothing, once each. */
  readonly passedOver: readonly string[];
}

/** Judges what is shown of the server's log; lines are held against it in their order. */
export class LogJudge {
  readonly #evidence: LogEvidence;
  readonly #files: LogFiles;
  readonly #trust: LogTrust;
  readonly #subject: LogSubject;
  readonly #findings: LogFindings;
  #charter: Charter | undefined;
  #notes: LogNotes | undefined;
  /** By when the lines below a size existed, in the order of the sizes. */
  #bounds: { readonly size: number; readonly by: number }[] = [];
  /** Times that the entries of `after` state, by the head of the log that they are in. */
  readonly #after = new Map<string, AfterTimes>();
  readonly #clockNotes: string[] = [];
  /** The greatest `since` of the opened lines up to an index. */
  readonly #lines: { readonly index: number; readonly since: number }[] = [];
  #summary: LogSummary | undefined;

  constructor(
    subject: LogSubject,
    evidence: LogEvidence,
    files: LogFiles,
    trust: LogTrust,
    findings: LogFindings,
  ) {
    this.#subject = subject;
    this.#evidence = evidence;
    this.#files = files;
    this.#trust = trust;
    this.#findings = findings;
  }

  /** Whom the verifier goes by. */
  get trust(): LogTrust {
    return this.#trust;
  }

  /** What is known of the receipt's checkpoint; `undefined` if the log doesn't hold. */
  get summary(): LogSummary | undefined {
    return this.#summary;
  }

  /** Judges charter, notes, tokens, heads and `after`: all but the lines. */
  async judge(certificates: CertificateJudge): Promise<void> {
    await this.#checkCharter(certificates);
    const notes = this.#notes;
    if (!this.#charter || !notes) {
      for (const check of LOG_CHECKS) {
        if (check !== "charter" && check !== "log form") this.#findings.skip(check, "the charter doesn't hold");
      }
      return;
    }
    await this.#checkFiles(notes);
    for (const head of this.#evidence.heads) await this.#checkHead(head, notes);
    this.#sortBounds();
    for (const after of this.#evidence.after) await this.#checkAfter(after, notes);
    await this.#summarise(notes);
    if (!this.#evidence.search) this.#findings.skip("search", "the ticks are not shown");
  }

  // ---- the log itself

  async #checkCharter(judge: CertificateJudge): Promise<void> {
    const fail = (reason: string) => this.#findings.fail("charter", reason);
    const charter = parseCharter(this.#evidence.charter);
    const key = charter && parseVkey(charter.vkey);
    if (!charter || !key || key.type !== KEY_TYPE.log) return fail("it has another form");
    const server = parseOrigin(this.#subject.origin)?.server ?? "";
    if (!charter.origin.toLowerCase().startsWith(`${server.toLowerCase()}/log/`)) {
      return fail("it is of another server's log");
    }
    const chains = this.#evidence.certs.map((pem) => parseChain(encodeBase64(encodeUtf8(pem))));
    if (chains.includes(undefined)) return fail("a certificate beside it has another form");
    const [chain, ...others] = chains;
    if (others.length > 0) return fail("more certificates than its signer's stand beside it");
    const leaf = chain?.leaf;
    if (!chain || leaf?.fingerprint !== charter.from || !leaf.rsa) {
      return fail("its signer's certificate is not at hand");
    }
    if (!isCharterSigned(charter, new VerifyingKey(leaf.rsa.modulus))) return fail("its signature doesn't verify");
    const names = leaf.hostNames?.dnsNames.map((name) => name.toLowerCase()) ?? [];
    if (!names.includes(server.toLowerCase())) return fail("its signer's certificate is not for this server");
    const { problems, revoked, isMade } = await judge.at(chain, "server", 1000 * charter.time);
    if (!isMade) this.#findings.skip("charter", "no CA is given that issued its signer's certificate");
    for (const problem of [...problems, ...revoked]) fail(problem);
    if (problems.length + revoked.length > 0) return;
    this.#charter = charter;
    this.#checkNamed(key);
    this.#notes = new LogNotes(key, this.#files, this.#trust, this.#findings);
  }

  #checkNamed(key: NoteKey): void {
    const named = [...this.#trust.logs, ...this.#trust.policies.flatMap(({ logs }) => logs.map((log) => log.key))];
    if (named.length === 0) {
      return this.#findings.skip("log key", "no log was named: whether the server keeps a second one was not checked");
    }
    if (!named.some((each) => isSameKey(each, key))) {
      this.#findings.fail("log key", `the log ${key.name} is none of those that were named`);
    }
  }

  /** Every note and token has to be referred to, and each note has to be of this log. */
  async #checkFiles(judged: LogNotes): Promise<void> {
    const { heads, after } = this.#evidence;
    const wanted = new Set<string>([
      ...heads.flatMap(({ notes }) => notes.map(({ size }) => `notes/${size}.note`)),
      ...after.flatMap(({ file }) => [file, file.replace(/^tokens\/([0-9]+)\..*$/, "notes/$1.note")]),
    ]);
    for (const name of this.#files.names) {
      const note = name.replace(/^tokens\/([0-9]+)\..*$/, "notes/$1.note");
      if (!wanted.has(name) && !wanted.has(note)) this.#findings.fail("log form", `nothing refers to ${name}`);
    }
    for (const name of wanted) {
      if (!this.#files.names.includes(name)) this.#findings.fail("log form", `there is no ${name}`);
      const [, size] = /^notes\/([0-9]+)\.note$/.exec(name) ?? [];
      if (size !== undefined) await judged.note(Number(size));
    }
  }

  // ---- heads and what lines are younger than

  async #checkHead(head: ShownHead, notes: LogNotes): Promise<void> {
    const name = `the head of ${head.size} in tick ${head.tick}`;
    const fail = (reason: string) => void this.#findings.fail("head", `${name} ${reason}`);
    const { origin, checkpoint, earlier } = this.#subject;
    const isShown = [checkpoint, ...earlier].some((each) =>
      each.time === head.time && each.size === head.size && each.root === head.root
    );
    if (!isShown) return fail("is of no checkpoint that the receipt shows");
    const tick = parseTick(head.leaf);
    if (!tick?.heads || !areTagsOf(tick, head.tags)) return fail("stands in a tick of another form, or has other tags");
    const place = placeOfTag(head.tags, tagOf(origin, head.tick));
    if (place === undefined) return fail("is not registered there");
    const tree = { size: tick.heads.count, root: hexBytes(tick.heads.hashes) };
    if (!verifyInclusion(leafHash(headHash({ ...head, origin })), place, head.hashes, tree)) {
      return fail("is not the one that the tick registers");
    }
    this.#checkCharterHash(head.tick, tick);
    let by = Infinity;
    for (const shown of head.notes) by = Math.min(by, await boundOf(head, shown, notes, fail));
    this.#bounds.push({ size: head.size, by });
    if (head.time * 1000 > by + CLOCK_DIFFERENCE) {
      this.#clockNotes.push(`the checkpoint of ${head.size} states a time after it was registered`);
    }
  }

  /** Notes about clocks, for the verdict. */
  get clockNotes(): readonly string[] {
    return this.#clockNotes;
  }

  #checkCharterHash(index: number, { charter }: Tick): void {
    const isFirst = index === 0;
    const expected = this.#charter && charterHash(this.#charter.object);
    if (isFirst ? charter !== expected : charter !== undefined) {
      this.#findings.fail("charter", `tick ${index} of the log names another one`);
    }
  }

  async #checkAfter(after: ShownAfter, notes: LogNotes): Promise<void> {
    const name = `what precedes the log of ${after.size}`;
    const fail = (reason: string) => void this.#findings.fail("after", `${name} ${reason}`);
    const tree = { size: after.size, root: hexBytes(after.root) };
    if (!verifyInclusion(leafHash(after.leaf), after.tick, after.path, tree)) {
      return fail(`is not in its tick ${after.tick}`);
    }
    const tick = parseTick(after.leaf);
    const file = await this.#files.read(after.file);
    if (!tick || !file) return fail("has another form");
    const isNamed = after.file.startsWith("notes/")
      ? tick.note === encodeHex(sha256(file))
      : tick.tokens?.includes(encodeHex(sha256(file))) ?? false;
    if (!isNamed) return fail(`is not named in its tick ${after.tick}`);
    this.#checkCharterHash(after.tick, tick);
    const note = await notes.note(Number(/([0-9]+)\./.exec(after.file)?.[1]));
    if (note) this.#takeAfter(after, note);
  }

  #takeAfter({ size, root, file }: ShownAfter, note: JudgedNote): void {
    const place = `${size} ${root}`;
    const times = this.#after.get(place) ?? { witnessed: -Infinity, stamped: new Map() };
    this.#after.set(place, times);
    if (file.startsWith("notes/")) times.witnessed = Math.max(times.witnessed, note.since);
    const verdict = note.tokens.find((token) => token.file === file)?.verdict;
    if (verdict?.outcome !== "good") return;
    const authority = verdict.root.fingerprint;
    times.stamped.set(authority, Math.max(times.stamped.get(authority) ?? -Infinity, verdict.since));
  }

  async #summarise(judged: LogNotes): Promise<void> {
    const { checkpoint } = this.#subject;
    const head = this.#evidence.heads.find(({ time, size, root }) =>
      time === checkpoint.time && size === checkpoint.size && root === checkpoint.root
    );
    const notes: JudgedNote[] = [];
    for (const { size } of head?.notes ?? []) {
      const note = await judged.note(size);
      if (note) notes.push(note);
    }
    const best = notes.toSorted((a, b) => a.by - b.by)[0];
    const tokens = notes.flatMap((note) => note.tokens.map(({ verdict }) => verdict));
    const good = tokens.filter((token) => token.outcome === "good");
    const stampedBy = Math.min(Infinity, ...notes.map((note) => judged.stampedBy(note)));
    const isWitnessed = notes.some((note) => note.isSatisfied);
    this.#summary = {
      origin: this.#charter?.origin ?? "",
      cosignatures: Math.max(0, ...notes.map((note) => note.cosigners)),
      cosigners: Math.max(0, ...notes.map((note) => note.named)),
      isWitnessed,
      witnessedBy: best && Number.isFinite(best.by) ? best.by : undefined,
      isStamped: Number.isFinite(stampedBy),
      stampedBy: Number.isFinite(stampedBy) ? stampedBy : undefined,
      stampEnds: good.length === 0 ? undefined : Math.min(...good.map(({ ends }) => ends)),
      hasEnded: good.some((token) => token.hasEnded),
      authorities: [...new Set(good.map(({ signer }) => signer.subject))],
      passedOver: [...new Set(tokens.flatMap((token) => token.outcome === "nothing" ? [token.reason] : []))],
    };
    this.#skipOpen(head !== undefined, this.#summary, tokens.length);
  }

  #skipOpen(isRegistered: boolean, summary: LogSummary, tokens: number): void {
    const { policies, roots } = this.#trust;
    if (!isRegistered) {
      this.#findings.skip("witness", "the receipt's checkpoint is not registered");
      this.#findings.skip("token", "the receipt's checkpoint is not registered");
      return;
    }
    if (policies.length === 0) this.#findings.skip("witness", "no witness was named");
    else if (!summary.isWitnessed) {
      this.#findings.skip(
        "witness",
        `${summary.cosignatures} cosignatures, ${summary.cosigners} of witnesses that you named: too few`,
      );
    }
    if (tokens === 0) this.#findings.skip("token", "no time-stamp token is shown");
    else if (roots.length === 0) this.#findings.skip("token", "no root of a time-stamping authority was named");
    else if (!summary.isStamped) {
      this.#findings.skip("token", summary.passedOver[0] ?? "too few authorities that you named");
    }
  }

  // ---- lines

  /** Of each bound the least of those behind it: a head covers every line below its size. */
  #sortBounds(): void {
    this.#bounds.sort((a, b) => a.size - b.size);
    let least = Infinity;
    this.#bounds = this.#bounds.reverse().map(({ size, by }) => ({ size, by: least = Math.min(least, by) })).reverse();
  }

  /** By when the line of that index existed, unix milliseconds; `undefined` if nobody who was named says. */
  by(index: number): number | undefined {
    const at = firstAt(this.#bounds, ({ size }) => size > index);
    const by = this.#bounds[at]?.by ?? Infinity;
    return Number.isFinite(by) ? by : undefined;
  }

  /**
   * Takes an opened line: the head of the log that it names, and what its author had seen. Its `since`, unix
   * milliseconds: the line is not older; `undefined` if nobody who was named says. Lines come in their order.
   */
  line(index: number, { log, seen }: { readonly log: LogPin | undefined; readonly seen: Head }): number | undefined {
    if (log) this.#checkPin(index, log);
    const own = log ? this.#sinceOf(log) : -Infinity;
    const inherited = this.#sinceBelow(seen.size);
    const since = Math.max(own, inherited);
    const last = this.#lines.at(-1)?.since ?? -Infinity;
    this.#lines.push({ index, since: Math.max(last, since) });
    return Number.isFinite(since) ? since : undefined;
  }

  #checkPin(index: number, { id, size, root }: LogPin): void {
    const charter = this.#charter;
    if (!charter) return;
    if (charter.origin.endsWith(`/${id}`)) return this.#notes?.root({ size, root });
    const earlier = charter.was.find(({ origin }) => origin.endsWith(`/${id}`));
    if (!earlier) this.#findings.fail("log key", `line ${index} names another log of the server`);
    else if (earlier.size === size && earlier.root !== root) {
      this.#findings.fail("log key", `line ${index} names another head of the log before`);
    }
  }

  #sinceOf({ id, size, root }: LogPin): number {
    if (!this.#charter?.origin.endsWith(`/${id}`)) return -Infinity;
    const times = this.#after.get(`${size} ${root}`);
    if (!times) return -Infinity;
    const stamped = [...times.stamped.values()].sort((a, b) => b - a)[this.#trust.quorum - 1] ?? -Infinity;
    return Math.max(times.witnessed, stamped);
  }

  /** The greatest `since` of the opened lines below an index. */
  #sinceBelow(end: number): number {
    const at = firstAt(this.#lines, ({ index }) => index >= end);
    return this.#lines[at - 1]?.since ?? -Infinity;
  }

  /** Holds the time of a checkpoint (unix seconds) against the `since` of a line that it covers. */
  checkTime(
    index: number,
    since: number | undefined,
    covering: { readonly time: number; readonly size: number },
  ): void {
    if (since === undefined || 1000 * covering.time + CLOCK_DIFFERENCE >= since) return;
    this.#findings.fail(
      "time",
      `the checkpoint of ${covering.size} states a time before line ${index} was written: the server dated it back`,
    );
  }
}

/** Since when what names a head of the log was written: by witnesses, and by each root of authorities. */
interface AfterTimes {
  witnessed: number;
  readonly stamped: Map<string, number>;
}

/** The place of the first item for which `holds` is true; in a list in which it is true of all that follow. */
function firstAt<T>(list: readonly T[], holds: (item: T) => boolean): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const item = list[middle];
    if (item !== undefined && holds(item)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** How far two clocks may be apart: 5 minutes, in milliseconds. */
const CLOCK_DIFFERENCE = 300_000;

/** By when a head existed, by one of its notes (unix milliseconds); Infinity if nobody who was named says. */
async function boundOf(
  head: ShownHead,
  shown: ShownNote,
  notes: LogNotes,
  fail: (reason: string) => void,
): Promise<number> {
  const note = await notes.note(shown.size);
  if (!note) return Infinity;
  const { root } = note.log.head;
  if (!verifyInclusion(leafHash(head.leaf), head.tick, shown.path, { size: shown.size, root: hexBytes(root) })) {
    fail(`doesn't lead to the note of ${shown.size}`);
    return Infinity;
  }
  return Math.min(note.by, notes.stampedBy(note));
}

function hexBytes(hex: string): Bytes {
  return parseHex(hex) ?? new Uint8Array(0);
}
