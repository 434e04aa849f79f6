import { assert } from "./assert.ts";
import { Devices, type DevicesOptions, KeptForInvitation } from "../lib/server_devices.ts";
import { ProtocolError } from "../lib/errors.ts";
import { certificate, countingRandom, handClock } from "./fixtures.ts";
import { parseCertificates } from "../lib/x509.ts";
import { MemoryRoomStore } from "./memory_room_store.ts";

const shown = (digit: string) => ({ fingerprint: digit.repeat(64), pem: `certificate ${digit}` });
const ADA = { userId: 1, username: "user1", email: "user1@example.org" };
const BOB = { userId: 2, username: "user2", email: "user2@example.org" };
const INVITATION = { username: "user1", kind: "invitation", email: undefined } as const;

function bench(options: Partial<DevicesOptions> = {}) {
  const store = new MemoryRoomStore();
  const clock = handClock();
  const issued: string[] = [];
  const registered = new Map<string, number>();
  const devices = new Devices({
    store,
    keyOf: () => Promise.resolve(undefined),
    issuedFor: () => undefined,
    registered: (fingerprint) => Promise.resolve(registered.get(fingerprint) ?? 0),
    registrations: 3,
    issue: (csr, username) => {
      issued.push(username);
      return Promise.resolve(csr.length === 1 ? shown(csr) : undefined);
    },
    now: clock.now,
    random: countingRandom(),
    ...options,
  });
  type Shown = ReturnType<typeof shown>;
  /** With what a certificate may register. */
  const registrant = async (certificate: Shown, who: Omit<typeof ADA, "userId">, hasRooms = true) =>
    await devices.checkRegistration(certificate, who, { ...await devices.standing(certificate), hasRooms });
  /** Registers, as the store does in one write. */
  const register = async (certificate: Shown, account: typeof ADA) => {
    const { device, code } = await registrant(certificate, account);
    if (device) await store.bindDevice({ ...certificate, ...device, userId: account.userId }, 0, code);
  };
  const login = async (certificate: Shown, account: typeof ADA, hasRooms = true) =>
    await devices.checkLogin(certificate, account, { ...await devices.standing(certificate), hasRooms });
  return { store, clock, devices, issued, registered, registrant, register, login };
}

async function refusal(run: Promise<unknown>): Promise<string> {
  return await run.then(() => "taken", (error) => {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  });
}

Deno.test("an invitation brings one certificate, which registers its own name and no other, once", async () => {
  const { devices, issued, registrant, register, login } = bench();
  const { code } = await devices.makeCode(INVITATION, 1_000);
  assert.deepEqual(await devices.certify(code, "a"), { pem: "certificate a", email: undefined });
  assert.deepEqual(issued, ["user1"]);
  assert.equal(await refusal(devices.certify(code, "b")), "auth-failed");
  assert.equal(await refusal(registrant(shown("a"), BOB)), "auth-failed");
  assert.equal(await refusal(registrant(shown("a"), { ...ADA, username: "USER1" })), "taken");
  await register(shown("a"), ADA);
  assert.equal(await refusal(registrant(shown("a"), ADA)), "auth-failed");
  assert.equal(await refusal(login(shown("a"), ADA)), "taken");
  assert.equal(await refusal(login(shown("a"), BOB)), "auth-failed");
});

Deno.test("a certificate whose answer was lost is given again for the same key, and for no other", async () => {
  const { fingerprint, pem } = await certificate("client", { role: "client", name: "user1" });
  const [leaf] = parseCertificates(pem);
  const { devices, store } = bench({
    issue: () => Promise.resolve({ fingerprint, pem }),
    keyOf: (csr) => Promise.resolve(csr === "same" ? leaf?.publicKey : new Uint8Array(32)),
  });
  const { code } = await devices.makeCode(INVITATION, 1_000);
  assert.equal((await devices.certify(code, "same")).pem, pem);
  assert.equal((await devices.certify(code, "same")).pem, pem);
  assert.equal(await refusal(devices.certify(code, "other")), "auth-failed");
  await store.bindDevice({ fingerprint, userId: 1, pem, isIssued: true }, 0, [...store.codes.keys()][0]);
  assert.equal(await refusal(devices.certify(code, "same")), "auth-failed", "the code is used up");
});

Deno.test("a certificate that was issued with a code registers and enters only its own account, without rooms too", async () => {
  const { devices, registrant, register, login } = bench();
  const { code } = await devices.makeCode(INVITATION, 1_000);
  await devices.certify(code, "a");
  assert.equal(await refusal(registrant(shown("a"), BOB, false)), "auth-failed");
  assert.equal(await refusal(login(shown("a"), BOB, false)), "auth-failed");
  assert.deepEqual((await registrant(shown("a"), ADA, false)).device, { pem: "certificate a", isIssued: true });
  await register(shown("a"), ADA);
  assert.equal((await devices.standing(shown("a"))).owner, "user1");
  assert.equal(await refusal(registrant(shown("a"), ADA, false)), "auth-failed", "one account");
  assert.equal(await refusal(login(shown("a"), BOB, false)), "auth-failed");
  assert.equal(await refusal(login(shown("a"), ADA, false)), "taken");
});

Deno.test("a certificate that was issued by hand registers several people, as many as one may, without rooms", async () => {
  const { registered, registrant, login } = bench();
  for (const [count, answer] of [[0, "taken"], [2, "taken"], [3, "rate-limited"]] as const) {
    registered.set(shown("h").fingerprint, count);
    assert.equal(await refusal(registrant(shown("h"), ADA, false)), answer);
  }
  for (const who of [ADA, BOB]) assert.equal(await refusal(login(shown("h"), who, false)), "taken");
  assert.equal(await refusal(login(shown("h"), ADA)), "auth-failed", "with rooms it must be bound");
});

Deno.test("a name or an address that is invited is kept for its code until that ends", async () => {
  const { devices, clock, registrant } = bench();
  const { code } = await devices.makeCode({ ...INVITATION, username: "User1", email: ADA.email }, 1_000);
  const other = await devices.makeCode({ ...INVITATION, username: "user2" }, 5_000);
  await devices.certify(code, "a");
  await devices.certify(other.code, "b");
  const isKept = async (digit: string, who: typeof ADA) => {
    return await registrant(shown(digit), who, false).then(() => false, (error) => error instanceof KeptForInvitation);
  };
  const squatter = { ...ADA, email: "zz@example.org" };
  assert.equal(await isKept("h", squatter), true);
  assert.equal(await isKept("h", { ...ADA, username: "zz" }), true);
  assert.equal(await isKept("b", { ...BOB, email: ADA.email }), true, "another's invitation takes no address");
  assert.equal(await isKept("h", { ...ADA, username: "zz", email: "zz@example.org" }), false);
  assert.equal(await isKept("a", ADA), false);
  clock.advance(1_000);
  assert.equal(await isKept("h", squatter), false);
});

Deno.test("a registration that was cut off before its certificate was bound is mended by a login", async () => {
  const { devices, clock, login } = bench();
  const { code } = await devices.makeCode(INVITATION, 1_000);
  await devices.certify(code, "a");
  assert.equal(await refusal(login(shown("a"), BOB)), "auth-failed");
  assert.equal(await refusal(login(shown("a"), ADA)), "taken");
  assert.equal((await devices.standing(shown("a"))).device?.isIssued, true);
  assert.equal(await refusal(devices.enrol(shown("b"), ADA, code)), "auth-failed", "the code is used up");
  const late = await devices.makeCode(INVITATION, 1_000);
  await devices.certify(late.code, "c");
  clock.advance(1_000);
  assert.equal(await refusal(login(shown("c"), ADA)), "auth-failed");
});

Deno.test("a code for one e-mail address registers and enrols with that one alone; another costs nothing", async () => {
  const { devices, registrant } = bench();
  const { code } = await devices.makeCode({ ...INVITATION, email: ADA.email }, 1_000);
  await devices.certify(code, "a");
  const elsewhere = { ...ADA, email: "other@example.org" };
  assert.equal(await refusal(registrant(shown("a"), elsewhere)), "auth-failed");
  assert.equal(await refusal(devices.enrol(shown("a"), elsewhere, code)), "auth-failed");
  assert.equal(await refusal(registrant(shown("a"), ADA)), "taken");
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
  const { store, devices, clock, registrant } = bench();
  const { code } = await devices.makeCode({ ...INVITATION, email: ADA.email }, 1_000);
  await devices.certify(code, "a");
  clock.advance(1_000);
  await store.dropExpired(clock.now());
  for (const who of [ADA, BOB]) assert.equal(await refusal(registrant(shown("a"), who)), "auth-failed");
  const next = await devices.makeCode(INVITATION, 1_000);
  await devices.certify(next.code, "b");
  assert.equal(await refusal(registrant(shown("b"), ADA)), "taken");
});

Deno.test("a request that can't be signed leaves the code good", async () => {
  const { devices } = bench();
  const { code } = await devices.makeCode(INVITATION, 1_000);
  assert.equal(await refusal(devices.certify(code, "not a request")), "bad-cert");
  assert.equal(await refusal(devices.certify(code, "a")), "taken");
});

Deno.test("a further device enrols with a code of its own account, once", async () => {
  const { devices, register, login } = bench();
  await register(shown("a"), ADA);
  const { code } = await devices.makeCode({ ...INVITATION, kind: "device" }, 1_000);
  assert.equal(await refusal(devices.enrol(shown("b"), BOB, code)), "auth-failed");
  assert.equal(await refusal(login(shown("b"), ADA)), "auth-failed");
  assert.equal(await refusal(devices.enrol(shown("a"), ADA, code)), "auth-failed", "which leaves the code good");
  assert.equal(await refusal(devices.enrol(shown("b"), ADA, code)), "taken");
  assert.equal(await refusal(login(shown("b"), ADA)), "taken");
  assert.equal(await refusal(devices.enrol(shown("c"), ADA, code)), "auth-failed");
});

Deno.test("a token resumes its own certificate's session for a day, until the next one is used", async () => {
  const { devices, clock, register } = bench();
  await register(shown("a"), ADA);
  await register(shown("b"), ADA);
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
  const { devices, register } = bench();
  await register(shown("a"), ADA);
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
  const { devices, clock, login } = bench();
  const own = await shownFor(365, clock.now());
  clock.advance(334 * DAY - 1_000);
  assert.equal(await refusal(devices.renew("d", ADA, own)), "forbidden");
  clock.advance(1_000);
  assert.equal((await devices.renew("d", ADA, own)).pem, "certificate d");
  assert.equal(await refusal(login(shown("d"), ADA)), "taken");
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
