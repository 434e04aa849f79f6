/**
 * What a database server may be like that isn't as this program's own tests start it: its defaults, its limits, TLS.
 */

import { assert } from "./assert.ts";
import { runCommand, skipUnless, temporaryFolder } from "./environment.ts";
import { type Mariadb, startMariadb } from "./mariadb.ts";
import { EXIT, Failure } from "../lib/errors.ts";
import { type MysqlAddress, openMysqlStore } from "../lib/store_mysql.ts";
import { StoreUnavailable } from "../lib/server_store.ts";

const options = { ...skipUnless("mariadb"), sanitizeOps: false, sanitizeResources: false };

/** The sentence with which opening that database ends. */
async function refusal(address: MysqlAddress): Promise<string> {
  const error = await openMysqlStore(address).then((store) => store.close(), (thrown) => thrown);
  assert(error instanceof Failure, `it was opened: ${error}`);
  assert.equal(error.status, EXIT.unavailable);
  assert.match(error.message, /^database connection failed: [^\n]+; [^\n]*(?:check|use)[^\n]+$/);
  return error.message;
}

async function enginesOf(server: Mariadb, database: string): Promise<string> {
  return await server.sql(
    `SELECT DISTINCT engine, table_collation FROM information_schema.tables WHERE table_schema = '${database}';`,
  );
}

Deno.test({
  name: "tables are made with their engine and collation whatever the server's defaults are, and others are refused",
  ...options,
  async fn() {
    await using server = await startMariadb("--default-storage-engine=Aria", "--collation-server=latin1_swedish_ci");
    const address = await server.createDatabase();
    await (await openMysqlStore(address)).close();
    assert.equal(await enginesOf(server, address.name), "InnoDB\tutf8mb4_bin\n");

    await server.sql("ALTER TABLE audit_log ENGINE=Aria; ALTER TABLE codes COLLATE utf8mb4_general_ci;", address.name);
    const sentence = await refusal(address);
    assert.match(sentence, /audit_log \(Aria, utf8mb4_bin\)/);
    await server.sql("ALTER TABLE codes CONVERT TO CHARACTER SET latin1;", address.name);
    const mend = /stopped: (ALTER TABLE .*;)$/.exec(await refusal(await mendEngine(server, address)))?.[1] ?? "";
    assert.match(mend, /^ALTER TABLE codes ENGINE=InnoDB, CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;$/);
    await server.sql(mend, address.name);
    await (await openMysqlStore(address)).close();
    assert.equal(await enginesOf(server, address.name), "InnoDB\tutf8mb4_bin\n");
  },
});

Deno.test({
  name: "a user whose way to log in isn't supported is told as that, and what to use",
  ...options,
  async fn() {
    await using server = await startMariadb("--plugin-load-add=auth_pam");
    const address = await server.createDatabase();
    await server.sql(`CREATE USER 'pam'@'%' IDENTIFIED VIA pam; GRANT ALL ON *.* TO 'pam'@'%';`);
    const sentence = await refusal({ ...address, user: "pam" });
    assert.match(sentence, /wants a way to log in that isn't supported \(.*\); use mysql_native_password/);
  },
});

/** What the refusal of the engine tells to do. */
async function mendEngine(server: Mariadb, address: MysqlAddress): Promise<MysqlAddress> {
  const mend = /stopped: (ALTER TABLE .*;)$/.exec(await refusal(address))?.[1] ?? "";
  assert.equal(mend, "ALTER TABLE audit_log ENGINE=InnoDB;");
  await server.sql(mend, address.name);
  return address;
}

Deno.test({
  name: "a database that is read-only, from the start or later, is told as that",
  ...options,
  async fn() {
    await using server = await startMariadb();
    const address = await server.createDatabase();
    const store = await openMysqlStore(address);
    await server.sql("SET GLOBAL read_only = 1;");
    await assert.rejects(
      store.addAudit([{ event: "stale", occurredAt: 0 }]),
      (error) => error instanceof StoreUnavailable && /read-only/.test(error.message),
    );
    await store.close();
    assert.match(await refusal(address), /is read-only; check DB_HOST/);
  },
});

Deno.test({
  name: "over TLS the database's certificate is checked: its CA, and that it is for the host",
  ...options,
  async fn() {
    using folder = temporaryFolder();
    const at = (name: string) => `${folder.path}/${name}`;
    const openssl = async (...args: string[]) => {
      const { status, stderr } = await runCommand("openssl", args, { cwd: folder.path });
      assert.equal(status, 0, stderr);
    };
    const ca = async (name: string) =>
      await openssl(
        ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", `/CN=${name}`],
        ...["-keyout", `${name}.key`, "-out", `${name}.pem`, "-addext", "basicConstraints=critical,CA:TRUE"],
      );
    await ca("own");
    await ca("other");
    await openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=db", "-keyout", "db.key", "-out", "db.csr");
    const certify = async (name: string) => {
      await Deno.writeTextFile(at("san"), `subjectAltName=DNS:${name}\n`);
      const signing = ["-CA", "own.pem", "-CAkey", "own.key", "-CAcreateserial", "-days", "2", "-extfile", "san"];
      await openssl("x509", "-req", "-in", "db.csr", "-out", `${name}.pem`, ...signing);
      return [`--ssl-cert=${at(`${name}.pem`)}`, `--ssl-key=${at("db.key")}`, `--ssl-ca=${at("own.pem")}`];
    };
    const tls = await certify("localhost");
    await using server = await startMariadb(...tls, "--require-secure-transport=ON");
    const plain = { ...await server.createDatabase(), host: "localhost" };

    assert.match(await refusal(plain), /use DB_TLS=true if it wants TLS/);
    const secure = { ...plain, tls: true, tlsCa: at("own.pem") };
    const store = await openMysqlStore(secure);
    assert.equal(await store.findUser("nobody@example.org"), undefined);
    await store.close();
    assert.match(
      await refusal({ ...secure, tlsCa: at("other.pem") }),
      /certificate .* was refused .*; check DB_TLS_CA/,
    );
    assert.match(await refusal({ ...secure, host: "127.0.0.1" }), /is an address; use the name in DB_HOST/);
    assert.match(await refusal({ ...plain, tls: true }), /certificate .* was refused .*; check DB_TLS_CA/);

    await using elsewhere = await startMariadb(...await certify("other.example"));
    const other = { ...await elsewhere.createDatabase(), host: "localhost", tls: true, tlsCa: at("own.pem") };
    assert.match(await refusal(other), /certificate .* was refused .*; check DB_TLS_CA, and that it is for localhost/);
  },
});

Deno.test({
  name: "a database without TLS is told as that where TLS is asked for",
  ...options,
  async fn() {
    await using server = await startMariadb("--skip-ssl");
    const address = await server.createDatabase();
    assert.match(await refusal({ ...address, host: "localhost", tls: true }), /knows no TLS; check its settings/);
  },
});
