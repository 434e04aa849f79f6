/**
 * The names and keys in certificates and revocation lists, read from DER.
 *
 *     readName(element, "its subject").text → "CN=SERVER: localhost"
 *
 * @layer crypto
 */

import { type Bytes, encodeHex, parseInteger } from "./bytes.ts";
import {
  DerError,
  DerFields,
  type Element,
  elements,
  parseDer,
  readInteger,
  readOctets,
  readOid,
  readText,
  TAG,
} from "./der.ts";
import { nameText } from "./text.ts";
import { OID } from "./x509_extensions.ts";

/** The curves that are known. */
export type Curve = "P-256" | "P-384" | "P-521";

/** An RSA public key. */
export interface RsaPublicKey {
  readonly modulus: bigint;
  readonly exponent: bigint;
  readonly bits: number;
}

/** A subject or an issuer. */
export interface Name {
  /** The DER, hex. */
  readonly der: string;
  /** For people: `CN=SERVER: localhost`; safe to print in quotes. */
  readonly text: string;
  readonly commonNames: readonly string[];
  readonly isEmpty: boolean;
}

/** A public key. */
export interface PublicKey {
  /** The DER of SubjectPublicKeyInfo. */
  readonly publicKey: Bytes;
  /** `undefined` for a key of another kind. */
  readonly rsa: RsaPublicKey | undefined;
  /** `undefined` if the key isn't on a known curve. */
  readonly curve: Curve | undefined;
  /** What kind of key it is, for people. */
  readonly keyKind: string;
}

/** How the parts of a name are abbreviated. */
const NAME_PARTS: Readonly<Record<string, string>> = {
  [OID.commonName]: "CN",
  "2.5.4.5": "serialNumber",
  "2.5.4.6": "C",
  "2.5.4.7": "L",
  "2.5.4.8": "ST",
  "2.5.4.10": "O",
  "2.5.4.11": "OU",
  "1.2.840.113549.1.9.1": "emailAddress",
};

/** A name (RFC 5280 section 4.1.2.4). */
export function readName(element: Element, what: string): Name {
  const parts: string[] = [];
  const commonNames: string[] = [];
  for (const set of elements(element, what)) {
    if (set.tag !== TAG.set || set.content.length === 0) throw new DerError(`${what} is not a name`);
    for (const attribute of elements(set, what)) {
      const fields = new DerFields(attribute, what);
      const type = readOid(fields.next(TAG.oid), what);
      const value = readText(
        fields.next(
          TAG.utf8String,
          TAG.printableString,
          TAG.teletexString,
          TAG.ia5String,
          TAG.bmpString,
        ),
        what,
      );
      fields.end();
      if (type === OID.commonName) commonNames.push(value);
      // A comma in a value gets a backslash, so that the text after it can't pass for another part of the name.
      parts.push(`${NAME_PARTS[type] ?? type}=${nameText(value).replaceAll(",", "\\,")}`);
    }
  }
  const isEmpty = parts.length === 0;
  return { der: encodeHex(element.whole), text: isEmpty ? "(no name)" : parts.join(", "), commonNames, isEmpty };
}

const RSA = "1.2.840.113549.1.1.1";
const EC = "1.2.840.10045.2.1";
const CURVES: Readonly<Record<string, Curve>> = {
  "1.2.840.10045.3.1.7": "P-256",
  "1.3.132.0.34": "P-384",
  "1.3.132.0.35": "P-521",
};

/** A key (RFC 5280 section 4.1.2.7). */
export function readPublicKey(element: Element): PublicKey {
  const fields = new DerFields(element, "its key");
  const algorithm = new DerFields(fields.next(TAG.sequence), "its key's algorithm");
  const bytes = readOctets(fields.next(TAG.bitString), "its key");
  fields.end();
  const type = readOid(algorithm.next(TAG.oid), "its key's algorithm");
  const info = element.whole;
  if (type === RSA) {
    algorithm.next(TAG.null);
    algorithm.end();
    const numbers = new DerFields(parseDer(bytes, "its RSA key"), "its RSA key");
    const modulus = positive(numbers.next(TAG.integer));
    const exponent = positive(numbers.next(TAG.integer));
    numbers.end();
    const bits = modulus.toString(2).length;
    return { publicKey: info, rsa: { modulus, exponent, bits }, curve: undefined, keyKind: `RSA, ${bits} bits` };
  }
  const named = type === EC ? algorithm.optional(TAG.oid) : undefined;
  const curve = named && CURVES[readOid(named, "its curve")];
  return { publicKey: info, rsa: undefined, curve, keyKind: curve ? `EC, ${curve}` : `an unknown kind (${type})` };
}

function positive(element: Element): bigint {
  const bytes = readInteger(element, "its RSA key");
  if ((bytes[0] ?? 0) >= 0x80) throw new DerError("its RSA key has a negative number");
  return parseInteger(bytes);
}
