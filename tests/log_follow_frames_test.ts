import { assert } from "./assert.ts";
import { encodeUtf8 } from "../lib/bytes.ts";
import { ProtocolError } from "../lib/errors.ts";
import { encodeJson, isJsonObject, type JsonObject, parseJson } from "../lib/json.ts";
import {
  encodeLogAnswer,
  LOG_REQUESTS,
  type LogAnswer,
  type LogRequest,
  parseLogAnswer,
  parseLogRequest,
} from "../lib/log_follow_frames.ts";

const hash = new Uint8Array(32).fill(7);
const checkpoint = { time: 5, size: 3, root: "a".repeat(64), sig: encodeUtf8("sig"), from: "b".repeat(64) };

const requests: readonly LogRequest[] = [
  { type: "log" },
  { type: "log", note: "x\n" },
  { type: "log_ticks", from: 3, tags: false },
  { type: "log_heads", room: "#ops", from: 0 },
  { type: "log_note", size: 1 },
  { type: "log_tokens", from: 9 },
];

const answers: readonly LogAnswer[] = [
  { type: "log", charter: { v: 1 }, size: 7, frontier: [hash, hash, hash] },
  { type: "log_ticks", from: 3, ticks: [{ tick: hash, tags: null }, { tick: hash, tags: hash }], next: null, size: 5 },
  { type: "log_ticks", from: 3, ticks: [], next: 4, size: 5 },
  { type: "log_heads", room: "#ops", heads: [{ tick: 4, checkpoint, path: [hash] }], next: 9 },
  { type: "log_note", size: 4, note: "note\n" },
  { type: "log_tokens", tokens: [{ tick: 1, size: 1, token: hash }], chain: "pem", next: null },
];

/** A frame's fields as they come from the wire. */
function sent(fields: object): JsonObject {
  const read = parseJson(encodeJson(fields));
  assert(isJsonObject(read));
  return read;
}

const badFrame = (error: unknown) => error instanceof ProtocolError && error.code === "bad-frame";

Deno.test("requests about the server's log are read as they were written", () => {
  for (const request of requests) assert.deepEqual(parseLogRequest(request.type, sent(request)), request);
  assert.deepEqual(new Set(requests.map(({ type }) => type)), new Set(LOG_REQUESTS));
});

Deno.test("answers about the server's log are read as they were written", () => {
  for (const answer of answers) {
    assert.deepEqual(parseLogAnswer(answer.type, sent(encodeLogAnswer(answer))), answer);
  }
  assert.deepEqual(new Set(answers.map(({ type }) => type)), new Set(LOG_REQUESTS));
});

Deno.test("a field about the server's log that is missing or of another kind is bad-frame", () => {
  for (const answer of answers) {
    const fields = encodeLogAnswer(answer);
    for (const name of Object.keys(fields).filter((name) => name !== "type")) {
      const { [name]: _, ...rest } = fields;
      assert.throws(() => parseLogAnswer(answer.type, sent(rest)), badFrame, `${answer.type} ${name}`);
      assert.throws(() => parseLogAnswer(answer.type, sent({ ...fields, [name]: [{}, 1] })), badFrame, name);
      assert.throws(() => parseLogAnswer(answer.type, sent({ ...fields, [name]: true })), badFrame, name);
    }
  }
  for (const request of requests) {
    for (const name of Object.keys(request).filter((name) => name !== "type")) {
      assert.throws(() => parseLogRequest(request.type, sent({ ...request, [name]: {} })), badFrame, name);
    }
  }
  const many = sent({ ...encodeLogAnswer({ type: "log", charter: {}, size: 0, frontier: Array(54).fill(hash) }) });
  assert.throws(() => parseLogAnswer("log", many), badFrame);
});
