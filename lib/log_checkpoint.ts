/**
 * A checkpoint is a log's head with a time and the server's signature: it proves that lines were accepted
 * (docs/PROTOCOL.md, "Checkpoints").
 *
 *     {"time":1700055622,"size":57,"root":"<hex>","sig":"<b64>","from":"<fingerprint>"}      in receipts
 *
 * `sig` is over `securechat/2 checkpoint`, a zero byte, and four lines, of which the last three are a C2SP
 * tlog-checkpoint without extensions:
 *
 *     time 1700055622
 *     chat.example/#ops/8f14e45fceea167a5a36dedd4bea2543
 *     57
 *     aGVsbG8gd29ybGQsIHRoaXMgaXMgMzIgYnl0ZXMhISE=
 *
 * The signature covers the log's origin, the size, the root and the time. `verify_heads.ts` checks whether the certificate
 * that `from` names may sign for the origin.
 *
 * @layer format
 */

import { type Bytes, encodeBase64, encodeUtf8, parseBase64, parseHex } from "./bytes.ts";
import { type Head, parseHead } from "./log_envelope.ts";
import { isJsonObject, type Json, type JsonObject, member } from "./json.ts";
import type { SigningKey, VerifyingKey } from "./pss.ts";

/** A signed head. */
export interface Checkpoint extends Head {
  /** Unix seconds. */
  readonly time: number;
  readonly sig: Bytes;
  /** The fingerprint of the signer's certificate. */
  readonly from: string;
}

const LABEL = "securechat/2 checkpoint\0";

/** The bytes that the signature of a checkpoint covers. */
export function checkpointInput(origin: string, { time, size, root }: Head & { readonly time: number }): Bytes {
  const root64 = encodeBase64(parseHex(root) ?? new Uint8Array(0));
  return encodeUtf8(`${LABEL}time ${time}\n${origin}\n${size}\n${root64}\n`);
}

/** Who signs a checkpoint, and when: unix seconds. */
export interface CheckpointSigner {
  readonly key: SigningKey;
  readonly fingerprint: string;
  readonly time: number;
}

/** Signs a log's head. */
export async function signCheckpoint(origin: string, head: Head, signer: CheckpointSigner): Promise<Checkpoint> {
  const { size, root } = head;
  const stated = { time: signer.time, size, root };
  return { ...stated, sig: await signer.key.sign(checkpointInput(origin, stated)), from: signer.fingerprint };
}

/** Whether the key signed this checkpoint of this log. */
export function isCheckpointSigned(origin: string, checkpoint: Checkpoint, key: VerifyingKey): boolean {
  return key.verify(checkpoint.sig, checkpointInput(origin, checkpoint));
}

/** The checkpoint in an object, which may have other names; `undefined` if a field is missing or malformed. */
export function parseCheckpoint(value: Json | undefined): Checkpoint | undefined {
  const head = parseHead(value);
  if (!head || !isJsonObject(value)) return undefined;
  const [time, sig, from] = [member(value, "time"), member(value, "sig"), member(value, "from")];
  const signature = typeof sig === "string" ? parseBase64(sig) : undefined;
  if (typeof time !== "number" || !signature || typeof from !== "string" || !/^[0-9a-f]{64}$/.test(from)) {
    return undefined;
  }
  return { time, ...head, sig: signature, from };
}

/** A checkpoint as in a receipt. Its frame also has `type` and `room`. */
export function encodeCheckpoint({ time, size, root, sig, from }: Checkpoint): JsonObject {
  return { time, size, root, sig: encodeBase64(sig), from };
}
