/**
 * How the path of a time-stamping authority's certificate holds up over time (docs/PROTOCOL.md, "Time-stamp tokens").
 *
 *     2026         2029                2031              2036
 *     genTime      a renewal           the end of the    now
 *                  (protectedAt)       certificate
 *
 * Every certificate of the path is valid at the token's time, and hasn't ended when something newer took over: here the
 * token counts, since the renewal is older than the end; without the renewal it counts for nothing. A certificate that
 * was revoked in good order leaves earlier tokens good, one that was revoked for any other reason leaves none.
 *
 * @layer crypto
 */

import { bestOf, type Candidate, type CertificatePath, nameOf, SECOND } from "./certificate_path.ts";
import { formatTime } from "./time_text.ts";
import type { Certificate } from "./x509.ts";

/** The times against which the path of a time-stamp token is held (unix ms). */
export interface StampTimes {
  /** The token's own time. */
  readonly genTime: number;
  /** When something newer, or the verifier, took over: until then no certificate of the path may have ended. */
  readonly protectedAt: number;
  /** Takes tokens whose certificates have ended all the same. */
  readonly allowEnded?: boolean | undefined;
}

/** A reason for which a token counts for nothing. */
export interface StampObjection {
  /** `path`: no good path to a named root. `ended`: the certificates were good, and ended before `protectedAt`. */
  readonly cause: "path" | "ended" | "revoked";
  readonly reason: string;
}

/** What {@link stampStanding} answers. */
export interface StampStanding {
  /** Signer first; the root that the verifier named last, if one was reached. */
  readonly certificates: readonly Certificate[];
  readonly problems: readonly StampObjection[];
}

/** The best path, and every reason for which the token counts for nothing. */
export function stampStanding(path: CertificatePath, times: StampTimes): StampStanding {
  const best = bestOf(path.candidates, (candidate) => {
    return objections(candidate, times).filter(({ cause }) => !times.allowEnded || cause !== "ended");
  });
  return best ?? { certificates: [], problems: [{ cause: "path", reason: "there is no certificate" }] };
}

/**
 * After these revocations earlier tokens stay good (RFC 3161 section 4): unspecified, affiliationChanged, superseded,
 * cessationOfOperation.
 */
const ORDERLY_REASONS: readonly (number | undefined)[] = [0, 3, 4, 5];

function objections({ certificates, problems, lists }: Candidate, times: StampTimes): StampObjection[] {
  const { genTime, protectedAt } = times;
  const found: StampObjection[] = problems.map((reason) => ({ cause: "path", reason }));
  certificates.forEach((certificate, depth) => {
    const name = nameOf(certificate, depth, "tsa");
    const { notBefore, notAfter } = certificate;
    if (genTime < notBefore || genTime >= notAfter + SECOND) {
      const validity = `${formatTime(notBefore)} to ${formatTime(notAfter)}`;
      found.push({
        cause: "path",
        reason: `${name} is valid from ${validity}, and the token is of ${formatTime(genTime)}`,
      });
    } else if (protectedAt >= notAfter + SECOND) {
      found.push({
        cause: "ended",
        reason: `${name} ended ${formatTime(notAfter)}, and nothing newer protects the token`,
      });
    }
  });
  for (const { certificate, depth, list, problems, isPassedOver } of lists) {
    if (isPassedOver) continue;
    found.push(...problems.map((reason) => ({ cause: "revoked", reason } as const)));
    const entry = list.revoked.get(certificate.serial);
    if (entry === undefined || (ORDERLY_REASONS.includes(entry.reason) && genTime < entry.date)) continue;
    const reason = `${nameOf(certificate, depth, "tsa")} was revoked ${formatTime(entry.date)}`;
    found.push({ cause: "revoked", reason: `${reason}${reasonText(entry.reason)}` });
  }
  return found;
}

/** RFC 5280 section 5.3.1; 7 is not used. */
const REASONS: Readonly<Record<number, string>> = {
  0: "unspecified",
  1: "keyCompromise",
  2: "cACompromise",
  3: "affiliationChanged",
  4: "superseded",
  5: "cessationOfOperation",
  6: "certificateHold",
  8: "removeFromCRL",
  9: "privilegeWithdrawn",
  10: "aACompromise",
};

function reasonText(reason: number | undefined): string {
  return reason === undefined ? ", without a reason" : ` (${REASONS[reason] ?? `reason ${reason}`})`;
}
