/** Time-stamp tokens of a real authority, `openssl ts`, read by us, and in their kept form read by it again. */

import { encodeUtf8 } from "../lib/bytes.ts";
import { digest } from "../lib/hash.ts";
import { imprintOf, judgeToken } from "../lib/timestamp_judge.ts";
import { encodeQuery, freshNonce, takeReply } from "../lib/timestamp_query.ts";
import { encodePem } from "../lib/der.ts";
import { parseCertificateFile } from "../lib/x509.ts";
import { assert } from "./assert.ts";
import { skipUnless, temporaryFolder } from "./environment.ts";
import { type AuthorityOptions, makeAuthority, opensslVerifies, replyTo } from "./timestamp_authority.ts";
import { makeCertificate, makeKey, makeToken } from "./timestamp_writer.ts";

const NOTE = encodeUtf8("chat.example/log/8f14e45fceea167a5a36dedd4bea2543\n2\nvUHNHSSEWdCd\n");
const random = (size: number) => crypto.getRandomValues(new Uint8Array(size));

const AUTHORITIES: readonly AuthorityOptions[] = [
  { key: "RSA-2048", idHash: "sha1" },
  { key: "RSA-2048", idHash: "sha256", digest: "sha512" },
  { key: "P-256", idHash: "sha1" },
  { key: "P-256", idHash: "sha256" },
  { key: "P-384", idHash: "sha512", digest: "sha384" },
  { key: "P-521", idHash: "sha256", digest: "sha512" },
  { key: "P-521", idHash: "sha256", digest: "sha256" },
];

for (const options of AUTHORITIES) {
  const { key, idHash, digest: signed = "sha256" } = options;
  const name = `openssl's token (${key}, ${signed}, ID by ${idHash}) is taken, and its kept form is by openssl`;
  Deno.test({
    name,
    ...skipUnless("openssl"),
    fn: async () => {
      using folder = temporaryFolder();
      const files = await makeAuthority(folder.path, options);
      const roots = parseCertificateFile(await Deno.readTextFile(files.root));
      const certificates = parseCertificateFile(await Deno.readTextFile(files.chain));
      for (const hash of ["SHA-256", "SHA-512"] as const) {
        const nonce = freshNonce(random);
        const reply = await replyTo(files, encodeQuery({ hash, imprint: digest(hash, NOTE), nonce }));
        const now = Date.now();
        const taken = await takeReply(reply, imprintOf(NOTE), { roots }, { nonce, now, within: 300_000 });
        if (typeof taken === "string") throw new Error(taken);
        assert.ok(taken.token.length < 1_100, `${taken.token.length} bytes`);
        assert.deepEqual(taken.chain, certificates);
        const { isGood, said } = await opensslVerifies(files, taken.token, NOTE);
        assert.ok(isGood, said);
        assert.ok(!(await opensslVerifies(files, taken.token, NOTE.subarray(1))).isGood);
        const evidence = { token: taken.token, imprint: imprintOf(NOTE), certificates, revocations: [] };
        const verdict = await judgeToken(evidence, { roots }, {}, { now, protectedAt: now });
        if (verdict.outcome !== "good") throw new Error(verdict.reason);
        assert.equal(verdict.by - verdict.since, 2 * 1_501, "1.5001 seconds, both ways, rounded outwards");
        assert.ok(Math.abs(verdict.info.genTime - now) < 300_000);
      }
    },
  });
}

Deno.test({
  name: "openssl takes the tokens and certificates that these tests write",
  ...skipUnless("openssl"),
  fn: async () => {
    using folder = temporaryFolder();
    const root = await makeCertificate({ name: "Stamp Root", key: await makeKey("P-256") });
    const tsa = await makeCertificate({ name: "Stamp", key: await makeKey("P-384"), issuer: root });
    const write = async (name: string, der: Uint8Array) => {
      await Deno.writeTextFile(`${folder.path}/${name}`, encodePem("CERTIFICATE", der));
      return `${folder.path}/${name}`;
    };
    const files = {
      dir: folder.path,
      root: await write("root.pem", root.certificate.der),
      chain: await write("chain.pem", tsa.certificate.der),
    };
    const token = await makeToken({ data: NOTE, signer: tsa, digest: "SHA-384", genTime: "20251129120000.25Z" });
    const { isGood, said } = await opensslVerifies(files, token, NOTE);
    assert.ok(isGood, said);
  },
});
