/**
 * The leaf of a row of the audit log in the tree over that log (docs/PROTOCOL.md, "The audit log").
 *
 *     {"at":"2026-11-28T20:17:21Z","event":"login_failure","ip":"192.0.2.1","key":"<32 hex>","reason":"wrong password"}
 *
 * The RFC 8785 form of the row as the database gives it back, a name for each column that has a value. The random key
 * keeps somebody who sees only the hash from guessing the row.
 *
 * @layer chat
 */

import { type Bytes, encodeUtf8 } from "./bytes.ts";
import { canonicalJson } from "./json.ts";
import { leafHash } from "./log_tree.ts";
import type { StoredAuditRow } from "./server_log_store.ts";

/** The hash of a row's leaf. RangeError if a text in the row has no canonical form. */
export function auditLeaf({ id: _, index: __, occurredAt, ...row }: StoredAuditRow): Bytes {
  const text = canonicalJson({ at: `${occurredAt.replace(" ", "T")}Z`, ...row });
  if (text === undefined) throw new RangeError("a row of the audit log holds half a character");
  return leafHash(encodeUtf8(text));
}
