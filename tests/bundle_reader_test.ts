import { assert } from "./assert.ts";
import { PEER_PYTHON, ROOT, skipUnless, temporaryFolder } from "./environment.ts";
import { authority } from "./fixtures.ts";
import { LogStory } from "./log_story.ts";
import { SECOND } from "./server_log_world.ts";
import { BUNDLE_README, type BundleMember, encodeBundle, memberOf, readBundle } from "../lib/bundle.ts";
import { type Bytes, concat, encodeUtf8 } from "../lib/bytes.ts";
import { encodeJson } from "../lib/json.ts";
import { encodeLogEvidence } from "../lib/log_evidence.ts";
import { encodeVkey } from "../lib/log_note_key.ts";
import { verifyBundle } from "../lib/verify_bundle.ts";
import type { RoomVerdict } from "../lib/verify_room_report.ts";

/** What the second reader says of a bundle. */
interface SecondVerdict {
  readonly result: "valid" | "invalid";
  readonly failed: readonly string[];
  readonly lines: readonly (readonly [number, number | null, number | null])[];
}

const at = (bytes: Bytes) => ({
  size: bytes.length,
  read: (from: number, size: number) => Promise.resolve(bytes.slice(from, from + size)),
});

async function bundleOf(story: LogStory, isOpen = true): Promise<Bytes> {
  const { receipt, lines, openings, log } = await story.show();
  const text = (name: string, content: string) => memberOf(name, encodeUtf8(content));
  const pieces = encodeBundle([
    text("README.txt", BUNDLE_README),
    text("receipt.json", `${encodeJson(receipt)}\n`),
    text("transcript.txt", lines.map((line) => `${line}\n`).join("")),
    ...isOpen ? [text("openings.txt", openings.map((row) => `${row}\n`).join(""))] : [],
    text("log.json", encodeJson(encodeLogEvidence(log.evidence))),
    ...log.files.toSorted((a, b) => parseInt(a.name.slice(6)) - parseInt(b.name.slice(6)))
      .map(({ name, bytes }) => memberOf(name, bytes)),
  ]);
  return concat(...await Array.fromAsync(pieces));
}

async function ours(story: LogStory, bundle: Bytes): Promise<RoomVerdict> {
  const { certificate } = await authority();
  const { verdict } = await verifyBundle(at(bundle), { authorities: [certificate], revocations: [] }, {
    now: story.world.now,
    log: {
      policies: story.policy ? [story.policy] : [],
      logs: [story.logKey.key],
      roots: [],
      quorum: 1,
      protectedAt: story.world.now,
    },
  });
  return verdict as RoomVerdict;
}

/** The second reader's verdicts, in one run. */
async function theirs(story: LogStory, bundles: readonly Bytes[]): Promise<SecondVerdict[]> {
  using folder = temporaryFolder();
  const { certificate } = await authority();
  Deno.writeTextFileSync(`${folder.path}/ca.pem`, certificate.pem);
  const files = bundles.map((bundle, i) => {
    Deno.writeFileSync(`${folder.path}/${i}.evidence`, bundle);
    return `${folder.path}/${i}.evidence`;
  });
  const witnesses = [...story.policy?.witnesses ?? []].flatMap(({ key }) => ["--witness", encodeVkey(key)]);
  const args = ["--ca", `${folder.path}/ca.pem`, "--log", encodeVkey(story.logKey.key), ...witnesses];
  const { code, stdout, stderr } = await new Deno.Command(PEER_PYTHON, {
    args: [`${ROOT}/tests/bundle_reader.py`, ...args, "--now", String(story.world.now / SECOND), ...files],
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).trimEnd().split("\n").map((row) => JSON.parse(row));
}

/** Between which times each line was written, as the second reader says it. */
function timesOf({ opened }: RoomVerdict) {
  return opened.map(({ index, between }) => [index, between?.since ?? null, between?.by ?? null]);
}

/** Lines before and behind ticks. */
async function talk(witnesses: number): Promise<LogStory> {
  const story = await LogStory.create({ witnesses });
  await story.tick();
  await story.say("first");
  await story.tick();
  await story.say("second");
  await story.tick();
  await story.say("third");
  await story.tick();
  await story.tick();
  return story;
}

for (const witnesses of [0, 1, 3]) {
  Deno.test({
    name: `a second reader, in Python, agrees on a bundle with ${witnesses} witnesses, and on each line's times`,
    ...skipUnless("cryptography"),
    async fn() {
      await using story = await talk(witnesses);
      const bundles = [await bundleOf(story), await bundleOf(story, false)];
      const verdicts = await theirs(story, bundles);
      for (const [i, bundle] of bundles.entries()) {
        const own = await ours(story, bundle);
        assert.deepEqual(own.checks.filter(({ outcome }) => outcome === "failed"), []);
        assert.deepEqual([verdicts[i]?.result, verdicts[i]?.failed], ["valid", []]);
        assert.deepEqual(verdicts[i]?.lines, timesOf(own));
      }
      assert.equal(verdicts[0]?.lines.length, 3);
      if (witnesses > 0) assert(verdicts[0]?.lines[1]?.every((time) => time !== null));
    },
  });
}

const PLACES = 14;

/** Places in a member at which a bit is flipped: both ends, and some between. */
function placesIn({ at: from, size }: BundleMember): number[] {
  const steps = Math.min(size, PLACES);
  return [
    ...new Set(Array.from({ length: steps }, (_, i) => from + Math.floor(i * (size - 1) / Math.max(1, steps - 1)))),
  ];
}

Deno.test({
  name:
    "a bundle with a bit flipped in any of its parts is refused by the verifier and by the second reader, or proves less to both",
  ...skipUnless("cryptography"),
  async fn() {
    await using story = await talk(2);
    const bundle = await bundleOf(story);
    const whole = await ours(story, bundle);
    const members = await readBundle(at(bundle));
    const places = [
      ...members.flatMap((member) => placesIn(member).map((place) => ({ name: member.name, place }))),
      ...members.flatMap(({ name, header }) => [0, 101, 130, 150, 300].map((i) => ({ name, place: header + i }))),
      { name: "the end", place: bundle.length - 1 },
    ];
    const damaged = places.map(({ place }) => bundle.with(place, (bundle[place] ?? 0) ^ 1));
    const verdicts = await theirs(story, damaged);
    for (const [i, { name, place }] of places.entries()) {
      const own = await ours(story, damaged[i] ?? bundle);
      const where = `byte ${place}, in ${name}: ${own.result}, ${JSON.stringify(verdicts[i])}`;
      assert.equal(own.result === "valid", verdicts[i]?.result === "valid", where);
      if (own.result !== "valid") continue;
      // A cosignature under another name is one of somebody whom the verifier doesn't know: it counts for nothing.
      assert.match(name, /^notes\//, where);
      assert.deepEqual(verdicts[i]?.lines, timesOf(own), where);
      assert.notDeepEqual(timesOf(own), timesOf(whole), where);
    }
  },
});
