import fc from "fast-check";
import { assert } from "./assert.ts";
import { Failure } from "../lib/errors.ts";
import { cosign, encodeVkey } from "../lib/log_note_key.ts";
import {
  cosignersOf,
  isSatisfied,
  parsePolicy,
  policyOf,
  type Quorum,
  satisfiedBy,
  satisfiedSince,
  type WitnessPolicy,
} from "../lib/witness_policy.ts";
import { LOG_VKEY, noteOf, rootOf, witnessSigner } from "./note_fixtures.ts";

const signers = await Promise.all(
  Array.from({ length: 6 }, (_, i) => witnessSigner(20 + i, `witness.example/w${i}`)),
);
const vkeys = signers.map(({ key }) => encodeVkey(key));
const [V0 = "", V1 = "", V2 = "", V3 = "", V4 = "", V5 = ""] = vkeys;

const EXAMPLE = `# Two levels of groups
log ${LOG_VKEY} https://chat.example
witness X1 ${V0} https://one.example/
witness X2 ${V1}
\twitness\tX3   ${V2}

group X 2 X1 X2 X3
witness Y1 ${V3}
witness Y2 ${V4}
 # a group in a group
group Y any Y1 Y2
group both all X Y
quorum both
`;

const wrong = (text: string): string => {
  try {
    parsePolicy(text);
  } catch (error) {
    assert(error instanceof Failure);
    return error.message;
  }
  return "nothing";
};

Deno.test("a policy names logs, witnesses in their order, and a quorum", () => {
  const policy = parsePolicy(EXAMPLE);
  assert.deepEqual(policy.logs.map(({ url }) => url), ["https://chat.example"]);
  assert.deepEqual(policy.witnesses.map(({ name, url }) => [name, url]), [
    ["X1", "https://one.example/"],
    ["X2", undefined],
    ["X3", undefined],
    ["Y1", undefined],
    ["Y2", undefined],
  ]);
  const isEnough = (...names: string[]) => isSatisfied(policy, new Map(names.map((name) => [name, 1])));
  assert.equal(isEnough("X1", "X3", "Y2"), true);
  assert.equal(isEnough("X1", "X2", "X3"), false);
  assert.equal(isEnough("X1", "Y1", "Y2"), false);
  assert.equal(isEnough(), false);
});

Deno.test("quorum none is satisfied by nobody, and gives no time", () => {
  const policy = parsePolicy(`witness a ${V0}\nquorum none`);
  assert.equal(isSatisfied(policy, new Map()), true);
  assert.deepEqual([satisfiedBy(policy, new Map([["a", 5]])), satisfiedSince(policy, new Map([["a", 5]]))], [
    undefined,
    undefined,
  ]);
});

Deno.test("a file that isn't a policy is refused, with the line and what is wrong", () => {
  const one = `witness a ${V0}\n`;
  const cases: Readonly<Record<string, RegExp>> = {
    "": /quorum line is missing/,
    [one]: /quorum line is missing/,
    [`${one}quorum a\nquorum a`]: /^line 3: there is a quorum already/,
    [`${one}quorum b`]: /^line 2: no witness or group "b"/,
    [`quorum a\n${one}`]: /^line 1: no witness or group "a"/,
    [`${one}quorum`]: /^line 2: "quorum NAME"/,
    [`${one}quorum a b`]: /^line 2: "quorum NAME"/,
    [`${one}witnes b ${V1}`]: /^line 2: "witnes" is none of/,
    [`${one}witness a ${V1}`]: /"a" is defined twice/,
    [`${one}witness b ${V0}`]: /stands in the file already/,
    [`witness none ${V0}`]: /"none" is no name/,
    [`witness a ${V0} u v`]: /"witness NAME VKEY/,
    "witness a b+c+d": /is no verifier key/,
    [`witness a ${LOG_VKEY}`]: /type 4, Ed25519, or 6/,
    [`log ${V0}`]: /type 1, Ed25519/,
    [`log ${LOG_VKEY}\nlog ${LOG_VKEY}`]: /^line 2: .*already/,
    [`${one}group g a`]: /"group NAME all/,
    [`${one}group g all`]: /"group NAME all/,
    [`${one}group g 0 a`]: /a number from 1 to 1/,
    [`${one}group g 2 a`]: /a number from 1 to 1/,
    [`${one}group g some a`]: /a number from 1 to 1/,
    [`${one}group g all a a`]: /names a member twice/,
    [`${one}group g all a\ngroup h all a`]: /^line 3: "a" is a member of another group already/,
    [`${one}group g all g`]: /no witness or group "g"/,
    [`${one}group none all a`]: /"none" is no name/,
    [`${one}quorum none\r`]: /control character/,
    [`witness a\u0000 ${V0}`]: /control character/,
  };
  for (const [text, pattern] of Object.entries(cases)) assert.match(wrong(text), pattern, text);
});

Deno.test("one key under two names is one key", async () => {
  const again = await witnessSigner(20, "witness.example/other");
  assert.match(wrong(`witness a ${V0}\nwitness b ${encodeVkey(again.key)}\nquorum none`), /line 2: .*already/);
});

Deno.test("a policy has a thousand witnesses and groups at most", () => {
  const lines = Array.from({ length: 1_000 }, (_, i) => i === 0 ? `witness g0 ${V0}` : `group g${i} all g${i - 1}`);
  assert.equal(isSatisfied(parsePolicy([...lines, "quorum g999"].join("\n")), new Map([["g0", 1]])), true);
  assert.match(wrong([...lines, "group g1000 all g999"].join("\n")), /^line 1001: more than 1000/);
});

/** Every set of cosigners up to a time, tried one by one. */
function byTrying(policy: WitnessPolicy, cosigners: Map<string, number>, isKept: (time: number, t: number) => boolean) {
  return [...cosigners.values()].filter((t) =>
    isSatisfied(policy, new Map([...cosigners].filter(([, time]) => isKept(time, t))))
  );
}

Deno.test("the times at which a policy is satisfied are those that trying each gives", () => {
  const names = ["a", "b", "c", "d", "e", "f"];
  const trees: fc.Arbitrary<Quorum> = fc.shuffledSubarray(names, { minLength: 1 }).chain((members) =>
    fc.tuple(fc.nat(members.length - 1), fc.nat(members.length), fc.nat(5), fc.nat(1)).map(
      ([atLeast, cut, inner, deep]) => {
        const leaves = members.map((witness): Quorum => ({ witness }));
        const group = leaves.slice(cut);
        if (deep === 0 || group.length === 0) return { atLeast: atLeast + 1, of: leaves };
        const of = [...leaves.slice(0, cut), { atLeast: Math.min(inner, group.length - 1) + 1, of: group }];
        return { atLeast: Math.min(atLeast, of.length - 1) + 1, of };
      },
    )
  );
  const times = fc.array(fc.tuple(fc.constantFrom(...names), fc.integer({ min: 1, max: 9 }))).map((list) =>
    new Map(list)
  );
  fc.assert(fc.property(trees, times, (quorum, cosigners) => {
    const policy = { logs: [], witnesses: [], quorum };
    const by = byTrying(policy, cosigners, (time, t) => time <= t);
    const since = byTrying(policy, cosigners, (time, t) => time >= t);
    assert.equal(satisfiedBy(policy, cosigners), by.length === 0 ? undefined : Math.min(...by));
    assert.equal(satisfiedSince(policy, cosigners), since.length === 0 ? undefined : Math.max(...since));
    assert.equal(isSatisfied(policy, cosigners), by.length > 0);
  }));
});

Deno.test("cosigners are the policy's alone; a time of zero, or one to come, counts for nothing", async () => {
  const note = await noteOf(5, rootOf("a"));
  const [s0, s1, s2, s3, s4] = signers;
  assert(s0 && s1 && s2 && s3 && s4);
  const now = 1_700_000_000;
  const lines = [
    await cosign(note.text, now - 60, s0),
    await cosign(note.text, 0, s1),
    await cosign(note.text, now + 300, s2),
    await cosign(note.text, now + 301, s3),
  ];
  const signed = { ...note, signatures: [...note.signatures, ...lines] };
  const policy = parsePolicy(`witness a ${V0}\nwitness b ${V1}\nwitness c ${V2}\nwitness d ${V3}\nquorum a`);
  assert.deepEqual([...await cosignersOf(signed, policy, now) ?? []], [["a", now - 60], ["c", now + 300]]);
  const spoiled = { ...signed, signatures: [...signed.signatures, { ...await cosign("x\n", now, s4) }] };
  assert.equal(await cosignersOf(spoiled, parsePolicy(`witness e ${V4}\nquorum e`), now), undefined);
  assert.deepEqual([...await cosignersOf(spoiled, parsePolicy(`witness f ${V5}\nquorum f`), now) ?? [0]], []);
});

Deno.test("a policy of some keys asks for all of them, or as many as it is told", async () => {
  const keys = signers.slice(0, 3).map(({ key }) => key);
  const cosigners = (count: number) => new Map(keys.slice(0, count).map(({ name }, i) => [name, 100 + i]));
  assert.equal(isSatisfied(policyOf(keys), cosigners(2)), false);
  assert.equal(isSatisfied(policyOf(keys), cosigners(3)), true);
  assert.equal(satisfiedBy(policyOf(keys, 2), cosigners(3)), 101);
  assert.throws(() => policyOf(keys, 4), RangeError);
  assert.throws(() => policyOf(keys, 0), RangeError);
  assert.throws(() => policyOf([]), RangeError);
  const twins = [await witnessSigner(30, "same"), await witnessSigner(31, "same")].map(({ key }) => key);
  assert.equal(new Set(policyOf(twins).witnesses.map(({ name }) => name)).size, 2);
});

Deno.test("a policy with any part changed is read, or refused with a sentence that nothing can act through", () => {
  const edit = fc.record({
    at: fc.nat(),
    drop: fc.nat({ max: 40 }),
    put: fc.oneof(
      fc.string({ unit: "binary", maxLength: 3 }),
      fc.constantFrom(" ", "\n", "none", "group x all X1\n", "\u001b[2J"),
    ),
  });
  fc.assert(fc.property(edit, ({ at, drop, put }) => {
    const place = at % EXAMPLE.length;
    const text = EXAMPLE.slice(0, place) + put + EXAMPLE.slice(place + drop);
    // deno-lint-ignore no-control-regex
    assert(!/[\u0000-\u001f\u007f-\u009f]/.test(wrong(text)), JSON.stringify(text));
  }));
});
