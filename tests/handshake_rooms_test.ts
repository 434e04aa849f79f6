import { assert } from "./assert.ts";
import { encodeUtf8 } from "../lib/bytes.ts";
import { ProtocolError } from "../lib/errors.ts";
import type { Channel } from "../lib/handshake_server.ts";
import { identities } from "./fixtures.ts";
import { Pair } from "./pair.ts";

async function refusal(run: () => Promise<unknown>): Promise<string> {
  try {
    await run();
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
  return "nothing was refused";
}

/** A pair whose client asks for rooms. */
async function pairOver(channel: Channel, rooms = true): Promise<Pair> {
  const pair = await Pair.create({ client: { rooms }, server: { channel } });
  await pair.open();
  return pair;
}

const TOKEN = new Uint8Array(32).fill(5);

Deno.test("rooms are served over TLS and on the loopback to who asks for them, and to nobody else", async () => {
  for (
    const [channel, rooms, has] of [
      ["tls", true, true],
      ["loopback", true, true],
      ["plain", true, false],
      ["tls", false, false],
    ] as const
  ) {
    const pair = await pairOver(channel, rooms);
    assert.equal(pair.server.hasRooms, has, `${channel} ${rooms}`);
    assert.equal(pair.client.hasRooms, has);
    assert.equal(pair.flow[1]?.includes('"rooms":1'), has);
  }
});

Deno.test("a session with rooms begins with a welcome that only its client can read", async () => {
  const pair = await pairOver("tls");
  assert.notEqual(pair.clientEvents.at(-1)?.type, "session");
  pair.server.welcome({ username: "ada", token: TOKEN, limits: {}, log: undefined });
  await pair.run();
  assert.deepEqual(pair.clientEvents.at(-1), {
    ...{ type: "welcome", username: "ada", token: TOKEN, log: undefined, logSeconds: undefined },
  });
  assert.ok(!pair.flow.at(-1)?.includes("ada"));
});

Deno.test("requests and answers carry an id both ways, and a refusal ends nothing", async () => {
  const pair = await pairOver("loopback");
  pair.server.welcome({ username: "ada", token: TOKEN, limits: {}, log: undefined });
  await pair.run();
  pair.client.request({ type: "history", room: "#ops", from: 0, count: 10, id: 7 });
  await pair.run();
  assert.deepEqual(pair.serverEvents.at(-1), {
    type: "request",
    request: { type: "history", room: "#ops", from: 0, count: 10 },
    id: 7,
  });
  pair.server.refuseRequest(new ProtocolError("no-room", "There is no such room."), 7);
  pair.server.answer({ type: "history_end", room: "#ops", next: 4 }, 8);
  await pair.run();
  const [refused, answered] = pair.clientEvents.slice(-2);
  assert.ok(refused?.type === "request refused" && refused.error.errorType === "no-room" && refused.id === 7);
  assert.deepEqual(answered, { type: "frame", frame: { type: "history_end", room: "#ops", next: 4 }, id: 8 });
  assert.equal(pair.client.state, "session");
});

Deno.test("enrol and resume stand where login does, in sessions with rooms alone", async () => {
  for (const channel of ["tls", "plain"] as const) {
    for (const type of ["enrol", "resume"] as const) {
      const pair = await Pair.create({ client: { rooms: true }, server: { channel } });
      pair.client.hello();
      await pair.run();
      if (type === "resume") await pair.client.resume(TOKEN);
      else {
        await pair.client.enrol({
          email: "ada@example.org",
          password: "correct horse",
          salt: new Uint8Array(16),
          code: new Uint8Array(16).fill(9),
        });
      }
      assert.equal(await refusal(() => pair.run()), channel === "tls" ? "nothing was refused" : "unexpected");
      if (channel === "plain") continue;
      const event = pair.serverEvents.find((one) => one.type === "credentials");
      assert.ok(event?.type === "credentials" && event.credentials.type === type);
      assert.equal(pair.server.state, "session");
    }
  }
});

Deno.test("somebody without a certificate gets the CA's on any port, and one of their own over TLS alone", async () => {
  const asking = await Pair.create();
  asking.client.askAuthority();
  await asking.run();
  const [event] = asking.clientEvents;
  assert.ok(event?.type === "authority" && event.pem.startsWith("-----BEGIN CERTIFICATE-----"));
  assert.equal(event.chain, (await identities()).server.pem);
  assert.equal(asking.server.state, "ended");

  for (const channel of ["tls", "loopback", "plain"] as const) {
    const pair = await Pair.create({ server: { channel } });
    pair.client.askCertificate({ code: new Uint8Array(16).fill(9), csr: "a request" });
    assert.equal(await refusal(() => pair.run()), channel === "tls" ? "nothing was refused" : "unexpected", channel);
    if (channel !== "tls") continue;
    assert.ok(pair.serverEvents[0]?.type === "certificate_request" && pair.serverEvents[0].csr === "a request");
    pair.server.answerCertificate({ pem: "a certificate", email: "ada@example.org" });
    await pair.run();
    assert.deepEqual(pair.clientEvents, [
      { type: "certificate", pem: "a certificate", email: "ada@example.org" },
    ]);
  }
});

Deno.test("the table's own names are never types of frames", async () => {
  for (const type of ["send hello", "room request"]) {
    const pair = await pairOver("tls");
    pair.inject(encodeUtf8(`{"type":"${type}"}\n`), "server");
    assert.equal(await refusal(() => pair.run()), "unexpected", type);
  }
  for (const type of ["send quit", "room frame", "request"]) {
    const pair = await pairOver("tls");
    pair.inject(encodeUtf8(`{"type":"${type}"}\n`), "client");
    assert.equal(await refusal(() => pair.run()), "unexpected", type);
  }
});
