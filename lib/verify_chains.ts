/**
 * The certificates that a room's evidence shows, each with its intermediates (docs/PROTOCOL.md, "Rooms as evidence").
 *
 *     chains.add("LS0tLS1CRUdJTi…")      → true: it is base64 of PEM, and was kept
 *     chains.get(line.signer)?.leaf.rsa
 *
 * Evidence may show ten thousand, which no line needs to name. Parsed they would take 100 MB: they are kept as the
 * receipt spells them, and parsed again for whoever asks.
 *
 * @layer protocol
 */

import type { Json } from "./json.ts";
import { type Chain, parseChain } from "./verify_verdict.ts";

/** So many stay parsed: those who write in a room at the same time. */
const MAX_PARSED = 64;

/** Certificates by the fingerprint of the leaf; of two with the same leaf the first counts. */
export class Chains {
  readonly #spelled = new Map<string, Json>();
  /** What was added already, good and bad: the same one a thousand times costs no more than once. */
  readonly #seen = new Map<Json, boolean>();
  readonly #parsed = new Map<string, Chain>();

  /** How many there are. */
  get size(): number {
    return this.#spelled.size;
  }

  /** Takes one as a receipt spells it; whether it can be read. */
  add(value: Json): boolean {
    const seen = this.#seen.get(value);
    if (seen !== undefined) return seen;
    const fingerprint = parseChain(value)?.leaf.fingerprint;
    this.#seen.set(value, fingerprint !== undefined);
    if (fingerprint === undefined) return false;
    if (!this.#spelled.has(fingerprint)) this.#spelled.set(fingerprint, value);
    return true;
  }

  /** The certificate with that fingerprint, with its intermediates. */
  get(fingerprint: string): Chain | undefined {
    const known = this.#parsed.get(fingerprint);
    if (known) return known;
    const value = this.#spelled.get(fingerprint);
    const chain = value === undefined ? undefined : parseChain(value);
    if (!chain) return undefined;
    if (this.#parsed.size >= MAX_PARSED) this.#parsed.clear();
    this.#parsed.set(fingerprint, chain);
    return chain;
  }

  /** All of them, one by one. */
  *[Symbol.iterator](): Generator<Chain> {
    for (const value of this.#spelled.values()) {
      const chain = parseChain(value);
      if (chain) yield chain;
    }
  }
}
