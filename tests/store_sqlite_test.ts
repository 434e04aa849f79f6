import { DatabaseSync } from "node:sqlite";
import { assert } from "./assert.ts";
import { skipUnless } from "./environment.ts";
import { EXIT, Failure } from "../lib/errors.ts";
import { SCHEMA_VERSION } from "../lib/store_migrations.ts";
import { StoreUnavailable } from "../lib/server_store.ts";
import { openSqliteStore, SQLITE_FILE, SqliteStore } from "../lib/store_sqlite.ts";
import { testStore } from "./store_contract.ts";

async function folder(): Promise<{ path: string; file: string } & AsyncDisposable> {
  const path = await Deno.makeTempDir();
  return {
    path,
    file: `${path}/${SQLITE_FILE}`,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

function mode(path: string): number {
  return (Deno.statSync(path).mode ?? 0) & 0o777;
}

/** The sentence with which opening that folder's store ends. */
async function refusal(dataDir: string, busyTimeout?: number): Promise<string> {
  try {
    await (await openSqliteStore(dataDir, busyTimeout)).close();
  } catch (error) {
    assert(error instanceof Failure, String(error));
    assert.equal(error.status, EXIT.unavailable);
    assert.match(error.message, /^[^\n]+$/);
    return error.message;
  }
  assert.fail("the store opened");
}

testStore("SQLite", async () => {
  const data = await folder();
  const store = await openSqliteStore(data.path);
  return {
    store,
    second: () => openSqliteStore(data.path),
    query(sql) {
      using database = new DatabaseSync(data.file);
      return Promise.resolve(database.prepare(sql).all().map((row) => ({ ...row })));
    },
    async [Symbol.asyncDispose]() {
      await store.close();
      await data[Symbol.asyncDispose]();
    },
  };
});

Deno.test({
  name: "openSqliteStore() makes a folder of 0700 and files of 0600, and mends a file that others may read",
  ...skipUnless("unix"),
  async fn() {
    await using data = await folder();
    const inner = `${data.path}/a/data`;
    let store = await openSqliteStore(inner);
    await store.addAudit([{ event: "stale", occurredAt: 0 }]);
    assert.equal(mode(inner), 0o700);
    const names = [...Deno.readDirSync(inner)].map(({ name }) => name);
    assert(names.includes(SQLITE_FILE) && names.length > 1, String(names));
    for (const name of names) assert.equal(mode(`${inner}/${name}`), 0o600, name);
    await store.close();
    await Deno.chmod(`${inner}/${SQLITE_FILE}`, 0o644);
    store = await openSqliteStore(inner);
    assert.equal(mode(`${inner}/${SQLITE_FILE}`), 0o600);
    await store.close();
  },
});

Deno.test("openSqliteStore() keeps a write-ahead log and flushes every commit", async () => {
  await using data = await folder();
  await (await openSqliteStore(data.path)).close();
  using database = new DatabaseSync(data.file);
  assert.deepEqual({ ...database.prepare("PRAGMA journal_mode").get() }, { journal_mode: "wal" });
});

Deno.test("openSqliteStore() migrates once, and finds everything again", async () => {
  await using data = await folder();
  const first = await openSqliteStore(data.path);
  const secret = await first.secret("salt", () => crypto.getRandomValues(new Uint8Array(32)));
  await first.close();
  const second = await openSqliteStore(data.path);
  assert.deepEqual(await second.secret("salt", () => new Uint8Array(32)), secret);
  await second.close();
  using database = new DatabaseSync(data.file);
  const versions = database.prepare("SELECT version FROM schema_version").all().map((row) => row["version"]);
  assert.deepEqual(versions, Array.from({ length: SCHEMA_VERSION }, (_, index) => index + 1));
});

Deno.test("openSqliteStore() migrates a database of the seed's schema and keeps its rows", async () => {
  await using data = await folder();
  {
    using database = new DatabaseSync(data.file);
    database.exec(`
      CREATE TABLE users (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        email VARCHAR(255) UNIQUE NOT NULL,
        username VARCHAR(255) UNIQUE NOT NULL,
        salt VARBINARY(16) NOT NULL,
        pwd_hash CHAR(64) NOT NULL,
        created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
      );
      CREATE TABLE sessions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        user_id INT NOT NULL,
        session_token VARCHAR(64) UNIQUE NOT NULL,
        client_cert_fingerprint VARCHAR(64) NOT NULL,
        server_cert_fingerprint VARCHAR(64) NOT NULL,
        transcript_hash VARCHAR(64),
        started_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        ended_at TIMESTAMP NULL,
        message_count INT DEFAULT 0,
        FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
      );
      CREATE TABLE audit_log (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        event_type VARCHAR(50) NOT NULL,
        email VARCHAR(255),
        client_cert_fingerprint VARCHAR(64),
        reason VARCHAR(255),
        occurred_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        ip_address VARCHAR(45)
      );
      INSERT INTO users (email, username, salt, pwd_hash)
        VALUES ('Alice@Example.com', 'Alice', X'000102030405060708090a0b0c0d0e0f', '${"ab".repeat(32)}'),
               ('bob@example.com', 'alice', X'ffffffffffffffffffffffffffffffff', '${"cd".repeat(32)}');
      INSERT INTO sessions (user_id, session_token, client_cert_fingerprint, server_cert_fingerprint)
        VALUES (1, 'token', 'c', 'd');
      INSERT INTO audit_log (event_type, reason) VALUES ('login_failure', 'of old');
    `);
  }
  const store = await openSqliteStore(data.path);
  assert.deepEqual(await store.findUser("alice@example.com"), {
    id: 1,
    email: "alice@example.com",
    username: "Alice",
    salt: new Uint8Array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]),
    passwordRecord: "ab".repeat(32),
  });
  assert.equal((await store.findUser("bob@example.com"))?.username, "alice", "two names of old may differ in case");
  const third = { email: "c@example.com", username: "ALICE", salt: new Uint8Array(16), passwordRecord: "r" };
  assert.equal(await store.addUser(third, 0), undefined, "and nobody else gets that name");
  assert.deepEqual(await store.unfinishedSessions(), ["token"]);
  await store.setPassword(1, { salt: new Uint8Array(16), passwordRecord: "wide ".repeat(50) });
  await store.close();
  using database = new DatabaseSync(data.file);
  assert.equal(database.prepare("SELECT reason FROM audit_log").get()?.["reason"], "of old");
});

Deno.test("openSqliteStore() refuses a schema that is newer than the program, and leaves it as it was", async () => {
  await using data = await folder();
  await (await openSqliteStore(data.path)).close();
  {
    using database = new DatabaseSync(data.file);
    database.exec(`INSERT INTO schema_version (version) VALUES (${SCHEMA_VERSION + 1})`);
  }
  const sentence = await refusal(data.path);
  assert.match(sentence, new RegExp(`schema version ${SCHEMA_VERSION + 1}.*only up to ${SCHEMA_VERSION}`));
});

Deno.test("openSqliteStore() says so where the file is no database", async () => {
  await using data = await folder();
  await Deno.writeTextFile(data.file, "these are my notes, not a database\n".repeat(100));
  assert.match(await refusal(data.path), /database connection failed: .*is not a SQLite database/);
  assert.match(await Deno.readTextFile(data.file), /^these are my notes/);
});

Deno.test("openSqliteStore() says so where another program holds the database", async () => {
  await using data = await folder();
  await (await openSqliteStore(data.path)).close();
  using database = new DatabaseSync(data.file);
  database.exec("BEGIN EXCLUSIVE");
  assert.match(await refusal(data.path, 50), /locked by another program/);
});

Deno.test("openSqliteStore() says so where the folder is a file", async () => {
  await using data = await folder();
  await Deno.writeTextFile(`${data.path}/data`, "");
  assert.match(await refusal(`${data.path}/data`), /database connection failed/);
});

Deno.test("eight servers that start at once on an empty folder all open it", async () => {
  await using data = await folder();
  const program = `
    import { openSqliteStore } from ${JSON.stringify(new URL("../lib/store_sqlite.ts", import.meta.url).href)};
    await (await openSqliteStore(${JSON.stringify(data.path)})).close();
  `;
  const statuses = await Promise.all(Array.from({ length: 8 }, async () => {
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", "--quiet", program],
      stderr: "piped",
    }).output();
    return code === 0 ? "open" : new TextDecoder().decode(stderr);
  }));
  assert.deepEqual(statuses, Array.from({ length: 8 }, () => "open"));
});

Deno.test("a store that cannot write now throws StoreUnavailable, and works when it can again", async () => {
  await using data = await folder();
  const store = await openSqliteStore(data.path, 20);
  const row = { event: "stale", occurredAt: 0 } as const;
  {
    using database = new DatabaseSync(data.file);
    database.exec("BEGIN IMMEDIATE");
    await assert.rejects(store.addAudit([row]), StoreUnavailable);
    await assert.rejects(store.replacePasswordRecord(1, "r", "q"), /locked by another program/);
    assert.equal(await store.findUser("a@example.com"), undefined, "reading goes on");
  }
  await store.addAudit([row]);
  await store.close();
});

Deno.test("a full disk is StoreUnavailable, nothing of the write stays, and the store goes on when there is room", async () => {
  await using data = await folder();
  await (await openSqliteStore(data.path)).close();
  using database = new DatabaseSync(data.file);
  const store = new SqliteStore(database);
  // SQLite says of its own bound what it says of a full disk.
  const pages = Number(database.prepare("PRAGMA page_count").get()?.["page_count"]);
  database.exec(`PRAGMA max_page_count = ${pages + 20}`);
  const row = { event: "stale", reason: "x".repeat(255), occurredAt: 0 } as const;
  let written = 0;
  await assert.rejects(async () => {
    for (; written < 10_000; written += 50) await store.addAudit(Array.from({ length: 50 }, () => row));
  }, (error) => error instanceof StoreUnavailable && /disk is full/.test(error.message));
  database.exec("PRAGMA max_page_count = 1000");
  await store.addAudit([row]);
  assert.equal(database.prepare("SELECT COUNT(*) AS rows FROM audit_log").get()?.["rows"], written + 1);
});

Deno.test("a file that has become read-only is StoreUnavailable for writes", async () => {
  await using data = await folder();
  await (await openSqliteStore(data.path)).close();
  using database = new DatabaseSync(data.file, { readOnly: true });
  const store = new SqliteStore(database);
  assert.equal(await store.findUser("a@example.com"), undefined);
  await assert.rejects(
    store.addAudit([{ event: "stale", occurredAt: 0 }]),
    (error) => error instanceof StoreUnavailable && /read-only/.test(error.message),
  );
});

Deno.test("a write that finds the database locked waits while everything else goes on, and is written then", async () => {
  await using data = await folder();
  const store = await openSqliteStore(data.path);
  const other = new DatabaseSync(data.file);
  other.exec("BEGIN IMMEDIATE");
  let isWritten = false;
  const writing = store.addAudit([{ event: "stale", occurredAt: 0 }]).then(() => isWritten = true);
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
  assert.equal(await store.findUser("a@example.com"), undefined, "reading goes on");
  assert.ok(!isWritten);
  other.exec("COMMIT");
  other.close();
  await writing;
  await store.close();
});

Deno.test({
  name: "nothing is written to a database whose file was deleted or replaced, until it is there again",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await using data = await folder();
    const store = await openSqliteStore(data.path);
    const write = () => store.addAudit([{ event: "stale", occurredAt: 0 }]);
    await write();
    for (const file of [data.file, `${data.file}-wal`]) {
      assert.equal(store.trouble(), undefined);
      Deno.renameSync(file, `${file}.moved`);
      await assert.rejects(
        write(),
        (error) => error instanceof StoreUnavailable && /deleted or replaced/.test(error.message),
      );
      Deno.writeTextFileSync(file, "");
      assert.match(store.trouble() ?? "", /put the file back, or stop the server and restore a backup/);
      await assert.rejects(write(), StoreUnavailable);
      Deno.renameSync(`${file}.moved`, file);
      await write();
    }
    await store.close();
  },
});

/** A store with rows that are partly in the database's file and partly in its log. */
async function written(file: string, dir: string) {
  const store = await openSqliteStore(dir);
  const write = (reason: string) => store.addAudit([{ event: "stale", reason: reason.padEnd(200), occurredAt: 0 }]);
  for (let row = 0; row < 50; row++) await write(`${row}`);
  Deno.copyFileSync(file, `${file}.older`);
  using other = new DatabaseSync(file);
  other.exec("CREATE TABLE other (n); PRAGMA wal_checkpoint(TRUNCATE)");
  await write("after another program has moved all pages");
  for (let row = 0; row < 50; row++) await write(`${row}`);
  return { store, write };
}

const OVERWRITING: Readonly<Record<string, (file: string) => void>> = {
  "cut to half": (file) => Deno.truncateSync(file, Deno.statSync(file).size / 2),
  "cut to nothing": (file) => Deno.truncateSync(file, 0),
  "overwritten with noise": (file) => {
    using opened = Deno.openSync(file, { write: true });
    const { size } = opened.statSync();
    opened.seekSync(4_096, Deno.SeekMode.Start);
    for (let at = 4_096; at < size; at += 4_096) opened.writeSync(crypto.getRandomValues(new Uint8Array(4_096)));
  },
  "overwritten with an older copy": (file) => {
    using opened = Deno.openSync(file, { write: true, truncate: true });
    opened.writeSync(Deno.readFileSync(`${file}.older`));
  },
  "left without the end of its log": (file) => Deno.truncateSync(`${file}-wal`, 0),
};

for (const [what, overwrite] of Object.entries(OVERWRITING)) {
  Deno.test({
    name: `nothing more is written to a database that was ${what}, and stopping doesn't make it worse`,
    ignore: Deno.build.os === "windows",
    fn: async () => {
      await using data = await folder();
      const { store, write } = await written(data.file, data.path);
      assert.equal(store.trouble(), undefined);
      overwrite(data.file);
      const [size, log] = ["", "-wal"].map((suffix) => Deno.statSync(data.file + suffix).size);
      for (let tries = 0; tries < 2; tries++) {
        await assert.rejects(
          write("lost"),
          (error) =>
            error instanceof StoreUnavailable && /was cut or overwritten by another program/.test(error.message),
        );
      }
      assert.match(store.trouble() ?? "", /stop the server and restore a backup/);
      await store.close();
      assert.deepEqual(["", "-wal"].map((suffix) => Deno.statSync(data.file + suffix).size), [size, log]);
    },
  });
}

Deno.test({
  name: "a database is written to on when another program has only touched it, moved its pages or added rows",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await using data = await folder();
    const { store, write } = await written(data.file, data.path);
    Deno.utimeSync(data.file, new Date(), new Date(1_700_000_000_000));
    await write("touched");
    using other = new DatabaseSync(data.file);
    other.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    await write("after all pages were moved");
    other.exec("INSERT INTO other (n) VALUES (1); PRAGMA wal_checkpoint(TRUNCATE)");
    await write("after a row");
    other.exec("DELETE FROM other; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)");
    await write("after the file was made smaller");
    assert.equal(store.trouble(), undefined);
    await store.close();
  },
});
