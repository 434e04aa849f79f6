/**
 * A client's certificate, judged when its `hello` comes (docs/PROTOCOL.md, "Hello and certificates").
 *
 * @layer protocol
 */

import { fingerprintOf, type Identity } from "./certificate_identity.ts";
import { findPath, type Trust } from "./certificate_path.ts";
import { ProtocolError } from "./errors.ts";
import { VerifyingKey } from "./pss.ts";
import { parseCertificates } from "./x509.ts";

/** The client as its certificate shows it. */
export interface ShownClient {
  /** The certificate with its intermediates. */
  readonly pem: string;
  readonly fingerprint: string;
  readonly subject: string;
  readonly verifying: VerifyingKey;
  /** When the certificate's path is over, unix milliseconds. */
  readonly ends: number;
}

/** What a certificate is judged by. */
export interface ClientRules {
  /** The server's own identity: no client may show that. */
  readonly own: Identity;
  readonly trust: Trust;
  /** Unix milliseconds. */
  readonly now: number;
}

/** The client with that certificate. Throws `bad-cert` unless the certificate is good. */
export async function judgeClient(shown: string, { own, trust, now }: ClientRules): Promise<ShownClient> {
  const chain = parseCertificates(shown);
  const [leaf] = chain;
  const path = await findPath(chain, trust, {
    purpose: "client",
    ...(own.chain.length > 0 ? { own: fingerprintOf(own) } : {}),
  });
  const [problem] = path.problems(now, "current");
  if (problem !== undefined) throw new ProtocolError("bad-cert", problem);
  if (!leaf?.rsa) throw new ProtocolError("bad-cert", "The certificate's key must be RSA.");
  return {
    pem: chain.map(({ pem }) => pem).join(""),
    fingerprint: leaf.fingerprint,
    subject: leaf.subject,
    verifying: new VerifyingKey(leaf.rsa.modulus),
    ends: path.ends(now, "current"),
  };
}
