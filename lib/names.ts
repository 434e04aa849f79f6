/**
 * What an e-mail address and a username are (protocol.md section 4), for both sides of the conversation.
 *
 *     normaliseEmail(" Ada@Example.ORG\t") → "ada@example.org"
 *     normaliseEmail("Ä@example.org")      → "Ä@example.org": letters beyond ASCII are other letters
 *
 * An address is compared in the form that {@link normaliseEmail} gives. Nobody asks whether mail would arrive: an
 * address is a name here. How usernames are compared is the store's matter (`store.ts`).
 */

import { encodeUtf8 } from "./bytes.ts";

/** 254 octets: the longest address that mail can carry (RFC 5321 section 4.5.3.1.3). */
const MAX_EMAIL_OCTETS = 254;

/** The address as it is compared: trimmed, ASCII letters lower-cased; `undefined` for what is no address. */
export function normaliseEmail(value: unknown): string | undefined {
  if (typeof value !== "string" || !value.isWellFormed()) return undefined;
  const email = value.trim();
  if (!/^[^@]+@[^@]+$/.test(email) || encodeUtf8(email).length > MAX_EMAIL_OCTETS) return undefined;
  return email.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** Whether this is a username: 1 to 64 ASCII letters, digits, dots, underscores or hyphens. */
export function isUsername(text: string): boolean {
  return /^[A-Za-z0-9._-]{1,64}$/.test(text);
}
