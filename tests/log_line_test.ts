import { assert } from "./assert.ts";
import { concat, encodeUtf8 } from "../lib/bytes.ts";
import { sha256 } from "../lib/hash.ts";
import { isSignedBy } from "../lib/line_signature.ts";
import {
  encodeOrigin,
  isCarriedBy,
  isOfLog,
  isOpenedBy,
  lineHashes,
  logHash,
  parseOrigin,
  parseRoomLine,
  signRoomLine,
} from "../lib/log_line.ts";
import { encodeLine } from "../lib/transcript.ts";
import { identities, NOW } from "./fixtures.ts";
import { fingerprintOf, ORIGIN } from "./room_evidence.ts";

const [envelope, body] = [encodeUtf8("an envelope"), encodeUtf8("iv and ciphertext")];
const contents = { log: logHash(ORIGIN), envelope, body };

Deno.test("parseOrigin() takes a server's name, a room and 32 hex digits, and nothing else", () => {
  const id = "00112233445566778899aabbccddeeff";
  for (const [server, room] of [["chat.example", "#ops"], ["a", "@ada,@bob"], ["CHAT.example", "#a-b_c.9"]] as const) {
    const text = `${server}/${room}/${id}`;
    assert.deepEqual(parseOrigin(text), { server, room, id });
    assert.equal(encodeOrigin({ server, room, id }), text);
  }
  const wrong = [
    ...["", id, `chat.example/#ops`, `chat.example/#ops/${id}/`, `/#ops/${id}`, `chat.example//${id}`],
    ...[`chat.example/ops/${id}`, `chat.example/#OPS/${id}`, `chat.example/@bob,@ada/${id}`, `-a/#ops/${id}`],
    ...[`chat.example/#ops/${id.toUpperCase()}`, `chat.example/#ops/${id}0`, `chat.example/#ops/${id}\n`],
    ...[`*.example/#ops/${id}`, `chat example/#ops/${id}`, `chat.example./#ops/${id}`, ` ${ORIGIN}`],
    `${"a".repeat(254)}/#ops/${id}`,
  ];
  for (const text of wrong) assert.equal(parseOrigin(text), undefined, text);
});

Deno.test("a line's three hashes are of the log, of the envelope and of the body", () => {
  const hashes = lineHashes(contents);
  assert.deepEqual(
    hashes,
    concat(sha256(encodeUtf8(`securechat/2 line\0${ORIGIN}`)), sha256(envelope), sha256(body)),
  );
  assert(isOfLog(hashes, logHash(ORIGIN)) && isOpenedBy(hashes, envelope) && isCarriedBy(hashes, body));
  assert(!isOfLog(hashes, logHash(`${ORIGIN}0`)));
  assert(!isOpenedBy(hashes, body));
  assert(!isCarriedBy(hashes, envelope));
});

Deno.test("a room's line is signed as a message is, and its text reads back", async () => {
  const { client } = await identities();
  const author = { key: client.key, fingerprint: fingerprintOf(client), seqno: 3, ts: NOW };
  const line = await signRoomLine(contents, author);
  const modulus = client.chain[0]?.rsa?.modulus;
  assert(modulus !== undefined && isSignedBy({ line, modulus }));
  assert(!isSignedBy({ line: { ...line, seqno: 4 }, modulus }));
  assert.deepEqual(parseRoomLine(encodeLine(line)), line);
});

Deno.test("parseRoomLine() refuses a line whose ciphertext is not three hashes", async () => {
  const { client } = await identities();
  const line = await signRoomLine(contents, { key: client.key, fingerprint: fingerprintOf(client), seqno: 0, ts: NOW });
  for (const size of [32, 80, 112]) {
    assert.equal(parseRoomLine(encodeLine({ ...line, body: new Uint8Array(size) })), undefined);
  }
  assert.equal(parseRoomLine(`${encodeLine(line)}\n`), undefined);
  assert.equal(parseRoomLine(""), undefined);
});
