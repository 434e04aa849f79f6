import { parseRequest, postJson } from "../lib/log_requests.ts";
import { assert } from "./assert.ts";
import { encodeBase64, encodeUtf8 } from "../lib/bytes.ts";
import { encodeCheckpoint } from "../lib/log_checkpoint.ts";
import { ProtocolError } from "../lib/errors.ts";
import { parseFrame } from "../lib/frame.ts";
import { encodeJson } from "../lib/json.ts";
import { directRoom, isRoomName, partners } from "../lib/names.ts";
import { encodePosted, parseRoomFrame } from "../lib/log_frames.ts";
import { encodeLine } from "../lib/transcript.ts";

const HASH = "ab".repeat(32);
const POST = {
  room: "#ops",
  epoch: 1,
  seqno: 0,
  ts: 1_700_000_000_000,
  ct: new Uint8Array(96),
  sig: new Uint8Array(256),
  body: new Uint8Array(48),
};
const CHECKPOINT = { time: 1_700_000_000, size: 3, root: HASH, sig: new Uint8Array(256), from: HASH };

const frame = (fields: Record<string, unknown>) => parseFrame(encodeUtf8(encodeJson(fields)));

function code(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
  return "taken";
}

Deno.test("parseRequest() takes each request as it is written, and what is unknown in it is ignored", () => {
  assert.deepEqual(parseRequest(frame({ type: "post", ...postJson(POST), x: 1 })), {
    request: { type: "post", ...POST },
    id: undefined,
  });
  assert.deepEqual(
    parseRequest(frame({ type: "join", room: "#ops", checkpoint: encodeCheckpoint(CHECKPOINT) })).request,
    {
      type: "join",
      room: "#ops",
      checkpoint: CHECKPOINT,
    },
  );
  assert.deepEqual(
    parseRequest(frame({ type: "create", room: "#ops", mode: "recorded", history: "all", invite_only: false, id: 3 })),
    { request: { type: "create", room: "#ops", mode: "recorded", history: "all", inviteOnly: false }, id: 3 },
  );
  assert.deepEqual(parseRequest(frame({ type: "ping", id: -4 })).request, { type: "ping" });
  assert.deepEqual(parseRequest(frame({ type: "presence", state: "away", id: 5 })), {
    request: { type: "presence", state: "away" },
    id: 5,
  });
});

Deno.test("parseRequest() refuses fields that are missing or of the wrong kind", () => {
  const wrong: Record<string, unknown>[] = [
    { type: "join" },
    { type: "join", room: "ops" },
    { type: "join", room: "#Ops" },
    { type: "join", room: "@bob,@ada" },
    { type: "join", room: "#ops", checkpoint: { size: 1 } },
    { type: "create", room: "#ops", mode: "recorded", history: "some", invite_only: false },
    { type: "create", room: "#ops", mode: "recorded", history: "all", invite_only: 0 },
    { type: "history", room: "#ops", from: "0", count: 1 },
    { type: "ping", id: "7" },
    { type: "ping", id: 1.5 },
    { type: "post", ...postJson(POST), ct: encodeBase64(new Uint8Array(95)) },
    { type: "post", ...postJson(POST), body: encodeBase64(new Uint8Array(33)) },
    { type: "post", ...postJson(POST), seqno: null },
    { type: "certificate", fingerprint: HASH.toUpperCase() },
    { type: "presence" },
    { type: "presence", state: "offline" },
    { type: "presence", state: "asleep" },
  ];
  for (const fields of wrong) assert.equal(code(() => parseRequest(frame(fields))), "bad-frame", encodeJson(fields));
});

Deno.test("parseRoomFrame() gives a posted line back, its body null where it was erased", () => {
  const posted = { type: "posted", ...postJson(POST), index: 4, from: HASH };
  assert.deepEqual(parseRoomFrame(frame(posted)).frame, { type: "posted", ...POST, index: 4, from: HASH });
  const erased = parseRoomFrame(frame({ ...posted, body: null })).frame;
  assert.ok(erased.type === "posted" && erased.body === null);
  assert.equal(code(() => parseRoomFrame(frame({ ...posted, body: "" }))), "bad-frame");
});

Deno.test("parseRoomFrame() takes who is here in three words, and from a server that doesn't say who is away", () => {
  const members = (...fields: object[]) => {
    const named = fields.map((one) => ({ username: "ada", role: "owner", ...one }));
    const { frame: parsed } = parseRoomFrame(frame({ type: "members", room: "#ops", members: named, next: null }));
    return parsed.type === "members" ? parsed.members.map(({ online, state }) => `${online} ${state}`) : [];
  };
  const all = members({ online: true, state: "away" }, { online: true }, { online: false });
  assert.deepEqual(all, ["true away", "true online", "false offline"]);
  assert.equal(code(() => members({ online: true, state: "asleep" })), "bad-frame");
  const presence = { type: "presence", room: "#ops", username: "ada" };
  assert.deepEqual(parseRoomFrame(frame({ ...presence, state: "offline" })).frame, { ...presence, state: "offline" });
  assert.equal(code(() => parseRoomFrame(frame({ ...presence, state: "here" }))), "bad-frame");
});

Deno.test("the names of rooms and of direct conversations", () => {
  for (const name of ["#ops", "#a", `#${"x".repeat(48)}`, "#a-b_c.9", "@ada,@bob"]) assert.ok(isRoomName(name), name);
  for (
    const name of ["ops", "#", "#Ops", `#${"x".repeat(49)}`, "#a b", "@bob,@ada", "@ada,@ada", "@Ada,@bob", "#ops\n"]
  ) {
    assert.ok(!isRoomName(name), name);
  }
  assert.equal(directRoom("Bob", "ada"), "@ada,@bob");
  assert.equal(directRoom("ada", "ADA"), undefined);
  assert.deepEqual(partners("@ada,@bob"), ["ada", "bob"]);
  assert.equal(partners("#ops"), undefined);
});

Deno.test("encodePosted() writes the frame of a line as parseRoomFrame() takes it back, erased or not", () => {
  const { room, epoch, seqno, ts, ct, sig, body } = { ...POST, seqno: 7, room: "@ada,@bob-2.x" };
  const signature = sig.map((_, i) => i);
  const line = encodeLine({ seqno, ts, body: ct, signature, signer: HASH });
  for (const carried of [body.map((_, i) => 255 - i), null]) {
    const { frame } = parseRoomFrame(parseFrame(encodePosted({ room, index: 41, epoch, line, body: carried })));
    const fields = { room, index: 41, epoch, from: HASH, seqno, ts, ct, sig: signature, body: carried };
    assert.deepEqual(frame, { type: "posted", ...fields });
  }
});
