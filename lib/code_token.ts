/**
 * An invitation as a person sees it: one line that says where to go, whom to trust there, and the secret (rooms.md
 * section 1).
 *
 *     securechat-1.<base64url of: CA's fingerprint (32 bytes), secret (16), port (2), kind (1), host (ASCII), checksum (4)>
 *
 * The kind is 0 for an invitation, which registers a name, 1 for a further device of an account, which enrols, and 2 for
 * another password. One for a certain e-mail address has it behind the host, in UTF-8 after a zero byte, which no host has.
 * The checksum, the first bytes of SHA-256 over the rest, tells a code that was cut or mistyped from one that is wrong.
 * Whoever holds the line before it was used is whom it invites: it is sent as a password is.
 *
 * @layer format
 */

import { Buffer } from "node:buffer";
import { type Bytes, concat, encodeHex, encodeUtf8, equalBytes, parseHex, parseUtf8 } from "./bytes.ts";
import { sha256 } from "./hash.ts";
import { CODE_SIZE } from "./message.ts";
import { normaliseEmail } from "./names.ts";

const PREFIX = "securechat-1.";
const FINGERPRINT_SIZE = 32;
const CHECKSUM_SIZE = 4;
const PORT_AT = FINGERPRINT_SIZE + CODE_SIZE;
const FIXED_SIZE = PORT_AT + 3;
/** What two bytes can say. */
const MAX_PORT = 65_535;
const KINDS = ["invitation", "device", "reset"] as const;

/** What the line says. */
export interface CodeToken {
  readonly host: string;
  /** The port for TLS. */
  readonly port: number;
  readonly kind: typeof KINDS[number];
  /** SHA-256 of the CA's certificate, hex. */
  readonly authority: string;
  /** 16 bytes. */
  readonly secret: Bytes;
  /** The one e-mail address that an invitation may register with, as it is compared. */
  readonly email?: string;
}

/** The line. RangeError where a part of it can't be. */
export function encodeCodeToken(token: CodeToken): string {
  const { host, port, kind, authority, secret, email } = token;
  if (!isSound(token)) throw new RangeError("a code has a host, a port, a fingerprint and a secret");
  const body = concat(
    parseHex(authority) ?? new Uint8Array(),
    secret,
    Uint8Array.of(port >> 8, port & 0xff, KINDS.indexOf(kind)),
    encodeUtf8(email === undefined ? host : `${host}\0${email}`),
  );
  return PREFIX + Buffer.from(concat(body, checksum(body))).toString("base64url");
}

/** What a line says; `undefined` for one that was cut or mistyped. */
export function parseCodeToken(line: string): CodeToken | undefined {
  const text = line.trim();
  const coded = text.slice(PREFIX.length);
  // Deno 2.6 throws where others decode what they can.
  if (!text.startsWith(PREFIX) || !/^[A-Za-z0-9_-]+$/.test(coded) || coded.length % 4 === 1) return undefined;
  const bytes = new Uint8Array(Buffer.from(coded, "base64url"));
  const body = bytes.slice(0, -CHECKSUM_SIZE);
  if (body.length <= FIXED_SIZE || !equalBytes(bytes.subarray(body.length), checksum(body))) return undefined;
  const [host = "", ...others] = (parseUtf8(body.subarray(FIXED_SIZE)) ?? "").split("\0");
  const [high = 0, low = 0, kindAt = 0] = body.subarray(PORT_AT, FIXED_SIZE);
  const kind = KINDS[kindAt];
  if (!kind) return undefined;
  const token = {
    host,
    port: high << 8 | low,
    kind,
    authority: encodeHex(body.subarray(0, FINGERPRINT_SIZE)),
    secret: body.slice(FINGERPRINT_SIZE, FINGERPRINT_SIZE + CODE_SIZE),
    ...(others.length === 0 ? {} : { email: others.join("\0") }),
  };
  // One spelling: what is written again is what was read.
  return isSound(token) && encodeCodeToken(token) === text ? token : undefined;
}

/** Whether a line can say all of it. */
function isSound({ host, port, kind, authority, secret, email }: CodeToken): boolean {
  return Number.isInteger(port) && port > 0 && port <= MAX_PORT && parseHex(authority)?.length === FINGERPRINT_SIZE &&
    secret.length === CODE_SIZE &&
    /^[\x21-\x7e]{1,253}$/.test(host) &&
    (email === undefined || (kind !== "device" && normaliseEmail(email) === email));
}

function checksum(body: Bytes): Bytes {
  return sha256(body).slice(0, CHECKSUM_SIZE);
}
