/**
 * A real MariaDB for tests: a server process of our own, on a free port of the loopback and a folder that goes away.
 *
 *     await using mariadb = await startMariadb();
 *     const address = await mariadb.createDatabase();        // what openMysqlStore() takes
 *     await mariadb.stop();                                   // the database is down …
 *     await mariadb.start();                                  // … and back, on the same port with the same data
 *
 * A test that uses it says `...skipUnless("mariadb")` (environment.ts).
 */

import type { MysqlAddress } from "../lib/store_mysql.ts";
import { mariadbd, runCommand } from "./environment.ts";

/** A database server that a test may stop. */
export interface Mariadb extends AsyncDisposable {
  readonly port: number;
  /** Makes an empty database with a user of its own, who may do everything in it. */
  createDatabase(name?: string): Promise<MysqlAddress>;
  /** Runs statements as the administrator, as `mysql < file` would; the rows as text, columns parted by tabs. */
  sql(statements: string, database?: string): Promise<string>;
  /** Ends it at once, as a crash would. */
  stop(): Promise<void>;
  /** Starts it again, unless it runs. */
  start(): Promise<void>;
  /** Halts the process without ending it, so that it accepts connections and says nothing; `thaw` lets it go on. */
  freeze(): void;
  thaw(): void;
}

/** A password with everything that may trip an URL, an SQL string or a log. */
const PASSWORD = "p'a\\ss:w@rd/ü%";

let databases = 0;

/** Starts a server on an empty folder, with further options. */
export async function startMariadb(...options: readonly string[]): Promise<Mariadb> {
  const folder = await Deno.makeTempDir({ prefix: "securechat_mariadb_" });
  const socket = `${folder}/socket`;
  const port = freePort();
  const asRoot = Deno.uid() === 0 ? ["--user=root"] : [];
  const common = ["--no-defaults", `--datadir=${folder}/data`, ...asRoot];
  const installed = await runCommand("mariadb-install-db", [
    ...common,
    "--auth-root-authentication-method=normal",
    "--skip-test-db",
  ], { cwd: folder });
  if (installed.status !== 0) throw new Error(`mariadb-install-db failed: ${installed.stdout}${installed.stderr}`);

  let server: Deno.ChildProcess | undefined;
  const sql = async (statements: string, database?: string) => {
    const { status, stdout, stderr } = await runCommand("mariadb", [
      "--no-defaults",
      "--default-character-set=utf8mb4",
      "--batch",
      "--skip-column-names",
      `--socket=${socket}`,
      "--user=root",
      ...(database === undefined ? [] : [database]),
    ], { stdin: statements });
    if (status !== 0) throw new Error(stderr.trim());
    return stdout;
  };
  const start = async () => {
    if (server) return;
    server = new Deno.Command(mariadbd() ?? "mariadbd", {
      args: [
        ...common,
        `--socket=${socket}`,
        `--port=${port}`,
        "--bind-address=127.0.0.1",
        `--pid-file=${folder}/pid`,
        // Small and quick: what is committed survives the process, and no test cuts the power.
        "--innodb-buffer-pool-size=16M",
        "--innodb-flush-log-at-trx-commit=2",
        "--innodb-flush-method=nosync",
        "--skip-log-bin",
        // Defaults that the store must not depend on.
        "--default-time-zone=+05:30",
        "--character-set-server=latin1",
        "--sql-mode=",
        ...options,
      ],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    for (let tries = 0;; tries++) {
      const ready = await sql("SELECT 1").catch((error: Error) => error);
      if (!(ready instanceof Error)) return;
      if (tries === 300) throw new Error(`MariaDB did not start: ${ready.message}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  const stop = async () => {
    server?.kill("SIGKILL");
    await server?.status;
    server = undefined;
  };
  await start();
  return {
    port,
    sql,
    start,
    stop,
    freeze: () => server?.kill("SIGSTOP"),
    thaw: () => server?.kill("SIGCONT"),
    async createDatabase(name = `securechat_${++databases}`) {
      const user = `user_${name}`;
      const password = PASSWORD.replace(/['\\]/g, "\\$&");
      await sql(`
        CREATE DATABASE IF NOT EXISTS ${name};
        CREATE USER IF NOT EXISTS ${user}@'%' IDENTIFIED BY '${password}';
        GRANT ALL ON ${name}.* TO ${user}@'%';
      `);
      return { host: "127.0.0.1", port, user, password: PASSWORD, name };
    },
    async [Symbol.asyncDispose]() {
      await stop();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
