/**
 * Asking a time-stamping authority and reading its answer (RFC 3161 sections 2.4.1 and 2.4.2; docs/PROTOCOL.md,
 * "Time-stamp tokens"). How the bytes travel is not known here: `timestamp_asking.ts` sends them over HTTP, and
 * `securechat renew` writes them to files.
 *
 *     30 46                         TimeStampReq
 *       02 01 01                      version 1
 *       30 31 30 0d 06 09 …           imprint: SHA-256 (with NULL) and 32 bytes
 *       02 08 5b …                    nonce, 8 bytes
 *       01 01 ff                      the answer is to hold the signer's certificate
 *
 * @layer crypto
 */

import { type Bytes, encodeHex, type Random } from "./bytes.ts";
import {
  DerError,
  DerFields,
  elements,
  encodeCount,
  encodeDer,
  encodeOid,
  parseDer,
  readCount,
  readNamedBits,
  readText,
  TAG,
} from "./der.ts";
import { ProtocolError } from "./errors.ts";
import type { HashName } from "./hash.ts";
import { quoted } from "./text.ts";
import { hashOid } from "./timestamp_algorithms.ts";
import { type GoodToken, type Imprint, judgeToken, type TokenTrust } from "./timestamp_judge.ts";
import { MAX_TOKEN_BYTES, parseToken, type Token } from "./timestamp_token.ts";
import { type Certificate, MAX_CERTIFICATE_BYTES, parseCertificate } from "./x509.ts";

/** What an authority is asked to stamp. */
export interface StampQuery {
  readonly hash: HashName;
  /** The digest of the bytes. */
  readonly imprint: Bytes;
  /** Of {@link freshNonce}. */
  readonly nonce: Bytes;
}

/** A nonce for one query: its first byte is 01 to 7f, so that it is written as it is. */
export function freshNonce(random: Random): Bytes {
  const nonce = random(8);
  nonce[0] = 1 + (nonce[0] ?? 0) % 0x7f;
  return nonce;
}

/** The TimeStampReq in DER. */
export function encodeQuery({ hash, imprint, nonce }: StampQuery): Bytes {
  const algorithm = encodeDer(TAG.sequence, encodeOid(hashOid(hash)), encodeDer(TAG.null));
  return encodeDer(
    TAG.sequence,
    encodeCount(1),
    encodeDer(TAG.sequence, algorithm, encodeDer(TAG.octetString, imprint)),
    encodeDer(TAG.integer, nonce),
    encodeDer(TAG.boolean, Uint8Array.of(0xff)),
  );
}

/** A TimeStampResp as it was read. */
export interface StampReply {
  /** 0 granted, 1 granted with changes; everything else is a refusal. */
  readonly status: number;
  /** What the authority says about a refusal, for people. */
  readonly text: string;
  readonly token: Bytes | undefined;
}

/** The bits of PKIFailureInfo (RFC 3161 section 2.4.2). */
const FAILURES: Readonly<Record<number, string>> = {
  0: "badAlg",
  2: "badRequest",
  5: "badDataFormat",
  14: "timeNotAvailable",
  15: "unacceptedPolicy",
  16: "unacceptedExtension",
  17: "addInfoNotAvailable",
  25: "systemFailure",
};

/** Reads a TimeStampResp; a {@link DerError} names what is wrong. */
export function parseReply(der: Bytes): StampReply {
  const fields = new DerFields(parseDer(der, "the answer"), "the answer");
  const info = new DerFields(fields.next(TAG.sequence), "the answer's status");
  const token = fields.optional(TAG.sequence);
  fields.end();
  const status = readCount(info.next(TAG.integer), "the answer's status");
  const strings = info.optional(TAG.sequence);
  const failure = info.optional(TAG.bitString);
  info.end();
  const texts = strings === undefined ? [] : elements(strings, "the answer's text");
  const words = texts.map((element) => quoted(readText(element, "the answer's text")));
  const bits = failure === undefined ? [] : [...readNamedBits(failure, "the answer's failure")];
  const text = [...bits.map((bit) => FAILURES[bit] ?? `failure ${bit}`), ...words].join(", ");
  return { status, text, token: token?.whole };
}

/** A token that was taken. */
export interface TakenToken {
  /** The kept token, in DER. */
  readonly token: Bytes;
  /** Its signer's certificate and the intermediates, signer first, without the root. */
  readonly chain: readonly Certificate[];
  readonly verdict: GoodToken;
}

/** How an answer is held against what was asked. */
export interface ReplyRules {
  /** The query's nonce, which the token has to repeat; left out where the query is no longer known. */
  readonly nonce?: Bytes;
  /** How far (ms) genTime may be from now; left out where the answer may have lain for long. */
  readonly within?: number;
  /** Further certificates that may be on the way to a root. */
  readonly certificates?: readonly Certificate[];
  readonly now: number;
}

/** Certificates in an answer: more than a path has are not looked at. */
const MAX_CERTIFICATES = 16;

/**
 * Takes the token out of an answer, or refuses it whole: a string says why, a sentence without its full stop.
 */
export async function takeReply(
  reply: Bytes,
  imprint: Imprint,
  trust: TokenTrust,
  rules: ReplyRules,
): Promise<TakenToken | string> {
  try {
    const { status, text, token } = parseReply(reply);
    if (status > 1) return `it refuses to stamp, with status ${status}${text === "" ? "" : ` (${text})`}`;
    if (token === undefined) return "there is no token in its answer";
    return await takeToken(parseToken(token), imprint, trust, rules);
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    return error.message;
  }
}

async function takeToken(token: Token, imprint: Imprint, trust: TokenTrust, rules: ReplyRules) {
  const { nonce, within = Infinity, now } = rules;
  if (nonce !== undefined && token.info.nonce !== encodeHex(nonce)) return "its token is for another query";
  if (Math.abs(token.info.genTime - now) > within) {
    return `its clock is wrong by more than ${within / 60_000} minutes, or ours is`;
  }
  if (token.kept.length > MAX_TOKEN_BYTES) return `its token has more than ${MAX_TOKEN_BYTES} bytes`;
  const certificates = [...certificatesOf(token), ...rules.certificates ?? []];
  const evidence = { token: token.kept, imprint, certificates, revocations: [] };
  const verdict = await judgeToken(evidence, trust, {}, { now, protectedAt: now });
  if (verdict.outcome !== "good") return verdict.reason;
  return { token: token.kept, chain: verdict.path.slice(0, -1), verdict };
}

/** The certificates that came with a token, as far as they can be read: none of them is trusted. */
export function certificatesOf({ certificates }: Token): Certificate[] {
  return certificates.slice(0, MAX_CERTIFICATES).flatMap((der) => {
    if (der.length > MAX_CERTIFICATE_BYTES) return [];
    try {
      return [parseCertificate(der.slice())];
    } catch (error) {
      if (error instanceof ProtocolError) return [];
      throw error;
    }
  });
}
