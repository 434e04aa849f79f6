/**
 * Whatever comes in: parsers give a value, `undefined` or a ProtocolError and never anything else, and what a strict
 * parser takes is exactly what its encoder writes. FUZZ_RUNS is how often each property is tried (500).
 */

import fc from "fast-check";
import { formatTime, parseTime } from "../lib/time_text.ts";
import { assert } from "./assert.ts";
import { type Bytes, encodeBase64, encodeHex, encodeUtf8, parseBase64, parseHex, parseUtf8 } from "../lib/bytes.ts";
import { findPath } from "../lib/certificate_path.ts";
import { encodePem } from "../lib/der.ts";
import { Failure, ProtocolError } from "../lib/errors.ts";
import { encodeFrame, FrameReader, parseFrame } from "../lib/frame.ts";
import { ServerConnection } from "../lib/handshake_server.ts";
import { canonicalJson, encodeJson, type Json, type JsonObject, parseJson, repeatedName } from "../lib/json.ts";
import * as message from "../lib/message.ts";
import { makeReceipt } from "../lib/receipt.ts";
import { encodeLine, messageInput, parseLine, TranscriptSummary } from "../lib/transcript.ts";
import { verify } from "../lib/verify.ts";
import { parseCertificates, parseRevocationList } from "../lib/x509.ts";
import { fixedClock, identities, NOW } from "./fixtures.ts";

const RUNS = { numRuns: Number(Deno.env.get("FUZZ_RUNS") ?? 500) };
/** Where one run costs a signature or more. */
const FEW_RUNS = { numRuns: RUNS.numRuns / 5 };

/** The value of a parser that may refuse, `undefined` where it did; anything else that it throws goes on. */
function attempt<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

// ---- what comes in

const bytes = (size?: { minLength?: number; maxLength?: number }) =>
  fc.uint8Array(size).map((array): Bytes => new Uint8Array(array));
const base64 = fc.oneof(bytes({ maxLength: 64 }), bytes({ minLength: 16, maxLength: 16 })).map(encodeBase64);
const hash = bytes({ minLength: 32, maxLength: 32 }).map(encodeHex);
const integer = fc.oneof(fc.nat(), fc.maxSafeNat(), fc.bigInt({ min: 2n ** 53n, max: 2n ** 2100n }));

/** A JSON value as parseJson() gives it. */
const json: fc.Arbitrary<Json> = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, true, false, "", "type", "constructor"),
    fc.string({ unit: "binary" }),
    integer,
    base64,
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(fc.oneof(fc.string(), fc.constantFrom("__proto__", "type")), tie("value"), {
      maxKeys: 4,
      noNullPrototype: true,
    }),
  ),
})).value;

const NAMES = "v g p A B sig seqno ts ct nonce payload email username salt pwd password data error_type reason now" +
  " received_at client_cert server_cert";

/** Some of the fields that frames and payloads have, of any kind; what has the form of a good one comes more often. */
const fields: fc.Arbitrary<JsonObject> = fc.dictionary(
  fc.constantFrom(...NAMES.split(" ")),
  fc.oneof(base64, integer, json),
  { maxKeys: 14, noNullPrototype: true },
);

/** A text with some characters changed, dropped, doubled or put in. */
function mutated(text: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const edit = fc.record({
    at: fc.nat(),
    drop: fc.nat({ max: 3 }),
    put: fc.oneof(fc.string({ maxLength: 3 }), fc.constantFrom("|", "=", "0", "\n", "\r", "A", '"', "-", "\u00e9")),
  });
  return fc.tuple(text, fc.array(edit, { minLength: 1, maxLength: 3 })).map(([start, edits]) =>
    edits.reduce((whole, { at, drop, put }) => {
      const place = at % (whole.length + 1);
      return whole.slice(0, place) + put + whole.slice(place + drop);
    }, start)
  );
}

const line = fc.record({
  seqno: fc.maxSafeNat(),
  ts: fc.maxSafeNat(),
  body: fc.integer({ min: 2, max: 8 }).chain((blocks) => bytes({ minLength: 16 * blocks, maxLength: 16 * blocks })),
  signature: bytes({ minLength: 1, maxLength: 512 }),
  signer: hash,
}, { noNullPrototype: true });

// ---- bytes and JSON

Deno.test("base64, hex and UTF-8 have one spelling: what is taken encodes to the same text again", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), base64, mutated(base64), hash, mutated(hash)), (text) => {
      const [b64, hex] = [parseBase64(text), parseHex(text)];
      if (b64) assert.equal(encodeBase64(b64), text);
      if (hex) assert.equal(encodeHex(hex), text);
    }),
    RUNS,
  );
  fc.assert(
    fc.property(bytes(), (array) => {
      assert.deepEqual(parseBase64(encodeBase64(array)), array);
      assert.deepEqual(parseHex(encodeHex(array)), array);
      const text = parseUtf8(array);
      if (text !== undefined) assert.deepEqual(encodeUtf8(text), array);
    }),
    RUNS,
  );
});

Deno.test("JSON comes back as it was, integers of any size too, and its canonical form is a fixed point", () => {
  fc.assert(
    fc.property(json, (value) => {
      const text = encodeJson(value);
      assert.deepEqual(parseJson(text), value);
      const canonical = canonicalJson(value);
      if (canonical === undefined) return;
      assert.equal(canonicalJson(parseJson(canonical) ?? null), canonical);
      assert.equal(repeatedName(canonical), undefined);
    }),
    RUNS,
  );
});

Deno.test("parseJson() takes what JSON.parse() takes and nothing else", () => {
  const text = fc.oneof(fc.string(), mutated(json.map(encodeJson)), fc.json());
  fc.assert(
    fc.property(text, (source) => {
      const parsed = parseJson(source);
      let isJson = true;
      try {
        JSON.parse(source);
      } catch {
        isJson = false;
      }
      assert.equal(parsed !== undefined, isJson);
      if (isJson) repeatedName(source);
    }),
    RUNS,
  );
});

// ---- frames and messages

/** What a reader makes of a stream that comes in these pieces: its frames, and whether it refused the rest. */
function readAll(pieces: readonly Uint8Array[], limit: number): string[] {
  const reader = new FrameReader(limit);
  const seen: string[] = [];
  try {
    for (const piece of pieces) {
      reader.receive(piece);
      for (let next = reader.next(); next; next = reader.next()) {
        assert(next.length <= limit);
        seen.push(encodeBase64(next));
      }
    }
  } catch (error) {
    assert(error instanceof ProtocolError && error.code === "too-large");
    seen.push("too-large");
  }
  return seen;
}

Deno.test("FrameReader gives the same lines however a stream is cut, none beyond the limit", () => {
  const stream = fc.array(
    fc.oneof(bytes({ maxLength: 40 }), fc.constantFrom("\n", "\r\n", "\n\n", '{"type":"quit"}\n').map(encodeUtf8)),
    { maxLength: 30 },
  );
  const cuts = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(stream, cuts, fc.integer({ min: 2, max: 64 }), (parts, sizes, limit) => {
      const whole = Uint8Array.from(parts.flatMap((part) => [...part]));
      const pieces: Uint8Array[] = [];
      for (let at = 0, turn = 0; at < whole.length; turn++) {
        const size = sizes[turn % sizes.length] ?? 1;
        pieces.push(whole.subarray(at, at + size));
        at += size;
      }
      assert.deepEqual(readAll(pieces, limit), readAll([whole], limit));
    }),
    RUNS,
  );
});

Deno.test("parseFrame() refuses with bad-frame or gives an object that encodes to a frame of the same meaning", () => {
  const good = fc.tuple(fields, fc.string()).map(([rest, type]) => encodeFrame({ type, ...rest }));
  fc.assert(
    fc.property(good, (frame) => {
      const parsed = parseFrame(frame);
      assert.deepEqual(encodeFrame({ ...parsed.fields, type: parsed.type }), frame);
    }),
    RUNS,
  );
  const text = good.map((frame) => new TextDecoder().decode(frame));
  fc.assert(
    fc.property(fc.oneof(bytes(), mutated(text).map(encodeUtf8)), (input) => {
      const parsed = attempt(() => parseFrame(input));
      if (parsed) assert.equal(typeof parsed.type, "string");
    }),
    RUNS,
  );
});

/** Parsers of what was encrypted. */
const TAKES_BYTES = /Credentials|SaltAnswer|Welcome|Account|PasswordChange/;

Deno.test("what was encrypted is taken, or refused with undefined or a ProtocolError", () => {
  const parsers = [message.parseSaltAnswer, message.parseWelcome, message.parseAccount, message.parsePasswordChange];
  fc.assert(
    fc.property(fc.oneof(bytes(), fields.map((input) => encodeUtf8(encodeJson(input)))), (input) => {
      for (const parse of parsers) attempt(() => parse(input));
    }),
    RUNS,
  );
});

Deno.test("the fields of every frame are taken, or refused with a ProtocolError", () => {
  const parsers = Object.entries(message).filter(([name, parser]) =>
    typeof parser === "function" && /^parse/.test(name) && !TAKES_BYTES.test(name)
  ) as [string, (fields: JsonObject) => unknown][];
  assert(parsers.length >= 8);
  fc.assert(
    fc.property(fields, (input) => {
      for (const [, parse] of parsers) attempt(() => parse(input));
    }),
    RUNS,
  );
});

Deno.test("parseMsg() takes exactly the message that is encoded", () => {
  fc.assert(
    fc.property(line, ({ seqno, ts, body, signature }) => {
      const frame = { type: "msg", seqno, ts, ct: encodeBase64(body), sig: encodeBase64(signature) };
      const parsed = message.parseMsg(parseFrame(encodeFrame(frame)).fields);
      assert.deepEqual({ ...parsed }, { seqno, ts, body, signature });
    }),
    RUNS,
  );
});

Deno.test("parseCredentials() never throws, and what it takes has an address in its one form", () => {
  const type = fc.constantFrom("salt", "register", "login");
  const inner = fc.tuple(type, fields, fc.constantFrom("a@example.org", " A@B ", "a@b@c", "")).map(
    ([type, rest, email]) => encodeJson({ ...rest, type, email }),
  );
  fc.assert(
    fc.property(
      fc.oneof(bytes(), inner.map(encodeUtf8), mutated(inner).map(encodeUtf8)),
      type,
      fc.boolean(),
      (plaintext, type, withPassword) => {
        const credentials = message.parseCredentials(plaintext, type as "salt" | "register" | "login", withPassword);
        message.parseSaltAnswer(plaintext);
        if (credentials && "email" in credentials) assert.match(credentials.email, /^[^@A-Z]+@[^@A-Z]+$/);
      },
    ),
    RUNS,
  );
});

Deno.test("a server's connection meets any frames with events or a ProtocolError, and is over after an error", async () => {
  const { server, client, trust } = await identities();
  const hello = fc.constant({ type: "hello", client_cert: client.pem, nonce: encodeBase64(new Uint8Array(16)), v: 2 });
  const type = fc.constantFrom(
    "hello",
    "dh_client",
    "register",
    "login",
    "salt",
    "msg",
    "receipt",
    "quit",
    "error",
    "x",
  );
  const frame = fc.tuple(type, fields).map(([type, rest]) => ({ ...rest, type }));
  const stream = fc.oneof(
    fc.array(fc.oneof(frame, hello), { maxLength: 4 }),
    fc.tuple(hello, frame, frame),
  ).map((frames) => frames.map((frame) => new TextDecoder().decode(encodeFrame(frame))).join(""));
  await fc.assert(
    fc.asyncProperty(fc.oneof(stream, mutated(stream)), async (text) => {
      const connection = new ServerConnection({
        identity: server,
        trust: () => Promise.resolve(trust),
        allowV1: true,
        now: fixedClock,
        random: (size) => new Uint8Array(size),
        send: () => {},
      });
      connection.receive(encodeUtf8(text));
      try {
        while (await connection.next());
      } catch (error) {
        assert(error instanceof ProtocolError, String(error));
        assert.equal(connection.state, "failed");
        assert.equal(await connection.next(), undefined);
      }
    }),
    FEW_RUNS,
  );
});

// ---- transcripts and receipts

Deno.test("parseLine() takes exactly what encodeLine() writes", () => {
  fc.assert(fc.property(line, (value) => assert.deepEqual({ ...parseLine(encodeLine(value)) }, value)), RUNS);
  fc.assert(
    fc.property(fc.oneof(fc.string(), mutated(line.map(encodeLine))), (text) => {
      const parsed = parseLine(text);
      if (parsed) assert.equal(encodeLine(parsed), text);
    }),
    { numRuns: 4 * RUNS.numRuns },
  );
});

Deno.test("parseTime() takes exactly what formatTime() writes", () => {
  const time = fc.date({ min: new Date(0), max: new Date("9999-12-31T23:59:59Z"), noInvalidDate: true });
  fc.assert(
    fc.property(fc.oneof(fc.string(), mutated(time.map((date) => formatTime(date.getTime())))), (text) => {
      const parsed = parseTime(text);
      if (parsed !== undefined) assert.equal(formatTime(parsed), text);
    }),
    { numRuns: 4 * RUNS.numRuns },
  );
});

Deno.test("verify() judges any receipt and any lines, and calls none valid but what was signed", async () => {
  const { server, client, trust } = await identities();
  const fingerprint = (side: typeof server) => side.chain[0]?.fingerprint ?? "";
  const lines: string[] = [];
  const summary = new TranscriptSummary();
  for (let seqno = 0; seqno < 3; seqno++) {
    const body = new Uint8Array(48).fill(seqno);
    const signature = await client.key.sign(messageInput(seqno, NOW, body));
    lines.push(encodeLine({ seqno, ts: NOW, body, signature, signer: fingerprint(client) }));
    summary.add(lines.at(-1) ?? "", seqno, 0);
  }
  const receipt = encodeJson(
    await makeReceipt({
      role: "server",
      key: server.key,
      pem: server.pem,
      fingerprint: fingerprint(server),
      linePems: [client.pem],
      summary,
      createdAt: NOW,
      identity: { otherFingerprint: fingerprint(client), session: "0".repeat(64) },
    }),
  );
  const judge = async (evidence: { receipt: string | Bytes; lines: readonly (string | Bytes)[] }) => {
    try {
      return (await verify(evidence, trust, { policy: { version2Only: true } })).result;
    } catch (error) {
      assert(error instanceof Failure, String(error));
      return "unreadable";
    }
  };
  assert.equal(await judge({ receipt, lines }), "valid");

  const meaning = (text: string) => canonicalJson(parseJson(text) ?? null);
  await fc.assert(
    fc.asyncProperty(fc.oneof(mutated(fc.constant(receipt)), json.map(encodeJson)), async (text) => {
      if (await judge({ receipt: text, lines }) === "valid") assert.equal(meaning(text), meaning(receipt));
    }),
    FEW_RUNS,
  );
  await fc.assert(
    fc.asyncProperty(fc.oneof(mutated(fc.constant(lines.join("\n"))), fc.string()), async (text) => {
      if (await judge({ receipt, lines: text.split("\n") }) === "valid") assert.equal(text, lines.join("\n"));
    }),
    FEW_RUNS,
  );
  await fc.assert(
    fc.asyncProperty(bytes(), fc.array(bytes()), async (text, lines) => {
      assert.notEqual(await judge({ receipt: text, lines }), "valid");
    }),
    FEW_RUNS,
  );
});

// ---- certificates

Deno.test("certificates and revocation lists are read or refused, and of a certificate no byte may differ", async () => {
  const { server, trust } = await identities();
  const der = server.chain[0]?.der ?? new Uint8Array(0);
  const changed = fc.array(fc.tuple(fc.nat({ max: der.length - 1 }), fc.integer({ min: 0, max: 255 })), {
    maxLength: 4,
  })
    .map((changes) => {
      const copy = der.slice();
      for (const [at, value] of changes) copy[at] = value;
      return copy;
    });
  const body = fc.oneof(changed, fc.nat({ max: der.length }).map((size) => der.slice(0, size)), bytes());
  const problems = async (body: Bytes) => {
    const chain = attempt(() => parseCertificates(encodePem("CERTIFICATE", body)));
    if (chain) assert.deepEqual(chain[0]?.der, body);
    return chain && (await findPath(chain, trust, { purpose: "server" })).problems(NOW, "current");
  };
  assert.deepEqual(await problems(der), []);
  await fc.assert(
    fc.asyncProperty(body, async (body) => {
      if ((await problems(body))?.length === 0) assert.deepEqual(body, der);
      attempt(() => parseRevocationList(encodePem("X509 CRL", body)));
    }),
    RUNS,
  );
  fc.assert(
    fc.property(fc.oneof(mutated(fc.constant(server.pem)), fc.string()), (text) => {
      attempt(() => parseCertificates(text));
      attempt(() => parseRevocationList(text));
    }),
    RUNS,
  );
});
