import fc from "fast-check";
import { assert } from "./assert.ts";
import { encodeHex, encodeUtf8, parseHex, parseUtf8 } from "../lib/bytes.ts";
import { sha256 } from "../lib/hash.ts";
import {
  areTagsOf,
  auditHash,
  encodeTick,
  headHash,
  MAX_TICK_BYTES,
  MAX_TICK_HEADS,
  parseTick,
  placeOfTag,
  registerHeads,
  TAG_SIZE,
  tagOf,
  type Tick,
} from "../lib/log_tick.ts";
import { leafHash } from "../lib/log_tree.ts";

const hashOf = (text: string) => encodeHex(sha256(encodeUtf8(text)));

/** Fixed rooms, and what was computed for them independently. */
const A = {
  ...{ origin: "chat.example/#ops/00112233445566778899aabbccddeeff", time: 1_700_055_622, size: 57 },
  root: hashOf("a root"),
};
const B = {
  ...{ origin: "chat.example/@ada,@bob/ffeeddccbbaa99887766554433221100", time: 1_700_055_621, size: 4 },
  root: hashOf("another root"),
};
const NOTE_1 = "71fcf809a6d8266c0b8c5699ac17bfd3ef0d10b3a14810e1e4a5bb95d346cf99";

/** Rooms that exist only here. */
const rooms = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ ...A, origin: `chat.example/#r${i}/${hashOf(String(i)).slice(0, 32)}` }));

const ticks: fc.Arbitrary<Tick> = fc.record({
  audit: fc.nat().map((n) => hashOf(`audit ${n}`)),
  charter: fc.nat().map((n) => hashOf(`charter ${n}`)),
  heads: fc.nat(1_023).map((n) => ({ count: n + 1, hashes: hashOf(`hashes ${n}`), tags: hashOf(`tags ${n}`) })),
  note: fc.nat().map((n) => hashOf(`note ${n}`)),
  tokens: fc.uniqueArray(fc.nat().map((n) => hashOf(`token ${n}`)), { minLength: 1, maxLength: 8 }),
}, { requiredKeys: [], noNullPrototype: true });

Deno.test("ticks, tags and heads are those of the published vectors", () => {
  const first = encodeTick({ charter: hashOf("charter stands here") });
  assert.equal(
    parseUtf8(first),
    '{"charter":"162d74df0edabad695250c93b9476208b5ac2b0eda632fb854d02583056899ae","v":1}',
  );
  assert.equal(encodeHex(leafHash(first)), "9cbecab7ae11939264d5673eb407a926bf0a5348bfac9a3e0caf5a40393833d2");
  assert.equal(encodeHex(tagOf(A.origin, 1)), "34ec8dfced7278b1");
  assert.equal(encodeHex(headHash(A)), "287071da3e8636b3905ab960a7fb10599f8d0ddfc4af4ae692d33880f5cf1f7f");
  assert.equal(encodeHex(tagOf(B.origin, 1)), "daaa3566395caf72");
  assert.equal(encodeHex(headHash(B)), "5c4c5061b538ab2081cdb46223f40381a16c443b85d722e60585a1fa6f3047e1");
  const registration = registerHeads([B, A], 1);
  assert(registration);
  assert.deepEqual(registration.registered, [A, B]);
  const second = encodeTick({
    audit: encodeHex(auditHash({ size: 12, root: hashOf("an audit root") })),
    heads: registration.heads,
    note: NOTE_1,
    tokens: [hashOf("a token")],
  });
  assert.equal(
    parseUtf8(second),
    '{"audit":"83c94c0a6b85e4f014ce0b556c9cc54516f860be13321a619a8677027534a5ed","heads":{"count":2,' +
      '"hashes":"adecfd70651abcbd34530d82df8589343d5fce4e416fd92aeb44b4f99177ad56",' +
      '"tags":"a374008c73bb007d1bbaf32d7596a191ea7dd0ddfa1e8463360f2171bb001989"},' +
      `"note":"${NOTE_1}",` +
      '"tokens":["e3316e2bafebb6103a3418e8778c0adc960d40213a03a7e7f4fcd3426ed807bf"],"v":1}',
  );
  assert.equal(second.length, 404);
  assert.equal(encodeHex(leafHash(second)), "da8e4b7177713d52571947f62ca19536bd8b247d813215210caeac2c3019176b");
});

Deno.test("parseTick() reads what encodeTick() wrote", () => {
  fc.assert(fc.property(ticks, (tick) => assert.deepEqual(parseTick(encodeTick(tick)), tick)));
});

Deno.test("no byte of a tick can be changed so that it reads the same", () => {
  fc.assert(fc.property(ticks, fc.nat(), fc.integer({ min: 1, max: 255 }), (tick, at, change) => {
    const bytes = encodeTick(tick).slice();
    bytes[at % bytes.length] = (bytes[at % bytes.length] ?? 0) ^ change;
    assert.notDeepEqual(parseTick(bytes) ?? {}, tick);
  }));
});

Deno.test("names that parseTick() doesn't know are passed over, but not within heads", () => {
  assert.deepEqual(parseTick(encodeUtf8('{"later":[1],"v":1}')), {});
  const heads = `"count":1,"hashes":"${hashOf("x")}"`;
  const withTags = `${heads},"tags":"${hashOf("y")}"`;
  assert(parseTick(encodeUtf8(`{"heads":{${withTags}},"v":1}`))?.heads);
  for (
    const text of [
      "",
      "{}",
      "[]",
      '{"v":2}',
      '{ "v":1}',
      '{"v":1,"v":1}',
      '{"v":1,"audit":"00"}',
      '{"audit":"00","v":1}',
      `{"audit":"${hashOf("x").toUpperCase()}","v":1}`,
      '{"charter":null,"v":1}',
      '{"note":1,"v":1}',
      `{"heads":{${heads}},"v":1}`,
      `{"heads":{${withTags},"x":1},"v":1}`,
      `{"heads":{${withTags.replace(":1,", ":0,")}},"v":1}`,
      `{"heads":{${withTags.replace(":1,", ":1025,")}},"v":1}`,
      '{"tokens":[],"v":1}',
      `{"tokens":["${hashOf("x")}","${hashOf("x")}"],"v":1}`,
      `{"tokens":[${Array.from({ length: 9 }, (_, i) => `"${hashOf(String(i))}"`)}],"v":1}`,
    ]
  ) assert.equal(parseTick(encodeUtf8(text)), undefined, text);
  const long = encodeUtf8(`{"later":"${"x".repeat(MAX_TICK_BYTES - 18)}","v":1}`);
  assert.equal(long.length, MAX_TICK_BYTES);
  assert.deepEqual(parseTick(long), {});
  assert.equal(parseTick(encodeUtf8(`{"later":"${"x".repeat(MAX_TICK_BYTES - 17)}","v":1}`)), undefined);
});

Deno.test("a tick registers 1,024 rooms at most, those given first, and each is found by its tag", () => {
  const all = rooms(MAX_TICK_HEADS + 76);
  const registration = registerHeads(all, 7);
  assert(registration);
  const { heads, tags, registered } = registration;
  assert.equal(heads.count, MAX_TICK_HEADS);
  assert(areTagsOf({ heads }, tags));
  assert.deepEqual(
    new Set(registered.map(({ origin }) => origin)),
    new Set(all.slice(0, MAX_TICK_HEADS).map(({ origin }) => origin)),
  );
  for (const [at, { origin }] of registered.entries()) assert.equal(placeOfTag(tags, tagOf(origin, 7)), at);
  assert.equal(placeOfTag(tags, tagOf(all.at(-1)?.origin ?? "", 7)), undefined);
  assert.equal(placeOfTag(tags, tagOf(all[0]?.origin ?? "", 8)), undefined);
  assert.equal(registerHeads([], 7), undefined);
});

Deno.test("of two heads with one tag, the second waits for another tick", () => {
  const newer = { ...A, size: 58 };
  assert.deepEqual(registerHeads([A, newer, B], 1)?.registered, [A, B]);
});

Deno.test("tags that are too few, too many, doubled, out of order or of another hash are not the tick's", () => {
  const registration = registerHeads(rooms(5), 3);
  assert(registration);
  const { heads, tags } = registration;
  const swapped = new Uint8Array([
    ...tags.slice(TAG_SIZE, 2 * TAG_SIZE),
    ...tags.slice(0, TAG_SIZE),
    ...tags.slice(16),
  ]);
  const doubled = new Uint8Array([...tags.slice(0, TAG_SIZE), ...tags.slice(0, TAG_SIZE), ...tags.slice(16)]);
  for (const other of [tags.slice(TAG_SIZE), new Uint8Array([...tags, ...tags.slice(-8)]), swapped, doubled]) {
    const tagsHash = encodeHex(sha256(other));
    assert(!areTagsOf({ heads }, other));
    assert(!areTagsOf({ heads: { ...heads, tags: tagsHash } }, other));
  }
  assert(areTagsOf({}, new Uint8Array()));
  assert(!areTagsOf({}, tags));
  assert.equal(parseHex(heads.tags)?.length, 32);
});
