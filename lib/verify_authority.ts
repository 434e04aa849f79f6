/**
 * Whether evidence comes from another CA than those that are given: then nothing is shown to be false, and nothing to
 * be true, and the verdict says which CA's certificate is missing.
 *
 *     foreignAuthority(chains, trust)
 *       → 'these certificates were issued by another CA ("CN=Example CA", key 5be2…) than the one given ("CN=…", SHA-256 …)'
 *
 * Every certificate of the evidence must be from elsewhere: where one of them leads to a given CA, another that doesn't
 * is a forgery or a mistake, and a reason against the evidence. Who issued a certificate is told by the issuer's name
 * and by the identifier of its key; a certificate that names a given CA and isn't signed by it stays a reason, too.
 *
 * @layer protocol
 */

import type { Trust } from "./certificate_path.ts";
import { isOfKey } from "./certificate_path.ts";
import type { Certificate } from "./x509.ts";

/**
 * The end of a sentence that begins with "Undecided: "; `undefined` where a given CA issued one of the certificates.
 */
export function foreignAuthority(chains: Iterable<readonly Certificate[]>, trust: Trust): string | undefined {
  const { authorities } = trust;
  if (authorities.length === 0) return undefined;
  const foreign = new Set<string>();
  for (const chain of chains) {
    const top = topOf(chain, authorities);
    if (top === undefined) return undefined;
    foreign.add(describe(top));
  }
  if (foreign.size === 0) return undefined;
  const given = authorities.map(({ subject, fingerprint }) => `"${subject}", SHA-256 ${fingerprint}`);
  const [another, one] = [foreign.size === 1 ? "another CA" : "other CAs", given.length === 1 ? "the one" : "those"];
  return `these certificates were issued by ${another} (${listed([...foreign])}) than ${one} given (${listed(given)})`;
}

/** The last certificate on the way up from the leaf; `undefined` where a given CA is above it. */
function topOf(chain: readonly Certificate[], authorities: readonly Certificate[]): Certificate | undefined {
  let [top, ...others] = chain;
  while (top !== undefined) {
    const below: Certificate = top;
    const isIssuer = (other: Certificate) =>
      other.subjectName === below.issuerName && isOfKey(below, other.subjectKeyIdentifier);
    if (authorities.some(isIssuer)) return undefined;
    const next = others.find(isIssuer);
    if (next === undefined) return below;
    others = others.filter((other) => other !== next);
    top = next;
  }
  return undefined;
}

/** The root, where the evidence has it; else what its certificates say of it. */
function describe(top: Certificate): string {
  if (top.issuerName === top.subjectName) return `"${top.subject}", SHA-256 ${top.fingerprint}`;
  const key = top.authorityKeyIdentifier;
  return `"${top.issuer}"${key === undefined ? "" : `, key ${key}`}`;
}

/** So many CAs are named. */
const MAX_NAMED = 4;

function listed(names: readonly string[]): string {
  const more = names.length - MAX_NAMED;
  return names.slice(0, MAX_NAMED).join("; ") + (more > 0 ? `; and ${more} more` : "");
}
