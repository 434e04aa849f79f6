/** The files of `securechat cert`: certificates and revocation lists, with their names in messages. */

import { shortName } from "../lib/text.ts";
import type { Authority } from "../lib/ca.ts";
import { verifySignature } from "../lib/certificate_signature.ts";
import { EXIT, Failure, ProtocolError } from "../lib/errors.ts";
import { readPemFile } from "../lib/files.ts";
import { type Certificate, parseCertificateFile } from "../lib/x509.ts";

/** Parses a file's text; Failure with the file's name if it doesn't parse. */
export function reading<T>(path: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof ProtocolError) throw new Failure(EXIT.usage, `${path} can't be used: ${error.message}`);
    throw error;
  }
}

/** The first certificate in a file. */
export async function readLeaf(path: string): Promise<Certificate> {
  const pem = await readPemFile(path);
  const [leaf] = reading(path, () => parseCertificateFile(pem));
  if (leaf === undefined) throw new RangeError("a parsed file has a certificate");
  return leaf;
}

/** A name that is already escaped, in quotes. */
export function inQuotes(text: string): string {
  return `"${text}"`;
}

/** Throws if another CA issued the certificate. */
export async function mustBeOurs(
  path: string,
  certificate: Certificate,
  { certificate: issuer }: Authority,
): Promise<void> {
  if (certificate.issuerName === issuer.subjectName && await verifySignature(certificate, issuer)) return;
  throw new Failure(
    EXIT.usage,
    `${path} was issued by another CA, "${shortName(certificate.issuer)}", not by "${shortName(issuer.subject)}"`,
  );
}
