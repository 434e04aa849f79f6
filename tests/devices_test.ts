import { assert } from "./assert.ts";
import { Devices } from "../lib/devices.ts";
import { ProtocolError } from "../lib/errors.ts";
import { certificate, countingRandom, handClock } from "./fixtures.ts";
import { MemoryRoomStore } from "./memory_room_store.ts";

const shown = (digit: string) => ({ fingerprint: digit.repeat(64), pem: `certificate ${digit}` });
const ADA = { userId: 1, username: "user1", email: "user1@example.org" };
const BOB = { userId: 2, username: "user2", email: "user2@example.org" };
const INVITATION = { username: "user1", kind: "invitation", email: undefined } as const;

function bench() {
  const store = new MemoryRoomStore();
  const clock = handClock();
  const issued: string[] = [];
  const devices = new Devices({
    store,
    issue: (csr, username) => {
      issued.push(username);
      return Promise.resolve(csr.length === 1 ? shown(csr) : undefined);
    },
    now: clock.now,
    random: countingRandom(),
  });
  return { store, clock, devices, issued };
}

async function refusal(run: Promise<unknown>): Promise<string> {
  return await run.then(() => "taken", (error) => {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  });
}

Deno.test("an invitation brings one certificate, which registers its own name and no other, once", async () => {
  const { devices, issued } = bench();
  const { code } = await devices.makeCode(INVITATION, 1_000);
  assert.equal(await devices.certify(code, "a"), "certificate a");
  assert.deepEqual(issued, ["user1"]);
  assert.equal(await refusal(devices.certify(code, "b")), "auth-failed");
  assert.equal(await refusal(devices.checkRegistration(shown("a"), BOB)), "auth-failed");
  assert.equal(await refusal(devices.checkRegistration(shown("a"), { ...ADA, username: "USER1" })), "taken");
  await devices.bind(shown("a"), ADA);
  assert.equal(await refusal(devices.checkRegistration(shown("a"), ADA)), "auth-failed");
  assert.equal(await refusal(devices.checkLogin(shown("a"), ADA)), "taken");
  assert.equal(await refusal(devices.checkLogin(shown("a"), BOB)), "auth-failed");
});

Deno.test("a code for one e-mail address registers and enrols with that one alone; another costs nothing", async () => {
  const { devices } = bench();
  const { code } = await devices.makeCode({ ...INVITATION, email: ADA.email }, 1_000);
  await devices.certify(code, "a");
  const elsewhere = { ...ADA, email: "other@example.org" };
  assert.equal(await refusal(devices.checkRegistration(shown("a"), elsewhere)), "auth-failed");
  assert.equal(await refusal(devices.enrol(shown("a"), elsewhere, code)), "auth-failed");
  assert.equal(await refusal(devices.checkRegistration(shown("a"), ADA)), "taken");
  assert.equal(await refusal(devices.enrol(shown("a"), ADA, code)), "taken");
});

Deno.test("a code that has ended, or was never made, certifies nothing", async () => {
  const { devices, clock } = bench();
  const { code } = await devices.makeCode(INVITATION, 1_000);
  clock.advance(1_001);
  assert.equal(await refusal(devices.certify(code, "a")), "auth-failed");
  assert.equal(await refusal(devices.certify(new Uint8Array(16), "a")), "auth-failed");
});

Deno.test("a certificate whose code has ended registers nobody, whatever was swept away since", async () => {
  const { store, devices, clock } = bench();
  const { code } = await devices.makeCode({ ...INVITATION, email: ADA.email }, 1_000);
  await devices.certify(code, "a");
  clock.advance(1_000);
  await store.dropExpired(clock.now());
  for (const who of [ADA, BOB]) assert.equal(await refusal(devices.checkRegistration(shown("a"), who)), "auth-failed");
  const next = await devices.makeCode(INVITATION, 1_000);
  await devices.certify(next.code, "b");
  assert.equal(await refusal(devices.checkRegistration(shown("b"), ADA)), "taken");
});

Deno.test("a request that can't be signed leaves the code good", async () => {
  const { devices } = bench();
  const { code } = await devices.makeCode(INVITATION, 1_000);
  assert.equal(await refusal(devices.certify(code, "not a request")), "bad-cert");
  assert.equal(await refusal(devices.certify(code, "a")), "taken");
});

Deno.test("a further device enrols with a code of its own account, once", async () => {
  const { devices } = bench();
  await devices.bind(shown("a"), ADA);
  const { code } = await devices.makeCode({ ...INVITATION, kind: "device" }, 1_000);
  assert.equal(await refusal(devices.enrol(shown("b"), BOB, code)), "auth-failed");
  assert.equal(await refusal(devices.checkLogin(shown("b"), ADA)), "auth-failed");
  assert.equal(await refusal(devices.enrol(shown("a"), ADA, code)), "auth-failed", "which leaves the code good");
  assert.equal(await refusal(devices.enrol(shown("b"), ADA, code)), "taken");
  assert.equal(await refusal(devices.checkLogin(shown("b"), ADA)), "taken");
  assert.equal(await refusal(devices.enrol(shown("c"), ADA, code)), "auth-failed");
});

Deno.test("a token resumes its own certificate's session for a day, until the next one is used", async () => {
  const { devices, clock } = bench();
  await devices.bind(shown("a"), ADA);
  await devices.bind(shown("b"), ADA);
  const first = await devices.makeToken(shown("a"), ADA);
  assert.equal(await refusal(devices.resume(shown("b"), first)), "auth-failed");
  assert.equal((await devices.resume(shown("a"), first)).userId, 1);
  clock.advance(1);
  const second = await devices.makeToken(shown("a"), ADA);
  assert.equal(
    await refusal(devices.resume(shown("a"), first)),
    "taken",
    "the answer with the next may have been lost",
  );
  clock.advance(1);
  const third = await devices.makeToken(shown("a"), ADA);
  assert.equal(await refusal(devices.resume(shown("a"), second)), "taken", "that an older one was used ends none");
  assert.equal(await refusal(devices.resume(shown("a"), first)), "auth-failed");
  assert.equal(await refusal(devices.resume(shown("a"), third)), "taken");
  assert.equal(await refusal(devices.resume(shown("a"), second)), "auth-failed");
  clock.advance(24 * 3_600_000 + 1);
  assert.equal(await refusal(devices.resume(shown("a"), third)), "auth-failed");
});

Deno.test("a logout ends every token of the certificate", async () => {
  const { devices } = bench();
  await devices.bind(shown("a"), ADA);
  const token = await devices.makeToken(shown("a"), ADA);
  await devices.logout(shown("a").fingerprint);
  assert.equal(await refusal(devices.resume(shown("a"), token)), "auth-failed");
});

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** A certificate that is shown, good for so many days from now. */
async function shownFor(days: number, now: number) {
  const { fingerprint, pem } = await certificate("client", { role: "client", name: "user1" }, { now, days });
  return { fingerprint, pem };
}

Deno.test("a certificate is renewed in the last 31 days of its life, and its successor is the same account's", async () => {
  const { devices, clock } = bench();
  const own = await shownFor(365, clock.now());
  clock.advance(334 * DAY - 1_000);
  assert.equal(await refusal(devices.renew("d", ADA, own)), "forbidden");
  clock.advance(1_000);
  assert.equal((await devices.renew("d", ADA, own)).pem, "certificate d");
  assert.equal(await refusal(devices.checkLogin(shown("d"), ADA)), "taken");
});

Deno.test("a certificate with a short life is renewed in the last third of it", async () => {
  const { devices, clock } = bench();
  const own = await shownFor(30, clock.now());
  clock.advance(20 * DAY - HOUR);
  assert.equal(await refusal(devices.renew("d", ADA, own)), "forbidden");
  clock.advance(HOUR);
  assert.equal(await refusal(devices.renew("d", ADA, own)), "taken");
});

Deno.test("a certificate has five successors and no more; a request that can't be signed is none", async () => {
  const { devices, clock, issued } = bench();
  const own = await shownFor(3, clock.now());
  clock.advance(2 * DAY);
  for (let i = 0; i < 9; i++) assert.equal(await refusal(devices.renew("not a request", ADA, own)), "bad-cert");
  const all = await Promise.all([..."abcdefgh"].map((csr) => refusal(devices.renew(csr, ADA, own))));
  assert.deepEqual(all, [...Array(5).fill("taken"), ...Array(3).fill("rate-limited")]);
  assert.equal(issued.length, 9 + 5);
});
