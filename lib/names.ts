/**
 * What an e-mail address and a username are (docs/PROTOCOL.md, "Credentials"), for both sides of the conversation.
 *
 *     normaliseEmail(" Ada@Example.ORG\t") → "ada@example.org"
 *     normaliseEmail("Ä@example.org")      → "Ä@example.org": letters beyond ASCII are other letters
 *
 * An address is compared in the form that {@link normaliseEmail} gives. Nobody asks whether mail would arrive: an
 * address is a name here. Two usernames are one where {@link usernameKey} gives the same.
 *
 * @layer crypto
 */

import { encodeUtf8 } from "./bytes.ts";
import { printable } from "./text.ts";

/** 254 octets: the longest address that mail can carry (RFC 5321 section 4.5.3.1.3). */
const MAX_EMAIL_OCTETS = 254;

/** The address as it is compared: trimmed, ASCII letters lower-cased; `undefined` for what is no address. */
export function normaliseEmail(value: unknown): string | undefined {
  if (typeof value !== "string") return undefined;
  const email = value.trim();
  // What can't be seen makes two addresses look like one, and a database may read a text only up to its NUL.
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
 * Whether this names a room (`#ops`) or a direct conversation (`@alice,@bob`, lower-cased and sorted, never with
 * oneself).
 */
export function isRoomName(text: string): boolean {
  if (text.startsWith("#")) return text.length <= MAX_ROOM_NAME + 1 && /^#[a-z0-9_.-]+$/.test(text);
  const [, one, other] = /^@([a-z0-9._-]{1,64}),@([a-z0-9._-]{1,64})$/.exec(text) ?? [];
  return one !== undefined && other !== undefined && one < other;
}

/** The name of the direct conversation of two accounts; `undefined` where they are one. */
export function directRoom(one: string, other: string): string | undefined {
  const [first = "", second = ""] = [usernameKey(one), usernameKey(other)].sort();
  return first === second ? undefined : `@${first},@${second}`;
}

/** The two accounts of a direct conversation, as they are compared; `undefined` for another room. */
export function partners(room: string): readonly [string, string] | undefined {
  const [, one, other] = /^@([^,]+),@([^,]+)$/.exec(room) ?? [];
  return one !== undefined && other !== undefined ? [one, other] : undefined;
}
