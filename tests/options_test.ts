/** What the library's functions are given: an option of another name would be one that nobody heeds. */

import { chat } from "../client.ts";
import type { ChatOptions } from "../lib/client_chat.ts";
import { readConfig } from "../lib/config.ts";
import type { Log } from "../lib/logging.ts";
import { verify } from "../lib/verify.ts";
import { verifyLineProof, verifyRoom } from "../lib/verify_room.ts";
import { serve } from "../server.ts";
import { assert } from "./assert.ts";
import { evidenceCase } from "./evidence.ts";
import { identities } from "./fixtures.ts";

const { receipt, transcript } = evidenceCase("session");
const { client: identity, trust } = await identities();

/** Holds a call to throwing a TypeError that names the option, whatever else of what it was given makes sense. */
async function refuses(name: string, call: () => Promise<unknown>): Promise<void> {
  await assert.rejects(
    async () => await call(),
    (error) => error instanceof TypeError && error.message.includes(` no option ${name};`),
    name,
  );
}

Deno.test("verify() refuses what it doesn't know in evidence, trust and every part of its options", async () => {
  const call = (evidence: object, more: object, options: object) =>
    verify({ receipt, lines: [transcript], ...evidence }, { ...trust, ...more } as typeof trust, options);
  const session = { role: "server", signer: "", now: 0 };
  await refuses("line", () => call({ line: [] }, {}, {}));
  await refuses("revoked", () => call({}, { revoked: [] }, {}));
  await refuses("requireV2", () => call({}, {}, { policy: { requireV2: true } }));
  await refuses("at", () => call({}, {}, { policy: { session: { ...session, at: 0 } } }));
  await refuses("peer", () => call({}, {}, { policy: { session: { ...session, identity: { peer: "" } } } }));
  await assert.rejects(
    () => call({}, {}, { policy: { session: { ...session, now: 0.5 } } }),
    (error) => error instanceof TypeError && /now .* whole milliseconds/.test(error.message),
  );
});

Deno.test("verifyRoom() and verifyLineProof() refuse what they don't know in evidence, trust and options", async () => {
  const wrong = { ...trust, crl: [] };
  await refuses("opening", () => verifyRoom({ receipt, lines: [], ...{ opening: [] } }, trust));
  await refuses("crl", () => verifyRoom({ receipt, lines: [] }, wrong));
  await refuses("crl", () => verifyLineProof("{}", wrong));
  await refuses("policy", () => verifyLineProof("{}", trust, { at: 0, ...{ policy: {} } }));
});

Deno.test("serve() refuses an option and a setting that it doesn't know", async () => {
  const config = readConfig("serve", {}, { environment: () => undefined, file: undefined });
  const log = {} as Log;
  await refuses("port", () => serve({ config, log, ...{ port: 1 } }));
  await refuses("MAX_CONECTIONS", () => serve({ config: { ...config, ...{ MAX_CONECTIONS: 1 } }, log }));
});

Deno.test("chat() refuses an option that it doesn't know, before it connects anywhere", async () => {
  const options = {
    ...{ host: "localhost", port: 1, identity, trust: () => Promise.resolve(trust), allowV1: false },
    ...{ handshakeTimeout: 1, answerTimeout: 1, warnDays: 1, transcripts: "nowhere", show: () => {}, now: () => 0 },
    account: { type: "login", email: "ada@example.org", password: "secret" },
    input: (async function* () {})(),
    random: (size: number) => new Uint8Array(size),
    dial: () => Promise.reject(new Error("it connects")),
  } as const satisfies ChatOptions;
  await refuses("tls", () => chat({ ...options, ...{ tls: true } }));
  const account = { ...options.account, ...{ user: "ada" } };
  await refuses("user", () => chat({ ...options, account }));
});
