import { assert } from "./assert.ts";
import { type AccountLimits, Accounts, type Login } from "../lib/server_accounts.ts";
import { type Bytes, encodeHex } from "../lib/bytes.ts";
import { ProtocolError } from "../lib/errors.ts";
import { SummedAudit } from "../lib/server_audit_summary.ts";
import { passwordDigest, PasswordQueue } from "../lib/password.ts";
import { usernameKey } from "../lib/names.ts";
import { type AuditRow, type Store, StoreUnavailable, type User } from "../lib/server_store.ts";

/** The part of a store that accounts use, in memory. */
class MemoryStore implements Pick<Store, "findUser" | "addUser" | "replacePasswordRecord" | "secret"> {
  readonly users: User[] = [];
  readonly secrets = new Map<string, Bytes>();
  away = false;

  async #answer(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 1));
    if (this.away) throw new StoreUnavailable("gone");
  }

  async findUser(email: string): Promise<User | undefined> {
    await this.#answer();
    return this.users.find((user) => user.email === email);
  }

  async addUser(user: Omit<User, "id">): Promise<number | undefined> {
    await this.#answer();
    const [email, name] = [user.email, usernameKey(user.username)];
    if (this.users.some((other) => other.email === email || usernameKey(other.username) === name)) return undefined;
    return this.users.push({ ...user, id: this.users.length + 1 });
  }

  async replacePasswordRecord(userId: number, passwordRecord: string, replaced: string): Promise<boolean> {
    await this.#answer();
    const at = this.users.findIndex((user) => user.id === userId && user.passwordRecord === replaced);
    const user = this.users[at];
    if (user) this.users[at] = { ...user, passwordRecord };
    return user !== undefined;
  }

  async secret(name: string, make: () => Bytes): Promise<Bytes> {
    await this.#answer();
    const secret = this.secrets.get(name) ?? make();
    this.secrets.set(name, secret);
    return secret;
  }
}

const LIMITS: AccountLimits = {
  loginFailuresPerAddress: 100,
  loginFailuresPerAccount: 3,
  loginFailuresPerCertificate: 100,
  loginDelay: 250,
  lock: 60_000,
  registrationsPerHour: 20,
};

const salt = new Uint8Array(16).fill(7);
const ADA = { email: "ada@example.org", username: "Ada", salt, pwd: passwordDigest(salt, "good") };
const origin = { address: "192.0.2.1", clientFingerprint: "f".repeat(64), isProven: true };
/** As version 1 shows a certificate: anybody's. */
const unproven = { ...origin, isProven: false };
/** Another certificate at the same address. */
const other = { ...origin, clientFingerprint: "e".repeat(64) };
const good: Login = { ...origin, email: ADA.email, pwd: ADA.pwd };
const wrong: Login = { ...good, pwd: passwordDigest(salt, "wrong") };
const unknown: Login = { ...wrong, email: "eve@example.org" };

/** Accounts over a store in memory, with a clock set by hand and no real waiting. */
function bench(limits: Partial<AccountLimits> = {}, waiting = 100) {
  const clock = { time: 1_700_000_000_000 };
  const rows: AuditRow[] = [];
  const slept: number[] = [];
  const store = new MemoryStore();
  const passwords = new PasswordQueue({ p: 1, random: (size) => crypto.getRandomValues(new Uint8Array(size)) }, {
    waiting,
  });
  const audit = new SummedAudit({
    record: (row) => Promise.resolve(void rows.push(row)),
    now: () => clock.time,
    steady: () => clock.time,
  });
  const start = () =>
    new Accounts({
      store: store as unknown as Store,
      passwords,
      limits: { ...LIMITS, ...limits },
      record: (row, party) => audit.record(row, party),
      now: () => clock.time,
      sleep: (milliseconds) => Promise.resolve(void slept.push(milliseconds)),
    });
  return { accounts: start(), start, store, rows, slept, clock, events: () => rows.map(({ event }) => event) };
}

/** The code and the sentence of the refusal. */
async function refusal(answer: Promise<unknown>): Promise<string> {
  const error = await answer.then(() => assert.fail("it was accepted"), (thrown) => thrown);
  assert(error instanceof ProtocolError, String(error));
  return `${error.code}: ${error.message}`;
}

Deno.test("who has registered logs in with the digest or, as the seed's client does, with the password", async () => {
  const { accounts, store, rows, events } = bench();
  const account = { userId: 1, email: ADA.email, username: "Ada" };
  assert.deepEqual(await accounts.register({ ...ADA, ...origin }), account);
  assert.deepEqual(await accounts.login(good), { ...account, salt });
  assert.deepEqual(await accounts.login({ ...origin, email: ADA.email, password: "good" }), { ...account, salt });
  assert.match(await refusal(accounts.login({ ...origin, email: ADA.email, password: "bad" })), /^auth-failed: /);
  assert.deepEqual(events(), ["registration", "login_success", "login_success", "login_failure"]);
  assert.deepEqual(rows[0], {
    event: "registration",
    email: ADA.email,
    clientFingerprint: origin.clientFingerprint,
    ipAddress: origin.address,
    occurredAt: 1_700_000_000_000,
  });
  assert.equal(rows[3]?.reason, "wrong password");
  const stored = JSON.stringify(store.users);
  assert(!stored.includes(encodeHex(ADA.pwd)) && stored.includes("scrypt$"), "the digest itself is not stored");
});

Deno.test("of eight registrations of one address at once, one succeeds and the others are told user-exists", async () => {
  const { accounts, events } = bench();
  const answers = await Promise.allSettled(
    Array.from({ length: 8 }, (_, number) => accounts.register({ ...ADA, username: `ada${number}`, ...origin })),
  );
  assert.equal(answers.filter(({ status }) => status === "fulfilled").length, 1);
  assert.equal(events().filter((event) => event === "registration_failure").length, 7);
  const taken = `ADA${answers.findIndex(({ status }) => status === "fulfilled")}`;
  assert.match(
    await refusal(accounts.register({ ...ADA, email: "b@example.org", username: taken, ...origin })),
    /^user/,
  );
});

Deno.test("an unknown address and a wrong password get the same words, delays and locks", async () => {
  const { accounts, slept, rows, events } = bench({ loginFailuresPerAccount: 7 });
  await accounts.register({ ...ADA, ...origin });
  const answers: string[][] = [];
  const delays: number[][] = [];
  for (const login of [wrong, unknown]) {
    const told: string[] = [];
    for (let tries = 0; tries < 8; tries++) told.push(await refusal(accounts.login(login)));
    answers.push(told);
    delays.push(slept.splice(0));
  }
  assert.deepEqual(answers[0], answers[1]);
  assert.deepEqual(answers[0], [
    ...Array<string>(7).fill("auth-failed: The e-mail address or the password is wrong."),
    "rate-limited: Too many logins failed with your certificate; try again later.",
  ]);
  assert.deepEqual(delays[0], delays[1]);
  assert.deepEqual(delays[0], [250, 500, 1000, 2000, 4000, 5000, 5000]);
  assert.equal(events().filter((event) => event === "certificate_locked").length, 2);
  const reasons = rows.filter(({ event }) => event === "login_failure").map(({ reason }) => reason);
  assert.deepEqual([...new Set(reasons)], [
    "wrong password",
    "too many failed logins with your certificate",
    "there is no such account",
  ]);
});

Deno.test("a certificate is locked for an account after its failures, audited once, until its time is over", async () => {
  const { accounts, events, clock, store } = bench();
  await accounts.register({ ...ADA, ...origin });
  for (let tries = 0; tries < 3; tries++) await refusal(accounts.login(wrong));
  store.away = true; // a database that is asked would be noticed
  assert.match(await refusal(accounts.login(good)), /^rate-limited: /);
  clock.time += LIMITS.lock - 1;
  assert.match(await refusal(accounts.login(good)), /^rate-limited: /);
  store.away = false;
  assert.equal(events().filter((event) => event === "certificate_locked").length, 1);
  clock.time += 1;
  await accounts.login(good);
});

Deno.test("whoever fails with another certificate locks nobody out, however often, from whatever address", async () => {
  const { accounts } = bench({ loginFailuresPerAddress: 2 });
  await accounts.register({ ...ADA, ...origin });
  for (let tries = 0; tries < 9; tries++) await refusal(accounts.login({ ...wrong, ...other }));
  await accounts.login(good);
  for (let tries = 0; tries < 9; tries++) await refusal(accounts.login({ ...wrong, ...unproven }));
  await accounts.login(good);
});

Deno.test("a certificate that serves several people is locked for the one who mistypes alone", async () => {
  const { accounts } = bench();
  const bob = { ...ADA, ...origin, email: "bob@example.org", username: "bob" };
  await accounts.register({ ...ADA, ...origin });
  await accounts.register(bob);
  for (let tries = 0; tries < 5; tries++) await refusal(accounts.login(wrong));
  assert.match(await refusal(accounts.login(good)), /^rate-limited: /);
  await accounts.login({ ...good, email: bob.email });
});

Deno.test("a certificate that tries account after account is locked for all but its own", async () => {
  const { accounts, store } = bench({ loginFailuresPerCertificate: 6 });
  await accounts.register({ ...ADA, ...origin });
  for (let at = 0; at < 6; at++) await refusal(accounts.login({ ...unknown, email: `${at}@example.org` }));
  store.away = true;
  assert.match(await refusal(accounts.login(good)), /^rate-limited: /);
  store.away = false;
  await accounts.login({ ...good, isOwn: true });
});

Deno.test("a certificate that is one account's compares no password of another: there is nothing to guess", async () => {
  const { accounts, rows, store } = bench();
  await accounts.register({ ...ADA, ...origin });
  let records = 0;
  Object.defineProperty(store.users[0], "passwordRecord", { get: () => (records++, "scrypt$14$8$1$a$b") });
  for (const login of [good, wrong]) {
    const answer = await refusal(accounts.login({ ...login, ...other, owner: "mallory" }));
    assert.equal(answer, "auth-failed: The e-mail address or the password is wrong.");
    assert.equal(rows.at(-1)?.reason, "the certificate is another account's");
  }
  assert.equal(records, 0);
});

Deno.test("tokens that resume nothing are limited for their certificate, and are no failed logins", async () => {
  const { accounts, rows } = bench();
  await accounts.register({ ...ADA, ...origin });
  for (let tries = 0; tries < 60; tries++) {
    accounts.checkResume(origin);
    accounts.countResume(origin);
  }
  assert.throws(() => accounts.checkResume(origin), /could not be resumed/);
  accounts.checkResume(other);
  await accounts.login(good);
  assert.deepEqual(rows.map(({ event }) => event), ["registration", "login_success"]);
});

Deno.test("a lock can't be outrun: of many wrong passwords at once no more than the limit are looked at", async () => {
  const { accounts } = bench();
  await accounts.register({ ...ADA, ...origin });
  const guesses = await Promise.allSettled([
    ...Array.from({ length: 12 }, () => accounts.login(wrong)),
    accounts.login(good),
  ]);
  assert.equal(guesses.filter(({ status }) => status === "fulfilled").length, 0);
});

Deno.test("many logins of one account at once all succeed with the right password", async () => {
  const { accounts } = bench();
  await accounts.register({ ...ADA, ...origin });
  await Promise.all(Array.from({ length: 12 }, () => accounts.login(good)));
});

Deno.test("a success ends the count of the certificate for this account, not that of the certificate", async () => {
  const { accounts, events } = bench({ loginFailuresPerCertificate: 5 });
  await accounts.register({ ...ADA, ...origin });
  for (let round = 0; round < 2; round++) {
    await refusal(accounts.login(wrong));
    await refusal(accounts.login(wrong));
    await accounts.login(good);
  }
  await refusal(accounts.login(wrong));
  assert.match(await refusal(accounts.login(good)), /^rate-limited: /);
  assert.deepEqual(events().filter((event) => !event.startsWith("login")), ["registration", "certificate_locked"]);
});

Deno.test("where no certificate is proved, an address that failed too often is limited; another address is not", async () => {
  const { accounts, store, rows, clock } = bench({ loginFailuresPerAddress: 2, loginFailuresPerAccount: 10 });
  await accounts.register({ ...ADA, ...origin });
  await refusal(accounts.login({ ...unknown, ...unproven }));
  await refusal(accounts.login({ ...unknown, ...unproven, address: `::ffff:${origin.address}` }));
  store.away = true; // a database that is asked would be noticed
  assert.match(await refusal(accounts.login({ ...good, ...unproven })), /^rate-limited: /);
  store.away = false;
  assert.equal(rows.at(-1)?.reason, "too many failed logins from your address");
  await accounts.login({ ...good, ...unproven, address: "192.0.2.2" });
  await accounts.login(good);
  clock.time += LIMITS.lock;
  await accounts.login({ ...good, ...unproven });
});

Deno.test("where no certificate is proved, no number of addresses and certificates guesses on for one account", async () => {
  const { accounts } = bench({ loginFailuresPerAccount: 1 });
  await accounts.register({ ...ADA, ...origin });
  const guess = (at: number) => ({ ...unproven, address: `192.0.2.${at}`, clientFingerprint: `${at}`.repeat(32) });
  for (let at = 0; at < 10; at++) {
    assert.match(await refusal(accounts.login({ ...wrong, ...guess(at) })), /^auth-failed: /);
  }
  assert.match(await refusal(accounts.login({ ...good, ...guess(10) })), /^rate-limited: /);
  await accounts.login(good);
});

Deno.test("registrations are counted for each certificate and hour, or address, those that were refused too", async () => {
  for (const [from, elsewhere] of [[origin, other], [unproven, { ...unproven, address: "192.0.2.9" }]] as const) {
    const { accounts, clock } = bench({ registrationsPerHour: 2 });
    await accounts.register({ ...ADA, ...from });
    assert.match(await refusal(accounts.register({ ...ADA, ...from })), /^user-exists: /);
    const bob = { ...ADA, ...from, email: "bob@example.org", username: "bob" };
    assert.match(await refusal(accounts.register(bob)), /^rate-limited: /);
    await accounts.register({ ...bob, ...elsewhere });
    clock.time += 3_600_000;
    assert.match(await refusal(accounts.register(bob)), /^user-exists: /);
  }
});

Deno.test("with the database away the answer is server-error, audited, and counts as no failure", async () => {
  const { accounts, store, rows } = bench({ registrationsPerHour: 1, loginFailuresPerAccount: 1 });
  store.away = true;
  assert.match(await refusal(accounts.register({ ...ADA, ...origin })), /^server-error: /);
  assert.match(await refusal(accounts.login(good)), /^server-error: /);
  await assert.rejects(
    accounts.salt(ADA.email),
    (error) =>
      error instanceof ProtocolError && error.code === "server-error" && error.cause instanceof StoreUnavailable,
  );
  assert.deepEqual(rows.map(({ event, reason }) => [event, reason]), [
    ["registration_failure", "the database cannot be reached"],
    ["login_failure", "the database cannot be reached"],
  ]);
  store.away = false;
  await accounts.register({ ...ADA, ...origin });
  await accounts.login(good);
});

Deno.test("nobody is let in whose audit row cannot be kept", async () => {
  const { store } = bench();
  const passwords = new PasswordQueue({ p: 1, random: (size) => new Uint8Array(size) }, { waiting: 1 });
  const accounts = new Accounts({
    store: store as unknown as Store,
    passwords,
    limits: LIMITS,
    record: () => Promise.reject(new Error("the disk is full")),
    now: () => 0,
    sleep: () => Promise.resolve(),
  });
  await assert.rejects(accounts.register({ ...ADA, ...origin }), /disk is full/);
  await assert.rejects(accounts.login(good), /disk is full/);
});

Deno.test("password work beyond the queue is refused as rate-limited and counts as no failure", async () => {
  const { accounts, rows } = bench({ loginFailuresPerAccount: 1 }, 0);
  await accounts.register({ ...ADA, ...origin });
  const answers = await Promise.allSettled(Array.from({ length: 6 }, () => accounts.login(good)));
  assert.equal(answers.filter(({ status }) => status === "fulfilled").length, 2);
  const reasons = rows.filter(({ event }) => event === "login_failure").map(({ reason }) => reason);
  assert.deepEqual(reasons, Array<string>(4).fill("too many password checks are waiting"));
  await accounts.login(good);
});

Deno.test("a row of the seed's form logs in, and is wrapped when it is met, by a wrong password too", async () => {
  const { accounts, store } = bench();
  const { pwd, ...user } = ADA;
  for (const [login, outcome] of [[wrong, "rejected"], [good, "fulfilled"]] as const) {
    store.users[0] = { ...user, id: 1, passwordRecord: encodeHex(pwd) };
    assert.equal((await Promise.allSettled([accounts.login(login)]))[0].status, outcome);
    assert.match(store.users[0].passwordRecord, /^scrypt\$/);
    await accounts.login(good);
  }
});

Deno.test("a password record that cannot be read lets nobody in, and the audit log says why", async () => {
  const { accounts, store, rows } = bench();
  store.users[0] = { id: 1, email: ADA.email, username: "Ada", salt, passwordRecord: "$2b$12$nonsense" };
  assert.match(await refusal(accounts.login(good)), /^auth-failed: /);
  assert.equal(rows.at(-1)?.reason, "the account's password record cannot be read");
});

Deno.test("the salt of an unknown address looks like any other, and stays the same over a restart", async () => {
  const { accounts, start, store } = bench();
  await accounts.register({ ...ADA, ...origin });
  assert.deepEqual(await accounts.salt(ADA.email), salt);
  const made = await accounts.salt("eve@example.org");
  assert.equal(made.length, 16);
  assert.deepEqual(await start().salt("eve@example.org"), made);
  assert.notDeepEqual(await accounts.salt("eva@example.org"), made);
  store.secrets.clear();
  assert.notDeepEqual(await start().salt("eve@example.org"), made, "it is keyed by the stored secret");
});

Deno.test("who came in with a password that was changed meanwhile is no longer let on", async () => {
  const { accounts, store } = bench();
  const made = await accounts.register({ ...ADA, ...origin });
  const before = await accounts.login(good);
  assert.equal(await accounts.isCurrent(before), true);
  const [user] = store.users;
  assert(user);
  store.users[0] = { ...user, salt: new Uint8Array(16).fill(8) };
  assert.equal(await accounts.isCurrent(before), false);
  assert.equal(await accounts.isCurrent(made), true, "nobody has given an old password");
});

Deno.test("10^5 tries with one certificate, whoever they are for, stay bounded in work, rows and memory", async () => {
  const { accounts, rows, slept } = bench({ loginFailuresPerCertificate: 5 });
  for (let at = 0; at < 100_000; at++) {
    const email = `${at % 7 === 0 ? "ada" : at}@example.org`;
    assert.match(await refusal(accounts.login({ ...wrong, email })), /^(?:auth-failed|rate-limited): /);
  }
  assert.equal(slept.length, 5, "five passwords were looked at");
  assert.equal(rows.length, 60 + 1, "and the sum, when its time is over");
});
