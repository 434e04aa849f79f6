/**
 * What an e-mail address, a username and a room's name are (docs/PROTOCOL.md, "Credentials" and "Requests").
 *
 *     normaliseEmail(" Ada@Example.ORG\t") → "ada@example.org"
 *     normaliseEmail("Ä@example.org")      → "Ä@example.org": only ASCII letters are lower-cased
 *
 * Addresses are compared in the form that {@link normaliseEmail} gives. An address is only a name here; no mail is
 * sent. Two usernames are the same if {@link usernameKey} gives the same for both.
 *
 * @layer crypto
 */

import { encodeUtf8 } from "./bytes.ts";
import { printable } from "./text.ts";

/** 254 octets: the longest address that mail can carry (RFC 5321 section 4.5.3.1.3). */
const MAX_EMAIL_OCTETS = 254;

/** The address as it is compared: trimmed, with ASCII letters lower-cased; `undefined` for anything else. */
export function normaliseEmail(value: unknown): string | undefined {
  if (typeof value !== "string") return undefined;
  const email = value.trim();
  // Invisible characters make two addresses look the same, and a database may read a text only up to its NUL.
  if (printable(email) !== email) return undefined;
  if (!/^[^@]+@[^@]+$/.test(email) || encodeUtf8(email).length > MAX_EMAIL_OCTETS) return undefined;
  return email.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** Whether this is a username: 1 to 64 ASCII letters, digits, dots, underscores or hyphens. */
export function isUsername(text: string): boolean {
  return /^[A-Za-z0-9._-]{1,64}$/.test(text);
}

/** The form in which usernames are compared: ASCII letters lower-cased. */
export function usernameKey(username: string): string {
  return username.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** The longest name of a room, without its `#` (docs/PROTOCOL.md, "Requests"). */
const MAX_ROOM_NAME = 48;

/**
 * Whether this is the name of a room (`#ops`) or of a conversation of two (`@alice,@bob`: lower-cased, sorted, two
 * different names).
 */
export function isRoomName(text: string): boolean {
  if (text.startsWith("#")) return text.length <= MAX_ROOM_NAME + 1 && /^#[a-z0-9_.-]+$/.test(text);
  const [, one, other] = /^@([a-z0-9._-]{1,64}),@([a-z0-9._-]{1,64})$/.exec(text) ?? [];
  return one !== undefined && other !== undefined && one < other;
}

/** The name of the conversation of two accounts; `undefined` if both are the same. */
export function directRoom(one: string, other: string): string | undefined {
  const [first = "", second = ""] = [usernameKey(one), usernameKey(other)].sort();
  return first === second ? undefined : `@${first},@${second}`;
}

/** The two accounts of a conversation of two, in lower case; `undefined` for another room. */
export function partners(room: string): readonly [string, string] | undefined {
  const [, one, other] = /^@([^,]+),@([^,]+)$/.exec(room) ?? [];
  return one !== undefined && other !== undefined ? [one, other] : undefined;
}
