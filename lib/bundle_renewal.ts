/**
 * Renewing a bundle: a token over all of it is put behind its last member (docs/PROTOCOL.md, "Renewal").
 *
 *     const renewal = new BundleRenewal(source, await readBundle(source), lists);
 *     renewal.imprint       → what an authority is asked to stamp: of all bytes before the token's header
 *     renewal.pieces(taken) → the new file
 *
 * Nothing but the bundle and the lists decides what is stamped, so a query that is written today and its answer that
 * comes in a week are about the same bytes.
 *
 * @layer protocol
 */

import {
  type BundleMember,
  bytesBefore,
  extendBundle,
  memberOf,
  type NewMember,
  type RandomAccess,
  readMember,
} from "./bundle.ts";
import { type Bytes, encodeHex, encodeUtf8, parseBase64 } from "./bytes.ts";
import { encodePem } from "./der.ts";
import { type HashName, RunningHash, sha256 } from "./hash.ts";
import type { TakenToken } from "./timestamp_query.ts";
import { parseKeptToken } from "./timestamp_token.ts";
import { parseRevocationListFile } from "./x509.ts";

/** The next renewal of a bundle. */
export class BundleRenewal {
  readonly #source: RandomAccess;
  readonly #members: readonly BundleMember[];
  readonly #lists: readonly NewMember[];
  /** Its number, from 1. */
  readonly number: number;

  /** `lists`: fresh revocation lists, as PEM. */
  constructor(source: RandomAccess, members: readonly BundleMember[], lists: readonly string[]) {
    this.#source = source;
    this.#members = members;
    this.number = 1 + members.filter(({ name }) => /^renewal\/[0-9]+\.tst$/.test(name)).length;
    const text = inOrder(lists);
    this.#lists = text === "" ? [] : [memberOf(`renewal/${this.number}.crl`, encodeUtf8(text))];
  }

  /** The digest of all bytes before the token's header. */
  readonly imprint = async (hash: HashName): Promise<Bytes> => {
    const running = new RunningHash(hash);
    for await (const piece of bytesBefore(this.#source, this.#members, this.#lists)) running.update(piece);
    return running.digest();
  };

  /** Whether a token is of a later time than the renewal before it. */
  async isLater(token: Bytes): Promise<boolean> {
    const last = this.#members.find(({ name }) => name === `renewal/${this.number - 1}.tst`);
    if (!last) return true;
    const before = parseKeptToken(await readMember(this.#source, last));
    return parseKeptToken(token).info.nanoseconds > before.info.nanoseconds;
  }

  /** The renewed bundle. */
  pieces({ token, chain }: Pick<TakenToken, "token" | "chain">): AsyncIterable<Bytes> {
    const name = `renewal/${this.number}`;
    return extendBundle(this.#source, this.#members, [
      ...this.#lists,
      memberOf(`${name}.tst`, token),
      memberOf(`${name}.pem`, encodeUtf8(inOrder(chain.map(({ pem }) => pem)))),
    ]);
  }
}

/** A revocation list in its one spelling, out of a PEM file. Throws `bad-cert` for anything else. */
export function listPem(text: string): string {
  parseRevocationListFile(text);
  const [, body = ""] = /^-----BEGIN X509 CRL-----([^-]*)-----END/m.exec(text) ?? [];
  return encodePem("X509 CRL", parseBase64(body.replaceAll(/\s/g, "")) ?? new Uint8Array());
}

/** PEM blocks by their hash, none twice: the same blocks in another order give the same bytes. */
function inOrder(blocks: readonly string[]): string {
  const byHash = new Map(blocks.map((block) => [encodeHex(sha256(encodeUtf8(block))), block]));
  return [...byHash].sort(([a], [b]) => a < b ? -1 : 1).map(([, block]) => block).join("");
}
