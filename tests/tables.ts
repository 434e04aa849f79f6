/**
 * Tables of the documents that follow from types and constants of the code. A type with another name in it doesn't
 * compile until the name has its row here.
 */

import type { Lie } from "../lib/client_event.ts";
import { type FlagRow } from "../lib/command_line.ts";
import { SETTINGS } from "../lib/config.ts";
import type { ErrorType } from "../lib/errors.ts";
import { LIMIT_AFTER_LOGIN, LIMIT_BEFORE_LOGIN } from "../lib/frame.ts";
import type { KeyName } from "../lib/line_editor.ts";
import { MAX_ENVELOPE_DEPTH, MAX_ENVELOPE_OCTETS } from "../lib/log_envelope.ts";
import { PRESENCE_MEMBERS } from "../lib/log_frames.ts";
import { MAX_ROOM_RECEIPT_BYTES } from "../lib/log_receipt.ts";
import { MAX_PASSWORD, MIN_PASSWORD } from "../lib/password_rules.ts";
import { MAX_RECEIPT_BYTES } from "../lib/receipt.ts";
import { DEVICE_CODE_LIFE, INVITATION_LIFE, TOKEN_LIFE } from "../lib/server_devices.ts";
import type { AuditEvent } from "../lib/server_store.ts";
import { MAX_GAP, MAX_SKEW, MAX_TEXT_OCTETS } from "../lib/session.ts";
import { MAX_CHECKPOINTS } from "../lib/verify_form.ts";
import { MAX_CERTIFICATE_BYTES, MAX_CERTIFICATES } from "../lib/x509.ts";
import { type CataloguePage, TASKS } from "../tools/commands.ts";
import { DEPENDENCIES } from "./doors.ts";

type Rows = string[][];

/** A row for each dependency, with its version and its door. */
export function dependencyRows(imports: Readonly<Record<string, string>>): Rows {
  return Object.entries(DEPENDENCIES).map(([name, { for: purpose, doors }]) => [
    `\`${name}\``,
    imports[name]?.replace(/^.*@/, "") ?? "",
    purpose,
    doors.map((door) => `[${door}](../${door})`).join(" ") || "tests",
  ]);
}

/** A row for each task. */
export function taskRows(tasks: Readonly<Record<string, { readonly description: string }>>): Rows {
  return Object.entries(tasks).map(([name, { description }]) => [`\`./tools/deno task ${name}\``, description]);
}

/** What each row of the audit log says. */
const AUDIT: Readonly<Record<AuditEvent, string>> = {
  registration: "an account was made",
  registration_failure: "one wasn't, and why",
  login_success: "somebody logged in",
  login_failure: "somebody failed to, and why: wrong password, unknown address, another's certificate",
  account_locked: "version 1: an account is locked after too many failures",
  certificate_locked: "a certificate is locked after too many failures",
  address_limited: "an address whose clients prove no certificate is limited",
  cert_invalid: "a certificate was refused, and why",
  proof_fail: "a client didn't prove that it holds its certificate's key",
  v1_session: "a session of version 1",
  sig_fail: "a message or line with a wrong signature",
  replay: "a message out of sequence",
  stale: "a message of a wrong time",
  decrypt_fail: "a message that doesn't decrypt",
  receipt_invalid: "a client's receipt that is wrong",
  password_changed: "somebody changed their password",
  password_reset: "somebody set another password with a code",
  code_made: "a code was made: for an invitation, a further device or another password",
  certificate_issued: "a certificate was issued for a code",
  certificate_renewed: "a certificate was renewed",
  certificate_revoked: "a certificate was revoked",
  room_created: "a room was made",
  room_closed: "an operator closed a log",
  session_start: "a session began",
  session_end: "a session ended",
  log_started: "the server's log began; the reason is its origin",
  log_behind: "the server's log is behind what it has signed before, or its key is missing",
  log_fork: "the server's log has another tree than it has signed before",
  witness_conflict: "a witness knows more of the server's log, or another one",
  tsa_refused: "a time-stamping authority's answer was not taken",
  audit_pruned: "rows of this log were emptied; the reason says which",
  pruned: "an emptied row",
};

/** What each way of catching the server means. */
const LIES: Readonly<Record<Lie, string>> = {
  "missing line": "a line between two others is kept back",
  "changed line": "a line isn't as its author signed it, or not as it was shown before",
  "invented line": "a line that its author never signed",
  "replayed line": "a line of another room, or of another log",
  "wrong order": "an author's lines aren't in the order in which they were written, or one is left out",
  "wrong head": "the server's signed head isn't that of the lines that it has shown",
  "fork": "there are two logs: two signed heads of one size, or another author was shown another head",
  "old head": "a shorter or earlier log after a longer one, also if a database was " +
    "[restored](OPERATING.md#a-room-is-read-only)",
  "unsigned head": "a head that no certificate of this server has signed",
  "other log": "another log under a name that is known, also if the old one was " +
    "[closed](OPERATING.md#a-room-is-read-only)",
  "refused line": "a line that the server had refused stands in the log",
};

/** What each error means. */
const ERRORS: Readonly<Record<ErrorType, string>> = {
  "bad-frame": "not a frame, or a field is missing or malformed",
  "too-large": "a frame or a text beyond its limit",
  "unexpected": "a frame that this state doesn't take, or one too many",
  "bad-cert": "the certificate is refused; the reason says why",
  "proof-fail": "the other side doesn't prove that it holds its certificate's key **(v2)**, or version 1 is refused",
  "dh-error": "another group, or a value out of range",
  "auth-failed": "address or password wrong, or a code or token that isn't good",
  "user-exists": "address or username taken",
  "rate-limited": "too many tries, too many passwords waiting to be checked, or a request too often",
  "sig-fail": "a signature doesn't verify",
  "replay": "a seqno that isn't due",
  "stale": "a time that isn't right; `now` is the server's",
  "decrypt-fail": "a message that doesn't decrypt, or whose IV isn't its own",
  "timeout": "the handshake took too long, or the session was silent for too long",
  "busy": "a limit on connections, or the place was given to somebody else",
  "shutdown": "the server ends",
  "server-error": "the server can't do it now because of its database, its disk, its clock or its revocation list",
  "bad-envelope":
    "a line of a room isn't the hash of what came with it, or its envelope is malformed or belongs elsewhere",
  "no-room": "no such room, or nothing of that name in it",
  "not-member": "the session has not joined the room",
  "forbidden": "this account may not do that, or nobody may",
  "muted": "this account may not write now",
  "old-epoch": "a line under a key that is no longer used; ask for `keys`",
};

/** Which keys ask for what. Keys of one row do the same. */
const KEYS: Readonly<Record<KeyName, readonly [keys: string, does: string]>> = {
  "enter": ["Enter", "sends the line"],
  "newline": ["Ctrl-O", "begins a further line of the same message"],
  "tab": ["Tab", "completes a name, a room or a command"],
  "page-up": ["Page Up", "shows what was said before"],
  "page-down": ["Page Down", "shows what was said after"],
  "previous-room": ["Alt-Up", "goes to the room above"],
  "next-room": ["Alt-Down", "goes to the room below"],
  "interrupt": ["Ctrl-C", "clears the line; twice within 2 seconds ends the program"],
  "suspend": ["Ctrl-Z", "suspends the program; `fg` goes on"],
  "end-of-input": ["Ctrl-D", "in an empty line: ends the program"],
  "up": ["Up, Ctrl-P", "the line that was typed before"],
  "down": ["Down, Ctrl-N", "the line that was typed after"],
  "left": ["Left, Ctrl-B", "one character to the left"],
  "right": ["Right, Ctrl-F", "one character to the right"],
  "word-left": ["Ctrl-Left, Alt-B", "one word to the left"],
  "word-right": ["Ctrl-Right, Alt-F", "one word to the right"],
  "home": ["Home, Ctrl-A", "to the beginning of the line"],
  "end": ["End, Ctrl-E", "to the end of the line"],
  "backspace": ["Backspace", "erases the character before"],
  "delete": ["Delete", "erases the character under the cursor"],
  "erase-before": ["Ctrl-U", "erases all before the cursor"],
  "erase-after": ["Ctrl-K", "erases all after the cursor"],
  "erase-word": ["Ctrl-W, Alt-Backspace", "erases the word before"],
  "redraw": ["Ctrl-L", "draws the screen again"],
  "escape": ["Escape", "nothing"],
};

const HOUR = 3_600_000;
const count = (value: number): string => value.toLocaleString("en-US");

/** A row for each limit that no setting changes. */
export function limitRows(): Rows {
  const frames = `${count(LIMIT_BEFORE_LOGIN)} bytes before the login, ${count(LIMIT_AFTER_LOGIN)} after it`;
  const envelope = `${count(MAX_ENVELOPE_OCTETS)} octets, ${MAX_ENVELOPE_DEPTH} nested lists and objects`;
  return [
    ["a frame, its line end included", frames],
    ["a message's text", `${count(MAX_TEXT_OCTETS)} octets of UTF-8`],
    ["an envelope of a room: the words of a line and what belongs to them", envelope],
    ["a seqno", `above the last one by 1 to ${count(MAX_GAP)}; in a room by 1`],
    ["a message's time", `within ${MAX_SKEW / 60_000} minutes of the server's clock`],
    ["a certificate", `${count(MAX_CERTIFICATE_BYTES)} bytes`],
    ["certificates that a side shows", `its own and ${MAX_CERTIFICATES - 1} intermediates`],
    [
      "a receipt of a session, and of a room",
      `${MAX_RECEIPT_BYTES >> 20} MiB, and ${MAX_ROOM_RECEIPT_BYTES >> 20} MiB`,
    ],
    ["earlier checkpoints in a receipt", count(MAX_CHECKPOINTS)],
    ["a password", `${MIN_PASSWORD} to ${count(MAX_PASSWORD)} characters`],
    ["an invitation", `${INVITATION_LIFE / HOUR} hours, unless \`--ttl\` says otherwise`],
    ["a code for a further device", `${DEVICE_CODE_LIFE / 60_000} minutes`],
    ["a session that goes on without the password", `${TOKEN_LIFE / HOUR} hours`],
    ["members of a room who are told who comes and goes", `${PRESENCE_MEMBERS}; in a larger room \`/who\` asks`],
  ];
}

/** A row for each event of the audit log. */
export const auditRows = (): Rows => Object.entries(AUDIT).map(([event, says]) => [`\`${event}\``, says]);

/** A row for each way in which a client catches its server. */
export const lieRows = (): Rows => Object.entries(LIES).map(([lie, means]) => [`\`${lie}\``, means]);

/** A row for each error of the wire. */
export const errorRows = (): Rows => Object.entries(ERRORS).map(([error, means]) => [`\`${error}\``, means]);

/** A row for each key that does something. */
export const keyRows = (): Rows => Object.values(KEYS).filter(([, does]) => does !== "nothing").map((row) => [...row]);

/** How a command is typed, without its flags: `securechat export [PROFILE] [ROOM]`. */
function formsOf({ name, usage }: CataloguePage): string[] {
  const rows = usage.split("\n");
  const forms = rows.slice(0, rows.findIndex((row) => !row.startsWith("securechat")))
    .map((row) => row.split(/ {2,}/)[0]?.replaceAll(/ \[(?:--[^\]]*|FLAGS)\]…?/g, "").trim() ?? "");
  return [...new Set(forms)].filter((form) => form !== "" || name !== "");
}

const flagText = ({ name, value }: FlagRow): string => `\`--${name}${value === undefined ? "" : ` ${value}`}\``;

/** A row for each command, under what people do with it: how it is typed, what it does, which flags are its own. */
export function programRows(pages: readonly CataloguePage[]): Rows {
  return TASKS.flatMap((task) => {
    const here = pages.filter((page) => page.task === task);
    const typed = here.filter(({ name }) => !here.some((other) => other.name.startsWith(`${name} `)));
    return [
      [`**${task}**`, "", ""],
      ...typed.map((page) => [
        formsOf(page).map((form) => `\`${form}\``).join("<br>"),
        page.summary,
        page.flags.filter(({ setting, name }) => setting === undefined && name !== "help").map(flagText).join(" "),
      ]),
    ];
  });
}

/** The parts of file names in the first cells of a table of files that the code must know: `room_key`, `.transcript`. */
export function fileNames(table: string): string[] {
  const cells = [...table.matchAll(/^\| (`.*?) +\|/gm)].flatMap(([, cell = ""]) => [...cell.matchAll(/`([^`]+)`/g)]);
  const parts = cells.flatMap(([, path = ""]) => path.split(/\/|…|<\w+>|YYYYMMDD_HHMMSS|_private_key\.pem|#ops/));
  return [...new Set(parts)].filter((part) => part.length > 3 && !Object.hasOwn(SETTINGS, part));
}
