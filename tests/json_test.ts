import fc from "fast-check";
import { assert } from "./assert.ts";
import {
  canonicalJson,
  encodeJson,
  isCanonicalJson,
  isJsonList,
  isJsonObject,
  type Json,
  member,
  OddNumber,
  parseJson,
  repeatedName,
} from "../lib/json.ts";

Deno.test("parseJson() keeps integers of any size exactly", () => {
  const digits = "123456789".repeat(70);
  assert.equal(parseJson(digits), BigInt(digits));
  assert.equal(parseJson("9007199254740991"), 2 ** 53 - 1);
  assert.equal(parseJson("9007199254740992"), 2n ** 53n);
  assert.equal(parseJson("9007199254740993"), 9007199254740993n);
  assert.equal(parseJson("0"), 0);
  const list = parseJson(`[1,${digits}]`);
  assert(isJsonList(list ?? null) && isJsonList(list as Json));
  assert.equal(encodeJson(list), `[1,${digits}]`);
});

Deno.test("parseJson() never takes a fraction, an exponent or a sign for an integer", () => {
  for (const text of ["1.0", "1e3", "1E0", "-1", "-0", "0.0", "-1e-9", "1e400", "10000000000000000000000.0"]) {
    const value = parseJson(text);
    assert(value instanceof OddNumber, text);
    assert.equal(value.source, text);
    assert.equal(encodeJson({ value }), `{"value":${text}}`);
    const inside = parseJson(`{"a":[${text}]}`);
    assert.equal(encodeJson(inside), `{"a":[${text}]}`);
  }
});

Deno.test("a name that the runtime reads for another brings no number that can't be written", () => {
  parseJson('{"a":1,"\\\\":1.5}'); // after it V8 15 reads the next second name as this one
  const text = '{"a":1,"\\"":1e400}';
  const value = parseJson(text) ?? null;
  assert.equal(isCanonicalJson(text, value), false);
  assert.equal(canonicalJson(value), value === null ? "null" : undefined);
});

Deno.test("parseJson() refuses what is not JSON", () => {
  const wrong = [
    "",
    " ",
    "{",
    "}",
    "{a:1}",
    "{'a':1}",
    '{"a":1,}',
    "[1,]",
    "01",
    "+1",
    ".5",
    "1.",
    "NaN",
    "Infinity",
    "0x10",
    "undefined",
    '"\u0000"',
    '"\n"',
    '"\\x41"',
    '"\\u12"',
    "[1] 2",
    "// x\n1",
    "\ufeff1",
    "1_000",
    "tru",
    '"',
    "1n",
  ];
  for (const text of wrong) assert.equal(parseJson(text), undefined, JSON.stringify(text));
});

Deno.test("parseJson() survives nesting that exhausts the stack", () => {
  for (const [open, close] of [["[", "]"], ['{"a":', "}"]] as const) {
    const deep = open.repeat(200_000) + "1" + close.repeat(200_000);
    assert.equal(parseJson(deep), undefined);
  }
});

Deno.test("parseJson() refuses what is nested deeper than it is told", () => {
  for (
    const [text, depth] of [["[[1]]", 2], ['{"a":[{}],"b":[]}', 3], ["[1.0,[-1],[[]]]", 3], ["7", 0], [
      '"[["',
      0,
    ]] as const
  ) {
    assert.equal(encodeJson(parseJson(text, depth)), text);
    if (depth > 0) assert.equal(parseJson(text, depth - 1), undefined, text);
  }
});

Deno.test("names like those of Object's own are names like others", () => {
  const object = parseJson('{"__proto__":{"x":1},"constructor":2,"hasOwnProperty":3,"toString":null}');
  assert(isJsonObject(object));
  assert.deepEqual(encodeJson(member(object, "__proto__")), '{"x":1}');
  assert.equal(member(object, "constructor"), 2);
  assert.equal(member(object, "toString"), null);
  assert.equal(member(object, "x"), undefined);
  assert.equal(member({}, "constructor"), undefined);
  assert.equal(canonicalJson(object), '{"__proto__":{"x":1},"constructor":2,"hasOwnProperty":3,"toString":null}');
});

Deno.test("of a repeated name the last counts, and repeatedName() finds it", () => {
  const text = '{"a":1,"a":2}';
  const object = parseJson(text);
  assert(isJsonObject(object));
  assert.equal(member(object, "a"), 2);
  assert.equal(repeatedName(text), "a");
});

Deno.test("repeatedName() looks into every object, resolves escapes, and never into strings", () => {
  const repeated: [string, string][] = [
    ['{"a":1,"\\u0061":2}', "a"],
    ['{"x":[{"b":1},{"c":{"d":1,"d":1}}]}', "d"],
    ['{"" : 1, "":2}', ""],
    ['{"\\"":1,"\\u0022":2}', '"'],
    ['{"__proto__":1,"__proto__":2}', "__proto__"],
    ['{"a"\n:1,"b":{"a":1},"a":3}', "a"],
    ['{"\\\\":1,"\\u005c":2}', "\\"],
    ['{"\\\\\\"":1,"\\\\\\u0022":2}', '\\"'],
  ];
  for (const [text, name] of repeated) {
    assert.notEqual(parseJson(text), undefined);
    assert.equal(repeatedName(text), name, text);
  }
  const unique = [
    '{"a":"a","b":["a","a"]}',
    '{"a":{"a":{"a":1}}}',
    '[{"a":1},{"a":1}]',
    '{"a":"{\\"a\\":1,\\"a\\":1}","b":1}',
    '{"a":1,"A":2}',
    '{"x":"\\\\","y":"x\\"","z":":"}',
    "[]",
    '"a"',
    '{"é":1,"e\u0301":2}',
  ];
  for (const text of unique) {
    assert.notEqual(parseJson(text), undefined);
    assert.equal(repeatedName(text), undefined, text);
  }
});

Deno.test("repeatedName() reads strings and blanks of 16 megabytes", () => {
  for (const part of ["x", '\\"', "\\\\", "é{}:"]) {
    const long = part.repeat(16_000_000 / part.length);
    assert.equal(repeatedName(`{"a":"${long}","${long}":1,"a":2}`), "a", part);
  }
  assert.equal(repeatedName(`{"a"${" ".repeat(16_000_000)}:1,"a" :1}`), "a");
});

Deno.test("canonicalJson() gives RFC 8785's examples", () => {
  const given = String.raw`{
    "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
    "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
    "literals": [null, true, false]
  }`;
  const canonical = String
    .raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`;
  assert.equal(canonicalJson(parseJson(given) ?? null), canonical);
  const names = String
    .raw`{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}`;
  const sorted = canonicalJson(parseJson(names) ?? null) ?? "";
  assert.deepEqual([...sorted.matchAll(/:"([A-Z]\w+)/g)].map(([, word]) => word), [
    "Carriage",
    "One",
    "Control",
    "Latin",
    "Euro",
    "Emoji",
    "Hebrew",
  ]);
});

Deno.test("canonicalJson() writes numbers as RFC 8785 appendix B does", () => {
  const numbers: [string, string][] = [
    ["-0", "0"],
    ["0.0", "0"],
    ["5e-324", "5e-324"],
    ["-5e-324", "-5e-324"],
    ["1.7976931348623157e308", "1.7976931348623157e+308"],
    ["9007199254740992", "9007199254740992"],
    ["-9007199254740992", "-9007199254740992"],
    ["295147905179352830000", "295147905179352830000"],
    ["9.999999999999997e22", "9.999999999999997e+22"],
    ["1e23", "1e+23"],
    ["1.0000000000000001e23", "1.0000000000000001e+23"],
    ["999999999999999700000", "999999999999999700000"],
    ["1e21", "1e+21"],
    ["0.000001", "0.000001"],
    ["9.999999999999997e-7", "9.999999999999997e-7"],
    ["333333333.3333332", "333333333.3333332"],
    ["1424953923781206.2", "1424953923781206.2"],
    ["9007199254740993", "9007199254740992"],
  ];
  for (const [given, canonical] of numbers) assert.equal(canonicalJson(parseJson(given) ?? null), canonical, given);
});

Deno.test("canonicalJson() has no form for lone surrogates and numbers beyond a double", () => {
  for (
    const text of [
      String.raw`"\ud800"`,
      String.raw`{"\udc00":1}`,
      String.raw`["\ude00\ud83d"]`,
      "1e309",
      "-1e400",
      "9".repeat(400),
    ]
  ) {
    const value = parseJson(text);
    assert.notEqual(value, undefined);
    assert.equal(canonicalJson(value as Json), undefined, text);
  }
});

Deno.test("canonicalJson() of what it wrote is what it wrote", () => {
  const texts = ['{"b":[1,{"z":"\u2028","a":null}],"a":1e21}', '{"":{"":""}}', "[[],{}]", '"\\u0007\\b\\f\\n\\r\\t"'];
  for (const text of texts) {
    const once = canonicalJson(parseJson(text) ?? null) ?? "";
    assert.equal(canonicalJson(parseJson(once) ?? null), once);
  }
});

Deno.test("isCanonicalJson() is true of canonicalJson()'s form alone", () => {
  const forms = [
    '{"a":[1,{"":null}],"b":"\u2028 😀"}',
    String.raw`"\u0007\b\\"`,
    '{"1":0,"10":1,"9":2}',
    "1e+21",
    "9007199254740992",
    '{"__proto__":1,"a":2}',
    "-1",
    "0.5",
  ];
  const others = [
    '{"b":1,"a":2}',
    '[{"a":{"c":1,"b":2}}]',
    '{"a": 1}',
    '{"a":1,"a":1}',
    String.raw`"\u0061"`,
    String.raw`"\ud800"`,
    String.raw`"\/"`,
    "9007199254740993",
    "1.0",
    "-0",
    '{"1":0,"9":2,"10":1}',
  ];
  for (const text of [...forms, ...others]) {
    const value = parseJson(text);
    assert.notEqual(value, undefined, text);
    assert.equal(isCanonicalJson(text, value as Json), forms.includes(text), text);
    assert.equal(canonicalJson(value as Json) === text, forms.includes(text), text);
  }
  const texts = fc.tuple(fc.jsonValue({ noUnicodeString: false }), fc.nat(3));
  fc.assert(fc.property(texts, ([made, indent]) => {
    const text = JSON.stringify(made, null, indent);
    const value = parseJson(text) ?? null;
    assert.equal(isCanonicalJson(text, value), canonicalJson(value) === text);
  }));
});

Deno.test("parseJson() looks at the source of every number that could be an odd one", () => {
  const value = parseJson('{"a":[1,-2,3.0, 4e0,\n12345678901234567890],"b":[[ -0]],"c":"-1","d":1234567890123456}');
  const odd = (source: string) => new OddNumber(source);
  assert.deepEqual(value, {
    a: [1, odd("-2"), odd("3.0"), odd("4e0"), 12345678901234567890n],
    b: [[odd("-0")]],
    c: "-1",
    d: 1234567890123456,
  });
  for (const text of ["-1", " 1.0", "1E2", "9007199254740993"]) assert.notEqual(typeof parseJson(text), "number", text);
});

Deno.test("parseJson() refuses a number longer than any frame, and reads as many marks in one string as there are", () => {
  const digits = "9".repeat(65_536);
  assert.equal(parseJson(`{"n":${digits}}`) === undefined, false);
  for (const number of [`${digits}9`, `-${digits}`, `0.${digits}`]) {
    assert.equal(parseJson(`{"n":${number}}`), undefined);
  }
  const marks = ":1,".repeat(400_000);
  assert.deepEqual(parseJson(JSON.stringify({ marks, one: 1 })), { marks, one: 1 });
});
