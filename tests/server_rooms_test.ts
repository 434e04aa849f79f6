import { DatabaseSync } from "node:sqlite";
import { assert } from "./assert.ts";
import { type Bytes, encodeBase64 } from "../lib/bytes.ts";
import { parseAccount, parseWelcome } from "../lib/message.ts";
import { Client, withServer } from "./server.ts";

/** A client of a server with rooms, the credentials still to come. */
async function ready(server: { readonly port: number }): Promise<Client> {
  const client = await Client.open(server, true);
  client.connection.hello();
  await client.expect("ready");
  return client;
}

async function welcomed(client: Client): Promise<Bytes> {
  const event = await client.expect("welcome");
  assert.ok(event.type === "welcome" && event.username === "ada");
  return event.token;
}

const ADA = { email: "ada@example.org", username: "ada", password: "correct horse" };

Deno.test("a session with rooms is welcomed, binds its certificate, makes a room, and goes on with its token", async () => {
  await withServer({}, async (server) => {
    const first = await ready(server);
    await first.connection.register(ADA);
    const token = await welcomed(first);
    first.connection.request({ type: "join", room: "#nowhere", id: 1 });
    const refused = await first.expect("request refused");
    assert.ok(refused.type === "request refused" && refused.error.errorType === "no-room" && refused.id === 1);
    first.connection.request({
      type: "create",
      room: "#ops",
      mode: "recorded",
      history: "all",
      invite_only: false,
      id: 2,
    });
    const joined = await first.expect("frame");
    assert.ok(joined.type === "frame" && joined.frame.type === "joined" && joined.id === 2);
    assert.ok(joined.frame.origin.startsWith("localhost/#ops/"));
    first.connection.request({ type: "ping", id: 3 });
    const pong = await first.expect("frame");
    assert.ok(pong.type === "frame" && pong.frame.type === "pong" && pong.id === 3);
    first.close();

    const second = await ready(server);
    await second.connection.resume(token);
    const next = await welcomed(second);
    second.close();

    const third = await ready(server);
    await third.connection.resume(next);
    await welcomed(third);
    third.close();

    const late = await ready(server);
    await late.connection.resume(token);
    assert.equal(await late.expectError(), "auth-failed");
  });
});

Deno.test("a certificate that is bound to one account logs in to no other with rooms, and to any without", async () => {
  await withServer({ LOGIN_DELAY_MS: "0" }, async (server) => {
    const plain = await Client.inSession(server); // without rooms nothing is bound
    plain.close();
    const first = await ready(server);
    await first.connection.register(ADA);
    await welcomed(first);
    first.close();
    const second = await ready(server);
    await second.connection.register({ email: "bob@example.org", username: "bob", password: "correct horse" });
    assert.equal(await second.expectError(), "auth-failed");
    const without = await Client.inSession(server);
    without.close();
  });
});

Deno.test("many requests of one connection at once don't keep another's handshake waiting", async () => {
  await withServer({}, async (server, dir) => {
    const busy = await ready(server);
    await busy.connection.register(ADA);
    await welcomed(busy);
    for (let id = 0; id < 1_500; id++) busy.connection.request({ type: "code", id });
    (await ready(server)).close();
    using database = new DatabaseSync(`${dir}/data/securechat.db`);
    const made = Number(database.prepare("SELECT COUNT(*) AS count FROM codes").get()?.["count"]);
    assert.ok(made < 1_000, `${made} codes were made first`);
    busy.close();
  });
});

Deno.test("a password is changed with the old one, which ends the tokens of every other session", async () => {
  await withServer({ LOGIN_DELAY_MS: "0", LOGIN_FAILURES_PER_ACCOUNT: "3" }, async (server) => {
    const first = await ready(server);
    await first.connection.register(ADA);
    const token = await welcomed(first);
    first.connection.request({ type: "account", id: 1 });
    const account = await first.expect("frame");
    assert.ok(account.type === "frame" && account.frame.type === "account" && account.id === 1);
    const known = parseAccount(first.connection.open(account.frame.payload) ?? new Uint8Array());
    assert.ok(known);
    assert.equal(known.email, ADA.email);

    const change = (old: string, id: number) => {
      const sealed = first.connection.sealPasswordChange({ old, password: "garage-otter", salt: known.salt });
      first.connection.request({ type: "password", payload: encodeBase64(sealed), id });
    };
    change("wrong password", 2);
    const refused = await first.expect("request refused");
    assert.ok(refused.type === "request refused" && refused.error.errorType === "auth-failed" && refused.id === 2);
    change(ADA.password, 3);
    const changed = await first.expect("frame");
    assert.ok(changed.type === "frame" && changed.frame.type === "password_changed" && changed.id === 3);
    const next = parseWelcome(first.connection.open(changed.frame.payload) ?? new Uint8Array());
    first.close();

    const late = await ready(server);
    await late.connection.resume(token);
    assert.equal(await late.expectError(), "auth-failed");
    const resumed = await ready(server);
    await resumed.connection.resume(next?.token ?? new Uint8Array());
    await welcomed(resumed);
    resumed.close();
    for (const [password, answer] of [[ADA.password, "auth-failed"], ["garage-otter", "no error: welcome"]] as const) {
      const client = await ready(server);
      client.connection.askSalt(ADA.email);
      const salt = await client.expect("salt");
      assert.ok(salt.type === "salt");
      await client.connection.login({ ...ADA, password, salt: salt.salt });
      assert.equal(await client.expectError(), answer);
    }
  });
});

Deno.test("wrong old passwords in a session are counted as failed logins are, and its line stays up", async () => {
  await withServer({ LOGIN_DELAY_MS: "0", LOGIN_FAILURES_PER_ACCOUNT: "3" }, async (server) => {
    const client = await ready(server);
    await client.connection.register(ADA);
    await welcomed(client);
    const answers: string[] = [];
    for (let id = 0; id < 4; id++) {
      const change = { old: `guess ${id}`, password: "garage-otter", salt: new Uint8Array(16) };
      const payload = encodeBase64(client.connection.sealPasswordChange(change));
      client.connection.request({ type: "password", payload, id });
      const event = await client.expect("request refused");
      assert.ok(event.type === "request refused");
      answers.push(event.error.errorType);
    }
    assert.deepEqual(answers, ["auth-failed", "auth-failed", "auth-failed", "rate-limited"]);
    client.connection.request({ type: "ping", id: 9 });
    await client.expect("frame");
    client.close();
  });
});
