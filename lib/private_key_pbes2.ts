/**
 * Opens private keys that are protected with PBES2 (RFC 8018 section 6.2), as OpenSSL and others write them: PBKDF2 with
 * HMAC-SHA-1 (the default if no PRF is named) or SHA-2, and AES or triple DES. Deno's own reader supports neither
 * HMAC-SHA-1 nor triple DES, and Deno 2.6 has no triple DES at all: this module is the door to des.js.
 *
 *     { { PBES2, { { PBKDF2, { salt, 2048 } }, { DES-EDE3-CBC, iv } } }, ciphertext } in DER
 *
 * @layer crypto
 */

import { type Bytes, encodeUtf8 } from "./bytes.ts";
import { DerError, DerFields, type Element, parseDer, readCount, readOid, TAG } from "./der.ts";

/** How a key is protected: a way to open it, or the name of what isn't supported. */
export type Protection = { readonly open: (passphrase: string) => Promise<Bytes | undefined> } | {
  readonly unsupported: string;
};

const PBES2 = "1.2.840.113549.1.5.13";
const PBKDF2 = "1.2.840.113549.1.5.12";
const SCRYPT = "1.3.6.1.4.1.11591.4.11";
const TRIPLE_DES = "1.2.840.113549.3.7";
/** Names of older schemes. */
const SCHEMES: Readonly<Record<string, string>> = {
  "1.2.840.113549.1.5.3": "PBES1 with MD5 and DES",
  "1.2.840.113549.1.5.10": "PBES1 with SHA-1 and DES",
  "1.2.840.113549.1.12.1.3": "PBES1 with SHA-1 and triple DES",
  "1.2.840.113549.1.12.1.6": "PBES1 with SHA-1 and RC2",
};
/** The PRFs of PBKDF2 by the hash under their HMAC. */
const HASHES: Readonly<Record<string, string>> = {
  "1.2.840.113549.2.7": "SHA-1",
  "1.2.840.113549.2.9": "SHA-256",
  "1.2.840.113549.2.10": "SHA-384",
  "1.2.840.113549.2.11": "SHA-512",
};
/** AES-CBC by the length of its key, in bits. */
const AES: Readonly<Record<string, number>> = {
  "2.16.840.1.101.3.4.1.2": 128,
  "2.16.840.1.101.3.4.1.22": 192,
  "2.16.840.1.101.3.4.1.42": 256,
};
/** Ten million take half a minute; more would be an attack on whoever opens the file. */
const MAX_ITERATIONS = 10_000_000;
const WHAT = "the key";

/** How the EncryptedPrivateKeyInfo is protected; `undefined` if it isn't one. */
export function protectionOf(der: Bytes): Protection | undefined {
  try {
    const outer = new DerFields(parseDer(der, WHAT), WHAT);
    const algorithm = new DerFields(outer.next(TAG.sequence), WHAT);
    const ciphertext = outer.next(TAG.octetString).content;
    const scheme = readOid(algorithm.next(TAG.oid), WHAT);
    if (scheme !== PBES2) return { unsupported: SCHEMES[scheme] ?? `the scheme ${scheme}` };
    return pbes2(algorithm.next(TAG.sequence), ciphertext);
  } catch (error) {
    if (error instanceof DerError) return undefined;
    throw error;
  }
}

function pbes2(parameters: Element, ciphertext: Bytes): Protection {
  const fields = new DerFields(parameters, WHAT);
  const derivation = new DerFields(fields.next(TAG.sequence), WHAT);
  const cipher = new DerFields(fields.next(TAG.sequence), WHAT);
  const kdf = readOid(derivation.next(TAG.oid), WHAT);
  const cipherId = readOid(cipher.next(TAG.oid), WHAT);
  const bits = cipherId === TRIPLE_DES ? 192 : AES[cipherId];
  if (kdf === SCRYPT) return { open: () => Promise.resolve(undefined) }; // the runtime has tried it
  if (kdf !== PBKDF2) return { unsupported: `the key derivation ${kdf}` };
  if (bits === undefined) return { unsupported: `the cipher ${cipherId}` };
  const iv = cipher.next(TAG.octetString).content;

  const inner = new DerFields(derivation.next(TAG.sequence), WHAT);
  const salt = inner.next(TAG.octetString).content;
  const iterations = readCount(inner.next(TAG.integer), WHAT);
  inner.optional(TAG.integer); // the key's length, which follows from the cipher
  const prf = inner.optional(TAG.sequence);
  const prfId = prf && readOid(new DerFields(prf, WHAT).next(TAG.oid), WHAT);
  const hash = prfId === undefined ? "SHA-1" : HASHES[prfId];
  if (hash === undefined) return { unsupported: `the PRF ${prfId}` };
  if (iterations < 1 || iterations > MAX_ITERATIONS) return { unsupported: `${iterations} iterations` };

  return {
    async open(passphrase) {
      const secret = await crypto.subtle.importKey("raw", encodeUtf8(passphrase), "PBKDF2", false, ["deriveBits"]);
      const how = { name: "PBKDF2", hash, salt, iterations };
      const key = new Uint8Array(await crypto.subtle.deriveBits(how, secret, bits));
      return cipherId === TRIPLE_DES ? await openTripleDes(key, iv, ciphertext) : await openAes(key, iv, ciphertext);
    },
  };
}

async function openAes(key: Bytes, iv: Bytes, ciphertext: Bytes): Promise<Bytes | undefined> {
  try {
    const secret = await crypto.subtle.importKey("raw", key, "AES-CBC", false, ["decrypt"]);
    return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-CBC", iv }, secret, ciphertext));
  } catch {
    return undefined; // the padding is wrong, so the passphrase was, too
  }
}

async function openTripleDes(key: Bytes, iv: Bytes, ciphertext: Bytes): Promise<Bytes | undefined> {
  if (iv.length !== 8 || ciphertext.length === 0 || ciphertext.length % 8 !== 0) return undefined;
  const { default: des } = await import("des.js"); // loaded on demand: few keys need it
  const options = { type: "decrypt", key: [...key], iv: [...iv], padding: false };
  const cipher = des.CBC.instantiate(des.EDE).create(options);
  const plain = Uint8Array.from<number>([...cipher.update([...ciphertext]), ...cipher.final()]);
  const pad = plain.at(-1) ?? 0;
  const isPadded = pad >= 1 && pad <= 8 && plain.subarray(-pad).every((byte) => byte === pad);
  return isPadded ? plain.subarray(0, -pad) : undefined;
}
