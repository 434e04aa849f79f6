/**
 * What a time-stamp token is worth (docs/PROTOCOL.md, "Time-stamp tokens"): RFC 3161, judged with the roots that the
 * verifier names.
 *
 *     const verdict = await judgeToken(
 *       { token, imprint: imprintOf(note), certificates: parseCertificates(tsaPem, 1000), revocations: [] },
 *       { roots },
 *       { allowEnded: false },
 *       { now: Date.now(), protectedAt: Date.now() },
 *     );
 *     verdict.outcome → "good"      verdict.by, verdict.since: what was stamped existed then
 *                     → "nothing"   verdict.cause, verdict.reason: it counts for nothing
 *                     → "wrong"     verdict.reason: it is false, whatever is named
 *
 * Two refusals are kept apart. A token that is *wrong* was made or changed by somebody who has no right to: its form,
 * its imprint, its attributes, its signature, or a signer that may not stamp. One that *counts for nothing* may be
 * honest: its signer's certificate is not at hand, its root was not named, a certificate has ended or was revoked, or
 * its time is yet to come.
 *
 * The signer is the one certificate that the token names both by its hash and by its issuer and number (or its key). The
 * first that would fit a purpose is never taken: whoever adds a certificate to a token doesn't change who signed it.
 *
 * `protectedAt` is until when the certificates must not have ended, nor an algorithm have lost its trust: the time of the
 * renewal that took over, else now. `timestamp_renewal.ts` works it out for a file with renewals.
 *
 * @layer crypto
 */

import { type Bytes, encodeHex, equalBytes } from "./bytes.ts";
import {
  type CertificatePath,
  findPath,
  keyProblem,
  MAX_PATH,
  SECOND,
  stampSignerProblems,
} from "./certificate_path.ts";
import { schemeOf, verifyData } from "./certificate_signature.ts";
import { DerError } from "./der.ts";
import { type Algorithm, type Distrust, distrustedOf } from "./distrust.ts";
import { digest, type HashName } from "./hash.ts";
import { shortName } from "./text.ts";
import type { TokenInfo } from "./timestamp_info.ts";
import { type StampObjection, stampStanding } from "./timestamp_path.ts";
import { type CertificateId, parseKeptToken, type SignerName, type Token } from "./timestamp_token.ts";
import type { Certificate, RevocationList } from "./x509.ts";

/** The digest of what was stamped, by the hash that the token names. Whoever has a large file hashes it in pieces. */
export type Imprint = (hash: HashName) => Bytes | Promise<Bytes>;

/** {@link Imprint} of bytes that are at hand. */
export function imprintOf(bytes: Uint8Array): Imprint {
  return (hash) => digest(hash, bytes);
}

/** A token and what came with it; none of it is trusted. */
export interface TokenEvidence {
  /** The DER of the kept token. */
  readonly token: Bytes;
  readonly imprint: Imprint;
  /** Where its signer and the intermediates are looked for; any number, in any order. */
  readonly certificates: readonly Certificate[];
  readonly revocations: readonly RevocationList[];
}

/** What the verifier names. */
export interface TokenTrust {
  /** The roots of the authorities that count. */
  readonly roots: readonly Certificate[];
}

/** What the verifier allows beside the rules. */
export interface TokenPolicy {
  /** Takes tokens whose certificates have ended all the same. */
  readonly allowEnded?: boolean | undefined;
  readonly distrust?: Distrust | undefined;
}

/** When a token is judged (unix ms). */
export interface TokenTimes {
  readonly now: number;
  readonly protectedAt: number;
}

/** What is known of a token whose form is right. */
interface Read {
  readonly info: TokenInfo;
  /** The signer's certificate, if it is at hand. */
  readonly signer: Certificate | undefined;
}

/** A token that counts. */
export interface GoodToken extends Read {
  readonly outcome: "good";
  readonly signer: Certificate;
  /** From the signer to the root that the verifier named. A token counts for this one root. */
  readonly path: readonly Certificate[];
  readonly root: Certificate;
  /** Unix milliseconds: what was stamped existed no later than `by`; it was stamped no earlier than `since`. */
  readonly by: number;
  readonly since: number;
  /** When the first certificate of the path ends: the last second (unix ms) in which it is valid. */
  readonly ends: number;
  /** Whether that end had come before anything newer took over, and was allowed. */
  readonly hasEnded: boolean;
  /** All algorithms that the token relies on. */
  readonly algorithms: ReadonlySet<Algorithm>;
}

/** A token that counts for nothing, and may be honest. */
export interface EmptyToken extends Read {
  readonly outcome: "nothing";
  /**
   * `signer`: its certificate is not at hand. `root`: it leads to no root that was named. `path`: the way to a named
   * root is not good. `future`: its time is yet to come. `distrusted`: an algorithm that no longer counts.
   */
  readonly cause: "signer" | "root" | StampObjection["cause"] | "future" | "distrusted";
  /** A sentence without its full stop. */
  readonly reason: string;
  /** For `root`: the certificate at the end of the way that could be gone, for people to compare; it proves nothing. */
  readonly top?: Certificate | undefined;
}

/** A token that is false. */
export interface WrongToken {
  readonly outcome: "wrong";
  /** A sentence without its full stop. */
  readonly reason: string;
}

/** What {@link judgeToken} answers. */
export type TokenVerdict = GoodToken | EmptyToken | WrongToken;

const STAMPS = { purpose: "tsa" } as const;

/** How far two clocks may be apart: 5 minutes, in milliseconds. */
const MAX_CLOCK_DIFFERENCE = 300_000;

/** Judges a kept token. Many are judged faster if lists of certificates and the like are the same arrays each time. */
export async function judgeToken(
  evidence: TokenEvidence,
  trust: TokenTrust,
  policy: TokenPolicy,
  times: TokenTimes,
): Promise<TokenVerdict> {
  let token: Token;
  try {
    token = parseKeptToken(evidence.token);
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    return wrong(error.message);
  }
  const problem = await statementProblem(token, evidence.imprint);
  if (problem !== undefined) return wrong(problem);
  const signer = await findSigner(token, evidence.certificates);
  if (typeof signer === "string") return wrong(signer);
  const { info } = token;
  if (signer === undefined) {
    return { outcome: "nothing", cause: "signer", reason: "its signer's certificate is not at hand", info, signer };
  }
  return await judgeSigned(token, signer, {
    certificates: evidence.certificates,
    revocations: evidence.revocations,
    roots: trust.roots,
  }, { ...policy, ...times });
}

function wrong(reason: string): WrongToken {
  return { outcome: "wrong", reason };
}

/** Imprint and attributes: what can be compared without a certificate. */
async function statementProblem({ info, hash, content, messageDigest }: Token, imprint: Imprint) {
  if (!equalBytes(info.imprint, await imprint(info.hash))) return "it is of other bytes";
  if (!equalBytes(messageDigest, digest(hash, content))) return "its attributes are of another time stamp";
  return undefined;
}

/**
 * The certificate that the IDs and the signer's name are of; a string says what contradicts. Somebody may have added a
 * certificate that has the signer's name: only if its key has signed this token does it contradict the ID.
 */
async function findSigner(token: Token, pool: readonly Certificate[]): Promise<Certificate | string | undefined> {
  const [first, second] = token.certificateIds;
  const signer = pool.find((certificate) => first !== undefined && isIdOf(first, certificate));
  if (signer !== undefined) {
    if (second !== undefined && !isIdOf(second, signer)) return "its two IDs are not of one certificate";
    if (!isNameOf(token.signer, signer)) return "its ID is of another certificate than the one that it names";
    if (!token.certificateIds.every((id) => hasPlaceOf(id, signer))) return "its ID names another issuer or number";
    return signer;
  }
  for (const certificate of pool) {
    if (!isNameOf(token.signer, certificate) || keyProblem(certificate, STAMPS) !== undefined) continue;
    if (await isSignedWith(token, certificate)) return "its ID is of another certificate than the one that signed it";
  }
  return undefined;
}

function isIdOf({ hash, value }: CertificateId, { der, fingerprint }: Certificate): boolean {
  return value === (hash === "SHA-256" ? fingerprint : encodeHex(digest(hash, der)));
}

function isNameOf(name: SignerName, { issuerName, serial, subjectKeyIdentifier }: Certificate): boolean {
  if ("keyIdentifier" in name) return name.keyIdentifier === subjectKeyIdentifier;
  return name.issuerName === issuerName && name.serial === serial;
}

/** Whether issuer and number in the ID, if they are there, are the certificate's. */
function hasPlaceOf(id: CertificateId, { issuerName, serial }: Certificate): boolean {
  return id.issuerName === undefined || (id.issuerName === issuerName && id.serial === serial);
}

function isSignedWith({ scheme, signature, signedAttributes }: Token, signer: Certificate): Promise<boolean> {
  return verifyData(scheme, signer, signature, signedAttributes);
}

type Surroundings = Pick<TokenEvidence, "certificates" | "revocations"> & TokenTrust;

/** The signature, the signer, and the way to a root. */
async function judgeSigned(
  token: Token,
  signer: Certificate,
  surroundings: Surroundings,
  rules: TokenPolicy & TokenTimes,
): Promise<TokenVerdict> {
  const { info } = token;
  const name = `the authority's certificate "${shortName(signer.subject)}"`;
  const nothing = (cause: EmptyToken["cause"], reason: string): EmptyToken => {
    return { outcome: "nothing", cause, reason, info, signer };
  };
  const keyFault = keyProblem(signer, STAMPS);
  if (keyFault !== undefined) return nothing("path", `${name} ${keyFault}`);
  if (!await isSignedWith(token, signer)) return wrong("its signature is not the signer's");
  const [unfit] = stampSignerProblems(signer);
  if (unfit !== undefined) return wrong(`${name} ${unfit}`);
  if (info.genTime > rules.now + MAX_CLOCK_DIFFERENCE) return nothing("future", "its time is yet to come");

  const path = await pathOf(signer, surroundings);
  const { certificates: found, problems } = stampStanding(path, { ...rules, genTime: info.genTime });
  if (path.authorities.length === 0) {
    return { ...nothing("root", problems[0]?.reason ?? ""), top: topOf(chainOf(signer, surroundings.certificates)) };
  }
  const [objection] = problems;
  if (objection !== undefined) return nothing(objection.cause, objection.reason);
  const good = goodToken(token, found, rules.protectedAt);
  const lost = rules.distrust && distrustedOf(good.algorithms, rules.protectedAt, rules.distrust);
  if (lost === undefined) return good;
  return nothing("distrusted", `it relies on ${lost}, and nothing newer protects it before that lost its trust`);
}

function goodToken(token: Token, path: readonly Certificate[], protectedAt: number): GoodToken {
  const { info } = token;
  const [signer, root] = [path[0], path.at(-1)];
  if (signer === undefined || root === undefined) throw new RangeError("a good path has a signer and a root");
  const ends = Math.min(...path.map(({ notAfter }) => notAfter));
  const algorithms = algorithmsOf(token, path);
  const { by, since } = info;
  return {
    outcome: "good",
    info,
    signer,
    path,
    root,
    by,
    since,
    ends,
    hasEnded: protectedAt >= ends + SECOND,
    algorithms,
  };
}

/** The paths of signers: evidence has many tokens of few authorities, judged with the same lists of certificates. */
const paths = new WeakMap<readonly Certificate[], { among: Surroundings; of: Map<string, Promise<CertificatePath>> }>();

function pathOf(signer: Certificate, among: Surroundings): Promise<CertificatePath> {
  const { certificates, revocations, roots } = among;
  let known = paths.get(roots);
  if (known?.among.certificates !== certificates || known.among.revocations !== revocations) {
    known = { among, of: new Map() };
    paths.set(roots, known);
  }
  const trust = { authorities: roots, revocations };
  const path = known.of.get(signer.fingerprint) ?? findPath(chainOf(signer, certificates), trust, STAMPS);
  known.of.set(signer.fingerprint, path);
  return path;
}

/** The root's own signature proves nothing, so its algorithm doesn't count. */
function algorithmsOf({ info, hash, scheme }: Token, path: readonly Certificate[]): Set<Algorithm> {
  const schemes = [scheme, ...path.slice(0, -1).flatMap((certificate) => schemeOf(certificate) ?? [])];
  const hashes = [info.hash, hash, ...schemes.map((one) => one.hash)];
  const spelled = { "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512" } as const;
  return new Set([
    ...hashes.map((one) => spelled[one]),
    ...schemes.map(({ name }) => name === "ECDSA" ? "ecdsa" as const : "rsa" as const),
  ]);
}

/** The signer, and what may lie on its way to a root, by name: a pool may hold certificates of many authorities. */
function chainOf(signer: Certificate, pool: readonly Certificate[]): Certificate[] {
  const chain = [signer];
  for (const tip of chain) { // it grows on the way
    const issuers = pool.filter((one) => one.subjectName === tip.issuerName && !isIn(chain, one));
    for (const issuer of issuers) if (chain.length < MAX_PATH && !isIn(chain, issuer)) chain.push(issuer);
  }
  return chain;
}

function isIn(chain: readonly Certificate[], { fingerprint }: Certificate): boolean {
  return chain.some((member) => member.fingerprint === fingerprint);
}

/** Climbs by names; no signature is checked. */
function topOf([signer, ...others]: readonly Certificate[]): Certificate | undefined {
  let top = signer;
  for (const other of others) if (other.subjectName === top?.issuerName) top = other;
  return top;
}
