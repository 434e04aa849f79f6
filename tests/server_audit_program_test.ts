import { assert } from "./assert.ts";
import { auditRows, eventually } from "./audit_rows.ts";
import { run, startServer, temporaryFolder } from "./environment.ts";
import type { Log, LogFields } from "../lib/logging.ts";
import { readConfig } from "../lib/config.ts";
import { exists } from "../lib/files.ts";
import { serve } from "../server.ts";
import { dialTcp, Person } from "./room_person.ts";
import { certificates, Client } from "./server.ts";

Deno.test("failed logins are warned of with address and e-mail, and rooms and codes have their rows", async () => {
  using folder = temporaryFolder();
  const said: [string, string, LogFields | undefined][] = [];
  const at = (level: string) => (text: string, fields?: LogFields) => void said.push([level, text, fields]);
  const log: Log = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  const settings: Record<string, string> = {
    ...{ SERVER_HOST: "127.0.0.1", SERVER_PORT: "0", CERT_DIR: await certificates() },
    ...{ DATA_DIR: folder.path, LOGIN_DELAY_MS: "0" },
  };
  const config = readConfig("serve", {}, { environment: (name) => settings[name], file: undefined });
  const server = await serve({ config, log });
  try {
    const ready = async () => {
      const client = await Client.open(server, true);
      client.connection.hello();
      await client.expect("ready");
      return client;
    };
    const ada = await ready();
    await ada.connection.register({ email: "ada@example.org", username: "ada", password: "correct horse" });
    await ada.expect("welcome");
    ada.connection.request({ type: "code", id: 1 });
    await ada.expect("frame");
    const policy = { mode: "recorded", history: "all", invite_only: false };
    ada.connection.request({ type: "create", room: "#ops", ...policy, id: 2 });
    await ada.expect("frame");
    ada.close();

    const wrong = await ready();
    await wrong.connection.login({ email: "ada@example.org", password: "wrong", salt: new Uint8Array(16) });
    assert.equal(await wrong.expectError(), "auth-failed");
    const [, , fields] = said.find(([level, text]) => level === "warn" && text === "login failed") ?? [];
    assert.equal(fields?.["address"], "127.0.0.1");
    assert.equal(fields?.["email"], "ada@example.org");
    await eventually(() => {
      const closed = said.find(([, text]) => text === "session closed");
      assert.equal(closed?.[2]?.["lines"], 0);
      assert(auditRows(folder.path).some((row) => /^room_created: localhost\/#ops\/[0-9a-f]{32} by ada$/.test(row)));
    });
    assert(auditRows(folder.path).includes("code_made: for a further device of ada"));
  } finally {
    await server.stop();
  }
});

Deno.test("a session says how many lines it brought into rooms, and a room that is closed has its row", async () => {
  using folder = temporaryFolder();
  const closed: unknown[] = [];
  const nothing = () => {};
  const info = (text: string, fields?: LogFields) => void (text === "session closed" && closed.push(fields?.["lines"]));
  const settings: Record<string, string> = {
    ...{ SERVER_HOST: "127.0.0.1", SERVER_PORT: "0", TLS_PORT: "off", CERT_DIR: await certificates() },
    DATA_DIR: `${folder.path}/data`,
  };
  const config = readConfig("serve", {}, { environment: (name) => settings[name], file: undefined });
  const server = await serve({ config, log: { debug: nothing, info, warn: nothing, error: nothing } });
  try {
    const dial = dialTcp(server);
    const [ada, bob] = [
      await Person.create("ada", { dir: folder.path, dial }),
      await Person.create("bob", { dir: folder.path, dial }),
    ];
    for (const { session } of [ada, bob]) await session.start();
    await ada.session.rooms.create("#ops");
    await ada.session.rooms.say("#ops", "one");
    await ada.session.rooms.say("#ops", "two");
    await ada.until(({ covered }) => covered === 3);
    for (const { session } of [ada, bob]) await session.stop();
    await eventually(() => assert.deepEqual(closed.toSorted(), [0, 3]));
  } finally {
    await server.stop();
  }
  const env = { DATA_DIR: settings["DATA_DIR"] ?? "" };
  const { status, stderr } = await run(["room", "close", "#ops", "--yes"], { cwd: folder.path, env });
  assert.equal(status, 0, stderr);
  assert.match(auditRows(env.DATA_DIR).at(-1) ?? "", /^room_closed: localhost\/#ops\/[0-9a-f]{32}$/);
});

Deno.test({
  name: "SIGHUP ends no server: it opens its log anew and reads its certificates, and revocations have their rows",
  ignore: Deno.build.os === "windows",
  async fn() {
    using folder = temporaryFolder();
    const [certs, data] = [`${folder.path}/certs`, `${folder.path}/data`];
    const made = await run(["init", "localhost", "--certs", certs]);
    assert.equal(made.status, 0, made.stderr);
    await using server = await startServer(["--certs", certs, "--data", data], { cwd: folder.path });
    const log = `${folder.path}/logs/server.log`;
    await Deno.rename(log, `${log}.moved`);
    server.child.kill("SIGHUP");
    await eventually(async () => assert.match(await Deno.readTextFile(log), /certificates were read again/));
    assert.equal((await run(["invite", "bob", "--certs", certs, "--data", data])).status, 0);
    assert.equal((await run(["cert", "revoke", `${certs}/client_cert.pem`, "--certs", certs, "--yes"])).status, 0);
    await eventually(() => {
      const rows = auditRows(data);
      assert(rows.some((row) => row.startsWith("code_made: an invitation for bob, until ")));
      assert.equal(rows.filter((row) => row.startsWith("certificate_revoked: serial number ")).length, 1);
    });
    assert.equal(await exists(`${log}.moved`), true);
    assert.equal((await server.stop()).status, 0);
  },
});
