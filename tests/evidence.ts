/** The folders under tests/evidence: a receipt, a transcript, what is trusted, and what must come out. */

import { EXIT, type ExitStatus, Failure } from "../lib/errors.ts";
import { transcriptLines, type Verdict, verify } from "../lib/verify.ts";
import { parseCertificates, parseRevocationList } from "../lib/x509.ts";
import { ROOT } from "./environment.ts";

/** `expected.json`. */
export interface Expected {
  readonly status: ExitStatus;
  /** The checks that fail, all of them. */
  readonly failed: readonly string[];
  /** Of a valid one: the fields that nobody signed. */
  readonly unsigned?: readonly string[];
  readonly options?: { readonly at?: string; readonly requireV2?: boolean };
}

/** One folder's files. */
export interface EvidenceCase {
  readonly name: string;
  readonly folder: string;
  readonly receipt: Uint8Array;
  readonly transcript: Uint8Array;
  readonly ca: string;
  readonly crl: string | undefined;
  readonly cert: string | undefined;
  readonly expected: Expected;
}

/** Every case. */
export function evidenceCases(): EvidenceCase[] {
  return [...Deno.readDirSync(`${ROOT}/tests/evidence`)].map(({ name }) => evidenceCase(name))
    .sort((a, b) => a.name < b.name ? -1 : 1);
}

/** The case of that name. */
export function evidenceCase(name: string): EvidenceCase {
  const folder = `${ROOT}/tests/evidence/${name}`;
  return {
    name,
    folder,
    receipt: Deno.readFileSync(`${folder}/receipt.json`),
    transcript: Deno.readFileSync(`${folder}/transcript.txt`),
    ca: Deno.readTextFileSync(`${folder}/ca.pem`),
    crl: optional(`${folder}/crl.pem`),
    cert: optional(`${folder}/cert.pem`),
    expected: JSON.parse(Deno.readTextFileSync(`${folder}/expected.json`)),
  };
}

function optional(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** What verify() says of a case; `undefined` for what can't be read. */
export async function verdictOf(
  { receipt, transcript, ca, crl, cert, expected: { options = {} } }: EvidenceCase,
): Promise<Verdict | undefined> {
  const trust = {
    authorities: parseCertificates(ca),
    revocations: crl === undefined ? [] : [parseRevocationList(crl)],
  };
  const certificates = cert === undefined ? [] : [parseCertificates(cert)];
  try {
    return await verify({ receipt, lines: transcriptLines(transcript), certificates }, trust, {
      policy: { version2Only: options.requireV2 ?? false },
      ...(options.at === undefined ? {} : { at: Date.parse(options.at) }),
    });
  } catch (error) {
    if (error instanceof Failure && error.status === EXIT.usage) return undefined;
    throw error;
  }
}
