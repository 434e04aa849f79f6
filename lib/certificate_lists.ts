/**
 * Revocation lists: which ones apply to a certificate, and what they say of it at a time.
 *
 * A CA that gets another key keeps its name, and then has a list for each key. A list applies only to certificates that
 * its key signed.
 *
 * @layer crypto
 */

import { nameOf, type Purpose } from "./certificate_rules.ts";
import { verifySignature } from "./certificate_signature.ts";
import type { Names } from "./options.ts";
import { shortName } from "./text.ts";
import { formatTime } from "./time_text.ts";
import type { Certificate, RevocationList, Signed } from "./x509.ts";

/** What a side trusts: its CAs, and their revocation lists if it has any. */
export interface Trust {
  readonly authorities: readonly Certificate[];
  readonly revocations: readonly RevocationList[];
}

/** The names of {@link Trust}. */
export const TRUST_NAMES: Names<Trust> = { authorities: true, revocations: true };

/**
 * How revocation lists are read. `current`: the list must be up to date, and a revoked certificate is refused.
 * `offline`: the list may be old, and only what is dated after the revocation is refused.
 */
export type RevocationMode = "current" | "offline";

/**
 * Whether one of these certificates is in its issuer's list, whatever else is right or wrong with them. As in a path, a
 * list applies only to what its key signed. If the issuer's certificate isn't at hand, identifiers decide whose list it
 * is.
 */
export async function isRevoked(chain: readonly Certificate[], { authorities, revocations }: Trust): Promise<boolean> {
  for (const certificate of chain) {
    const { issuerName, serial, authorityKeyIdentifier } = certificate;
    const lists = revocations.filter((list) => list.issuerName === issuerName && list.revoked.has(serial));
    if (lists.length === 0) continue;
    const issuers: Certificate[] = [];
    for (const other of [...authorities, ...chain]) {
      if (other.subjectName === issuerName && await verifySignature(certificate, other)) issuers.push(other);
    }
    if (issuers.length === 0 && lists.some((list) => isOfKey(list, authorityKeyIdentifier))) return true;
    for (const list of lists) {
      for (const issuer of issuers) if (isSaidToBeOf(list, issuer) || await isGoodList(list, issuer)) return true;
    }
  }
  return false;
}

/** Whether the issuer's key with that identifier may have signed this, as far as identifiers tell. */
export function isOfKey({ authorityKeyIdentifier }: Signed, identifier: string | undefined): boolean {
  return authorityKeyIdentifier === undefined || identifier === undefined || authorityKeyIdentifier === identifier;
}

/** A revocation list with the name of a certificate's issuer. */
export interface AppliedList {
  readonly certificate: Certificate;
  readonly depth: number;
  readonly list: RevocationList;
  /** Another key signed it, of an issuer with the same name: it says nothing about this certificate. */
  readonly isPassedOver: boolean;
  /** What is wrong with the list itself. */
  readonly problems: readonly string[];
}

/**
 * Item 5: the lists of the path's issuers.
 */
export function appliedLists(certificates: readonly Certificate[], trust: Trust): Promise<AppliedList[]> {
  const applied = certificates.slice(0, -1).flatMap((certificate, depth) => {
    const issuer = certificates[depth + 1];
    const lists = trust.revocations.filter((list) => list.issuerName === issuer?.subjectName);
    return issuer === undefined ? [] : lists.map((list) => ({ certificate, depth, issuer, list }));
  });
  return Promise.all(applied.map(async ({ certificate, depth, issuer, list }) => {
    const applied = { certificate, depth, list };
    const isGood = await isGoodList(list, issuer); // whatever its identifier: a renewed CA's may differ
    if (!isGood && !isSaidToBeOf(list, issuer)) return { ...applied, problems: [], isPassedOver: true };
    const problems = list.faults.map((fault) => `${listName(list)} ${fault}`);
    if (issuer.keyUsage?.has("cRLSign") === false) {
      problems.push(`${listName(list)} is signed with a key that may not sign such lists, by the CA's keyUsage`);
    } else if (!isGood) problems.push(`${listName(list)} is not signed with that CA's key`);
    return { ...applied, problems, isPassedOver: false };
  }));
}

/** Whether a list names the issuer's key as the one that signed it. If that key didn't sign it, the list is wrong. */
function isSaidToBeOf({ authorityKeyIdentifier }: RevocationList, { subjectKeyIdentifier }: Certificate): boolean {
  return authorityKeyIdentifier !== undefined && authorityKeyIdentifier === subjectKeyIdentifier;
}

/**
 * Whether there is a list of the key that signed the certificate at that depth. A list of another key can't replace it.
 */
export function hasOwnList(lists: readonly AppliedList[], depth: number): boolean {
  return lists.some((list) => list.depth === depth && !list.isPassedOver);
}

/** A server uses the same list for every client, so its signature is checked only once for each CA. */
const listSignatures = new WeakMap<RevocationList, Map<string, Promise<boolean>>>();

/** Whether the issuer's key signed the list. */
function isGoodList(list: RevocationList, issuer: Certificate): Promise<boolean> {
  const known = listSignatures.get(list) ?? new Map<string, Promise<boolean>>();
  listSignatures.set(list, known);
  const good = known.get(issuer.fingerprint) ?? verifySignature(list, issuer);
  known.set(issuer.fingerprint, good);
  return good;
}

/** What a list has against a certificate at that time. */
export function revocationProblems(applied: AppliedList, at: number, mode: RevocationMode, purpose: Purpose): string[] {
  const { certificate, depth, list } = applied;
  const problems = [...applied.problems];
  if (mode === "current") {
    if (at < list.thisUpdate) problems.push(`${listName(list)} is of a later time than the clock says`);
    if (list.nextUpdate === undefined) problems.push(`${listName(list)} doesn't say when it expires`);
    else if (at >= list.nextUpdate + 1000) {
      problems.push(`${listName(list)} expired ${formatTime(list.nextUpdate)}`);
    }
  }
  const entry = list.revoked.get(certificate.serial);
  if (entry !== undefined && (mode === "current" || at > entry.date)) {
    problems.push(`${nameOf(certificate, depth, purpose)} was revoked ${formatTime(entry.date)}`);
  }
  return problems;
}

/** A list in a sentence. */
export function listName(list: RevocationList): string {
  return `the revocation list of "${shortName(list.issuer)}"`;
}
