/** DER, as strictly as X.690 section 10 has it. */

import { encodeHex, parseHex } from "../lib/bytes.ts";
import {
  DerError,
  DerFields,
  encodeCount,
  encodeDer,
  encodeOid,
  encodePem,
  parseDer,
  readBoolean,
  readCount,
  readInteger,
  readNamedBits,
  readOid,
  readText,
  readTime,
  TAG,
} from "../lib/der.ts";
import { assert } from "./assert.ts";

const bytes = (hex: string) => parseHex(hex.replaceAll(" ", "")) as Uint8Array<ArrayBuffer>;
const element = (hex: string) => parseDer(bytes(hex), "it");
const text = (tag: number, content: string) => parseDer(encodeDer(tag, new TextEncoder().encode(content)), "it");

Deno.test("Fields reads the example of the module's head, and nothing beside it", () => {
  const fields = new DerFields(element("30 06 02 01 05 01 01 ff"), "the example");
  assert.equal(readCount(fields.next(TAG.integer), "it"), 5);
  assert.equal(fields.optional(TAG.integer), undefined);
  assert.throws(() => fields.end(), /the example has a field too many/);
  assert.throws(() => fields.next(TAG.integer), /the example has a field of the wrong kind/);
  assert.equal(readBoolean(fields.next(TAG.boolean), "it"), true);
  fields.end();
  assert.throws(() => fields.next(TAG.boolean), /the example lacks a field/);
});

Deno.test("parseDer() refuses lengths that are cut short, indefinite or longer than need be", () => {
  const bad = [
    "",
    "30",
    "30 01",
    "30 80 00 00",
    "30 81 01 00",
    "30 81 7f",
    "30 82 00 80",
    "30 84 00 00 00 00",
    "30 ff",
  ];
  for (const hex of [...bad, "3f 01 00", "30 00 00"]) assert.throws(() => element(hex), DerError, hex);
  assert.equal(parseDer(encodeDer(TAG.octetString, new Uint8Array(70_000)), "it").content.length, 70_000);
});

Deno.test("a length that is itself cut short is refused inside an element, too", () => {
  // Once such a length was NaN, and reading the elements never came to an end.
  for (const inner of ["30 83", "30 83 01", "30 83 01 00", "30 82", "30 81", "30"]) {
    const size = inner.split(" ").length.toString(16).padStart(2, "0");
    assert.throws(() => new DerFields(element(`30 ${size} ${inner}`), "it"), DerError, inner);
  }
});

Deno.test("encodeDer() writes lengths that parseDer() reads", () => {
  for (const size of [0, 1, 127, 128, 255, 256, 65_535, 65_536]) {
    assert.equal(parseDer(encodeDer(TAG.octetString, new Uint8Array(size)), "it").content.length, size);
  }
});

Deno.test("integers have one spelling", () => {
  for (const [value, hex] of [[0, "020100"], [127, "02017f"], [128, "02020080"], [256, "02020100"]] as const) {
    assert.equal(encodeHex(encodeCount(value)), hex);
    assert.equal(readCount(element(hex), "it"), value);
  }
  for (const hex of ["02 00", "02 02 00 7f", "02 02 ff 80"]) {
    assert.throws(() => readInteger(element(hex), "it"), DerError, hex);
  }
  assert.throws(() => readCount(element("02 01 ff"), "it"), /out of range/);
});

Deno.test("booleans are 00 or ff", () => {
  assert.equal(readBoolean(element("01 01 00"), "it"), false);
  for (const hex of ["01 00", "01 01 01", "01 02 ff ff"]) {
    assert.throws(() => readBoolean(element(hex), "it"), DerError, hex);
  }
});

Deno.test("object identifiers are read as they are written", () => {
  for (const oid of ["1.2.840.113549.1.1.11", "2.5.29.37.0", "2.16.840.1.101.3.4.2.1", "0.9.2342", "1.3.132.0.34"]) {
    assert.equal(readOid(parseDer(encodeOid(oid), "it"), "it"), oid);
  }
  assert.equal(encodeHex(encodeOid("1.2.840.113549")), "06062a864886f70d");
  for (const hex of ["06 00", "06 02 2a 86", "06 03 2a 80 01"]) {
    assert.throws(() => readOid(element(hex), "it"), DerError, hex);
  }
});

Deno.test("bits by name end with a bit that is set", () => {
  assert.deepEqual([...readNamedBits(element("03 02 07 80"), "it")], [0]);
  assert.deepEqual([...readNamedBits(element("03 02 01 06"), "it")], [5, 6]);
  assert.deepEqual([...readNamedBits(element("03 03 07 00 80"), "it")], [8]);
  assert.deepEqual([...readNamedBits(element("03 01 00"), "it")], []);
  for (const hex of ["03 00", "03 01 01", "03 02 00 80", "03 02 07 81", "03 02 08 80", "03 02 00 00"]) {
    assert.throws(() => readNamedBits(element(hex), "it"), DerError, hex);
  }
});

Deno.test("dates are read in the forms of RFC 5280, and a day that there isn't is refused", () => {
  const time = (tag: number, content: string) => new Date(readTime(text(tag, content), "it")).toISOString();
  assert.equal(time(TAG.utcTime, "491231235959Z"), "2049-12-31T23:59:59.000Z");
  assert.equal(time(TAG.utcTime, "500101000000Z"), "1950-01-01T00:00:00.000Z");
  assert.equal(time(TAG.generalizedTime, "20500229000000Z".replace("29", "28")), "2050-02-28T00:00:00.000Z");
  for (
    const bad of ["2602290000Z", "260230000000Z", "261301000000Z", "260101240000Z", "260101000000+0100", "260101000000"]
  ) {
    assert.throws(() => time(TAG.utcTime, bad), DerError, bad);
  }
  assert.throws(() => time(TAG.generalizedTime, "20260101000000.5Z"), DerError);
});

Deno.test("texts are what their type says", () => {
  assert.equal(readText(text(TAG.utf8String, "Größe"), "it"), "Größe");
  assert.equal(readText(parseDer(encodeDer(TAG.bmpString, bytes("0047 00f6")), "it"), "it"), "Gö");
  assert.equal(readText(parseDer(encodeDer(TAG.teletexString, bytes("47f6")), "it"), "it"), "Gö");
  assert.throws(() => readText(text(TAG.printableString, "Größe"), "it"), DerError);
  assert.throws(() => readText(parseDer(encodeDer(TAG.utf8String, bytes("ff")), "it"), "it"), DerError);
  assert.throws(() => readText(parseDer(encodeDer(TAG.bmpString, bytes("d800")), "it"), "it"), DerError);
  assert.throws(
    () => readText(parseDer(encodeDer(TAG.bmpString, bytes("0047 00")), "it"), "it"),
    DerError,
    "half a one",
  );
});

Deno.test("encodePem() breaks lines at 64 characters and ends with LF", () => {
  const pem = encodePem("THING", new Uint8Array(49));
  assert.equal(pem, `-----BEGIN THING-----\n${"A".repeat(64)}\nAA==\n-----END THING-----\n`);
});
