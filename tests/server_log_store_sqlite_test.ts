import { temporaryFolder } from "./environment.ts";
import { testLogStore } from "./server_log_store_contract.ts";
import { openSqliteStore } from "../lib/store_sqlite.ts";

testLogStore("SQLite", async () => {
  const folder = temporaryFolder();
  const store = await openSqliteStore(folder.path);
  return {
    store,
    async [Symbol.asyncDispose]() {
      await store.close();
      folder[Symbol.dispose]();
    },
  };
});
