/**
 * What a verdict says of the server's log: who witnessed and stamped it, and what that leaves open (docs/PROTOCOL.md,
 * "What a room's evidence proves").
 *
 * @layer protocol
 */

import type { LogSummary } from "./verify_log.ts";
import type { LogTrust } from "./verify_log_notes.ts";
import { nameText } from "./text.ts";
import { formatTime } from "./time_text.ts";
import type { GoodToken } from "./timestamp_judge.ts";
import { RENEWAL_TIME } from "./timestamp_renewal.ts";
import { listed, momentText, personText } from "./verify_rows.ts";

/** What was found of the server's log; `undefined` in a field if nothing of the log is shown, or it doesn't hold. */
export interface LogFound {
  readonly summary: LogSummary | undefined;
  readonly trust: LogTrust | undefined;
  /** Of a bundle. */
  readonly renewal: RenewalFound | undefined;
}

/** What came of a bundle's renewals. */
export interface RenewalFound {
  /** How many hold. */
  readonly good: number;
  /** The newest that holds. */
  readonly last: GoodToken | undefined;
}

/** When a bundle was renewed, and when it has to be renewed again. */
export interface RenewalState {
  readonly count: number;
  /** The time of the newest renewal. */
  readonly last: string | undefined;
  /** 90 days before the first certificate ends; `undefined` if nobody whom the verifier named has stamped it. */
  readonly renew_before: string | undefined;
}

/** When a bundle was renewed and is to be renewed; `undefined` for what is no bundle. */
export function renewalState({ summary, renewal }: LogFound): RenewalState | undefined {
  if (!renewal) return undefined;
  const { good, last } = renewal;
  const ends = last?.ends ?? summary?.stampEnds;
  const renewBefore = ends === undefined ? undefined : formatTime(ends - RENEWAL_TIME);
  return { count: good, last: last && formatTime(last.info.genTime), renew_before: renewBefore };
}

/** What the row Time says of renewals. */
export function renewalSentences(found: LogFound): string[] {
  const state = renewalState(found);
  const day = (time: string) => time.slice(0, 10);
  const { hasEnded = false, stampEnds } = found.summary ?? {};
  const sentences = hasEnded && stampEnds !== undefined
    ? [`The stamp's certificate ended ${day(formatTime(stampEnds))}: who has its key since could have made it.`]
    : [];
  return state?.renew_before === undefined ? sentences : [...sentences, renewalText(state)];
}

/** How often and when it was renewed, and when it has to be. */
export function renewalText({ count, last, renew_before: before = "" }: RenewalState): string {
  const due = `renew before ${before.slice(0, 10)}.`;
  if (last === undefined) return `Not renewed yet; ${due}`;
  return `Renewed ${count === 1 ? "1 time" : `${count} times`}, last ${last}; ${due}`;
}

/** The sentences of the row Witnesses. */
export function witnessSentences({ summary, trust }: LogFound): string[] {
  if (!summary || !trust) return [];
  const { cosignatures, cosigners, isWitnessed, witnessedBy } = summary;
  if (isWitnessed && witnessedBy !== undefined) {
    const all = new Set(trust.policies.flatMap(({ witnesses }) => witnesses.map(({ name }) => name))).size;
    return [
      `${cosigners} of the ${all} witness${all === 1 ? "" : "es"} that you named had seen this ` +
      `server's log grow without a break by ${momentText(witnessedBy)}.`,
      "They saw one log: another version of this room would be registered in it, too.",
    ];
  }
  if (cosignatures === 0) return ["Nobody cosigned this server's log."];
  const which = trust.policies.length === 0
    ? "none of them named by you"
    : `${cosigners} of them named by you: too few`;
  return [`Cosigned by ${cosignatures}, ${which}.`];
}

/** What the row Time says of time-stamping authorities. */
export function stampSentences({ summary, trust }: LogFound): string[] {
  if (!summary || !trust) return [];
  const { isStamped, stampedBy, authorities, passedOver, witnessedBy } = summary;
  const sentences: string[] = [];
  if (isStamped && stampedBy !== undefined) {
    sentences.push(
      `Time-stamped by ${listed(authorities.map(personText))}: all lines shown existed by ${momentText(stampedBy)}.`,
    );
  }
  const [reason] = passedOver;
  if (reason !== undefined && !isStamped) sentences.push(`A time stamp counts for nothing: ${nameText(reason)}.`);
  if (!isStamped && witnessedBy === undefined) sentences.push("All times are the server's word, and its authors'.");
  return sentences;
}

/** What the server's log leaves open. */
export function openSentences({ summary, trust }: LogFound): string[] {
  if (!summary || !trust) return [];
  const named = trust.logs.length + trust.policies.reduce((sum, { logs }) => sum + logs.length, 0);
  return named === 0 ? ["Whether the server keeps a second log: none was named."] : [];
}
