import fc from "fast-check";
import { assert } from "./assert.ts";
import { encodeBase64, encodeUtf8 } from "../lib/bytes.ts";
import { ProtocolError } from "../lib/errors.ts";
import { isJsonObject, type JsonObject, parseJson } from "../lib/json.ts";
import {
  parseCredentials,
  parseDhClient,
  parseDhServer,
  parseErrorFrame,
  parseHello,
  parseMsg,
  parseMsgAck,
  parsePayload,
  parseReceiptFrame,
  parseSaltAnswer,
  parseServerHello,
} from "../lib/message.ts";

function object(json: string): JsonObject {
  const parsed = parseJson(json);
  assert(isJsonObject(parsed), json);
  return parsed;
}

const NONCE = encodeBase64(new Uint8Array(16));
const BODY = encodeBase64(new Uint8Array(48));
const PWD = encodeBase64(new Uint8Array(32));

/** A good frame of each type and its parser. */
const GOOD: Readonly<Record<string, { json: string; parse: (fields: JsonObject) => unknown }>> = {
  hello: { json: `{"client_cert":"PEM","nonce":"${NONCE}","v":2}`, parse: parseHello },
  server_hello: { json: `{"server_cert":"PEM","nonce":"${NONCE}"}`, parse: parseServerHello },
  dh_client: { json: '{"g":2,"p":99999999999999999999,"A":5}', parse: parseDhClient },
  dh_server: { json: '{"B":99999999999999999999}', parse: parseDhServer },
  login: { json: `{"payload":"${BODY}"}`, parse: parsePayload },
  msg: { json: `{"seqno":0,"ts":1700055622123,"ct":"${BODY}","sig":"AAAA"}`, parse: parseMsg },
  msg_ack: { json: '{"seqno":0,"received_at":1700055622123}', parse: parseMsgAck },
  receipt: { json: '{"data":{}}', parse: parseReceiptFrame },
};

/** The field that the answer `bad-frame` names; `undefined` where there is none. */
function badField(parse: (fields: JsonObject) => unknown, fields: JsonObject): string | undefined {
  try {
    parse(fields);
    return undefined;
  } catch (error) {
    assert(error instanceof ProtocolError && error.code === "bad-frame");
    return /`(\w+)`/.exec(error.message)?.[1];
  }
}

/** Never good where text, an integer or bytes stand. */
const WRONG = ["null", "true", "[]", "{}", "-1", "-0", "1.0", "1e3", "1.5", '"*"', '"AA"', '"AAA\\n"', "[1]"];

for (const [type, { json, parse }] of Object.entries(GOOD)) {
  Deno.test(`each field of ${type} is required, and of its own kind`, () => {
    const fields = object(json);
    assert.equal(badField(parse, fields), undefined);
    for (const name of Object.keys(fields).filter((name) => name !== "v")) {
      const { [name]: _, ...rest } = fields;
      assert.equal(badField(parse, rest), name);
      for (const wrong of WRONG.filter((value) => !(name === "data" && value === "{}"))) {
        const isText = name.endsWith("_cert") && wrong.startsWith('"');
        const changed = { ...rest, ...object(`{"${name}":${wrong}}`) };
        assert.equal(badField(parse, changed), isText ? undefined : name, `${name}: ${wrong}`);
      }
    }
    assert.equal(badField(parse, { ...fields, unknown: { x: [1n] } }), undefined, "unknown fields are ignored");
  });
}

Deno.test("parseHello() takes an integer of 2 or more in plain digits for version 2, anything else for version 1", () => {
  const version = (v: string) => parseHello(object(`{"client_cert":"PEM","nonce":"${NONCE}"${v}}`)).version;
  for (const two of ["2", "3", "99999999999999999999999"]) assert.equal(version(`,"v":${two}`), 2, two);
  for (const one of ["1", "0", "2.0", "2e0", "-2", '"2"', "null", "true", "[2]", "{}", "1e1"]) {
    assert.equal(version(`,"v":${one}`), 1, one);
  }
  assert.equal(version(""), 1);
});

Deno.test("nonces have 16 bytes", () => {
  for (const size of [0, 15, 17, 32]) {
    const nonce = encodeBase64(new Uint8Array(size));
    assert.equal(badField(parseHello, object(`{"client_cert":"PEM","nonce":"${nonce}"}`)), "nonce");
  }
});

Deno.test("parseMsg() takes seqno and ts from 0 to 2^53 - 1, and a body of an IV and whole blocks", () => {
  const msg = (change: object) => object(JSON.stringify({ seqno: 0, ts: 0, ct: BODY, sig: "AAAA", ...change }));
  assert.equal(parseMsg(msg({ seqno: 2 ** 53 - 1 })).seqno, 2 ** 53 - 1);
  assert.equal(badField(parseMsg, object(`{"seqno":9007199254740992,"ts":0,"ct":"${BODY}","sig":"AAAA"}`)), "seqno");
  for (let size = 0; size <= 80; size++) {
    const isBody = size >= 32 && size % 16 === 0;
    assert.equal(
      badField(parseMsg, msg({ ct: encodeBase64(new Uint8Array(size)) })),
      isBody ? undefined : "ct",
      `${size}`,
    );
  }
});

Deno.test("the proof of a key agreement is left for later, whatever it is", () => {
  for (const sig of ["1", "null", '"*"', '"AA"', "{}"]) {
    assert.equal(parseDhClient(object(`{"g":2,"p":7,"A":3,"sig":${sig}}`)).proof, undefined, sig);
    assert.equal(parseDhServer(object(`{"B":3,"sig":${sig}}`)).proof, undefined, sig);
  }
  assert.deepEqual(parseDhServer(object('{"B":3,"sig":"AAAA"}')).proof, new Uint8Array(3));
});

Deno.test("parseErrorFrame() makes what it can of an error frame", () => {
  assert.deepEqual(parseErrorFrame({ error_type: "stale", reason: "Set the clock.", now: 5 }), {
    errorType: "stale",
    reason: "Set the clock.",
    now: 5,
  });
  assert.deepEqual(parseErrorFrame({ error_type: 1, reason: [], now: "5" }), {
    errorType: "unknown",
    reason: "no reason was given",
    now: undefined,
  });
});

// ---- credentials

const REGISTER = { type: "register", email: " Ada@Example.org ", username: "ada", salt: NONCE, pwd: PWD };
const LOGIN = { type: "login", email: "ada@example.org", pwd: PWD };

function credentials(inner: unknown, type: "register" | "login" | "salt", withPassword = false) {
  const text = typeof inner === "string" ? inner : JSON.stringify(inner);
  return parseCredentials(encodeUtf8(text), type, withPassword);
}

Deno.test("parseCredentials() takes the three kinds, the address in the form that is compared", () => {
  assert.deepEqual(credentials(REGISTER, "register"), {
    type: "register",
    email: "ada@example.org",
    username: "ada",
    salt: new Uint8Array(16),
    pwd: new Uint8Array(32),
  });
  assert.equal(credentials(LOGIN, "login")?.type, "login");
  assert.deepEqual(credentials({ type: "salt", email: "a@b" }, "salt"), { type: "salt", email: "a@b" });
});

Deno.test("parseCredentials() has one and the same answer for everything that is wrong", () => {
  for (const [good, type] of [[REGISTER, "register"], [LOGIN, "login"]] as const) {
    for (const name of Object.keys(good)) {
      assert.equal(credentials({ ...good, [name]: undefined }, type), undefined, `${type} without ${name}`);
      for (const wrong of WRONG.filter((value) => !(name === "username" && value === '"AA"'))) {
        const text = JSON.stringify({ ...good, [name]: "@@" }).replace('"@@"', wrong);
        assert.equal(credentials(text, type), undefined, `${type}, ${name}: ${wrong}`);
      }
    }
    assert.equal(credentials({ ...good, type: type === "login" ? "register" : "login" }, type), undefined);
    assert.equal(credentials(JSON.stringify(good).replace("{", '{"pwd":"x",'), type), undefined, "a name twice");
  }
  for (const text of ["", "[]", "null", "{", '"login"']) assert.equal(credentials(text, "login"), undefined);
  assert.equal(parseCredentials(Uint8Array.of(0xff, 0x7b), "login", true), undefined);
});

Deno.test("parseCredentials() takes the seed's password where it may, and never beside pwd", () => {
  const seeds = { type: "login", email: "a@b", password: "sesame" };
  assert.deepEqual(credentials(seeds, "login", true), seeds);
  assert.equal(credentials(seeds, "login"), undefined);
  assert.equal(credentials({ ...seeds, pwd: "wrong" }, "login", true), undefined);
  assert.equal(credentials({ ...seeds, password: 7 }, "login", true), undefined);
  assert.equal(credentials('{"type":"login","email":"a@b","password":"\\ud800"}', "login", true), undefined);
  assert.equal(credentials({ ...seeds, type: "register" }, "register", true), undefined);
});

Deno.test("parseSaltAnswer() takes 16 bytes", () => {
  assert.deepEqual(parseSaltAnswer(encodeUtf8(`{"salt":"${NONCE}"}`)), new Uint8Array(16));
  for (const text of [`{"salt":"${PWD}"}`, "{}", `{"salt":"${NONCE}","salt":"${NONCE}"}`, "[]", ""]) {
    assert.equal(parseSaltAnswer(encodeUtf8(text)), undefined, text);
  }
});

Deno.test("no parser throws anything but bad-frame, whatever stands in a frame", () => {
  const names = [
    "type",
    "v",
    "g",
    "p",
    "A",
    "B",
    "sig",
    "ct",
    "seqno",
    "ts",
    "nonce",
    "client_cert",
    "server_cert",
    "payload",
    "data",
    "salt",
    "email",
    "pwd",
  ];
  const value = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.bigInt({ min: 0n }).map(String), fc.base64String());
  const frame = fc.dictionary(fc.constantFrom(...names), value).map((fields) => object(JSON.stringify(fields)));
  fc.assert(fc.property(frame, (fields) => {
    for (const { parse } of Object.values(GOOD)) badField(parse, fields);
    parseErrorFrame(fields);
  }));
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
    assert.equal(parseCredentials(new Uint8Array(bytes), "login", true), undefined);
    assert.equal(parseSaltAnswer(new Uint8Array(bytes)), undefined);
  }));
});
