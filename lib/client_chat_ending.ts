/**
 * How a chat with the server alone ends: the exit status and one sentence, for each way.
 *
 *     endingOf(error, "localhost") → { status: 5, reason: "the server says: … (shutdown)" }
 *
 * @layer outside
 */

import { EXIT, type ExitStatus, Failure, ProtocolError } from "./errors.ts";
import { shellWord } from "./files.ts";
import { PeerError } from "./handshake_client.ts";
import { PROGRAM } from "./program.ts";

/** How a chat ended. */
export interface ChatEnding {
  readonly status: ExitStatus;
  readonly reason: string;
}

/** This side has ended the session, and has the server's receipt. */
export const DONE: ChatEnding = { status: EXIT.done, reason: "The session is over." };
/** The server has ended the session, with its receipt. */
export const SERVER_ENDED: ChatEnding = { status: EXIT.unavailable, reason: "The server ended the session." };
/** The connection broke. */
export const SERVER_GONE: ChatEnding = {
  status: EXIT.unavailable,
  reason: "The server is gone: the connection ended in the middle of the session, without the server's receipt.",
};
/** This side has ended the session, and the server gave no receipt. */
export const NO_RECEIPT: ChatEnding = {
  status: EXIT.no,
  reason: "The server closed the connection without its receipt; this side's own receipt is what there is.",
};
/** The server's receipt doesn't hold. */
export const WRONG_RECEIPT: ChatEnding = {
  status: EXIT.no,
  reason: "The server's receipt does not hold: what it signed is not this session. It was not kept.",
};
/** This side has ended the session without waiting for the receipt. */
export const ABANDONED: ChatEnding = { status: EXIT.no, reason: "Ended at once, without the server's receipt." };
/** This side has ended the connection before there was a session. */
export const INTERRUPTED: ChatEnding = { status: EXIT.refused, reason: "interrupted before the session stood" };

/** Errors of the server that say nothing about this side: later it may go well. */
const PASSING: readonly string[] = ["timeout", "busy", "shutdown", "server-error"];

/** Whether a certificate is refused for a revocation list that is out of date: no other certificate helps. */
function isOfList(reason: string): boolean {
  return /\brevocation list\b/.test(reason);
}

/** How an error ends a chat with that host. */
export function endingOf(error: unknown, host: string): ChatEnding {
  if (error instanceof PeerError) {
    const { errorType, reason } = error.frame;
    const status = PASSING.includes(errorType) ? EXIT.unavailable : EXIT.refused;
    const mend = errorType === "bad-cert" && !isOfList(reason)
      ? `; for another certificate run: ${PROGRAM} cert client NAME`
      : "";
    return { status, reason: `the server says: ${reason} (${errorType})${mend}` };
  }
  if (error instanceof ProtocolError && error.code === "bad-cert") {
    const mend = isOfList(error.message)
      ? "get the CA's newest crl.pem"
      : `where the server runs, ${PROGRAM} cert server ${shellWord(host)} makes a good one`;
    return { status: EXIT.refused, reason: `certificate validation failed: ${error.message}; ${mend}` };
  }
  if (error instanceof ProtocolError) {
    return { status: EXIT.refused, reason: `the server was refused (${error.code}): ${error.message}` };
  }
  if (error instanceof Failure) return { status: error.status, reason: error.message };
  throw error;
}
