/**
 * Private keys as PEM: PKCS #8 (RFC 5958), plain or protected by a passphrase with PBES2 (RFC 8018 section 6.2).
 *
 *     -----BEGIN ENCRYPTED PRIVATE KEY-----
 *     { { PBES2, { { PBKDF2, { salt, 600000, HMAC-SHA-256 } }, { AES-256-CBC, iv } } }, ciphertext } in DER
 *     -----END ENCRYPTED PRIVATE KEY-----
 *
 * We write the protected form ourselves: on Deno 2.6.10 `KeyObject.export` with a passphrase silently writes the key
 * unencrypted. Reading works, so node:crypto reads what it can, and `private_key_pbes2.ts` opens the rest.
 *
 * @layer crypto
 */

import { Buffer } from "node:buffer";
import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { type Bytes, encodeUtf8, parseBase64, type Random } from "./bytes.ts";
import { encodeCount, encodeDer, encodeOid, encodePem, TAG } from "./der.ts";
import { EXIT, Failure } from "./errors.ts";
import { protectionOf } from "./private_key_pbes2.ts";

/** OWASP's advice for PBKDF2 with SHA-256 (2023): half a second for us, and for each guess of an attacker. */
const ITERATIONS = 600_000;

/** A key as PEM, protected if there is a passphrase. */
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

/** Whether the key needs a passphrase. */
export function isProtected(pem: string): boolean {
  return /-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(pem);
}

/**
 * The RSA key of a PEM text as PKCS #8 DER. Throws a {@link Failure} that says what is wrong, without a file's name.
 */
export async function decodePrivateKey(pem: string, passphrase?: string): Promise<Bytes> {
  if (isProtected(pem) && passphrase === undefined) throw new Failure(EXIT.usage, "it is protected by a passphrase");
  const kind = UNSUPPORTED.find(({ label }) => pem.includes(`-----BEGIN ${label}-----`));
  if (kind) throw new Failure(EXIT.usage, kind.sentence);
  const key = readKey(pem, passphrase) ?? await openProtected(pem, passphrase);
  if (key.asymmetricKeyType !== "rsa") {
    throw new Failure(EXIT.usage, `it contains a key of the kind ${key.asymmetricKeyType}, not an RSA key: ${NEW_KEY}`);
  }
  return new Uint8Array(key.export({ format: "der", type: "pkcs8" }));
}

const NEW_KEY = "securechat accepts only RSA keys; make a new pair with: securechat cert";
/** How OpenSSL converts any key that it can read. */
const CONVERT = "convert it with: openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD_KEY -out NEW_KEY";

/** Kinds of keys that can be recognised by their first line. */
const UNSUPPORTED: readonly { readonly label: string; readonly sentence: string }[] = [
  { label: "EC PRIVATE KEY", sentence: `it contains an EC key: ${NEW_KEY}` },
  { label: "DSA PRIVATE KEY", sentence: `it contains a DSA key: ${NEW_KEY}` },
  {
    label: "OPENSSH PRIVATE KEY",
    sentence: "it contains a key in OpenSSH's form; convert a copy of it with: ssh-keygen -p -m PKCS8 -f COPY",
  },
];

function readKey(pem: string, passphrase: string | undefined): KeyObject | undefined {
  try {
    return createPrivateKey(passphrase === undefined ? pem : { key: pem, passphrase });
  } catch {
    return undefined;
  }
}

/** Opens what the runtime couldn't open, or throws a sentence that says why not. */
async function openProtected(pem: string, passphrase: string | undefined): Promise<KeyObject> {
  const body = /-----BEGIN ENCRYPTED PRIVATE KEY-----([^]*?)-----END/.exec(pem)?.[1];
  const der = body === undefined ? undefined : parseBase64(body.replace(/\s+/g, ""));
  const protection = der && protectionOf(der);
  if (protection && "unsupported" in protection) {
    throw new Failure(EXIT.usage, `it is protected with ${protection.unsupported}, which isn't supported; ${CONVERT}`);
  }
  const opened = passphrase === undefined ? undefined : await protection?.open(passphrase);
  const key = opened && readDer(opened);
  if (key) return key;
  if (!isProtected(pem) || (body !== undefined && !protection)) {
    throw new Failure(EXIT.usage, "it contains no PEM private key");
  }
  const reason = "the passphrase does not open it";
  if (body !== undefined) throw new Failure(EXIT.usage, reason);
  throw new Failure(EXIT.usage, `${reason}, or its old form isn't supported; ${CONVERT}`);
}

function readDer(der: Bytes): KeyObject | undefined {
  try {
    return createPrivateKey({ key: Buffer.from(der), format: "der", type: "pkcs8" });
  } catch {
    return undefined;
  }
}

/** The public half of a private key: the DER of SubjectPublicKeyInfo, as a certificate contains it. */
export function publicKeyOf(pkcs8: Bytes): Bytes {
  const key = createPrivateKey({ key: Buffer.from(pkcs8), format: "der", type: "pkcs8" });
  return new Uint8Array(createPublicKey(key).export({ format: "der", type: "spki" }));
}
