/**
 * The checks of a session's evidence, by name.
 *
 * @layer protocol
 */

import type { CheckList } from "./verify_verdict.ts";

/** The checks, in the order in which a verdict lists them. */
export const CHECKS = [
  "receipt form",
  "transcript form",
  "transcript hash",
  "message count",
  "first seqno",
  "last seqno",
  "signer certificate",
  "receipt signature",
  "statement signature",
  "session",
  "line certificates",
  "line signatures",
  "line order",
  "room lines",
  "times",
] as const;

/** One of {@link CHECKS}. */
export type CheckName = typeof CHECKS[number];

/** Their outcomes. */
export type SessionChecks = CheckList<CheckName>;
