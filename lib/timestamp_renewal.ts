/**
 * Renewals of time-stamped evidence, and what protects what (docs/PROTOCOL.md, "Renewal").
 *
 *     everything before    renewal 1      renewal 2      now
 *           2026             2031           2036         2040      renewal 2 is protected by now (2040),
 *             <───────────────┘<─────────────┘<────────────┘        renewal 1 by 2036, everything before by 2031
 *
 * A renewal is a token over all bytes before it, so it says again that all of it existed, with a younger certificate and
 * perhaps a better hash. They are judged from the newest down: each has to hold at the time at which the next one that
 * holds took over. One that doesn't hold protects nothing, and what is before it is as if it weren't there. Times rise.
 *
 *     const renewals = await judgeRenewals([{ token, imprint }, …], { certificates, revocations }, { roots }, policy, now);
 *     renewals.protectedAt    → for judgeToken() of every other token, and for distrustedOf() of everything else
 *     renewals.verdicts[k-1]  → of renewal k
 *     renewalDue(lastGood, now)
 *
 * Which bytes a renewal is over is the concern of whoever reads the file: an {@link Imprint} answers it, in pieces where
 * the file is large.
 *
 * @layer crypto
 */

import type { Bytes } from "./bytes.ts";
import { DerError } from "./der.ts";
import {
  type GoodToken,
  type Imprint,
  judgeToken,
  type TokenEvidence,
  type TokenPolicy,
  type TokenTrust,
  type TokenVerdict,
} from "./timestamp_judge.ts";
import { parseKeptToken } from "./timestamp_token.ts";

/** One renewal. */
export interface TokenRenewal {
  /** The DER of the kept token. */
  readonly token: Bytes;
  /** Of all bytes before it. */
  readonly imprint: Imprint;
}

/** What {@link judgeRenewals} answers. */
export interface RenewalVerdicts {
  /** In the order of the renewals, oldest first. */
  readonly verdicts: readonly TokenVerdict[];
  /** Unix milliseconds: when the oldest renewal that holds took over everything before it; else now. */
  readonly protectedAt: number;
}

/** Judges renewals, given oldest first. */
export async function judgeRenewals(
  renewals: readonly TokenRenewal[],
  material: Pick<TokenEvidence, "certificates" | "revocations">,
  trust: TokenTrust,
  policy: TokenPolicy,
  now: number,
): Promise<RenewalVerdicts> {
  const times = renewals.map(({ token }) => timeOf(token));
  const verdicts: TokenVerdict[] = [];
  let protectedAt = now;
  for (const [at, renewal] of [...renewals.entries()].toReversed()) {
    const [time, before] = [times[at], times[at - 1]];
    const isOrdered = time === undefined || before === undefined || time > before;
    const verdict: TokenVerdict = isOrdered
      ? await judgeToken({ ...material, ...renewal }, trust, policy, { now, protectedAt })
      : { outcome: "wrong", reason: "its time is not after that of the renewal before it" };
    verdicts.unshift(verdict);
    if (verdict.outcome === "good") protectedAt = verdict.info.genTime;
  }
  return { verdicts, protectedAt };
}

/** Unix nanoseconds; `undefined` for a token that can't be read. */
function timeOf(token: Bytes): bigint | undefined {
  try {
    return parseKeptToken(token).info.nanoseconds;
  } catch (error) {
    if (error instanceof DerError) return undefined;
    throw error;
  }
}

/** 90 days before a certificate ends there is time to renew, and to find another authority if need be. */
export const RENEWAL_TIME = 90 * 86_400_000;

/** When evidence is to be renewed. */
export interface RenewalDue {
  /** Unix milliseconds. */
  readonly due: number;
  /** When the first certificate on which the evidence relies ends (unix ms). */
  readonly ends: number;
  readonly isPast: boolean;
}

/** When these tokens, the last renewal or without one all of them, are to be renewed; `undefined` without any. */
export function renewalDue(last: readonly GoodToken[], now: number): RenewalDue | undefined {
  if (last.length === 0) return undefined;
  const ends = Math.min(...last.map((token) => token.ends));
  const due = ends - RENEWAL_TIME;
  return { due, ends, isPast: now >= due };
}
