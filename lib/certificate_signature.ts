/**
 * The signatures over certificates and revocation lists (docs/PROTOCOL.md, "Hello and certificates"): SHA-256 or
 * stronger, with RSA by PKCS #1 v1.5 (RFC 8017 section 8.2) or PSS with a salt as long as the hash, and ECDSA for `cert
 * check --any-key`. WebCrypto verifies. (The signatures of the protocol itself are another matter: `pss.ts`.)
 *
 *     300d06092a864886f70d01010b0500        sha256WithRSAEncryption, as it stands in a certificate
 *
 * An AlgorithmIdentifier is known by its bytes, so that none with odd parameters is taken for one that it resembles.
 *
 * @layer crypto
 */

import { type Bytes, concat, encodeHex, encodeInteger, parseInteger } from "./bytes.ts";
import { contextTag, DerError, encodeCount, encodeDer, encodeOid, Fields, parseDer, readInteger, TAG } from "./der.ts";
import type { Certificate, Curve, Signed } from "./x509.ts";

interface Scheme {
  readonly name: "RSASSA-PKCS1-v1_5" | "RSA-PSS" | "ECDSA";
  readonly hash: string;
  readonly hashSize: number;
}

const SCHEMES: ReadonlyMap<string, Scheme> = new Map(
  [256, 384, 512].flatMap((bits, i): [string, Scheme][] => {
    const [hash, hashSize] = [`SHA-${bits}`, bits / 8];
    const none = encodeDer(TAG.null);
    const hashId = encodeDer(TAG.sequence, encodeOid(`2.16.840.1.101.3.4.2.${i + 1}`), none);
    const mask = encodeDer(TAG.sequence, encodeOid("1.2.840.113549.1.1.8"), hashId);
    const pss = encodeDer(
      TAG.sequence,
      encodeDer(contextTag(0), hashId),
      encodeDer(contextTag(1), mask),
      encodeDer(contextTag(2), encodeCount(hashSize)),
    );
    const identifier = (oid: string, ...parameters: Bytes[]) =>
      encodeHex(encodeDer(TAG.sequence, encodeOid(oid), ...parameters));
    return [
      [identifier(`1.2.840.113549.1.1.${i + 11}`, none), { name: "RSASSA-PKCS1-v1_5", hash, hashSize }],
      [identifier("1.2.840.113549.1.1.10", pss), { name: "RSA-PSS", hash, hashSize }],
      [identifier(`1.2.840.10045.4.3.${i + 2}`), { name: "ECDSA", hash, hashSize }],
    ];
  }),
);

/** Whether the signature is by an algorithm that is taken. */
export function isKnownAlgorithm(signed: Signed): boolean {
  return SCHEMES.has(signed.signatureAlgorithm);
}

/** Whether the signature over the certificate or list is good under the issuer's key. */
export async function verifySignature(signed: Signed, issuer: Certificate): Promise<boolean> {
  const scheme = SCHEMES.get(signed.signatureAlgorithm);
  if (scheme === undefined) return false;
  try {
    return scheme.name === "ECDSA"
      ? await verifyEcdsa(signed, issuer, scheme)
      : await verifyRsa(signed, issuer, scheme);
  } catch (error) {
    // WebCrypto throws for a key that it can't read, and this reader for a signature.
    if (error instanceof DOMException || error instanceof DerError || error instanceof RangeError) return false;
    throw error;
  }
}

async function verifyRsa(signed: Signed, issuer: Certificate, { name, hash, hashSize }: Scheme): Promise<boolean> {
  const { rsa } = issuer;
  const { signature } = signed;
  // `s + n` would be a second form of the signature, and so a second fingerprint for the certificate.
  if (rsa === undefined || signature.length !== Math.ceil(rsa.bits / 8)) return false;
  if (parseInteger(signature) >= rsa.modulus) return false;
  const key = await crypto.subtle.importKey("spki", issuer.publicKey, { name, hash }, false, ["verify"]);
  return await crypto.subtle.verify({ name, saltLength: hashSize }, key, signature, signed.tbs);
}

const SIZES: Readonly<Record<Curve, number>> = { "P-256": 32, "P-384": 48, "P-521": 66 };

/** WebCrypto wants r and s side by side where a certificate has a SEQUENCE of two INTEGERs (RFC 3279 section 2.2.3). */
async function verifyEcdsa(signed: Signed, issuer: Certificate, { name, hash }: Scheme): Promise<boolean> {
  const { curve } = issuer;
  if (curve === undefined) return false;
  const numbers = new Fields(parseDer(signed.signature, "its signature"), "its signature");
  const [r, s] = [numbers.next(TAG.integer), numbers.next(TAG.integer)].map((number) => {
    const bytes = readInteger(number, "its signature");
    if ((bytes[0] ?? 0) >= 0x80) throw new DerError("its signature has a negative number");
    return encodeInteger(parseInteger(bytes), SIZES[curve]);
  });
  numbers.end();
  if (r === undefined || s === undefined) return false;
  const key = await crypto.subtle.importKey("spki", issuer.publicKey, { name, namedCurve: curve }, false, ["verify"]);
  return await crypto.subtle.verify({ name, hash }, key, concat(r, s), signed.tbs);
}
