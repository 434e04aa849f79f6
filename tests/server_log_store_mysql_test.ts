import { skipUnless } from "./environment.ts";
import { type Mariadb, startMariadb } from "./mariadb.ts";
import { testLogStore } from "./server_log_store_contract.ts";
import { openMysqlStore } from "../lib/store_mysql.ts";

/** The server outlives the tests that start it, and mysql2 lets go of its sockets a moment after `close()`. */
const options = { ...skipUnless("mariadb"), sanitizeOps: false, sanitizeResources: false };

/** One server for all tests of this file, started by the first that asks. */
let running: Promise<Mariadb> | undefined;
Deno.test.afterAll(async () => await (await running)?.[Symbol.asyncDispose]());

testLogStore("MySQL", async () => {
  const store = await openMysqlStore(await (await (running ??= startMariadb())).createDatabase());
  return { store, [Symbol.asyncDispose]: () => store.close() };
}, options);
