/**
 * Private keys as PEM: PKCS #8 (RFC 5958), plain or protected by a passphrase with PBES2 (RFC 8018 section 6.2).
 *
 *     -----BEGIN ENCRYPTED PRIVATE KEY-----
 *     { { PBES2, { { PBKDF2, { salt, 600000, HMAC-SHA-256 } }, { AES-256-CBC, iv } } }, ciphertext } in DER
 *     -----END ENCRYPTED PRIVATE KEY-----
 *
 * The protected form is written by hand: on Deno 2.6.10 `KeyObject.export` with a passphrase writes the key unencrypted
 * and says nothing. Reading works there too, so node:crypto reads, OpenSSL's older forms included.
 *
 * @layer crypto
 */

import { Buffer } from "node:buffer";
import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { type Bytes, encodeUtf8, type Random } from "./bytes.ts";
import { encodeCount, encodeDer, encodeOid, encodePem, TAG } from "./der.ts";
import { EXIT, Failure } from "./errors.ts";

/** What OWASP advises for PBKDF2 with SHA-256 (2023): half a second for us, and for each guess. */
const ITERATIONS = 600_000;

/** A key as PEM; with a passphrase it is protected by it. */
export async function encodePrivateKey(pkcs8: Bytes, passphrase: string | undefined, random: Random): Promise<string> {
  if (passphrase === undefined) return encodePem("PRIVATE KEY", pkcs8);
  const salt = random(16);
  const iv = random(16);
  const secret = await crypto.subtle.importKey("raw", encodeUtf8(passphrase), "PBKDF2", false, ["deriveKey"]);
  const key = await crypto.subtle.deriveKey(
    { name: "PBKDF2", hash: "SHA-256", salt, iterations: ITERATIONS },
    secret,
    { name: "AES-CBC", length: 256 },
    false,
    ["encrypt"],
  );
  const ciphertext = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-CBC", iv }, key, pkcs8));
  const sequence = (...parts: Bytes[]) => encodeDer(TAG.sequence, ...parts);
  const octets = (bytes: Bytes) => encodeDer(TAG.octetString, bytes);
  const hmac = sequence(encodeOid("1.2.840.113549.2.9"), encodeDer(TAG.null));
  const derivation = sequence(
    encodeOid("1.2.840.113549.1.5.12"),
    sequence(octets(salt), encodeCount(ITERATIONS), hmac),
  );
  const cipher = sequence(encodeOid("2.16.840.1.101.3.4.1.42"), octets(iv));
  const scheme = sequence(encodeOid("1.2.840.113549.1.5.13"), sequence(derivation, cipher));
  return encodePem("ENCRYPTED PRIVATE KEY", sequence(scheme, octets(ciphertext)));
}

/** Whether the key asks for a passphrase. */
export function isProtected(pem: string): boolean {
  return /-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(pem);
}

/** The RSA key of a PEM text as PKCS #8 DER. Throws a {@link Failure} that says what is wrong, without a file's name. */
export function decodePrivateKey(pem: string, passphrase?: string): Bytes {
  if (isProtected(pem) && passphrase === undefined) throw new Failure(EXIT.usage, "it is protected by a passphrase");
  const key = readKey(pem, passphrase);
  if (key.asymmetricKeyType !== "rsa") throw new Failure(EXIT.usage, "it holds no RSA key");
  return new Uint8Array(key.export({ format: "der", type: "pkcs8" }));
}

function readKey(pem: string, passphrase: string | undefined): KeyObject {
  try {
    return createPrivateKey(passphrase === undefined ? pem : { key: pem, passphrase });
  } catch {
    throw new Failure(EXIT.usage, isProtected(pem) ? "the passphrase does not open it" : "it holds no PEM private key");
  }
}

/** The public half of a private key: the DER of SubjectPublicKeyInfo, as it stands in a certificate. */
export function publicKeyOf(pkcs8: Bytes): Bytes {
  const key = createPrivateKey({ key: Buffer.from(pkcs8), format: "der", type: "pkcs8" });
  return new Uint8Array(createPublicKey(key).export({ format: "der", type: "spki" }));
}
