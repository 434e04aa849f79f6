/**
 * The independent peer's suite (`../shared/peer/conformance.py`) against the program: on each store, and once more
 * without version 1. The limits are raised as its README asks, and still low enough for it to provoke.
 */

import { assert } from "./assert.ts";
import { PEER_PYTHON, runCommand, SHARED, skipUnless, startServer, temporaryFolder } from "./environment.ts";
import { startMariadb } from "./mariadb.ts";

/** The suite has about 150 connections at once, and provokes with 400 of them and with 60 wrong passwords. */
const LIMITS = {
  MAX_CONNECTIONS: "300",
  MAX_CONNECTIONS_PER_ADDRESS: "300",
  REGISTRATIONS_PER_HOUR: "10000",
  LOGIN_FAILURES_PER_ADDRESS: "60",
  LOGIN_DELAY_MS: "0",
  PASSWORD_QUEUE: "1000",
  HANDSHAKE_TIMEOUT: "15",
};

/**
 * Cases that measure time: other tests that run meanwhile can spoil them, so they have two more tries by themselves.
 */
const TIMED = /alike-in-time$/;

/** Runs the suite, which must end without a failure and without a skip. */
async function conformance(settings: Readonly<Record<string, string>>, ...options: string[]): Promise<void> {
  using folder = temporaryFolder();
  const certs = `${folder.path}/certs`;
  const made = await runCommand(PEER_PYTHON, [`${SHARED}/peer/pki.py`, certs]);
  assert.equal(made.status, 0, made.stderr);

  const run = async (...options: string[]) => {
    const flags = ["--certs", certs, "--data", `${folder.path}/data`];
    await using server = await startServer(flags, { cwd: folder.path, env: { ...LIMITS, ...settings } });
    const at = ["--host", "127.0.0.1", "--port", `${server.port}`, "--certs", certs, "--pid", `${server.child.pid}`];
    const suite = [`${SHARED}/peer/conformance.py`, ...at, "--crl", ...options];
    const { stdout, stderr } = await runCommand(PEER_PYTHON, suite);
    assert.match(stdout, /^[1-9][0-9]* passed, [0-9]+ failed$/m, `a case was skipped: ${stdout}${stderr}`);
    return [...stdout.matchAll(/^failed: ((\S+): .*)$/gm)].map(([, problem = "", name = ""]) => ({ name, problem }));
  };
  let failures = await run(...options);
  for (let tries = 0; tries < 2 && failures.length > 0 && failures.every(({ name }) => TIMED.test(name)); tries++) {
    failures = await run(...failures.flatMap(({ name }) => ["--only", name]));
  }
  assert.deepEqual(failures.map(({ problem }) => problem), []);
}

const ALL = ["--limits", "--idle-wait", "20"];

Deno.test({
  name: "the program conforms to the protocol page on the embedded store",
  ...skipUnless("peer"),
  fn: () => conformance({}, ...ALL),
});

// The compiled program is the same code; that it opens MariaDB is seen in join_test.ts.
if (Deno.env.get("SECURECHAT_BINARY") === undefined) {
  Deno.test({
    name: "the program conforms to the protocol page on MariaDB",
    ...skipUnless("peer", "mariadb"),
    async fn() {
      await using mariadb = await startMariadb();
      const { host, port, user, password, name } = await mariadb.createDatabase();
      const address = { DB_HOST: host, DB_PORT: `${port}`, DB_USER: user, DB_PASSWORD: password, DB_NAME: name };
      await conformance(address, ...ALL);
    },
  });
}

Deno.test({
  name: "with ALLOW_V1=false the program conforms as a server of version 2 alone",
  ...skipUnless("peer"),
  fn: () =>
    conformance({ ALLOW_V1: "false" }, "--no-v1", "--only", "s3.", "--only", "s10.v1.session", "--only", "s8.v2"),
});
