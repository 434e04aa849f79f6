/**
 * Whether all certificates of the evidence come from another CA than the given ones. Then the evidence is neither proved
 * nor refuted, and the verdict says which CA's certificate is missing.
 *
 *     foreignAuthority(chains, trust)
 *       → 'these certificates were issued by another CA ("CN=Example CA", key 5be2…) than the one given ("CN=…", SHA-256 …)'
 *
 * If one certificate leads to a given CA, another that doesn't is a forgery or a mistake, and a reason against the
 * evidence. The issuer's name and the identifier of its key tell who issued a certificate; a certificate that names a
 * given CA but isn't signed by it is also a reason against the evidence.
 *
 * @layer protocol
 */

import type { Trust } from "./certificate_path.ts";
import { isOfKey } from "./certificate_path.ts";
import type { Certificate } from "./x509.ts";

/**
 * A sentence without its full stop; `undefined` if a given CA issued one of the certificates.
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

/** The last certificate on the way up from the leaf; `undefined` if a given CA is above it. */
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

/** The root if the evidence has it, else what its certificates say about it. */
function describe(top: Certificate): string {
  if (top.issuerName === top.subjectName) return `"${top.subject}", SHA-256 ${top.fingerprint}`;
  const key = top.authorityKeyIdentifier;
  return `"${top.issuer}"${key === undefined ? "" : `, key ${key}`}`;
}

/** At most so many CAs are named. */
const MAX_NAMED = 4;

function listed(names: readonly string[]): string {
  const more = names.length - MAX_NAMED;
  return names.slice(0, MAX_NAMED).join("; ") + (more > 0 ? `; and ${more} more` : "");
}
