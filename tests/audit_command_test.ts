import { DatabaseSync } from "node:sqlite";
import { assert } from "./assert.ts";
import { run, skipUnless } from "./environment.ts";
import { logSigner, witnessSigner } from "./note_fixtures.ts";
import { LogWorld } from "./server_log_world.ts";
import { parseUtf8 } from "../lib/bytes.ts";
import { parseJson } from "../lib/json.ts";
import { encodeNote } from "../lib/log_note.ts";
import { cosign, encodeVkey, signNote } from "../lib/log_note_key.ts";
import type { ServerLog } from "../lib/server_log.ts";
import { type AuditFindings, verifyAudit } from "../lib/server_audit_verify.ts";

const ORIGIN = `localhost/log/${"1".repeat(32)}`;

/** A server's log with a real key, on the world's store. `witnessed`: a witness cosigns each note. */
async function openLog(world: LogWorld, { origin = ORIGIN, witnessed = false } = {}): Promise<ServerLog> {
  const signer = await logSigner(7, origin);
  const witness = await witnessSigner();
  const key = {
    vkey: encodeVkey(signer.key),
    origin,
    sign: async (text: string) => parseUtf8(encodeNote({ text, signatures: [await signNote(text, signer)] })) ?? "",
  };
  return await world.open({
    key,
    keepNewest: () => Promise.resolve(),
    cosign: async ({ note }) => {
      if (!witnessed) return note;
      const text = note.slice(0, note.lastIndexOf("\n\n") + 1);
      const line = await cosign(text, Math.floor(world.now / 1000), witness);
      return note + (parseUtf8(encodeNote({ text, signatures: [line] })) ?? "").slice(text.length + 1);
    },
  });
}

/** Rows and ticks: three rows each. */
async function grow(world: LogWorld, log: ServerLog, ticks: number, word = "wrong password"): Promise<void> {
  for (let tick = 0; tick < ticks; tick++) {
    await world.store.addAudit([0, 1, 2].map((n) => ({
      event: "login_failure",
      occurredAt: world.now,
      ipAddress: `192.0.2.${n}`,
      reason: `${word} ${tick}`,
    })));
    await log.tick();
    await log.settled();
    world.now += 60_000;
  }
}

async function newestNote(world: LogWorld): Promise<Uint8Array<ArrayBuffer>> {
  const [log] = await world.store.log.logs();
  const note = await world.store.log.closedNote(log?.id ?? 0);
  assert(note);
  return note.note;
}

const verify = (world: LogWorld, outside: readonly Uint8Array<ArrayBuffer>[] = []): Promise<AuditFindings> =>
  verifyAudit({
    store: world.store.log,
    notes: outside.map((bytes) => ({ from: "bobs.note", bytes })),
    now: world.now,
  });

function sql(world: LogWorld, ...statements: readonly string[]): void {
  using database = new DatabaseSync(`${world.path}/securechat.db`);
  for (const statement of statements) database.exec(statement);
}

Deno.test("an honest audit log holds, over two logs of the server, and against notes from outside", async () => {
  await using world = await LogWorld.create();
  const log = await openLog(world);
  await grow(world, log, 3);
  const first = await newestNote(world);
  await grow(world, log, 2);
  await log.end();
  const { startLog } = await import("../lib/server_log.ts");
  const options = await world.options();
  const next = `localhost/log/${"2".repeat(32)}`;
  const { key } = await logSigner(7, next);
  const newKey = { vkey: encodeVkey(key), origin: next, sign: () => Promise.resolve("") };
  await startLog({ ...options, key: newKey }, await world.store.log.logs());
  const second = await openLog(world, { origin: next });
  await grow(world, second, 2);
  await world.store.addAudit([{ event: "login_failure", occurredAt: world.now }]);
  assert.deepEqual(await verify(world, [first, await newestNote(world)]), {
    ...{ broken: undefined, rows: 21, waiting: 1, pruned: [], notes: 7 },
    logs: [{ origin: ORIGIN, ticks: 5 }, { origin: next, ticks: 2 }],
    outside: [{ from: "bobs.note", rows: 9 }, { from: "bobs.note", rows: 21 }],
  });
  await second.end();
});

const TAMPERING: Readonly<Record<string, readonly [statements: readonly string[], expected: RegExp]>> = {
  "a column that was changed": [["UPDATE audit_log SET ip_address = '::1' WHERE entry_index = 4"], /^row 4 isn't/],
  "a time that was changed": [
    ["UPDATE audit_log SET occurred_at = '2020-01-01 00:00:00' WHERE entry_index = 7"],
    /^row 7 isn't/,
  ],
  "a row that was deleted": [["DELETE FROM audit_log WHERE entry_index = 5"], /^row 5 is missing/],
  "the last row, deleted": [["DELETE FROM audit_log WHERE entry_index = 14"], /^row 14 is missing/],
  "two rows that were swapped": [[
    "UPDATE audit_log SET entry_index = 99 WHERE entry_index = 3",
    "UPDATE audit_log SET entry_index = 3 WHERE entry_index = 4",
    "UPDATE audit_log SET entry_index = 4 WHERE entry_index = 99",
  ], /^row 3 isn't/],
  "a row with an index that no tick registers": [
    ["INSERT INTO audit_log (event_type, entry_index) VALUES ('login_failure', 15)"],
    /^row 15 has an index that no tick registers/,
  ],
  "a leaf that was changed": [
    ["UPDATE audit_nodes SET hash = zeroblob(32) WHERE level = 0 AND node_index = 6"],
    /^row 6 isn't/,
  ],
  "a node that was changed": [
    ["UPDATE audit_nodes SET hash = zeroblob(32) WHERE level = 1 AND node_index = 2"],
    /false hash above the rows 4 to 5/,
  ],
  "a node that is missing": [["DELETE FROM audit_nodes WHERE level = 2 AND node_index = 0"], /above the rows 0 to 3/],
  "a tick that was changed": [
    [`UPDATE log_ticks SET tick = CAST(replace(CAST(tick AS TEXT), '"audit":"', '"aadit":"') AS BLOB) WHERE tick_index = 2`],
    /tick 2 or one before was changed/,
  ],
  "a tick that is missing": [["DELETE FROM log_ticks WHERE tick_index = 1"], /^tick 1 of .* is missing/],
  "a note that was changed": [
    ["UPDATE log_notes SET note = CAST(replace(CAST(note AS TEXT), '= ', 'x ') || 'x' AS BLOB) WHERE size = 2"],
    /^the stored note of 2 ticks .* isn't signed by the log's key/,
  ],
  "a row that was emptied without saying so": [
    [
      "UPDATE audit_log SET event_type = 'pruned', ip_address = NULL, reason = NULL, event_key = NULL WHERE entry_index = 8",
    ],
    /^row 8 was emptied, and no row audit_pruned says so/,
  ],
  "a log that was cut": [["UPDATE server_logs SET size = 4"], /don't give its root/],
};

for (const [name, [statements, expected]] of Object.entries(TAMPERING)) {
  Deno.test(`verifying the audit log finds ${name}`, async () => {
    await using world = await LogWorld.create();
    const log = await openLog(world);
    await grow(world, log, 5);
    await log.end();
    sql(world, ...statements);
    const { broken } = await verify(world);
    assert.match(broken ?? "nothing", expected);
  });
}

Deno.test("an audit log that was rewritten with its tree, its ticks and its notes is found by an outside note alone", async () => {
  await using honest = await LogWorld.create();
  const log = await openLog(honest, { witnessed: true });
  await grow(honest, log, 4);
  const outside = await newestNote(honest);
  await log.end();
  await using rewritten = await LogWorld.create();
  const other = await openLog(rewritten);
  await grow(rewritten, other, 5, "nothing of interest");
  await other.end();
  assert.equal((await verify(rewritten)).broken, undefined);
  assert.deepEqual((await verify(rewritten)).outside, []);
  assert.match((await verify(rewritten, [outside])).broken ?? "", /^bobs\.note has another root for 4 ticks/);
  await using shorter = await LogWorld.create();
  const cut = await openLog(shorter);
  await grow(shorter, cut, 3);
  await cut.end();
  assert.match(
    (await verify(shorter, [outside])).broken ?? "",
    /^bobs\.note knows 4 ticks of the log, and the database has 3/,
  );
});

Deno.test({
  name: "audit verify says by its status whether anything from outside was compared, and audit prune leaves it whole",
  ...skipUnless("unix"),
  async fn() {
    await using world = await LogWorld.create();
    const log = await openLog(world, { witnessed: true });
    await grow(world, log, 2);
    const file = `${world.path}/bobs.note`;
    await Deno.writeFile(file, await newestNote(world));
    const policy = `${world.path}/policy.txt`;
    await Deno.writeTextFile(policy, `witness w1 ${encodeVkey((await witnessSigner()).key)}\nquorum w1\n`);
    const audit = (...args: string[]) => run(["audit", ...args, "--data", world.path], { cwd: world.path });

    const alone = await audit("verify");
    assert.equal(alone.status, 3, alone.stderr);
    assert.match(alone.stdout, /^The audit log is whole in itself: 6 rows\. Nothing from outside was compared/);
    const noted = await audit("verify", "--note", file);
    assert.equal(noted.status, 0, noted.stdout);
    assert.match(noted.stdout, /^The audit log holds: 6 rows[^]*bobs\.note: agrees up to 6 rows/);
    const witnessed = await audit("verify", "--policy", policy);
    assert.equal(witnessed.status, 0, witnessed.stdout);
    assert.match(witnessed.stdout, /stored notes cosigned by w1: agrees up to 6 rows/);
    assert.equal((await audit("verify", "--ask")).status, 2);
    assert.equal((await audit("verify", "--policy", policy, "--ask")).status, 2);

    assert.equal((await audit("prune", "--before", "2026-02-30", "--yes")).status, 2);
    const day = new Date(world.now + 86_400_000).toISOString().slice(0, 10);
    const unasked = await audit("prune", "--before", day);
    assert.equal(unasked.status, 2);
    assert.match(unasked.stderr, /confirm with --yes/);
    const pruned = await audit("prune", "--before", day, "--yes");
    assert.equal(pruned.status, 0, pruned.stderr);
    assert.equal(pruned.stdout, "6 rows emptied, with indexes from 0 to 5\n");
    const waits = await audit("verify", "--note", file);
    assert.match(waits.stdout, /rows 0 to 5, as a row that waits for its index says/);
    await log.tick();
    await log.settled();
    const after = await audit("verify", "--note", file);
    assert.equal(after.status, 0, after.stdout);
    assert.match(after.stdout, /Pruned +rows 0 to 5, as row 6 says/);
    const json = parseJson((await audit("verify", "--json")).stdout.trim());
    assert.deepEqual(JSON.parse(JSON.stringify(json)).pruned, [{ from: 0, to: 5, says: 6 }]);

    sql(world, "DELETE FROM audit_log WHERE entry_index = 3");
    const broken = await audit("verify", "--note", file);
    assert.equal(broken.status, 1, broken.stderr);
    assert.match(broken.stdout, /^The audit log is broken: row 3 is missing\./);
    await log.end();
  },
});
