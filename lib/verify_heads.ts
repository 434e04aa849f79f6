/**
 * The checkpoints of a room's evidence: who signed them, whether each fits the lines and the proof, and which one covers a
 * line first (docs/PROTOCOL.md, "Checkpoints").
 *
 * @layer protocol
 */

import { type Bytes, encodeHex } from "./bytes.ts";
import { type Checkpoint, isCheckpointSigned } from "./log_checkpoint.ts";
import { VerifyingKey } from "./pss.ts";
import { Frontier, peakPlaces } from "./log_tree.ts";
import { shortName } from "./text.ts";
import type { Chain } from "./verify_verdict.ts";
import { type RoomCheckName, type RoomFindings } from "./verify_findings.ts";
import type { RoomReceipt } from "./verify_form.ts";
import type { CertificateJudge } from "./verify_judge.ts";

/** Why a check that needs a CA could not be made. */
export const NO_AUTHORITY = "no CA is given that issued it";

/** The tree over the lines and what comes before them, with the roots that other checks need. */
export class ShownTree {
  readonly #receipt: RoomReceipt;
  readonly #findings: RoomFindings;
  /** `undefined` if `before` can't be the frontier of a tree of that size. */
  readonly #frontier: Frontier | undefined;
  readonly #roots = new Map<number, string>();
  readonly #earlierSizes: ReadonlySet<number>;
  #size: number;
  /** Roots are kept up to this size: an author can't have seen a larger tree. */
  #last: number;

  constructor(receipt: RoomReceipt, findings: RoomFindings, hasOpenings: boolean) {
    this.#receipt = receipt;
    this.#findings = findings;
    this.#size = receipt.from;
    this.#last = hasOpenings ? receipt.from + receipt.count : -1;
    this.#earlierSizes = new Set(receipt.earlier.map(({ size }) => size));
    const peaks = peakPlaces(receipt.from).length;
    if (receipt.before.length === peaks) this.#frontier = new Frontier(receipt.from, receipt.before);
    else findings.frame("proof", `proof.before has ${receipt.before.length} hashes, not ${peaks}`);
    this.#noteRoot();
  }

  /** Adds the next line's hash. After a malformed line no more roots are needed. */
  append(leaf: Bytes, isReadable: boolean): void {
    if (!isReadable) this.#last = Math.min(this.#last, this.#size);
    if (this.#size < this.#receipt.checkpoint.size) this.#frontier?.append(leaf);
    this.#size += 1;
    this.#noteRoot();
  }

  #noteRoot(): void {
    if (this.#frontier?.size !== this.#size) return;
    if (this.#size > this.#last && !this.#earlierSizes.has(this.#size)) return;
    this.#roots.set(this.#size, encodeHex(this.#frontier.root()));
  }

  /** The root of that size; `undefined` if the evidence doesn't give it. */
  rootAt(size: number): string | undefined {
    return this.#roots.get(size);
  }

  /** Compares the lines and the proof with the checkpoint. */
  checkProof(): void {
    const { from, after, checkpoint: { size, root } } = this.#receipt;
    if (!this.#frontier) return;
    if (this.#size === from || this.#size > size) {
      return this.#findings.frame("proof", `the lines don't lie within a tree of ${size}`);
    }
    const found = this.#frontier.rootWith(after, size);
    if (!found) this.#findings.frame("proof", `proof.after has ${after.length} hashes, which are too few or too many`);
    else if (encodeHex(found) !== root) {
      const values = { expected: root, found: encodeHex(found) };
      this.#findings.frame("proof", "the lines and the proof give another root than the checkpoint's", values);
    }
  }
}

/** The checkpoints of a receipt. */
export class Heads {
  readonly #receipt: RoomReceipt;
  readonly #findings: RoomFindings;
  readonly #judge: CertificateJudge;
  readonly #keys = new Map<string, VerifyingKey>();
  /** How many earlier checkpoints cover no line from here on. */
  #passed = 0;

  constructor(receipt: RoomReceipt, findings: RoomFindings, judge: CertificateJudge) {
    this.#receipt = receipt;
    this.#findings = findings;
    this.#judge = judge;
  }

  /** The first checkpoint in the evidence that covers the line. Lines must be asked for in order. */
  covering(index: number): Checkpoint {
    const { earlier, checkpoint } = this.#receipt;
    while ((earlier[this.#passed]?.size ?? Infinity) <= index) this.#passed++;
    return earlier[this.#passed] ?? checkpoint;
  }

  /** The time of the last checkpoint that doesn't cover the line that was asked for last, unix seconds. */
  get timeBefore(): number {
    return this.#receipt.earlier[this.#passed - 1]?.time ?? 0;
  }

  /** Checks who signed them, until no more failure can change the verdict. */
  async checkSigners(server: string | undefined): Promise<void> {
    for (const each of [this.#receipt.checkpoint, ...this.#receipt.earlier]) {
      const checks = ["certs", "checkpoint signature", "checkpoint server"] as const;
      if (checks.some((check) => this.#findings.isSettled(check))) return;
      await this.#checkSigner(each, server, this.#receipt.chains.get(each.from));
    }
  }

  async #checkSigner(checkpoint: Checkpoint, server: string | undefined, chain: Chain | undefined): Promise<void> {
    const name = `the checkpoint of ${checkpoint.size}`;
    const fail = (check: RoomCheckName, reason: string) => this.#findings.frame(check, `${name} ${reason}`);
    if (!chain) {
      fail("certs", `is signed by ${checkpoint.from}, whose certificate is missing`);
      for (const check of ["checkpoint signature", "checkpoint server"] as const) {
        this.#findings.skip(check, "the certificate of a checkpoint's signer is missing");
      }
      return;
    }
    const { hostNames, subject } = chain.leaf;
    const key = this.#keyOf(chain);
    if (!key || !isCheckpointSigned(this.#receipt.origin, checkpoint, key)) {
      fail("checkpoint signature", "is not signed by the certificate that it names");
    }
    const names = hostNames?.dnsNames.map((dnsName) => dnsName.toLowerCase()) ?? [];
    if (server === undefined || !names.includes(server.toLowerCase())) {
      fail(
        "checkpoint server",
        `is signed by "${shortName(subject)}", which is not for the server that the origin names`,
      );
    }
    const { problems, revoked, isMade } = await this.#judge.at(chain, "server", checkpoint.time * 1000);
    if (!isMade) this.#findings.skip("checkpoint server", NO_AUTHORITY);
    for (const problem of problems) this.#findings.frame("checkpoint server", `${name}: ${problem}`);
    for (const problem of revoked) this.#findings.frame("revocation", `${name}: ${problem}`);
  }

  #keyOf({ leaf: { fingerprint, rsa } }: Chain): VerifyingKey | undefined {
    const known = this.#keys.get(fingerprint) ?? (rsa && new VerifyingKey(rsa.modulus));
    if (known) this.#keys.set(fingerprint, known);
    return known;
  }

  /** Checks that the earlier ones belong to this log, and their order; the lines end before `end`. */
  checkOrder(tree: ShownTree, end: number): void {
    const { from, earlier, checkpoint } = this.#receipt;
    if (earlier.length === 0) this.#findings.skip("checkpoints", "there are no earlier ones");
    const fail = (reason: string) => this.#findings.frame("checkpoints", reason);
    let [size, time] = [from, 0];
    for (const each of earlier) {
      if (this.#findings.isSettled("checkpoints")) return;
      const root = tree.rootAt(each.size);
      if (each.size <= size || each.size > end) {
        fail(`a checkpoint of ${each.size} is out of place: their sizes rise within the lines`);
      } else if (root === undefined) this.#findings.skip("checkpoints", "proof.before gives no roots");
      else if (root !== each.root) fail(`the checkpoint of ${each.size} is of another log`);
      if (each.time < time) fail(`the checkpoint of ${each.size} is of an earlier time than the one before it`);
      [size, time] = [each.size, each.time];
    }
    if (checkpoint.time < time) fail("the last checkpoint is of an earlier time than the one before it");
  }
}
