import { assert } from "./assert.ts";
import { authority, NOW } from "./fixtures.ts";
import { LogStory, signerOf } from "./log_story.ts";
import { hashOf, SECOND } from "./server_log_world.ts";
import { encodeUtf8 } from "../lib/bytes.ts";
import type { ShownLog } from "../lib/client_log_evidence.ts";
import { encodeJson, isJsonObject, parseJson } from "../lib/json.ts";
import { parseCheckpoint } from "../lib/log_checkpoint.ts";
import { encodeLogEvidence, type LogEvidence, parseLogEvidence } from "../lib/log_evidence.ts";
import { parseEnvelope } from "../lib/log_envelope.ts";
import { KEY_TYPE } from "../lib/log_note_key.ts";
import { CertificateJudge } from "../lib/verify_judge.ts";
import { type LogCheckName, type LogFiles, LogJudge, type LogTrust } from "../lib/verify_log.ts";
import { policyOf } from "../lib/witness_policy.ts";

/** What came of judging. */
interface Outcome {
  readonly judge: LogJudge;
  readonly failed: readonly string[];
  readonly skipped: Readonly<Record<string, string>>;
  /** Of each line, unix seconds after NOW: not earlier than, not later than. */
  readonly bounds: readonly (readonly [number | undefined, number | undefined])[];
}

const seconds = (ms: number | undefined) => ms === undefined ? undefined : (ms - NOW) / SECOND;

async function judge(
  story: LogStory,
  change: (evidence: LogEvidence) => LogEvidence = (evidence) => evidence,
  trust: Partial<LogTrust> = {},
  files: (files: LogFiles, shown: ShownLog) => LogFiles = (files) => files,
): Promise<Outcome> {
  const { receipt, openings, log } = await story.show();
  const failed: string[] = [];
  const skipped: Record<string, string> = {};
  const checkpoint = parseCheckpoint(receipt["checkpoint"]);
  assert(checkpoint);
  const findings = {
    fail: (check: LogCheckName, reason: string) => void failed.push(`${check}: ${reason}`),
    skip: (check: LogCheckName, reason: string) => void (skipped[check] ??= reason),
  };
  const subject = { origin: story.room.origin, checkpoint, earlier: [] };
  const all: LogTrust = {
    policies: story.policy ? [story.policy] : [],
    logs: [story.logKey.key],
    roots: [],
    quorum: 1,
    now: story.world.now,
    protectedAt: story.world.now,
    ...trust,
  };
  const judge = new LogJudge(subject, change(log.evidence), files(story.filesOf(log), log), all, findings);
  const { certificate } = await authority();
  await judge.judge(new CertificateJudge({ authorities: [certificate], revocations: [] }, undefined));
  const bounds = openings.map((row, index) => {
    const since = judge.line(index, parseEnvelope(Uint8Array.fromBase64(row.split("\t")[1] ?? "")));
    judge.checkTime(index, since, checkpoint);
    return [seconds(since), seconds(judge.by(index))] as const;
  });
  return { judge, failed, skipped, bounds };
}

/** Two lines with a minute and a tick before, between and behind them. */
async function twoLines(story: LogStory): Promise<void> {
  await story.tick(); // 60: note 1
  await story.say("first"); // the member has seen note 1
  await story.tick(); // 120: registers line 0, names note 1
  await story.tick(); // nothing new: no tick
  await story.say("second"); // at 180, names note 2
  await story.tick(); // 240: registers line 1, names note 2
  await story.tick();
}

Deno.test("a line lies between what its author's log names and what witnesses cosigned after it", async () => {
  await using story = await LogStory.create({ witnesses: 2 });
  await twoLines(story);
  const { failed, skipped, bounds, judge: { summary } } = await judge(story);
  assert.deepEqual(failed, []);
  assert.deepEqual(Object.keys(skipped), ["token", "search"]);
  // Line 1 names the log of 2 ticks, of which the second names note 1, cosigned at 60.
  assert.deepEqual(bounds, [[undefined, 240], [60, 240]]);
  assert.equal(summary?.isWitnessed, true);
  assert.equal(summary?.cosigners, 2);
  assert.equal(seconds(summary?.witnessedBy), 240);
});

Deno.test("nothing counts whose key the verifier didn't name, and that is no failure", async () => {
  await using story = await LogStory.create({ witnesses: 2 });
  await twoLines(story);
  const none = await judge(story, undefined, { policies: [], logs: [] });
  assert.deepEqual(none.failed, []);
  assert.deepEqual(none.bounds, [[undefined, undefined], [undefined, undefined]]);
  assert.match(none.skipped["witness"] ?? "", /no witness was named/);
  assert.match(none.skipped["log key"] ?? "", /whether the server keeps a second one was not checked/);
  const stranger = await signerOf("witness.example/stranger", 99, KEY_TYPE.witness);
  const other = await judge(story, undefined, { policies: [policyOf([stranger.key])] });
  assert.deepEqual(other.failed, []);
  assert.match(other.skipped["witness"] ?? "", /2 cosignatures, 0 of witnesses that you named/);
  const another = await signerOf("localhost/log/00000000000000000000000000000000", 5, KEY_TYPE.log);
  assert.match((await judge(story, undefined, { logs: [another.key] })).failed.join(), /^log key: .* is none of those/);
});

Deno.test("log.json is read as it was written, and other forms are refused", async () => {
  await using story = await LogStory.create({ witnesses: 1 });
  await twoLines(story);
  const { log: { evidence } } = await story.show();
  const written = parseJson(encodeJson(encodeLogEvidence(evidence)));
  assert(isJsonObject(written));
  assert.deepEqual(parseLogEvidence(written), evidence);
  for (const name of ["type", "v", "charter", "certs", "heads", "after"]) {
    const { [name]: _, ...rest } = written;
    assert.equal(typeof parseLogEvidence(rest), "string", name);
    assert.equal(typeof parseLogEvidence({ ...written, [name]: [1] }), "string", name);
  }
  const [head] = evidence.heads;
  assert(head);
  const twice = encodeLogEvidence({ ...evidence, heads: [head, head] });
  assert.match(String(parseLogEvidence(twice)), /order of their ticks/);
  assert.equal(parseLogEvidence(null), 'type is not "log_evidence"');
});

/** What is changed in true evidence, and the check that it fails. */
const changes: readonly { name: string; change: (evidence: LogEvidence) => LogEvidence; fails: RegExp }[] = [
  {
    name: "a charter of another time",
    change: (evidence) => ({ ...evidence, charter: { ...evidence.charter, time: 1 } }),
    fails: /^charter: its signature/,
  },
  {
    name: "a charter without its signer's certificate",
    change: (evidence) => ({ ...evidence, certs: [] }),
    fails: /^charter: its signer's certificate/,
  },
  {
    name: "a head of another time",
    change: (evidence) => ({ ...evidence, heads: evidence.heads.map((head) => ({ ...head, time: head.time + 1 })) }),
    fails: /^head: .* is of no checkpoint/,
  },
  {
    name: "a head in another tick",
    change: (evidence) => ({ ...evidence, heads: evidence.heads.map((head) => ({ ...head, tick: 1 })) }),
    fails: /^head: .* is not registered there/,
  },
  {
    name: "a tick without the tags",
    change: (evidence) => ({
      ...evidence,
      heads: evidence.heads.map((head) => ({ ...head, tags: new Uint8Array(8) })),
    }),
    fails: /^head: .* other tags/,
  },
  {
    name: "a path to another note",
    change: (evidence) => ({
      ...evidence,
      heads: evidence.heads.map((head) => ({ ...head, notes: head.notes.map(({ size }) => ({ size, path: [] })) })),
    }),
    fails: /^head: .* doesn't lead to the note/,
  },
  {
    name: "a head that is not the registered one",
    change: (evidence) => ({
      ...evidence,
      heads: evidence.heads.map((head) => ({ ...head, hashes: [new Uint8Array(32)] })),
    }),
    fails: /^head: .* is not the one that the tick registers/,
  },
  {
    name: "an entry of after with another tick",
    change: (evidence) => ({ ...evidence, after: evidence.after.map((each) => ({ ...each, path: [] })) }),
    fails: /^after: .* is not in its tick/,
  },
  {
    name: "an entry of after that the tick doesn't name",
    change: (evidence) => ({
      ...evidence,
      after: evidence.after.map((each) => ({
        ...each,
        file: evidence.heads[0]?.notes[0] ? `notes/${evidence.heads[0].notes[0].size}.note` : "",
      })),
    }),
    fails: /^after: .* is not named/,
  },
];

for (const { name, change, fails } of changes) {
  Deno.test(`the server's log with ${name} fails`, async () => {
    await using story = await LogStory.create({ witnesses: 1 });
    await twoLines(story);
    const { failed } = await judge(story, change);
    assert.match(failed.join("\n"), new RegExp(fails.source, "m"));
  });
}

Deno.test("notes that are changed, missing, or that nothing refers to fail", async () => {
  await using story = await LogStory.create({ witnesses: 1 });
  await twoLines(story);
  const withFiles = async (
    change: (name: string, bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer> | undefined,
  ) =>
    (await judge(story, undefined, {}, (files) => ({
      ...files,
      read: async (name) => {
        const bytes = await files.read(name);
        return bytes && change(name, bytes);
      },
    }))).failed.join("\n");
  const flipped = await withFiles((_, bytes) => bytes.map((byte, at) => at === 70 ? byte ^ 1 : byte));
  assert.match(flipped, /^note: notes\/\d\.note is not signed by the log's key/m);
  const cosignature = await withFiles((_, bytes) => {
    const text = new TextDecoder().decode(bytes);
    return encodeUtf8(text.replace(/.(?=.{11}\n$)/, (digit) => digit === "A" ? "B" : "A"));
  });
  assert.match(cosignature, /a line of a witness that you named, and it doesn't verify|not signed/);
  const missing = await judge(story, undefined, {}, (files) => ({ ...files, names: files.names.slice(1) }));
  assert.match(missing.failed.join("\n"), /^log form: there is no notes/m);
  const more = await judge(story, undefined, {}, (files) => ({ ...files, names: [...files.names, "notes/9.note"] }));
  assert.match(more.failed.join("\n"), /^log form: nothing refers to notes\/9\.note/m);
});

Deno.test("a checkpoint that states a time before a line could be written is dated back", async () => {
  await using story = await LogStory.create({ witnesses: 1 });
  await story.tick();
  await story.say("first");
  await story.tick();
  story.world.now += 3_600 * SECOND;
  await story.tick();
  await story.say("second"); // names the log of an hour later
  await story.tick();
  story.world.isAttended = true;
  const { receipt, openings, log } = await story.show();
  const checkpoint = parseCheckpoint(receipt["checkpoint"]);
  assert(checkpoint);
  const failed: string[] = [];
  const findings = {
    fail: (check: LogCheckName, reason: string) => void failed.push(`${check}: ${reason}`),
    skip() {},
  };
  const subject = { origin: story.room.origin, checkpoint, earlier: [] };
  const trust: LogTrust = {
    ...{ policies: story.policy ? [story.policy] : [], logs: [], roots: [], quorum: 1 },
    ...{ now: story.world.now, protectedAt: story.world.now },
  };
  const judged = new LogJudge(subject, log.evidence, story.filesOf(log), trust, findings);
  const { certificate } = await authority();
  await judged.judge(new CertificateJudge({ authorities: [certificate], revocations: [] }, undefined));
  for (const [index, row] of openings.entries()) {
    const since = judged.line(index, parseEnvelope(Uint8Array.fromBase64(row.split("\t")[1] ?? "")));
    judged.checkTime(index, since, { ...checkpoint, time: NOW / SECOND - 1_000 });
  }
  assert.deepEqual(failed, [
    "time: the checkpoint of 2 states a time before line 1 was written: the server dated it back",
  ]);
});

Deno.test("a line that names another log of the server, or another root of this one, fails", async () => {
  await using story = await LogStory.create({ witnesses: 1 });
  await story.tick();
  await story.say("first");
  await story.tick();
  await story.say("second", { id: "0".repeat(32), root: hashOf("x"), size: 3 });
  await story.tick();
  assert.match((await judge(story)).failed.join(), /^log key: line 1 names another log/);
  const { pin } = story.follower;
  assert(pin);
  await story.say("third", pin);
  await story.say("fourth", { ...pin, root: hashOf("x") });
  await story.tick();
  assert.match((await judge(story)).failed.join("\n"), /log key: the log has two roots of \d ticks/);
});

Deno.test("the charter's certificate has one spelling, and no other certificate stands beside it", async () => {
  await using story = await LogStory.create();
  await twoLines(story);
  const respelled = await judge(story, (evidence) => ({
    ...evidence,
    certs: evidence.certs.map((pem) => pem.replaceAll("\n", "\r\n")),
  }));
  assert.match(respelled.failed.join(), /^charter: a certificate beside it has another form/);
  const doubled = await judge(story, (evidence) => ({ ...evidence, certs: [...evidence.certs, ...evidence.certs] }));
  assert.match(doubled.failed.join(), /^charter: more certificates than its signer's stand beside it/);
});
