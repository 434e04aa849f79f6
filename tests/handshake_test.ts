import { assert } from "./assert.ts";
import { type Bytes, encodeBase64, encodeUtf8, parseUtf8 } from "../lib/bytes.ts";
import { GROUP_14, GROUP_2 } from "../lib/dh.ts";
import { ProtocolError } from "../lib/errors.ts";
import { PeerError } from "../lib/handshake_client.ts";
import type { JsonObject } from "../lib/json.ts";
import { verify } from "../lib/verify.ts";
import { fixedClock, identities } from "./fixtures.ts";
import { type Chunks, Pair, type Tamper } from "./pair.ts";

/** Runs until one side refuses; the code, whichever side it was. */
async function refusal(run: () => Promise<unknown>): Promise<string> {
  try {
    await run();
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
  return "nothing was refused";
}

/** Changes the text of the first frame of a type. */
function edit(type: string, change: (text: string) => string): Tamper {
  let done = false;
  return (bytes) => {
    const text = parseUtf8(bytes) ?? "";
    if (done || !text.startsWith(`{"type":"${type}"`)) return bytes;
    done = true;
    return encodeUtf8(change(text));
  };
}

for (const chunks of ["whole", "single bytes", "odd pieces"] satisfies Chunks[]) {
  Deno.test(`a session runs from hello to receipt over a link that hands on ${chunks}`, async () => {
    const pair = await Pair.create({ chunks });
    await pair.open();
    await pair.client.sendText("one");
    await pair.client.sendText("two");
    await pair.run();
    await pair.client.quit();
    await pair.run();
    assert.deepEqual(pair.clientEvents.map(({ type }) => type), [
      "ready",
      "session",
      "acknowledged",
      "acknowledged",
      "receipt",
    ]);
    assert.deepEqual(pair.serverEvents.flatMap((event) => event.type === "message" ? [event.text] : []), [
      "one",
      "two",
    ]);
    assert.equal(pair.server.summary?.hash(), pair.client.summary.hash());
    assert.equal(pair.server.session, pair.client.session);
    assert.equal(pair.client.state, "ended");
    assert.equal(pair.server.state, "ended");
  });
}

Deno.test("both key agreements of version 2 use group 14 and are signed", async () => {
  const pair = await Pair.create();
  await pair.open();
  const frames = pair.flow.filter((line) => line.includes('"type":"dh_'));
  assert.equal(frames.length, 4);
  for (const frame of frames) {
    assert.ok(frame.includes('"sig":"'), frame);
    if (frame.startsWith("C>")) assert.ok(frame.includes(`"p":${GROUP_14.prime},`));
  }
});

Deno.test("version 1 uses the smaller group for credentials, no signatures, and random IVs", async () => {
  const pair = await Pair.create({
    client: { allowV1: true },
    tamper: edit("hello", (text) => text.replace(',"v":2', "")),
  });
  await pair.open();
  const [first, , second] = pair.flow.filter((line) => line.includes('"type":"dh_'));
  assert.ok(first?.includes(`"p":${GROUP_2.prime},`));
  assert.ok(second?.includes(`"p":${GROUP_14.prime},`));
  assert.ok(!pair.flow.some((line) => line.includes('"type":"dh_') && line.includes('"sig"')));
  assert.equal(pair.server.session, undefined);
  await pair.client.sendText("one");
  await pair.run();
  assert.equal(pair.clientEvents.at(-1)?.type, "acknowledged");
});

Deno.test("a client refuses a server that strips version 2, unless it was told to take version 1", async () => {
  const pair = await Pair.create({ tamper: edit("hello", (text) => text.replace(',"v":2', "")) });
  assert.equal(await refusal(() => pair.open()), "proof-fail");
});

Deno.test("a server that allows no version 1 answers such a hello with proof-fail", async () => {
  const pair = await Pair.create({
    server: { allowV1: false },
    tamper: edit("hello", (text) => text.replace(',"v":2', "")),
  });
  assert.equal(await refusal(() => pair.open()), "proof-fail");
});

Deno.test("a change to any handshake frame on its way is refused by whoever gets it", async () => {
  const spoilSignature = (text: string) =>
    text.replace(/"sig":"(.)/, (_, first) => `"sig":"${first === "A" ? "B" : "A"}`);
  const changes: [string, (text: string) => string, string][] = [
    ["hello", (text) => text.replace('"nonce":"', '"x":1,"nonce":"'), "proof-fail"],
    ["server_hello", (text) => text.replace('"nonce":"', '"x":1,"nonce":"'), "proof-fail"],
    ["dh_client", spoilSignature, "proof-fail"],
    ["dh_server", spoilSignature, "proof-fail"],
    ["dh_client", (text) => text.replace(/"A":\d+/, '"A":1'), "dh-error"],
    ["dh_client", (text) => text.replace(/"A":\d+/, '"A":5'), "proof-fail"],
    ["dh_client", (text) => text.replace(/"A":\d+/, '"A":-5'), "bad-frame"],
    ["dh_client", (text) => text.replace(/"p":\d+/, `"p":${GROUP_2.prime}`), "dh-error"],
    ["dh_server", (text) => text.replace(/"B":\d+/, `"B":${GROUP_14.prime - 1n}`), "dh-error"],
    ["register", (text) => text.replace('"payload":"', '"payload":"AAAA'), "bad-frame"],
  ];
  for (const [type, change, code] of changes) {
    const pair = await Pair.create({ tamper: edit(type, change) });
    assert.equal(await refusal(() => pair.open()), code, type);
  }
});

Deno.test("empty lines are no frames and no part of what is signed", async () => {
  const pair = await Pair.create();
  pair.inject(encodeUtf8("\n\r\n"), "server");
  await pair.open();
  assert.equal(pair.server.session, pair.client.session);
});

Deno.test("whatever is wrong in a payload gets one and the same answer", async () => {
  const reasons = new Set<string>();
  for (const payload of [new Uint8Array(16), new Uint8Array(47), new Uint8Array(64)]) {
    const pair = await Pair.create({
      tamper: edit("register", (text) => text.replace(/"payload":"[^"]*"/, `"payload":"${encodeBase64(payload)}"`)),
    });
    try {
      await pair.open();
    } catch (error) {
      assert.ok(error instanceof ProtocolError && error.code === "bad-frame");
      reasons.add(error.message);
    }
  }
  assert.equal(reasons.size, 1);
});

Deno.test("a server takes three salt requests and not a fourth", async () => {
  const pair = await Pair.create();
  pair.client.hello();
  await pair.run();
  for (let i = 0; i < 3; i++) {
    pair.client.askSalt("ada@example.org");
    await pair.run();
  }
  assert.equal(pair.clientEvents.filter(({ type }) => type === "salt").length, 3);
  pair.client.askSalt("ada@example.org");
  assert.equal(await refusal(() => pair.run()), "unexpected");
});

Deno.test("frames that a state doesn't take are unexpected, and the connection fails for good", async () => {
  for (const type of ["msg", "dh_client", "quit", "server_hello", "nonsense", "__proto__"]) {
    const pair = await Pair.create();
    pair.inject(encodeUtf8(`{"type":"${type}"}\n`), "server");
    assert.equal(await refusal(() => pair.run()), "unexpected", type);
    assert.equal(pair.server.state, "failed");
    pair.client.hello();
    await pair.run();
    assert.deepEqual(pair.serverEvents, []);
  }
});

Deno.test("a peer's own certificate is not taken from the other side", async () => {
  const pair = await Pair.create({
    tamper: (bytes, to) => {
      const text = parseUtf8(bytes) ?? "";
      if (to !== "client" || !text.startsWith('{"type":"server_hello"')) return bytes;
      const own = JSON.parse(pair.flow[0]?.slice(3) ?? "{}").client_cert;
      return encodeUtf8(text.replace(/"server_cert":"[^"]*"/, `"server_cert":${JSON.stringify(own)}`));
    },
  });
  assert.equal(await refusal(() => pair.open()), "bad-cert");
});

Deno.test("an error frame of the server throws its words, and none is answered", async () => {
  const pair = await Pair.create();
  pair.client.hello();
  const sent = pair.flow.length;
  pair.inject(encodeUtf8('{"type":"error","error_type":"busy","reason":"Come back."}\n'), "client");
  await assert.rejects(
    async () => {
      for (const event of [await pair.client.next()]) assert.equal(event, undefined);
      pair.client.receive(encodeUtf8('{"type":"error","error_type":"busy","reason":"Come back."}\n'));
      await pair.client.next();
    },
    (error) => error instanceof PeerError && error.frame.errorType === "busy" && error.message === "Come back.",
  );
  assert.equal(pair.flow.length, sent);
});

/** Frames of the server's that the client must not take in a session. */
async function refusedByClient(frames: (lines: Bytes) => Bytes[]): Promise<string> {
  const pair = await Pair.create({
    tamper: (bytes, to) => to === "client" && parseUtf8(bytes)?.includes('"msg_ack"') ? undefined : bytes,
  });
  await pair.open();
  await pair.client.sendText("one");
  await pair.run();
  for (const frame of frames(new Uint8Array())) pair.inject(frame, "client");
  return await refusal(() => pair.run());
}

Deno.test("a client refuses acknowledgements that aren't due, and a receipt before its quit", async () => {
  const ack = (seqno: number) => encodeUtf8(`{"type":"msg_ack","seqno":${seqno},"received_at":1}\n`);
  assert.equal(await refusedByClient(() => [ack(1)]), "unexpected");
  assert.equal(await refusedByClient(() => [ack(0), ack(0)]), "unexpected");
  assert.equal(await refusedByClient(() => [encodeUtf8('{"type":"receipt","data":{}}\n')]), "unexpected");
  assert.equal(await refusedByClient(() => [ack(0)]), "nothing was refused");
});

Deno.test("a stale message is refused alone: the session, the sequence and the transcript go on", async () => {
  let offset = 301_000;
  const pair = await Pair.create({ client: { now: () => fixedClock() + offset } });
  await pair.open();
  await pair.client.sendText("too far ahead");
  await pair.client.sendText("too far ahead as well");
  offset = 0;
  await pair.client.sendText("in time");
  await pair.run();
  offset = -301_000;
  await pair.client.sendText("too late");
  await pair.run();
  offset = 0;
  await pair.client.sendText("again in time");
  await pair.run();
  const answers = pair.clientEvents.flatMap((event) =>
    event.type === "acknowledged" || event.type === "refused" ? [`${event.type} ${event.message.seqno}`] : []
  );
  assert.deepEqual(answers, ["refused 0", "refused 1", "acknowledged 2", "refused 3", "acknowledged 3"]);
  await pair.client.quit();
  await pair.run();
  assert.equal(pair.server.summary?.count, 2);
  assert.equal(pair.server.summary?.hash(), pair.client.summary.hash());
});

Deno.test("the client's receipt is checked against what the server accepted", async () => {
  const pair = await Pair.create();
  await pair.open();
  await pair.client.sendText("one");
  await pair.run();
  const receipt = await pair.client.makeReceipt();
  const wrong: JsonObject[] = [
    { ...receipt, message_count: 2 },
    { ...receipt, created_at: "2020-01-01T00:00:00Z" },
    { ...receipt, session: "0".repeat(64) },
    { ...receipt, peer: "server" },
    { ...receipt, signature: receipt["statement_signature"] ?? null },
    {},
  ];
  for (const data of [receipt, ...wrong]) pair.client.sendReceipt(data);
  await pair.run();
  const problems = pair.serverEvents.flatMap((event) => event.type === "receipt" ? [event.problem] : []);
  assert.equal(problems.length, 7);
  assert.equal(problems[0], undefined);
  for (const problem of problems.slice(1)) assert.notEqual(problem, undefined);
});

Deno.test("receipts of both sides verify where a clock was set back before they were made", async () => {
  for (const side of ["client", "server"] as const) {
    let offset = 0;
    const pair = await Pair.create({ [side]: { now: () => fixedClock() + offset } });
    await pair.open();
    await pair.client.sendText("before the clock was set");
    await pair.run();
    offset = -3_600_000;
    await pair.client.quit();
    await pair.run();
    const lines = pair.serverEvents.flatMap((event) => event.type === "message" ? [event.line] : []);
    const theirs = pair.clientEvents.flatMap((event) => event.type === "receipt" ? [event.receipt] : []);
    const { trust } = await identities();
    for (const receipt of [...theirs, await pair.client.makeReceipt()]) {
      const { result, sentence } = await verify({ receipt, lines }, trust);
      assert.equal(result, "valid", `${side}: ${sentence}`);
    }
    assert.equal(theirs.length, 1);
  }
});
