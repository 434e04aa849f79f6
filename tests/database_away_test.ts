import { assert } from "./assert.ts";
import { skipUnless } from "./environment.ts";
import { startMariadb } from "./mariadb.ts";
import { Client, withServer } from "./server.ts";

Deno.test({
  name: "a database that goes away refuses logins, lets sessions go on, and gets every audit row when it is back",
  ...skipUnless("mariadb"),
  fn: async () => {
    await using mariadb = await startMariadb();
    const { user, password, name } = await mariadb.createDatabase();
    const settings = {
      DB_HOST: "127.0.0.1",
      DB_PORT: String(mariadb.port),
      DB_USER: user,
      DB_PASSWORD: password,
      DB_NAME: name,
    };
    await withServer(settings, async (server) => {
      const open = await Client.inSession(server);
      await open.say("before");

      await mariadb.stop();
      const refused = await Client.registering(server);
      assert.equal(await refused.expectError(), "server-error");
      await open.say("meanwhile");
      await open.connection.quit();
      await open.expect("receipt");

      await mariadb.start();
      const again = await Client.inSession(server);
      await again.say("after");
      again.close();
      await server.stop();

      const rows = await mariadb.sql("SELECT event_type FROM audit_log ORDER BY id", name);
      assert.equal(rows.match(/^registration$/gm)?.length, 2, rows);
      assert.equal(rows.match(/^registration_failure$/gm)?.length, 1, rows);
      const sessions = await mariadb.sql("SELECT message_count, ended_at IS NULL FROM sessions ORDER BY id", name);
      assert.match(sessions, /2\t0\n1\t0/);
    });
  },
});
