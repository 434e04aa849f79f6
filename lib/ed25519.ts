/**
 * Ed25519 (RFC 8032), by WebCrypto: the keys of the server's log and of its witnesses.
 *
 *     const secret = await importEd25519(newEd25519(random));
 *     await verifyEd25519(secret.publicKey, await secret.sign(data), data) → true
 *
 * Both runtimes refuse a second form of a signature (`s + L`), but they take public keys of small order, for which
 * anybody can make signatures over anything: {@link isEd25519Key} refuses those, and everybody who is given a public key
 * asks it first.
 *
 * @layer crypto
 */

import { createPrivateKey } from "node:crypto";
import { type Bytes, concat, parseInteger, type Random } from "./bytes.ts";

/** How many bytes a public key has, and a signature. */
export const ED25519_KEY_SIZE = 32;
export const ED25519_SIGNATURE_SIZE = 64;

/** What stands before the 32 bytes of a key in its PKCS #8 form (RFC 8410 section 7). */
const PKCS8_HEAD = Uint8Array.fromHex("302e020100300506032b657004220420");

/** The prime of the field, 2^255 - 19. */
const PRIME = 2n ** 255n - 19n;

/** The y of every point whose order divides 8, big-endian: 1, -1, 0, and those of the four points of order 8. */
const SMALL_ORDER: ReadonlySet<bigint> = new Set([
  1n,
  PRIME - 1n,
  0n,
  0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n,
  0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n,
]);

/** A private key that signs. */
export interface Ed25519Secret {
  readonly publicKey: Bytes;
  /** 64 bytes, the same each time. */
  sign(data: Bytes): Promise<Bytes>;
}

/** A new private key, as PKCS #8 DER. */
export function newEd25519(random: Random): Bytes {
  return concat(PKCS8_HEAD, random(ED25519_KEY_SIZE));
}

/** A private key out of PKCS #8 DER; `undefined` if it is none. */
export async function importEd25519(pkcs8: Bytes): Promise<Ed25519Secret | undefined> {
  try {
    const key = await crypto.subtle.importKey("pkcs8", pkcs8, "Ed25519", true, ["sign"]);
    const { x = "" } = await crypto.subtle.exportKey("jwk", key);
    const publicKey = Uint8Array.fromBase64(x, { alphabet: "base64url" });
    return { publicKey, sign: async (data) => new Uint8Array(await crypto.subtle.sign("Ed25519", key, data)) };
  } catch {
    return undefined;
  }
}

/** The PKCS #8 DER of a private key's PEM text; `undefined` if it holds no Ed25519 key without a passphrase. */
export function decodeEd25519(pem: string): Bytes | undefined {
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType !== "ed25519") return undefined;
    const der = new Uint8Array(key.export({ format: "der", type: "pkcs8" }));
    // The last 32 bytes of what the runtime writes are the key: the form that newEd25519 gives has nothing behind it.
    return der.length === PKCS8_HEAD.length + ED25519_KEY_SIZE ? der : undefined;
  } catch {
    return undefined;
  }
}

/** Whether this can be a public key: 32 bytes in their only form, and not a point of small order. */
export function isEd25519Key(publicKey: Uint8Array): boolean {
  if (publicKey.length !== ED25519_KEY_SIZE) return false;
  const bigEndian = publicKey.toReversed();
  bigEndian[0] = (bigEndian[0] ?? 0) & 0x7f; // the top bit is the sign of x
  const y = parseInteger(bigEndian);
  return y < PRIME && !SMALL_ORDER.has(y);
}

/** Whether the signature over `data` is good. */
export async function verifyEd25519(publicKey: Bytes, signature: Bytes, data: Bytes): Promise<boolean> {
  if (signature.length !== ED25519_SIGNATURE_SIZE || !isEd25519Key(publicKey)) return false;
  try {
    const key = await crypto.subtle.importKey("raw", publicKey, "Ed25519", false, ["verify"]);
    return await crypto.subtle.verify("Ed25519", key, signature, data);
  } catch {
    return false; // no point of the curve
  }
}
