import { assert } from "./assert.ts";
import { ROOT, skipUnless } from "./environment.ts";
import { type Mariadb, startMariadb } from "./mariadb.ts";
import { testStore } from "./store_contract.ts";
import { EXIT, Failure } from "../lib/errors.ts";
import { MIGRATIONS, SCHEMA_VERSION } from "../lib/store_migrations.ts";
import { type Store, StoreUnavailable } from "../lib/server_store.ts";
import { type MysqlAddress, type MysqlOptions, openMysqlStore } from "../lib/store_mysql.ts";

/** The server outlives the tests that start it, and mysql2 lets go of its sockets a moment after `close()`. */
const options = { ...skipUnless("mariadb"), sanitizeOps: false, sanitizeResources: false };

/** One server for all tests of this file, started by the first that asks. */
let running: Promise<Mariadb> | undefined;
const mariadb = () => running ??= startMariadb();
Deno.test.afterAll(async () => await (await running)?.[Symbol.asyncDispose]());

/** The sentence with which opening that database ends. */
async function refusal(address: MysqlAddress, bounds?: MysqlOptions): Promise<string> {
  try {
    await (await openMysqlStore(address, bounds)).close();
  } catch (error) {
    assert(error instanceof Failure, String(error));
    assert.equal(error.status, EXIT.unavailable);
    assert.match(error.message, /^database connection failed: [^\n]+; [^\n]*(?:check|use)[^\n]+$/);
    assert(!error.message.includes(address.password), "a password is never said");
    return error.message;
  }
  assert.fail("the store opened");
}

function test(name: string, fn: (server: Mariadb) => Promise<void>): void {
  Deno.test({ name, ...options, fn: async () => await fn(await mariadb()) });
}

const row = { event: "stale", occurredAt: 1_700_000_000_000 } as const;

testStore("MySQL", async () => {
  const server = await mariadb();
  const address = await server.createDatabase();
  const store = await openMysqlStore(address);
  return {
    store,
    second: () => openMysqlStore(address),
    async query(sql) {
      // In JSON, so that NULL and numbers stay what they are; the server's own time zone is another than UTC.
      const view = `CREATE OR REPLACE VIEW looked_at AS ${sql};`;
      await server.sql(view, address.name);
      const names = (await server.sql(
        `SELECT column_name FROM information_schema.columns
          WHERE table_schema = '${address.name}' AND table_name = 'looked_at' ORDER BY ordinal_position;`,
      )).trim().split("\n");
      const members = names.map((name) => `'${name}', ${name}`).join(", ");
      const lines = await server.sql(
        `SET time_zone = '+00:00'; SELECT JSON_OBJECT(${members}) FROM looked_at;`,
        address.name,
      );
      return lines.trim().split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
    },
    [Symbol.asyncDispose]: () => store.close(),
  };
}, options);

/** How the server describes the tables of a database. */
async function describe(server: Mariadb, database: string): Promise<string> {
  const tables = (await server.sql("SHOW TABLES;", database)).trim().split("\n");
  const texts = await Promise.all(tables.map((table) => server.sql(`SHOW CREATE TABLE ${table};`, database)));
  return texts.join("").replaceAll(/ AUTO_INCREMENT=\d+/g, "").replaceAll("\\n", "\n");
}

test("mysql/schema.sql loads, and is exactly what the migrations make of nothing", async (server) => {
  await server.sql(await Deno.readTextFile(`${ROOT}/mysql/schema.sql`));
  const loaded = await server.createDatabase("securechat");
  const migrated = await server.createDatabase();
  await (await openMysqlStore(migrated)).close();
  assert.equal(await describe(server, loaded.name), await describe(server, migrated.name));
  assert.match(await describe(server, loaded.name), /`pwd_hash` varchar\(255\)/);
  const versions = await server.sql("SELECT version FROM schema_version ORDER BY version;", loaded.name);
  assert.equal(versions, MIGRATIONS.map(({ version }) => `${version}\n`).join(""));
});

test("a server may open what schema.sql made with SELECT, INSERT, UPDATE and DELETE alone, and use it", async (server) => {
  const schema = (await Deno.readTextFile(`${ROOT}/mysql/schema.sql`)).replaceAll(/\bsecurechat;/g, "least;")
    .replace("EXISTS securechat", "EXISTS least");
  await server.sql(schema);
  await server.sql(`
    CREATE USER few@'%' IDENTIFIED BY 'few';
    GRANT SELECT, INSERT, UPDATE, DELETE ON least.* TO few@'%';
  `);
  const store = await openMysqlStore({
    host: "127.0.0.1",
    port: server.port,
    user: "few",
    password: "few",
    name: "least",
  });
  const alice = { email: "a@example.com", username: "alice", salt: new Uint8Array(16), passwordRecord: "r" };
  const userId = await store.addUser(alice, 1_700_000_000_000);
  assert(userId !== undefined);
  const tokenHash = "1".repeat(64);
  await store.openSession({ userId, tokenHash, clientFingerprint: "c", serverFingerprint: "d", startedAt: 1e12 });
  await store.closeSession({ tokenHash, endedAt: 1e12, messageCount: 0, transcriptHash: "e" });
  await store.addAudit([row]);
  await store.secret("salt", () => new Uint8Array(32));
  await store.replacePasswordRecord(userId, "s", "r");
  await store.close();
});

test("a user who may not migrate is told which rights are missing", async (server) => {
  const address = await server.createDatabase();
  await server.sql(`
    CREATE USER reader@'%' IDENTIFIED BY 'reads only';
    GRANT SELECT ON ${address.name}.* TO reader@'%';
  `);
  const sentence = await refusal({ ...address, user: "reader", password: "reads only" });
  assert.match(sentence, /user reader lacks a right .*grant CREATE, ALTER/);
});

const SEED_SCHEMA = `
CREATE TABLE users (
  id INT AUTO_INCREMENT PRIMARY KEY,
  email VARCHAR(255) UNIQUE NOT NULL,
  username VARCHAR(255) UNIQUE NOT NULL,
  salt VARBINARY(16) NOT NULL,
  pwd_hash CHAR(64) NOT NULL,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP
);

CREATE TABLE sessions (
  id INT AUTO_INCREMENT PRIMARY KEY,
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
  id INT AUTO_INCREMENT PRIMARY KEY,
  event_type VARCHAR(50) NOT NULL,
  email VARCHAR(255),
  client_cert_fingerprint VARCHAR(64),
  reason VARCHAR(255),
  occurred_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  ip_address VARCHAR(45)
);
`;

const SEED_ROWS = `
INSERT INTO users (email, username, salt, pwd_hash, updated_at)
  VALUES ('Alice@Example.com', 'Alice', X'000102030405060708090a0b0c0d0e0f', '${
  "ab".repeat(32)
}', '2024-01-02 03:04:05'),
         ('Zoë@Example.com', 'zoe', X'202020202020202020202020202020ff', '${"cd".repeat(32)}', '2024-01-02 03:04:05');
INSERT INTO sessions (user_id, session_token, client_cert_fingerprint, server_cert_fingerprint)
  VALUES (1, 'token', 'c', 'd');
INSERT INTO audit_log (event_type, reason) VALUES ('login_failure', 'of old');
`;

/** What must hold once a database of the seed's has been opened. */
async function checkSeedRows(server: Mariadb, store: Store, database: string): Promise<void> {
  assert.deepEqual(await store.findUser("alice@example.com"), {
    id: 1,
    email: "alice@example.com",
    username: "Alice",
    salt: new Uint8Array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]),
    passwordRecord: "ab".repeat(32),
  });
  assert.deepEqual((await store.findUser("zoë@example.com"))?.salt.slice(14), new Uint8Array([0x20, 0xff]));
  const other = { email: "b@example.com", username: "aLICE", salt: new Uint8Array(16), passwordRecord: "r" };
  assert.equal(await store.addUser(other, 1e12), undefined);
  assert.deepEqual(await store.unfinishedSessions(), ["token"]);
  await store.setPassword(2, { salt: new Uint8Array(16), passwordRecord: "wide ".repeat(50) });
  assert.equal(
    await server.sql("SELECT reason FROM audit_log WHERE event_type = 'login_failure';", database),
    "of old\n",
  );
  assert.equal(await server.sql("SELECT updated_at FROM users WHERE id = 1;", database), "2024-01-02 03:04:05\n");
}

for (const charset of ["latin1", "utf8mb4"]) {
  test(`a database of the seed's own schema in ${charset} is migrated, its rows kept`, async (server) => {
    const address = await server.createDatabase();
    await server.sql(
      `ALTER DATABASE CHARACTER SET ${charset}; USE ${address.name}; ${SEED_SCHEMA} ${SEED_ROWS}`,
      address.name,
    );
    const store = await openMysqlStore(address);
    await checkSeedRows(server, store, address.name);
    await store.close();
    const fresh = await server.createDatabase();
    await (await openMysqlStore(fresh)).close();
    assert.equal(await describe(server, address.name), await describe(server, fresh.name));
  });
}

test("a migration that was cut off after any of its statements is taken up again", async (server) => {
  const steps = MIGRATIONS.flatMap(({ mysql }) => mysql);
  // Those that only make tables are all alike: of them two will do.
  const alters = steps.findLastIndex((step) => /^(?:ALTER|UPDATE)/.test(step)) + 1;
  const counts = Array.from({ length: alters + 2 }, (_, index) => index + 1);
  for (const count of counts) {
    const address = await server.createDatabase();
    await server.sql(`${SEED_SCHEMA} ${SEED_ROWS} ${steps.slice(0, count).join(";\n")};`, address.name);
    const store = await openMysqlStore(address);
    await checkSeedRows(server, store, address.name);
    await store.close();
  }
});

test("eight servers that start at once on the seed's database migrate it once", async (server) => {
  const address = await server.createDatabase();
  await server.sql(`${SEED_SCHEMA} ${SEED_ROWS}`, address.name);
  const stores = await Promise.all(Array.from({ length: 8 }, () => openMysqlStore(address)));
  for (const store of stores) assert.equal((await store.findUser("alice@example.com"))?.id, 1);
  await Promise.all(stores.map((store) => store.close()));
  assert.equal(await server.sql("SELECT COUNT(*) FROM schema_version;", address.name), `${SCHEMA_VERSION}\n`);
});

test("a server doesn't begin to migrate while another one is at it, and says so when that takes too long", async (server) => {
  const address = await server.createDatabase();
  const holding = server.sql(`SELECT GET_LOCK('securechat migrates ${address.name}', 0); SELECT SLEEP(3);`);
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.match(await refusal(address, { migrationWait: 1 }), /another server is migrating it/);
  assert.equal(await server.sql("SHOW TABLES;", address.name), "");
  await holding;
  await (await openMysqlStore(address)).close();
});

test("openMysqlStore() refuses a schema that is newer than the program", async (server) => {
  const address = await server.createDatabase();
  await (await openMysqlStore(address)).close();
  await server.sql(`INSERT INTO schema_version (version) VALUES (${SCHEMA_VERSION + 1});`, address.name);
  await assert.rejects(
    openMysqlStore(address),
    (error) =>
      error instanceof Failure && error.status === EXIT.unavailable &&
      error.message.includes(`schema version ${SCHEMA_VERSION + 1}`),
  );
});

test("openMysqlStore() says what to check: port, host, password, database", async (server) => {
  const address = await server.createDatabase();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const silent = listener.addr.port;
  assert.match(
    await refusal({ ...address, password: "wrong one" }),
    /refuses the user .* check DB_USER and DB_PASSWORD/,
  );
  assert.match(await refusal({ ...address, user: "nobody" }), /refuses the user nobody/);
  assert.match(await refusal({ ...address, name: "nowhere" }), /may not use the database nowhere/);
  assert.match(await refusal({ ...address, host: "host.invalid" }), /no host named host\.invalid; check DB_HOST/);
  assert.match(await refusal({ ...address, port: silent }, { timeout: 300 }), /check that it is a running MySQL/);
  listener.close();
  assert.match(await refusal({ ...address, port: silent }), /nothing listens at .*check that the database runs/);
  await server.sql("CREATE USER IF NOT EXISTS admin@'%' IDENTIFIED BY 'does all'; GRANT ALL ON *.* TO admin@'%';");
  assert.match(
    await refusal({ ...address, user: "admin", password: "does all", name: "nowhere" }),
    /no database nowhere .*schema\.sql/,
  );
});

test("a database that goes away makes every call StoreUnavailable, and is used again when it is back", async (server) => {
  const address = await server.createDatabase();
  const store = await openMysqlStore(address);
  try {
    await Promise.all(Array.from({ length: 20 }, () => store.addAudit([row])));
    await server.stop();
    const calls: (() => Promise<unknown>)[] = [
      () => store.findUser("a@example.com"),
      () => store.addUser({ email: "a", username: "a", salt: new Uint8Array(16), passwordRecord: "r" }, 1e12),
      () => store.replacePasswordRecord(1, "r", "q"),
      () => store.secret("salt", () => new Uint8Array(32)),
      () => store.closeSession({ tokenHash: "1", endedAt: 1e12, messageCount: 0, transcriptHash: "e" }),
      () => store.unfinishedSessions(),
      () => store.addAudit([row]),
    ];
    for (const call of calls) await assert.rejects(call(), StoreUnavailable);
    await assert.rejects(
      store.openSession({ userId: 1, tokenHash: "1", clientFingerprint: "c", serverFingerprint: "d", startedAt: 1e12 }),
      StoreUnavailable,
    );
    await server.start();
    await store.addAudit([row]);
    assert.equal(await server.sql("SELECT COUNT(*) FROM audit_log;", address.name), "21\n");
  } finally {
    await server.start();
    await store.close();
  }
});

test("a database that accepts and says nothing is StoreUnavailable in bounded time, for many calls at once", async (server) => {
  const store = await openMysqlStore(await server.createDatabase(), { timeout: 1_500 });
  try {
    await store.addAudit([row]);
    server.freeze();
    const begun = performance.now();
    const calls = await Promise.allSettled(Array.from({ length: 30 }, () => store.findUser("a@example.com")));
    assert(performance.now() - begun < 6_000);

    for (const call of calls) assert(call.status === "rejected" && call.reason instanceof StoreUnavailable);
    server.thaw();
    await store.addAudit([row]);
  } finally {
    server.thaw();
    await store.close();
  }
});

test("a right that is taken away is StoreUnavailable until it is given back", async (server) => {
  const address = await server.createDatabase();
  const store = await openMysqlStore(address);
  await server.sql(`REVOKE INSERT ON ${address.name}.* FROM ${address.user}@'%';`);
  await server.sql(`KILL USER ${address.user};`); // a connection keeps the rights that it began with
  await assert.rejects(store.addAudit([row]), StoreUnavailable);
  await server.sql(`GRANT INSERT ON ${address.name}.* TO ${address.user}@'%';`);
  await server.sql(`KILL USER ${address.user};`);
  await store.addAudit([row]);
  await store.close();
});
