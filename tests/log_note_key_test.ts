import { ml_dsa44 } from "@noble/post-quantum/ml-dsa.js";
import { assert } from "./assert.ts";
import { concat, encodeHex, encodeUtf8, parseBase64, uint64 } from "../lib/bytes.ts";
import { sha256 } from "../lib/hash.ts";
import { encodeNote, encodeNoteHead, encodeSignatureLine, type Note, parseNote } from "../lib/log_note.ts";
import {
  cosign,
  encodeVkey,
  hasOwnForm,
  KEY_TYPE,
  type NoteKey,
  noteKey,
  noteSigner,
  openNote,
  parseVkey,
  signNote,
  verifyNote,
  verifySignature,
} from "../lib/log_note_key.ts";
import {
  LOG,
  LOG_VKEY,
  logSigner,
  NOTE_2,
  NOTE_2_LINE,
  noteBytes,
  rootOf,
  secretOf,
  WITNESS_LINE,
  WITNESS_TIME,
  WITNESS_VKEY,
  witnessSigner,
} from "./note_fixtures.ts";

function keyOf(vkey: string): NoteKey {
  const key = parseVkey(vkey);
  assert(key);
  return key;
}

function closedNote(): Note {
  const note = parseNote(encodeUtf8(`${NOTE_2}\n${NOTE_2_LINE}${WITNESS_LINE}`));
  assert(note);
  return note;
}

Deno.test("vkeys, signatures and cosignatures are those of the published vectors", async () => {
  const [log, witness] = [await logSigner(), await witnessSigner()];
  assert.equal(encodeVkey(log.key), LOG_VKEY);
  assert.equal(encodeVkey(witness.key), WITNESS_VKEY);
  assert.deepEqual(keyOf(LOG_VKEY), log.key);
  assert.equal(encodeSignatureLine(await signNote(NOTE_2, log)), NOTE_2_LINE);
  assert.equal(encodeSignatureLine(await cosign(NOTE_2, WITNESS_TIME, witness)), WITNESS_LINE);
  const signers = await verifyNote(closedNote(), [witness.key, log.key]);
  assert.deepEqual(signers?.map(({ key, time }) => [key.name, time]), [
    ["witness.example/w1", WITNESS_TIME],
    [LOG, undefined],
  ]);
  const first = encodeNoteHead({
    origin: LOG,
    size: 1,
    root: "9cbecab7ae11939264d5673eb407a926bf0a5348bfac9a3e0caf5a40393833d2",
  });
  const note1 = encodeNote({ text: first, signatures: [await signNote(first, log)] });
  assert.equal(encodeHex(sha256(note1)), "71fcf809a6d8266c0b8c5699ac17bfd3ef0d10b3a14810e1e4a5bb95d346cf99");
});

Deno.test("the example of the standard verifies", async () => {
  const key = keyOf("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k");
  const note = parseNote(encodeUtf8(
    "This is an example message.\n\n— example.com/foo " +
      "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n",
  ));
  assert(note);
  assert.equal((await verifyNote(note, [key]))?.length, 1);
});

Deno.test("a vkey is split at its first two +, and is of one spelling", async () => {
  // A key whose base64 has a +.
  let { key } = await logSigner(1, "log.example");
  for (let byte = 2; encodeVkey(key).split("+").length < 4; byte++) ({ key } = await logSigner(byte, "log.example"));
  assert.match(encodeVkey(key), /^log\.example\+[0-9a-f]{8}\+.*\+/);
  assert.deepEqual(parseVkey(encodeVkey(key)), key);
  const good = WITNESS_VKEY;
  for (
    const bad of [
      "",
      "witness.example/w1",
      good.replace("fea3b187", "FEA3B187"),
      good.replace("fea3b187", "fea3b188"),
      good.replace("w1", "w2"),
      good.replace("w1", "w 1"),
      good.replace("w1", ""),
      `${good}=`,
      good.slice(0, -4),
      ` ${good}`,
      `${good}\n`,
      encodeVkey(noteKey("a", 0x02 as 0x01, new Uint8Array(32).fill(9))),
      encodeVkey(noteKey("a", KEY_TYPE.witness, new Uint8Array(33).fill(9))),
      encodeVkey(noteKey("a", KEY_TYPE.mlDsaWitness, new Uint8Array(1_311))),
    ]
  ) {
    assert.equal(parseVkey(bad), undefined, bad);
  }
});

Deno.test("a vkey whose public key lets anybody sign is refused", () => {
  const neutral = new Uint8Array(32);
  neutral[0] = 1;
  for (const type of [KEY_TYPE.log, KEY_TYPE.witness]) {
    assert.equal(parseVkey(encodeVkey(noteKey("log.example", type, neutral))), undefined);
  }
});

Deno.test("a line of a known key that doesn't verify spoils the note; lines of other keys are passed over", async () => {
  const note = closedNote();
  const witness = await witnessSigner();
  const other = await witnessSigner(9, "witness.example/w9");
  const wrong = { ...await cosign(note.text, WITNESS_TIME, witness), bytes: new Uint8Array(72) };
  const ofNobody = await cosign("another\ntext\n", WITNESS_TIME, other);
  const passed = { ...note, signatures: [ofNobody, ...note.signatures] };
  assert.equal((await verifyNote(passed, [witness.key]))?.length, 1);
  assert.equal(await verifyNote(passed, [witness.key, other.key]), undefined);
  const [log] = note.signatures;
  assert(log);
  assert.equal(await verifyNote({ ...note, signatures: [log, wrong] }, [witness.key]), undefined);
  // Of two lines of one key the first counts.
  const good = await cosign(note.text, WITNESS_TIME, witness);
  assert.equal((await verifyNote({ ...note, signatures: [log, good, wrong] }, [witness.key]))?.length, 1);
  assert.equal(await verifyNote({ ...note, signatures: [log, wrong, good] }, [witness.key]), undefined);
  // A name or a key ID alone makes no known key.
  const sameName = { ...wrong, id: "00000000" };
  const sameId = { ...wrong, name: "witness.example/w9" };
  assert.deepEqual(await verifyNote({ ...note, signatures: [sameName, sameId] }, [witness.key]), []);
});

Deno.test("a cosignature is bound to its time and its text, and none of a log counts as one", async () => {
  const witness = await witnessSigner();
  const good = await cosign(NOTE_2, WITNESS_TIME, witness);
  assert.equal((await verifySignature(NOTE_2, good, witness.key))?.time, WITNESS_TIME);
  const later = { ...good, bytes: concat(uint64(WITNESS_TIME + 1), good.bytes.subarray(8)) };
  assert.equal(await verifySignature(NOTE_2, later, witness.key), undefined);
  assert.equal(await verifySignature(NOTE_2.replace("\n2\n", "\n3\n"), good, witness.key), undefined);
  const farAway = { ...good, bytes: concat(new Uint8Array(8).fill(255), good.bytes.subarray(8)) };
  assert.equal(await verifySignature(NOTE_2, farAway, witness.key), undefined);
  for (
    const bytes of [new Uint8Array(1), new Uint8Array(8), good.bytes.slice(0, 71), concat(good.bytes, Uint8Array.of(0))]
  ) {
    assert.equal(await verifySignature(NOTE_2, { ...good, bytes }, witness.key), undefined);
  }
  const plain = noteSigner("witness.example/w1", KEY_TYPE.log, await secretOf(8));
  assert.equal(await verifySignature(NOTE_2, { ...good, id: plain.key.id }, plain.key), undefined);
});

Deno.test("a cosignature by ML-DSA-44 is over name, time, origin, size and root", async () => {
  const { publicKey, secretKey } = ml_dsa44.keygen(new Uint8Array(32).fill(8));
  const key = noteKey("witness.example/pq", KEY_TYPE.mlDsaWitness, new Uint8Array(publicKey));
  assert.deepEqual(parseVkey(encodeVkey(key)), key);
  const root = parseBase64("vUHNHSSEWdCdrS4Q3ri1Dn/nAQ7aowp3n7fgLRTA03o=");
  assert(root);
  const message = concat(
    encodeUtf8("subtree/v1\n\0"),
    Uint8Array.of(18),
    encodeUtf8("witness.example/pq"),
    uint64(WITNESS_TIME),
    Uint8Array.of(LOG.length),
    encodeUtf8(LOG),
    uint64(0),
    uint64(2),
    root,
  );
  const bytes = concat(uint64(WITNESS_TIME), ml_dsa44.sign(message, secretKey));
  const signature = { name: key.name, id: key.id, bytes };
  assert.equal((await verifySignature(NOTE_2, signature, key))?.time, WITNESS_TIME);
  for (const text of [NOTE_2.replace("\n2\n", "\n3\n"), NOTE_2.replace("chat", "chaT"), "no head\n"]) {
    assert.equal(await verifySignature(text, signature, key), undefined);
  }
  for (const at of [7, 8, 2_000, bytes.length - 1]) {
    const changed = bytes.slice();
    changed[at] = (changed[at] ?? 0) ^ 1;
    assert.equal(await verifySignature(NOTE_2, { ...signature, bytes: changed }, key), undefined);
  }
  assert.equal(await verifySignature(NOTE_2, { ...signature, bytes: bytes.slice(0, -1) }, key), undefined);
});

Deno.test("a log's note is opened with its key alone, and only under its own origin", async () => {
  const log = await logSigner();
  const bytes = await noteBytes(5, rootOf("a"));
  const opened = await openNote(bytes, log.key);
  assert.equal(opened?.head.size, 5);
  assert.equal(opened && hasOwnForm(opened, log.key), true);
  assert.equal(await openNote(bytes, (await logSigner(9)).key), undefined);
  const other = await logSigner(7, "log.example/other");
  assert.equal(await openNote(await noteBytes(5, rootOf("a"), other), log.key), undefined);
  const text = encodeNoteHead({ origin: "log.example/other", size: 5, root: rootOf("a") });
  const lent = encodeNote({ text, signatures: [await signNote(text, log)] });
  assert.equal(await openNote(lent, log.key), undefined, "another origin, signed by this key");
  const extended = await openNote(await noteBytes(5, rootOf("a"), log, ["an extension"]), log.key);
  assert.equal(extended && hasOwnForm(extended, log.key), false);
  const note = parseNote(bytes);
  assert(note);
  const second = [await cosign(note.text, 1, await witnessSigner()), ...note.signatures];
  const moved = await openNote(encodeNote({ ...note, signatures: second }), log.key);
  assert.equal(moved && hasOwnForm(moved, log.key), false);
});
