/**
 * The signatures over certificates, revocation lists and time-stamp tokens (docs/PROTOCOL.md, "Hello and certificates"
 * and "Time-stamp tokens"): SHA-256 or stronger, with RSA by PKCS #1 v1.5 (RFC 8017 section 8.2) or PSS with a salt as
 * long as the hash, and ECDSA for `cert check --any-key` and for tokens. (The signatures of the protocol itself are
 * another matter: `pss.ts`.)
 *
 *     300d06092a864886f70d01010b0500        sha256WithRSAEncryption, as a certificate contains it
 *
 * An AlgorithmIdentifier is recognised by all its bytes, so that one with odd parameters isn't mistaken for a similar
 * one.
 *
 * WebCrypto verifies what it can. It reads no RSA key of more than 4,096 bits; only time-stamping authorities may have
 * those, and `rsa_wide.ts` verifies with them. It doesn't verify on P-521 in Deno 2.6.10, so @noble/curves always does.
 *
 * @layer crypto
 */

import { type Bytes, concat, encodeHex, encodeInteger, parseInteger } from "./bytes.ts";
import {
  contextTag,
  DerError,
  DerFields,
  encodeCount,
  encodeDer,
  encodeOid,
  parseDer,
  readInteger,
  TAG,
} from "./der.ts";
import { digest, HASH_SIZES, type HashName } from "./hash.ts";
import { verifyWideRsa } from "./rsa_wide.ts";
import type { Certificate, Curve, Signed } from "./x509.ts";

/** A way of signing: the kind of key, the padding (for RSA), and the hash. */
export interface Scheme {
  readonly name: "RSASSA-PKCS1-v1_5" | "RSA-PSS" | "ECDSA";
  readonly hash: HashName;
}

/** The fields of a certificate that describe its key. */
export type PublicKey = Pick<Certificate, "publicKey" | "rsa" | "curve">;

const SCHEMES: ReadonlyMap<string, Scheme> = new Map(
  (["SHA-256", "SHA-384", "SHA-512"] as const).flatMap((hash, i): [string, Scheme][] => {
    const none = encodeDer(TAG.null);
    const hashId = encodeDer(TAG.sequence, encodeOid(`2.16.840.1.101.3.4.2.${i + 1}`), none);
    const mask = encodeDer(TAG.sequence, encodeOid("1.2.840.113549.1.1.8"), hashId);
    const pss = encodeDer(
      TAG.sequence,
      encodeDer(contextTag(0), hashId),
      encodeDer(contextTag(1), mask),
      encodeDer(contextTag(2), encodeCount(HASH_SIZES[hash])),
    );
    const identifier = (oid: string, ...parameters: Bytes[]) =>
      encodeHex(encodeDer(TAG.sequence, encodeOid(oid), ...parameters));
    return [
      [identifier(`1.2.840.113549.1.1.${i + 11}`, none), { name: "RSASSA-PKCS1-v1_5", hash }],
      [identifier("1.2.840.113549.1.1.10", pss), { name: "RSA-PSS", hash }],
      [identifier(`1.2.840.10045.4.3.${i + 2}`), { name: "ECDSA", hash }],
    ];
  }),
);

/** The way in which a certificate or list is signed; `undefined` if it isn't an accepted one. */
export function schemeOf(signed: Signed): Scheme | undefined {
  return SCHEMES.get(signed.signatureAlgorithm);
}

/** Whether the algorithm of the signature is accepted. */
export function isKnownAlgorithm(signed: Signed): boolean {
  return schemeOf(signed) !== undefined;
}

/** Whether the signature over the certificate or list is good under the issuer's key. */
export async function verifySignature(signed: Signed, issuer: PublicKey): Promise<boolean> {
  const scheme = schemeOf(signed);
  return scheme !== undefined && await verifyData(scheme, issuer, signed.signature, signed.tbs);
}

/** Whether the signature over the data is good under the key. ECDSA signatures are in DER. */
export async function verifyData(scheme: Scheme, key: PublicKey, signature: Bytes, data: Bytes): Promise<boolean> {
  try {
    return scheme.name === "ECDSA"
      ? await verifyEcdsa(scheme, key, signature, data)
      : await verifyRsa(scheme, key, signature, data);
  } catch (error) {
    // WebCrypto throws if it can't read the key; our reader throws if it can't read the signature.
    if (error instanceof DOMException || error instanceof DerError || error instanceof RangeError) return false;
    throw error;
  }
}

/** WebCrypto reads no larger keys. */
const MAX_WEBCRYPTO_BITS = 4_096;

async function verifyRsa(scheme: Scheme, key: PublicKey, signature: Bytes, data: Bytes): Promise<boolean> {
  const { name, hash } = scheme;
  const { rsa, publicKey } = key;
  // `s + n` would be a second form of the signature, and give the certificate a second fingerprint.
  if (rsa === undefined || signature.length !== Math.ceil(rsa.bits / 8)) return false;
  if (parseInteger(signature) >= rsa.modulus) return false;
  if (rsa.bits > MAX_WEBCRYPTO_BITS) {
    return verifyWideRsa(name === "RSA-PSS" ? "PSS" : "PKCS1", hash, rsa, signature, data);
  }
  const imported = await crypto.subtle.importKey("spki", publicKey, { name, hash }, false, ["verify"]);
  return await crypto.subtle.verify({ name, saltLength: HASH_SIZES[hash] }, imported, signature, data);
}

const SIZES: Readonly<Record<Curve, number>> = { "P-256": 32, "P-384": 48, "P-521": 66 };

/** WebCrypto wants r and s joined; a certificate has a SEQUENCE of two INTEGERs (RFC 3279 section 2.2.3). */
async function verifyEcdsa(scheme: Scheme, key: PublicKey, signature: Bytes, data: Bytes): Promise<boolean> {
  const { name, hash } = scheme;
  const { curve, publicKey } = key;
  if (curve === undefined) return false;
  const numbers = new DerFields(parseDer(signature, "its signature"), "its signature");
  const [r, s] = [numbers.next(TAG.integer), numbers.next(TAG.integer)].map((number) => {
    const bytes = readInteger(number, "its signature");
    if ((bytes[0] ?? 0) >= 0x80) throw new DerError("its signature has a negative number");
    return encodeInteger(parseInteger(bytes), SIZES[curve]);
  });
  numbers.end();
  if (r === undefined || s === undefined) return false;
  const plain = concat(r, s);
  if (curve === "P-521") return await verifyP521(publicKey, plain, digest(hash, data));
  const imported = await crypto.subtle.importKey("spki", publicKey, { name, namedCurve: curve }, false, ["verify"]);
  return await crypto.subtle.verify({ name, hash }, imported, plain, data);
}

async function verifyP521(publicKey: Bytes, signature: Bytes, hash: Bytes): Promise<boolean> {
  const { p521 } = await import("@noble/curves/nist.js");
  const key = new DerFields(parseDer(publicKey, "its key"), "its key");
  key.next(TAG.sequence);
  const point = key.next(TAG.bitString).content.subarray(1);
  try {
    return p521.verify(signature, hash, point, { prehash: false, lowS: false, format: "compact" });
  } catch {
    return false; // a point that isn't on the curve, or a number out of range
  }
}

/** How many signatures a search may check: the leaf's by a CA that was renewed once. The rest is shared by all searches. */
const SEARCH_SIGNATURES = 2;
const SPARE_SIGNATURES = 64;

/**
 * Signatures that searches for paths check, each only once. Whoever shows evidence chooses its certificates: with ten
 * thousand that might each have issued all others, a search would take hours. An honest certificate costs one check,
 * and its issuer one for all.
 */
export class PathSignatures {
  readonly #known = new Map<string, Promise<boolean>>();
  #left: number;

  /** For so many searches. */
  constructor(searches = 1) {
    this.#left = SPARE_SIGNATURES + SEARCH_SIGNATURES * searches;
  }

  /** Whether the issuer's key signed it; `undefined` if too many checks were asked for before. */
  async isSigned(certificate: Certificate, issuer: Certificate): Promise<boolean | undefined> {
    const pair = certificate.fingerprint + issuer.fingerprint;
    const known = this.#known.get(pair);
    if (known) return await known;
    if (this.#left <= 0) return undefined;
    this.#left -= 1;
    const found = verifySignature(certificate, issuer);
    this.#known.set(pair, found);
    return await found;
  }
}
