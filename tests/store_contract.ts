/**
 * What every store keeps, whichever database stands behind it. Each store's test runs this with a way to open an
 * empty database, and one to look into it behind the store's back.
 */

import { assert } from "./assert.ts";
import type { Bytes } from "../lib/bytes.ts";
import type { ServerStore } from "../lib/server_store.ts";
import type { SessionStart, Store, User } from "../lib/server_store.ts";

/** A store on a database of its own. */
export interface StoreFixture extends AsyncDisposable {
  readonly store: ServerStore;
  /** A second store on the same database, as a second server has. */
  second(): Promise<Store>;
  /** Rows of a plain query. Times come as text. */
  query(sql: string): Promise<Record<string, unknown>[]>;
}

/** Makes a fixture with an empty, migrated database. */
export type OpenFixture = () => Promise<StoreFixture>;

/** 2026-01-02 03:04:05.678 UTC. */
const NOW = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

function account(name: string, fields: Partial<User> = {}): Omit<User, "id"> {
  return {
    email: `${name}@example.com`,
    username: name,
    salt: new Uint8Array(16).fill(7),
    passwordRecord: `record of ${name}`,
    ...fields,
  };
}

function session(userId: number, digit: string): SessionStart {
  return {
    userId,
    tokenHash: digit.repeat(64),
    clientFingerprint: "c".repeat(64),
    serverFingerprint: "d".repeat(64),
    startedAt: NOW,
  };
}

async function addUser(store: Store, name: string): Promise<number> {
  const id = await store.addUser(account(name), NOW);
  assert(id !== undefined);
  return id;
}

/** What `Deno.test` is told beside name and function. */
export type TestOptions = Partial<Pick<Deno.TestDefinition, "ignore" | "sanitizeOps" | "sanitizeResources">>;

/** Registers the contract's tests under the name of a store. */
export function testStore(name: string, openFixture: OpenFixture, options: TestOptions = {}): void {
  function test(sentence: string, body: (fixture: StoreFixture) => Promise<void>): void {
    Deno.test({
      name: `${name}: ${sentence}`,
      ...options,
      async fn() {
        await using fixture = await openFixture();
        await body(fixture);
      },
    });
  }

  test("findUser() gives back what addUser() took, and undefined for nobody", async ({ store }) => {
    const salt = crypto.getRandomValues(new Uint8Array(16));
    const alice = account("Alice", { email: "alice@example.com", salt, passwordRecord: "x".repeat(255) });
    const id = await store.addUser(alice, NOW);
    assert.deepEqual(await store.findUser("alice@example.com"), { id, ...alice });
    assert.equal(await store.findUser("nobody@example.com"), undefined);
  });

  test("addresses are equal where their bytes are", async ({ store }) => {
    const id = await store.addUser(account("one", { email: "ä@example.com" }), NOW);
    assert.equal((await store.findUser("ä@example.com"))?.id, id);
    for (const other of ["Ä@example.com", "a@example.com", "a\u0308@example.com", "ä@example.com ", "ä@EXAMPLE.com"]) {
      assert.equal(await store.findUser(other), undefined, JSON.stringify(other));
    }
    assert(await store.addUser(account("two", { email: "Ä@example.com" }), NOW));
    assert(await store.addUser(account("three", { email: "a\u0308@example.com" }), NOW));
    assert(await store.addUser(account("four", { email: "😀@example.com" }), NOW));
    assert.equal((await store.findUser("😀@example.com"))?.username, "four");
  });

  test("addUser() takes an address once", async ({ store, query }) => {
    await addUser(store, "alice");
    assert.equal(await store.addUser(account("other", { email: "alice@example.com" }), NOW), undefined);
    assert.equal((await query("SELECT id FROM users")).length, 1);
  });

  test("addUser() takes a user name once, whatever its case, and keeps it as it was typed", async ({ store }) => {
    assert(await store.addUser(account("Alice.B", { email: "one@example.com" }), NOW));
    assert.equal(await store.addUser(account("aLICE.b", { email: "two@example.com" }), NOW), undefined);
    assert.equal(await store.addUser(account("Alice.B", { email: "two@example.com" }), NOW), undefined);
    assert.equal((await store.findUser("one@example.com"))?.username, "Alice.B");
    assert(await store.addUser(account("alice_b", { email: "two@example.com" }), NOW));
  });

  test("of eight registrations of one address at once, on two servers, one succeeds", async ({ store, second, query }) => {
    const other = await second();
    try {
      const ids = await Promise.all(Array.from({ length: 8 }, (_, index) => {
        const racer = account(`name${index}`, { email: "raced@example.com" });
        return (index % 2 === 0 ? store : other).addUser(racer, NOW);
      }));
      assert.equal(ids.filter((id) => id !== undefined).length, 1);
      assert.equal((await query("SELECT id FROM users")).length, 1);
    } finally {
      await other.close();
    }
  });

  test("quotes, backslashes and semicolons are text like any other", async ({ store }) => {
    const email = `x'; DROP TABLE users; -- \\' " %_@example.com`;
    assert(await store.addUser(account("quoted", { email, passwordRecord: "\\'\"$1?:a" }), NOW));
    assert.equal((await store.findUser(email))?.passwordRecord, "\\'\"$1?:a");
  });

  test("replacePasswordRecord() replaces that user's record alone, and only the one that was read", async ({ store }) => {
    const id = await addUser(store, "alice");
    await addUser(store, "bob");
    assert.equal(await store.replacePasswordRecord(id, "other", "not hers"), false);
    assert.equal(await store.replacePasswordRecord(id, "new", "record of alice"), true);
    assert.equal(await store.replacePasswordRecord(id, "newer", "record of alice"), false);
    assert.equal((await store.findUser("alice@example.com"))?.passwordRecord, "new");
    assert.equal((await store.findUser("bob@example.com"))?.passwordRecord, "record of bob");
  });

  const FINGERPRINT = "e".repeat(64);
  const CODE = "c".repeat(64);
  const registrant = { fingerprint: FINGERPRINT, device: { pem: "pem", isIssued: true }, code: CODE };

  async function addCode({ store, query }: Pick<StoreFixture, "store" | "query">, hash = CODE) {
    await store.devices.addCode({
      hash,
      username: "alice",
      kind: "invitation",
      email: undefined,
      expiresAt: NOW + 1000,
    });
    return async () => Number((await query("SELECT COUNT(*) AS count FROM codes"))[0]?.["count"]);
  }

  test("an account, its certificate and the code are one write", async ({ store, query }) => {
    const codes = await addCode({ store, query });
    const id = await store.addUser(account("alice"), NOW, registrant);
    assert.equal(await codes(), 0);
    const device = await store.devices.findDevice(FINGERPRINT);
    assert.deepEqual(device && [device.userId, device.username, device.isIssued, device.pem], [
      id,
      "alice",
      true,
      "pem",
    ]);
    assert.equal(await store.registrationsWith(FINGERPRINT), 1);
    assert.equal(await store.registrationsWith(CODE), 0);
  });

  test("where the name, the certificate or the code is taken, nothing of a registration is written", async ({ store, query }) => {
    const codes = await addCode({ store, query });
    const bob = await addUser(store, "bob");
    const nobody = async (who: Partial<User>, by = registrant) => {
      assert.equal(await store.addUser(account("alice", who), NOW, by), undefined);
      assert.equal(await store.findUser("alice@example.com"), undefined);
      assert.equal(await codes(), 1);
    };
    await nobody({ username: "BOB" });
    assert.equal(await store.devices.findDevice(FINGERPRINT), undefined);
    await nobody({}, { ...registrant, code: "d".repeat(64) });
    assert.equal(await store.devices.findDevice(FINGERPRINT), undefined);
    await store.devices.bindDevice({ fingerprint: FINGERPRINT, userId: bob, pem: "bob's", isIssued: false }, NOW);
    await nobody({});
    assert.equal((await store.devices.findDevice(FINGERPRINT))?.userId, bob);
  });

  test("another password ends every token of the account and uses up the code that resets it", async ({ store, query }) => {
    const [alice, bob] = [await addUser(store, "alice"), await addUser(store, "bob")];
    const tokens = async () => {
      const rows = await query("SELECT user_id FROM session_tokens ORDER BY user_id");
      return rows.map((row) => row["user_id"]);
    };
    for (const [at, userId] of [alice, alice, bob].entries()) {
      const hash = String(at).repeat(64);
      await store.devices.addToken({ hash, userId, fingerprint: FINGERPRINT, expiresAt: NOW + 1000 });
    }
    const next = { salt: new Uint8Array(16).fill(9), passwordRecord: "next" };
    assert.equal(await store.setPassword(alice, { ...next, replaced: "not hers" }), false);
    assert.equal(await store.setPassword(alice, { ...next, code: CODE }), false);
    assert.deepEqual(await tokens(), [alice, alice, bob], "all or nothing");
    assert.equal(await store.setPassword(alice, { ...next, replaced: "record of alice" }), true);
    assert.deepEqual(await tokens(), [bob]);
    const user = await store.findUser("alice@example.com");
    assert.deepEqual(user && [user.passwordRecord, user.salt], ["next", next.salt]);
    const codes = await addCode({ store, query });
    assert.equal(await store.setPassword(bob, { ...next, code: CODE }), true);
    assert.equal(await codes(), 0);
    assert.deepEqual(await tokens(), []);
  });

  test("secret() is the same for all who ask at once, and later", async ({ store, second }) => {
    const other = await second();
    try {
      let made = 0;
      const make = (): Bytes => new Uint8Array(32).fill(++made);
      const secrets = await Promise.all(
        Array.from({ length: 8 }, (_, index) => (index % 2 === 0 ? store : other).secret("salt", make)),
      );
      for (const secret of secrets) assert.deepEqual(secret, secrets[0]);
      const before = made;
      assert.deepEqual(await other.secret("salt", make), secrets[0]);
      assert.equal(made, before, "a secret that is there is not made again");
      assert.notDeepEqual(await store.secret("another", make), secrets[0]);
    } finally {
      await other.close();
    }
  });

  test("a session is unfinished from openSession() to closeSession()", async ({ store, query }) => {
    const alice = await addUser(store, "alice");
    await store.openSession(session(alice, "1"));
    await store.openSession(session(alice, "2"));
    assert.deepEqual(await store.unfinishedSessions(), ["1".repeat(64), "2".repeat(64)]);
    await store.closeSession({
      tokenHash: "1".repeat(64),
      endedAt: NOW + 60_000,
      messageCount: 3,
      transcriptHash: "e".repeat(64),
    });
    assert.deepEqual(await store.unfinishedSessions(), ["2".repeat(64)]);
    assert.deepEqual(
      await query(
        "SELECT user_id, client_cert_fingerprint, server_cert_fingerprint, transcript_hash, started_at, ended_at, " +
          `message_count FROM sessions WHERE session_token = '${"1".repeat(64)}'`,
      ),
      [{
        user_id: alice,
        client_cert_fingerprint: "c".repeat(64),
        server_cert_fingerprint: "d".repeat(64),
        transcript_hash: "e".repeat(64),
        started_at: "2026-01-02 03:04:05",
        ended_at: "2026-01-02 03:05:05",
        message_count: 3,
      }],
    );
  });

  test("closing a session again changes nothing, and so does closing one that nobody opened", async (fixture) => {
    const { store, query } = fixture;
    await store.openSession(session(await addUser(store, "alice"), "1"));
    const end = { tokenHash: "1".repeat(64), endedAt: NOW, messageCount: 3, transcriptHash: "e".repeat(64) };
    await store.closeSession(end);
    await store.closeSession({ ...end, messageCount: 0, transcriptHash: "f".repeat(64) });
    await store.closeSession({ ...end, tokenHash: "9".repeat(64) });
    assert.deepEqual(await query("SELECT message_count, transcript_hash FROM sessions"), [
      { message_count: 3, transcript_hash: "e".repeat(64) },
    ]);
  });

  test("a session of nobody, or a token twice, is refused", async ({ store, query }) => {
    const alice = await addUser(store, "alice");
    await store.openSession(session(alice, "1"));
    await assert.rejects(store.openSession(session(alice, "1")));
    await assert.rejects(store.openSession(session(alice + 1000, "2")));
    assert.equal((await query("SELECT id FROM sessions")).length, 1);
  });

  test("the seed's audit query finds its rows, in the order in which they came, in UTC", async ({ store, query }) => {
    await store.addAudit([
      {
        event: "login_failure",
        email: "a@example.com",
        clientFingerprint: "c".repeat(64),
        reason: "wrong password",
        occurredAt: NOW,
        ipAddress: "2001:db8::1",
      },
      { event: "cert_invalid", occurredAt: NOW },
    ]);
    await store.addAudit([{ event: "login_failure", reason: "second", occurredAt: NOW + 1000 }]);
    const rows = await query("SELECT * FROM audit_log WHERE event_type = 'login_failure'");
    assert.deepEqual(rows.map(({ id: _, event_key: __, entry_index: ___, ...row }) => row), [
      {
        event_type: "login_failure",
        email: "a@example.com",
        client_cert_fingerprint: "c".repeat(64),
        reason: "wrong password",
        occurred_at: "2026-01-02 03:04:05",
        ip_address: "2001:db8::1",
      },
      {
        event_type: "login_failure",
        email: null,
        client_cert_fingerprint: null,
        reason: "second",
        occurred_at: "2026-01-02 03:04:06",
        ip_address: null,
      },
    ]);
    assert.equal((await query("SELECT * FROM audit_log WHERE event_type = 'cert_invalid'")).length, 1);
  });

  test("latestTime() is when the newest audit row was written", async ({ store }) => {
    assert.equal(await store.latestTime(), undefined);
    await store.addAudit([{ event: "cert_invalid", occurredAt: NOW + 60_000 }]);
    await store.addAudit([{ event: "cert_invalid", occurredAt: NOW }]);
    assert.equal(await store.latestTime(), Math.floor(NOW / 1000) * 1000);
  });

  test("overlong texts of an audit row are cut between characters, not refused", async ({ store, query }) => {
    await store.addAudit([{
      event: "login_failure",
      email: "e".repeat(300),
      reason: "😀".repeat(300),
      ipAddress: "1".repeat(60),
      occurredAt: NOW,
    }]);
    assert.deepEqual(await query("SELECT email, reason, ip_address FROM audit_log"), [
      { email: "e".repeat(255), reason: "😀".repeat(255), ip_address: "1".repeat(45) },
    ]);
  });

  test("an audit row has nothing in it that works on a terminal", async ({ store, query }) => {
    const row = { event: "login_failure", email: "\u001b]0;owned\u0007@b.c", reason: "a\0b\u202e\ud800" } as const;
    await store.addAudit([{ ...row, occurredAt: NOW }]);
    const [{ email, reason } = {}] = await query("SELECT email, reason FROM audit_log");
    for (const text of [email, reason]) assert.match(String(text), /^[ -~]+u\{[ -~]+$/);
  });

  test("an audit row whose key is there already is not written again", async ({ store, query }) => {
    const row = (reason: string, key: string) => ({ event: "stale", reason, occurredAt: NOW, key } as const);
    await store.addAudit([row("first", "1".repeat(32)), row("second", "2".repeat(32))]);
    await store.addAudit([row("again", "2".repeat(32)), row("third", "3".repeat(32))]);
    assert.deepEqual((await query("SELECT reason FROM audit_log ORDER BY id")).map(({ reason }) => reason), [
      "first",
      "second",
      "third",
    ]);
  });

  test("audit rows go in all or none", async ({ store, query }) => {
    const row = { event: "stale", occurredAt: NOW } as const;
    await assert.rejects(store.addAudit([{ ...row, reason: "one" }, { ...row, occurredAt: NaN }]));
    await store.addAudit([{ ...row, reason: "two" }]);
    assert.deepEqual(await query("SELECT reason FROM audit_log"), [{ reason: "two" }]);
  });

  test("several hundred audit rows go in at once", async ({ store, query }) => {
    await store.addAudit(Array.from({ length: 700 }, (_, index) => ({
      event: "replay",
      reason: String(index),
      occurredAt: NOW,
    })));
    const rows = await query("SELECT reason FROM audit_log ORDER BY id");
    assert.deepEqual(rows.map(({ reason }) => reason), Array.from({ length: 700 }, (_, index) => String(index)));
    await store.addAudit([]);
  });

  test("a second server finds what the first has written", async ({ store, second }) => {
    const id = await addUser(store, "alice");
    const other = await second();
    try {
      assert.equal((await other.findUser("alice@example.com"))?.id, id);
    } finally {
      await other.close();
    }
  });
}
