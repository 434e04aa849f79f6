import { assert } from "./assert.ts";
import { type Party, SummedAudit } from "../lib/server_audit_summary.ts";
import type { AuditRow } from "../lib/server_store.ts";

const QUARTER = 15 * 60_000;

function bench() {
  const clock = { time: 0 };
  const rows: AuditRow[] = [];
  const audit = new SummedAudit({
    record: (row) => Promise.resolve(void rows.push(row)),
    now: () => 1_700_000_000_000 + clock.time,
    steady: () => clock.time,
  });
  return { audit, rows, clock };
}

const failure = (more: Partial<AuditRow> = {}): AuditRow => ({ event: "login_failure", occurredAt: 5, ...more });
const address = (ip: string): Party => ({ name: ip, isProven: false });
const MALLORY: Party = { name: "m".repeat(64), isProven: true };

Deno.test("of one event of one party the first rows in a quarter of an hour are written, and the rest is told in one", async () => {
  const { audit, rows, clock } = bench();
  for (let tries = 0; tries < 472; tries++) {
    const row = failure({ email: `${tries}@example.org`, clientFingerprint: MALLORY.name, ipAddress: "192.0.2.1" });
    await audit.record(row, MALLORY);
  }
  await audit.record({ event: "sig_fail", occurredAt: 5 }, MALLORY);
  await audit.record(failure({ clientFingerprint: "a".repeat(64) }), { name: "a".repeat(64), isProven: true });
  await audit.look();
  assert.equal(rows.length, 60 + 2);
  clock.time = QUARTER;
  await audit.look();
  assert.deepEqual(rows.slice(62), [{
    event: "login_failure",
    clientFingerprint: MALLORY.name,
    ipAddress: "192.0.2.1",
    reason: "412 more like this in 15 minutes",
    occurredAt: 1_700_000_000_000 + QUARTER,
  }]);
  await audit.record(failure(), MALLORY);
  assert.equal(rows.length, 64, "a new quarter of an hour");
});

Deno.test("addresses cost nothing: rows of those who proved nothing are bounded in all, those of others are not among them", async () => {
  const { audit, rows } = bench();
  for (let at = 0; at < 20_000; at++) await audit.record(failure({ ipAddress: `${at}` }), address(`${at}`));
  assert.equal(rows.length, 600);
  await audit.record(failure(), MALLORY);
  assert.equal(rows.length, 601);
  await audit.look(true);
  assert.deepEqual(rows.slice(601).map(({ reason, ipAddress }) => [reason, ipAddress]), [
    ["19400 more like this in 15 minutes", undefined],
  ]);
});

Deno.test("the server's own rows are written as they come", async () => {
  const { audit, rows } = bench();
  for (let at = 0; at < 700; at++) await audit.record({ event: "certificate_revoked", occurredAt: at });
  assert.equal(rows.length, 700);
});

Deno.test("a row that can't be kept rejects, and so its caller lets nobody in", async () => {
  const failing = () => Promise.reject(new Error("the spool is full"));
  const audit = new SummedAudit({ record: failing, now: () => 0, steady: () => 0 });
  await assert.rejects(audit.record(failure(), MALLORY), /the spool is full/);
});
