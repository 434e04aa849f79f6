/** The independent peer's evidence of rooms before our verifier, and ours before the peer's. */

import { assert } from "./assert.ts";
import { PEER_PYTHON, runCommand, SHARED, skipUnless, temporaryFolder } from "./environment.ts";
import { type RoomCase, roomCase, roomCases, roomVerdictOf } from "./evidence.ts";
import { ROOM_CHECKS, verifyLineProof, verifyRoom } from "../lib/verify_room.ts";
import { encodeJson } from "../lib/json.ts";
import { encodeLineProof, encodeOpening } from "../lib/log_receipt.ts";
import { authority, identities } from "./fixtures.ts";
import { person, talk } from "./room_evidence.ts";

const needs = skipUnless("peer");
const peer = `${SHARED}/peer`;

/** What the peer doesn't check: that times fit together, and who may write what. */
const OURS_ALONE = new Set(["times", "rights"]);
/** So its verdict on these is another than ours, which differ in nothing else. */
const PEER_ACCEPTS = new Set([
  "room_acts_without_right_fail",
  "room_checkpoint_of_the_future_fail",
  "room_created_before_its_checkpoint_fail",
  "room_placed_before_it_was_written_fail",
  "room_ts_falls_fail",
]);

/**
 * The peer takes a revocation list by its issuer's name, whatever key signed it: it refuses what a renewed CA's list is
 * beside.
 */
const PEER_REFUSES: Readonly<Record<string, readonly string[]>> = { room_issuer_renewed: ["revocation"] };

/** The peer's name of one of our checks. */
const peerName = (name: string) => name.replaceAll(" ", "-");

Deno.test({
  name: "verification gives every case that the peer makes of rooms the verdict that the peer expects",
  ...needs,
  fn: async () => {
    using folder = temporaryFolder();
    const made = await runCommand(PEER_PYTHON, [`${peer}/make_rooms.py`, folder.path]);
    assert.equal(made.status, 0, made.stderr);
    const cases = [...Deno.readDirSync(`${folder.path}/evidence`)].map(({ name }) => name).toSorted();
    assert(cases.length > 200);
    const alone = new Set<string>();
    for (const name of cases) {
      const evidence = roomCase(`${folder.path}/evidence/${name}`);
      const expected: { valid: boolean; failed: string[] } = JSON.parse(
        Deno.readTextFileSync(`${evidence.folder}/expected.json`),
      );
      const { result, checks, sentence } = await roomVerdictOf(evidence);
      const failed = checks.filter(({ outcome }) => outcome === "failed").map((check) => peerName(check.name));
      assert.equal(result === "valid", expected.valid, `${name}: ${sentence}`);
      assert.deepEqual(expected.failed.filter((check) => !failed.includes(check)), [], `${name}: ${sentence}`);
      if (failed.length === 1) alone.add(failed[0] ?? "");
    }
    const never = ROOM_CHECKS.map(peerName).filter((name) => !alone.has(name));
    assert.deepEqual(never, ["times", "rights", "bodies"], "each check that can be made catches something alone");
  },
});

/** The peer's verifier over many command lines in one process: a JSON list of [exit status, what it printed]. */
const JUDGE = `
import contextlib, io, json, sys
sys.path.insert(0, sys.argv[1])
import verify_room
answers = []
for arguments in json.load(sys.stdin):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        status = verify_room.main(arguments)
    answers.append([status, output.getvalue()])
json.dump(answers, sys.stdout)
`;

async function judgedByPeer(commands: readonly (readonly string[])[]): Promise<[number, string][]> {
  const { status, stdout, stderr } = await runCommand(PEER_PYTHON, ["-c", JUDGE, peer], {
    stdin: JSON.stringify(commands),
  });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout);
}

function commandOf({ folder, files, crl }: RoomCase): string[] {
  return [...files, "--ca", `${folder}/ca.pem`, ...(crl === undefined ? [] : ["--crl", crl])];
}

Deno.test({
  name: "the peer's verifier gives tests/evidence/room_… the same verdicts, for the same reasons",
  ...needs,
  fn: async () => {
    const cases = roomCases();
    const answers = await judgedByPeer(cases.map(commandOf));
    for (const [at, { name, expected }] of cases.entries()) {
      const [status, printed] = answers[at] ?? [-1, ""];
      const others = PEER_REFUSES[name] ?? [];
      const wanted = PEER_ACCEPTS.has(name) ? 0 : others.length > 0 ? 1 : expected.status;
      assert.equal(status, wanted, `${name}: ${printed}`);
      const failed = [...printed.matchAll(/^failed +([a-z-]+):/gm)].map(([, check]) => check);
      const ours = expected.failed.filter((check) => !OURS_ALONE.has(check));
      assert.deepEqual(failed.toSorted(), [...ours.map(peerName), ...others].toSorted(), name);
    }
  },
});

Deno.test({
  name: "the peer's verifier takes what is made here, and refuses it with one thing changed",
  ...needs,
  fn: async () => {
    using folder = temporaryFolder();
    const { client } = await identities();
    const { certificate } = await authority();
    const trust = { authorities: [certificate], revocations: [] };
    const log = await talk(13, [client, await person("bob"), await person("cem")]);
    await Deno.writeTextFile(`${folder.path}/ca.pem`, certificate.pem);
    const commands: string[][] = [];
    const ours: string[] = [];
    const write = async (name: string, text: string) => {
      const path = `${folder.path}/${commands.length}_${name}`;
      await Deno.writeTextFile(path, text);
      return path;
    };
    const ca = ["--ca", `${folder.path}/ca.pem`];
    for (const [from, to] of [[0, 13], [0, 5], [4, 13], [3, 10], [8, 12], [6, 7], [12, 13]] as const) {
      const receipt = await log.receipt({ from, to });
      const openings = log.openings([...new Set([from, to - 1])]);
      const lines = log.lines(from, to);
      const turned = lines.length > 1 ? [lines[1] ?? "", lines[0] ?? "", ...lines.slice(2)] : log.lines(0, 1);
      for (const shown of [lines, turned, [...lines, lines[0] ?? ""]]) {
        const rows = openings.map((opening) => encodeOpening(opening).slice(0, -1));
        ours.push((await verifyRoom({ receipt, lines: shown, openings: rows }, trust)).result);
        commands.push([
          await write("receipt.json", encodeJson(receipt)),
          await write("transcript.txt", shown.map((line) => `${line}\n`).join("")),
          ...["--openings", await write("openings.txt", openings.map(encodeOpening).join(""))],
          ...ca,
        ]);
      }
      const proof = encodeLineProof({ lines, openings, receipt });
      for (const shown of [proof, { ...proof, receipt: { ...receipt, created_at: "2026-06-01T13:00:00Z" } }]) {
        ours.push((await verifyLineProof(shown, trust)).result);
        commands.push([await write("line_proof.json", encodeJson(shown)), ...ca]);
      }
    }
    const theirs = (await judgedByPeer(commands)).map(([status]) => status === 0 ? "valid" : "invalid");
    assert.deepEqual(theirs, ours);
    assert.equal(ours.filter((result) => result === "valid").length, 14);
  },
});
