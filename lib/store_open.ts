/**
 * The database that the settings name: opened for the server, or by a command beside it.
 *
 * @layer outside
 */

import { type Config, databaseOf } from "./config.ts";
import { EXIT, Failure } from "./errors.ts";
import { exists } from "./files.ts";
import { PROGRAM } from "./program.ts";
import type { ServerStore } from "./server_store.ts";

/** Opens the database that the settings name. Failure (5) if it can't be used. */
export async function openStore(config: Config): Promise<ServerStore> {
  const database = databaseOf(config);
  // Only one of both is loaded.
  if (database.kind === "sqlite") return await (await import("./store_sqlite.ts")).openSqliteStore(config.DATA_DIR);
  return await (await import("./store_mysql.ts")).openMysqlStore(database);
}

/** Opens the database of a server that is there, for a command beside it: a new, empty one would be of no use. */
export async function openServersStore(config: Config): Promise<ServerStore> {
  const path = `${config.DATA_DIR}/securechat.db`;
  if (databaseOf(config).kind === "sqlite" && !await exists(path)) {
    throw new Failure(
      EXIT.usage,
      `there is no ${path}: name the server's folder with --data, or start the server once: ${PROGRAM} serve`,
    );
  }
  return await openStore(config);
}
