import { assert } from "./assert.ts";
import { encrypt } from "../lib/aes_cbc.ts";
import { type Bytes, encodeUtf8, parseBase64, parseInteger } from "../lib/bytes.ts";
import { ProtocolError } from "../lib/errors.ts";
import { parseJson } from "../lib/json.ts";
import { type Msg, parseMsg, type Version } from "../lib/message.ts";
import { type SigningKey, VerifyingKey } from "../lib/pss.ts";
import { sealMessage, type SealOptions, SessionReceiver } from "../lib/session.ts";
import { messageInput } from "../lib/transcript.ts";
import { countingRandom, fixedClock, identities } from "./fixtures.ts";

const KEY = new Uint8Array(16).fill(7);

interface Bench {
  readonly receiver: SessionReceiver;
  seal(text: string, options?: Partial<SealOptions>): Promise<Msg>;
  readonly signing: SigningKey;
}

async function bench(version: Version = 2): Promise<Bench> {
  const { client } = await identities();
  const leaf = client.chain[0];
  const session = { key: KEY, version, signer: leaf?.fingerprint ?? "" };
  const options = { seqno: 0, signing: client.key, now: fixedClock, random: countingRandom() };
  return {
    receiver: new SessionReceiver(session, new VerifyingKey(leaf?.rsa?.modulus ?? 0n), fixedClock),
    seal: async (text, more = {}) => {
      const { frame } = await sealMessage(session, text, { ...options, ...more });
      return parseMsg({ ...frame });
    },
    signing: client.key,
  };
}

function code(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
  return "accepted";
}

Deno.test("Session.open() gives back what was sealed, and counts it in the transcript", async () => {
  for (const version of [1, 2] satisfies Version[]) {
    const { receiver, seal } = await bench(version);
    for (const [seqno, text] of ["", "a", "grüße, 你好, 😀\\n|", "x".repeat(16_000)].entries()) {
      assert.equal(receiver.open(await seal(text, { seqno })).text, text);
    }
    assert.deepEqual([receiver.summary.count, receiver.summary.first, receiver.summary.last], [4, 0, 3]);
  }
});

Deno.test("Session.open() refuses a repeated seqno, an older one, and one more than 1,000 ahead", async () => {
  const { receiver, seal } = await bench();
  const answer = async (seqno: number) => {
    const msg = await seal("text", { seqno });
    return code(() => receiver.open(msg));
  };
  assert.equal(await answer(1_000), "replay");
  assert.equal(await answer(999), "accepted");
  assert.equal(await answer(999), "replay");
  assert.equal(await answer(3), "replay");
  assert.equal(await answer(2_000), "replay");
  assert.equal(await answer(1_999), "accepted");
});

Deno.test("Session.open() refuses a change to any signed part, and the second form of a signature", async () => {
  const { receiver, seal } = await bench();
  const good = await seal("text");
  const flip = (bytes: Bytes, at: number) => bytes.map((byte, i) => i === at ? byte ^ 1 : byte);
  const { client } = await identities();
  const modulus = client.chain[0]?.rsa?.modulus ?? 0n;
  const second = (parseInteger(good.signature) + modulus).toString(16).padStart(512, "0");
  const changed: Msg[] = [
    { ...good, seqno: 1 },
    { ...good, ts: good.ts + 1 },
    { ...good, body: flip(good.body, 0) },
    { ...good, body: flip(good.body, good.body.length - 1) },
    { ...good, signature: flip(good.signature, 0) },
    { ...good, signature: good.signature.slice(1) },
    { ...good, signature: new Uint8Array(256) },
    { ...good, signature: Uint8Array.from(second.match(/../g) ?? [], (pair) => parseInt(pair, 16)) },
  ];
  for (const msg of changed) assert.equal(code(() => receiver.open(msg)), "sig-fail");
  assert.equal(code(() => receiver.open(good)), "accepted");
});

Deno.test("Session.open() refuses a time more than 5 minutes away and says its own", async () => {
  const { receiver, seal } = await bench();
  for (const [offset, answer] of [[300_001, "stale"], [-300_001, "stale"], [300_000, "accepted"]] as const) {
    const msg = await seal("x", { now: () => fixedClock() + offset });
    assert.equal(code(() => receiver.open(msg)), answer);
  }
  const late = await seal("x", { now: () => 0, seqno: 1 });
  assert.throws(
    () => receiver.open(late),
    (error) => error instanceof ProtocolError && error.fields["now"] === fixedClock(),
  );
});

Deno.test("Session.open() takes no message that would refute the lines before it, where the server's clock was set back", async () => {
  const { client } = await identities();
  const leaf = client.chain[0];
  const { seal } = await bench();
  let now = fixedClock();
  const key = { key: KEY, version: 2, signer: leaf?.fingerprint ?? "" } as const;
  const receiver = new SessionReceiver(key, new VerifyingKey(leaf?.rsa?.modulus ?? 0n), () => now);
  const answer = async (seqno: number, ts: number) => {
    const msg = await seal("x", { seqno, now: () => ts });
    return code(() => receiver.open(msg));
  };
  assert.equal(await answer(0, now), "accepted");
  now -= 600_000;
  assert.equal(await answer(1, now), "accepted");
  now -= 1;
  assert.equal(await answer(2, now), "stale");
  assert.equal(await answer(2, now + 1), "accepted");
});

Deno.test("Session.open() refuses a message of another session of the same certificate in version 2", async () => {
  const { receiver, signing } = await bench();
  const other = { key: KEY.map((byte) => byte ^ 1), version: 2, signer: "" } as const;
  const { frame } = await sealMessage(other, "x", {
    seqno: 0,
    signing,
    now: fixedClock,
    random: countingRandom(),
  });
  assert.equal(code(() => receiver.open(parseMsg({ ...frame }))), "decrypt-fail");
});

Deno.test("Session.open() refuses what is not text, and text that is too long", async () => {
  const { receiver, signing } = await bench(1);
  const open = async (plaintext: Uint8Array) => {
    const body = encrypt(KEY, new Uint8Array(16), plaintext);
    const msg = {
      seqno: 0,
      ts: fixedClock(),
      body,
      signature: await signing.sign(messageInput(0, fixedClock(), body)),
    };
    return code(() => receiver.open(msg));
  };
  assert.equal(await open(new Uint8Array([0xff])), "decrypt-fail");
  assert.equal(await open(new Uint8Array([0xed, 0xa0, 0x80])), "decrypt-fail");
  assert.equal(await open(encodeUtf8("x".repeat(16_001))), "too-large");
  assert.equal(receiver.summary.count, 0);
});

Deno.test("a refused message leaves the sequence and the transcript as they were", async () => {
  const { receiver, seal } = await bench();
  receiver.open(await seal("one"));
  const before = receiver.summary.hash();
  const bad = await seal("two", { seqno: 1, now: () => 0 });
  assert.equal(code(() => receiver.open(bad)), "stale");
  assert.equal(receiver.summary.hash(), before);
  receiver.open(await seal("two", { seqno: 1 }));
});

Deno.test("parseMsg() takes plain integers alone for seqno and ts", async () => {
  const { seal } = await bench();
  const good = await seal("x");
  assert.ok(good.body && parseBase64("AAAA"));
  const line = (seqno: string) => parseJson(`{"seqno":${seqno},"ts":1,"ct":"${"A".repeat(44)}","sig":"AAAA"}`);
  for (const seqno of ["-0", "1.0", "1e0", "-1", '"1"', "null", "9007199254740992"]) {
    const fields = line(seqno);
    assert.ok(typeof fields === "object" && fields !== null);
    assert.equal(code(() => parseMsg(fields as Parameters<typeof parseMsg>[0])), "bad-frame", seqno);
  }
});
