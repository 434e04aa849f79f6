/**
 * The algorithms that a time-stamp token may name (docs/PROTOCOL.md, "Time-stamp tokens"), read from their
 * AlgorithmIdentifiers.
 *
 *     300b0609608648016503040201            SHA-256; with 0500, a NULL, after it in the older spelling
 *     300d06092a864886f70d0101010500        RSA with PKCS #1 v1.5: the hash is the one of the digest
 *     300a06082a8648ce3d040302              ECDSA with SHA-256
 *
 * Unlike certificates, tokens come from many programs: an algorithm's parameters may be NULL or absent where RFC 4055
 * and RFC 5754 let readers take both.
 *
 * @layer crypto
 */

import type { Scheme } from "./certificate_signature.ts";
import { contextTag, DerError, DerFields, type Element, readCount, readOid, TAG } from "./der.ts";
import { HASH_SIZES, type HashName } from "./hash.ts";

/** The hashes by their object identifiers. */
const HASHES: Readonly<Record<string, HashName>> = {
  "2.16.840.1.101.3.4.2.1": "SHA-256",
  "2.16.840.1.101.3.4.2.2": "SHA-384",
  "2.16.840.1.101.3.4.2.3": "SHA-512",
};

/** The object identifier of a hash. */
export function hashOid(hash: HashName): string {
  return Object.keys(HASHES).find((oid) => HASHES[oid] === hash) ?? "";
}

const RSA_ENCRYPTION = "1.2.840.113549.1.1.1";
const RSA_PSS = "1.2.840.113549.1.1.10";
const MGF1 = "1.2.840.113549.1.1.8";
/** Algorithms that name their hash themselves. */
const SIGNATURES: Readonly<Record<string, Scheme>> = {
  "1.2.840.113549.1.1.11": { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
  "1.2.840.113549.1.1.12": { name: "RSASSA-PKCS1-v1_5", hash: "SHA-384" },
  "1.2.840.113549.1.1.13": { name: "RSASSA-PKCS1-v1_5", hash: "SHA-512" },
  "1.2.840.10045.4.3.2": { name: "ECDSA", hash: "SHA-256" },
  "1.2.840.10045.4.3.3": { name: "ECDSA", hash: "SHA-384" },
  "1.2.840.10045.4.3.4": { name: "ECDSA", hash: "SHA-512" },
};

/** A hash of at least 256 bits. */
export function readHash(element: Element, what: string): HashName {
  const fields = new DerFields(element, what);
  const hash = HASHES[readOid(fields.next(TAG.oid), what)];
  if (hash === undefined) throw new DerError(`${what} is none of SHA-256, SHA-384 and SHA-512`);
  endWithNull(fields, what);
  return hash;
}

/** How a token is signed; the hash has to be the one of its digest. */
export function readSignatureScheme(element: Element, hash: HashName): Scheme {
  const what = "the signature's algorithm";
  const fields = new DerFields(element, what);
  const oid = readOid(fields.next(TAG.oid), what);
  const scheme = oid === RSA_ENCRYPTION ? { name: "RSASSA-PKCS1-v1_5", hash } as const : SIGNATURES[oid];
  if (oid === RSA_PSS) {
    readPssParameters(fields.next(TAG.sequence), hash);
    fields.end();
    return { name: "RSA-PSS", hash };
  }
  if (scheme === undefined) throw new DerError(`${what} is none that is taken`);
  if (scheme.name === "ECDSA") fields.end();
  else endWithNull(fields, what);
  if (scheme.hash !== hash) throw new DerError("the signature's hash is another than the digest's");
  return scheme;
}

/** RFC 4055 section 3.1: the same hash in both places, and a salt as long as it. The defaults name SHA-1. */
function readPssParameters(element: Element, hash: HashName): void {
  const what = "the signature's parameters";
  const fields = new DerFields(element, what);
  const inner = (number: number, ...tags: number[]): Element => {
    const wrapper = new DerFields(fields.next(contextTag(number)), what, contextTag(number));
    const found = wrapper.next(...tags);
    wrapper.end();
    return found;
  };
  const stated = readHash(inner(0, TAG.sequence), what);
  const mask = new DerFields(inner(1, TAG.sequence), what);
  const isMgf1 = readOid(mask.next(TAG.oid), what) === MGF1;
  const maskHash = readHash(mask.next(TAG.sequence), what);
  mask.end();
  const salt = readCount(inner(2, TAG.integer), what);
  fields.end();
  if (!isMgf1 || stated !== hash || maskHash !== hash || salt !== HASH_SIZES[hash]) {
    throw new DerError("the signature's parameters don't go with the digest's hash");
  }
}

/** No parameters, or NULL in their place. */
export function endWithNull(fields: DerFields, what: string): void {
  const parameters = fields.optional(TAG.null);
  fields.end();
  if (parameters !== undefined && parameters.content.length > 0) throw new DerError(`${what} has odd parameters`);
}
