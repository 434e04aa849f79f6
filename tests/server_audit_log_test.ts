import { assert } from "./assert.ts";
import { encodeHex } from "../lib/bytes.ts";
import { auditLeaf } from "../lib/server_audit_log.ts";

const row = {
  ...{ id: 7, index: undefined, occurredAt: "2026-11-28 20:17:21", event: "login_failure", ip: "192.0.2.1" },
  ...{ key: "00112233445566778899aabbccddeeff", reason: "wrong password" },
};

Deno.test("the leaf of an audit row is that of the published vector", () => {
  assert.equal(encodeHex(auditLeaf(row)), "0f3dc5c338f66aa7bc125e5b96649abf0777235484986a4eee17a0e7e2b93074");
});

Deno.test("each column of an audit row changes its leaf, and its id and index don't", () => {
  const leaf = encodeHex(auditLeaf(row));
  assert.equal(encodeHex(auditLeaf({ ...row, id: 8, index: 4 })), leaf);
  const changes = { occurredAt: "2026-11-28 20:17:22", event: "x", ip: "::1", key: "0", reason: "", email: "a@b" };
  for (const [name, value] of Object.entries({ ...changes, fingerprint: "f" })) {
    assert.notEqual(encodeHex(auditLeaf({ ...row, [name]: value })), leaf, name);
  }
});
