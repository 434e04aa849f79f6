/**
 * The two ways in which securechat says no.
 *
 * A {@link ProtocolError} is what one side of a connection answers the other with: a code from the closed list of
 * docs/PROTOCOL.md, "Errors", and one sentence that a person can act on. The sentence travels, so it never contains a
 * secret, a path or a stack.
 *
 * A {@link Failure} is what a command ends with: one sentence for the person at the terminal and an exit status.
 *
 * @layer ground
 */

/** The codes that refuse a request about a room. The session goes on. */
export const ROOM_ERRORS = ["bad-envelope", "no-room", "not-member", "forbidden", "muted", "old-epoch"] as const;

/** The codes of docs/PROTOCOL.md, "Errors". */
export const ERROR_TYPES = [
  "bad-frame",
  "too-large",
  "unexpected",
  "bad-cert",
  "proof-fail",
  "dh-error",
  "auth-failed",
  "user-exists",
  "rate-limited",
  "sig-fail",
  "replay",
  "stale",
  "decrypt-fail",
  "timeout",
  "busy",
  "shutdown",
  "server-error",
  ...ROOM_ERRORS,
] as const;

/** One of {@link ERROR_TYPES}. */
export type ErrorType = typeof ERROR_TYPES[number];

/** What a side answers with an error frame (docs/PROTOCOL.md, "Frames"); the message is the frame's `reason`. */
export class ProtocolError extends Error {
  /** What else the frame carries: `now` of `stale`. */
  readonly fields: Readonly<Record<string, number>>;

  constructor(readonly code: ErrorType, reason: string, fields: Readonly<Record<string, number>> = {}) {
    super(reason);
    this.name = "ProtocolError";
    this.fields = fields;
  }
}

/** How a command ends; docs/GUIDE.md documents them. */
export const EXIT = {
  /** What was asked for is done, or the answer is yes. */
  done: 0,
  /** The answer is no: evidence is false, a check failed. */
  no: 1,
  /** The command line, a setting or a file cannot be understood. */
  usage: 2,
  /** There is no answer: trust material is missing. */
  undecided: 3,
  /** Not logged in, or refused by the other side. */
  refused: 4,
  /** The network, the database or the port can't be used. */
  unavailable: 5,
} as const;

/** A fault of the program itself; every other status says something about its input or its surroundings. */
export const INTERNAL_ERROR = 70;

/** The status that a shell shows if a closed pipe ended the program. */
export const BROKEN_PIPE = 141;

/** What each exit status means: for docs/GUIDE.md and the manual page. */
export const EXIT_MEANINGS: readonly (readonly [status: number, meaning: string])[] = [
  [EXIT.done, "done; the answer is yes"],
  [EXIT.no, "the answer is no: evidence is false, in whole or in part, a check failed, a receipt is wrong or missing"],
  [EXIT.usage, "wrong usage, or a file that can't be read or understood"],
  [EXIT.undecided, "undecided: the CA that is needed is missing, or another one was given"],
  [EXIT.refused, "not logged in, or refused; of `rooms` also: a ROOM was not joined, or commands from a pipe failed"],
  [EXIT.unavailable, "the network, the database or the port can't be used, or lines are still waiting for the server"],
  [INTERNAL_ERROR, "a fault of the program itself; please report it"],
  [130, "ended by Ctrl-C at a question"],
  [BROKEN_PIPE, "nobody reads its output any more"],
];

/** One of {@link EXIT}. */
export type ExitStatus = typeof EXIT[keyof typeof EXIT];

/** Ends a command: the message is one sentence for a person, with what to do about it. */
export class Failure extends Error {
  /** `code`: the server's error code, if the server refused. */
  constructor(readonly status: ExitStatus, message: string, readonly code?: ErrorType | string) {
    super(message);
    this.name = "Failure";
  }
}

/** What an error says, and what caused it: for the log, and for the person who runs the program. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
