/** Evidence of another CA than the one given, and revocation lists of another key than the issuer's. */

import { createAuthority, issueCertificate, issueRevocationList, renewAuthority } from "../lib/ca.ts";
import { findPath, isRevoked } from "../lib/certificate_path.ts";
import { publicKeyOf } from "../lib/private_key.ts";
import { foreignAuthority } from "../lib/verify_authority.ts";
import { transcriptLines, verify } from "../lib/verify.ts";
import { verifyRoom } from "../lib/verify_room.ts";
import { parseCertificates, parseRevocationList } from "../lib/x509.ts";
import { assert } from "./assert.ts";
import { ROOT } from "./environment.ts";
import { evidenceCase } from "./evidence.ts";
import { rowText, sentencesOf } from "./verdict_text.ts";
import { authority, certificate, countingRandom, issuing, key, NOW } from "./fixtures.ts";
import { show, talk } from "./room_evidence.ts";

const client = { role: "client", name: "ada" } as const;
const read = (path: string) => Deno.readFileSync(`${ROOT}/tests/evidence/${path}`);
const text = (path: string) => new TextDecoder().decode(read(path));

Deno.test("evidence that another CA issued throughout is undecided, and both CAs are named", async () => {
  const given = parseCertificates(evidenceCase("other_ca_fail").ca);
  const { receipt, transcript } = evidenceCase("session");
  const verdict = await verify({ receipt, lines: transcriptLines(transcript) }, {
    ...{ authorities: given, revocations: [] },
  });
  assert.equal(verdict.result, "undecided");
  const pattern =
    /^These certificates were issued by another CA \("CN=[^"]+"(?:, key [0-9a-f]+)?\) than the one given \("CN=[^"]+", SHA-256 ([0-9a-f]{64})\)\.$/;
  assert.match(verdict.sentence, /^UNDECIDED A session, lines 1 to 3: another CA than the one given issued these/);
  assert.equal(pattern.exec(rowText(verdict, "Reasons"))?.[1], given[0]?.fingerprint);
  const room = await verifyRoom({
    receipt: read("room_open/receipt.json"),
    lines: transcriptLines(read("room_open/transcript.txt")),
    openings: transcriptLines(read("room_open/openings.txt")),
  }, { authorities: given, revocations: [] });
  assert.deepEqual([room.result, pattern.test(rowText(room, "Reasons"))], ["undecided", true]);
});

Deno.test("evidence that another CA issued and that is false is invalid, not undecided", async () => {
  const given = parseCertificates(evidenceCase("other_ca_fail").ca);
  const { receipt, transcript } = evidenceCase("line_dropped_fail");
  const { result } = await verify({ receipt, lines: transcriptLines(transcript) }, {
    ...{ authorities: given, revocations: [] },
  });
  assert.equal(result, "invalid");
});

Deno.test("one certificate of a given CA, or one that names its key, is enough not to be from elsewhere", async () => {
  const { certificate: given } = await authority();
  const stranger = await createAuthority("Stranger", await key("stranger"), issuing);
  const namesake = await createAuthority("Test CA", await key("stranger"), issuing);
  const publicKey = publicKeyOf(await key("client"));
  const [ours, theirs, alike] = [
    await certificate("client", client),
    await issueCertificate(stranger, { ...client, publicKey }, issuing),
    await issueCertificate(namesake, { ...client, publicKey }, issuing),
  ];
  const trust = { authorities: [given], revocations: [] };
  assert.equal(foreignAuthority([[ours]], trust), undefined);
  assert.equal(foreignAuthority([[theirs], [ours]], trust), undefined);
  assert.equal(foreignAuthority([], trust), undefined);
  assert.equal(foreignAuthority([[theirs]], { authorities: [], revocations: [] }), undefined);
  for (const leaf of [theirs, alike]) assert.ok(foreignAuthority([[leaf]], trust)?.includes(given.fingerprint));
  assert.ok(foreignAuthority([[theirs, stranger.certificate]], trust)?.includes(stranger.certificate.fingerprint));
  const forged = { ...ours, signature: theirs.signature };
  assert.equal(foreignAuthority([[forged]], trust), undefined, "what names a given CA and isn't its is a forgery");
});

Deno.test("a list applies to the certificates of the key that signed it, and one of another key is passed over with a note", async () => {
  const folder = "room_issuer_renewed";
  const authorities = parseCertificates(text(`${folder}/ca.pem`));
  const [root, old, renewed] = ["ca_crl", "old_crl", "crl"].map((name) =>
    parseRevocationList(text(`${folder}/${name}.pem`))
  );
  assert(root && old && renewed);
  for (const revocations of [[old], [renewed], [old, renewed], [renewed, old, root]]) {
    const verdict = await verifyRoom({
      receipt: read(`${folder}/receipt.json`),
      lines: transcriptLines(read(`${folder}/transcript.txt`)),
      openings: transcriptLines(read(`${folder}/openings.txt`)),
    }, { authorities, revocations });
    assert.equal(verdict.result, "valid");
    const passedOver = sentencesOf(verdict).filter((text) => text.includes("was not used")).length;
    assert.equal(passedOver, revocations.includes(renewed) ? 1 : 0);
    const revocation = verdict.checks.find(({ name }) => name === "revocation");
    assert.equal(revocation?.outcome, revocations.length === 3 ? "passed" : "not checked");
  }
});

Deno.test("online, a list of another key alone lets nobody in, and a namesake's serial number revokes nobody", async () => {
  const ca = await authority();
  const namesake = await createAuthority("Test CA", await key("stranger"), issuing);
  const leaf = await certificate("client", client);
  const times = { now: NOW, nextUpdate: NOW + 86_400_000, number: 1n };
  const listOf = async (of: typeof ca, serials: string[]) =>
    parseRevocationList(await issueRevocationList(of, serials.map((serial) => ({ serial, date: NOW })), times));
  const [own, others] = [await listOf(ca, []), await listOf(namesake, [leaf.serial])];
  const problems = async (revocations: readonly typeof own[]) => {
    const path = await findPath([leaf], { authorities: [ca.certificate], revocations }, { purpose: "client" });
    return path.problems(NOW, "current");
  };
  assert.match((await problems([others])).join(), /is not signed with the key that signed the client certificate/);
  assert.deepEqual(await problems([own, others]), []);
  const isOver = async (...revocations: typeof own[]) =>
    await isRevoked([leaf], { authorities: [ca.certificate], revocations });
  assert.equal(await isOver(others), false);
  assert.equal(await isOver(others, await listOf(ca, [leaf.serial])), true);
});

Deno.test("a session goes on or ends by the lists of the key that signed its certificate, whatever identifiers say", async () => {
  const ca = await authority();
  const leaf = await certificate("client", client);
  const times = { now: NOW, nextUpdate: NOW + 86_400_000, number: 1n };
  const revoked = [{ serial: leaf.serial, date: NOW }];
  const listBy = async (of: typeof ca, identifier: string | undefined) => {
    const named = { ...of, certificate: { ...of.certificate, subjectKeyIdentifier: identifier } };
    return parseRevocationList(await issueRevocationList(named, revoked, times));
  };
  const isOver = async (list: Awaited<ReturnType<typeof listBy>>, authorities = [ca.certificate]) =>
    await isRevoked([leaf], { authorities, revocations: [list] });
  const namesake = await createAuthority("Test CA", await key("stranger"), issuing);
  assert.equal(await isOver(await listBy(ca, "ab".repeat(20))), true, "another identifier of the same key");
  assert.equal(await isOver(await listBy(namesake, undefined)), false, "another key without an identifier");
  const { subjectKeyIdentifier } = ca.certificate;
  const said = await listBy(namesake, subjectKeyIdentifier);
  assert.equal(await isOver(said), true, "a list that says it is the CA's and isn't: as new sessions, none goes on");
  assert.equal(await isOver(await listBy(ca, subjectKeyIdentifier), []), true, "the CA isn't here any more");
});

Deno.test("evidence from before a CA was renewed is good by the renewed certificate alone", async () => {
  const later = { now: NOW + 400 * 86_400_000, days: 3650, random: countingRandom() };
  const old = await authority();
  const { certificate } = await renewAuthority(old, later);
  assert.equal(certificate.notBefore, old.certificate.notBefore);
  const verdict = await verifyRoom(await show(await talk(4)), { authorities: [certificate], revocations: [] });
  assert.equal(verdict.result, "valid");
});

Deno.test("a list counts that the issuer's key has signed, under another identifier of that key too", async () => {
  const ca = await authority();
  const leaf = await certificate("client", client);
  const renamed = { ...ca, certificate: { ...ca.certificate, subjectKeyIdentifier: "ab".repeat(20) } };
  const times = { now: NOW, nextUpdate: NOW + 86_400_000, number: 1n };
  const list = parseRevocationList(await issueRevocationList(renamed, [{ serial: leaf.serial, date: NOW }], times));
  const path = await findPath([leaf], { authorities: [ca.certificate], revocations: [list] }, { purpose: "client" });
  for (const mode of ["current", "offline"] as const) assert.match(path.problems(NOW + 1, mode).join(), /was revoked/);
  assert.deepEqual(path.passedOver, []);
});
