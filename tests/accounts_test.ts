import { assert } from "./assert.ts";
import { type AccountLimits, Accounts, type Login } from "../lib/accounts.ts";
import { type Bytes, encodeHex } from "../lib/bytes.ts";
import { ProtocolError } from "../lib/errors.ts";
import { passwordDigest, PasswordQueue } from "../lib/password.ts";
import { usernameKey } from "../lib/names.ts";
import { type AuditRow, type Store, StoreUnavailable, type User } from "../lib/store.ts";

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

  async replacePasswordRecord(userId: number, passwordRecord: string): Promise<void> {
    await this.#answer();
    const at = this.users.findIndex(({ id }) => id === userId);
    const user = this.users[at];
    assert(user);
    this.users[at] = { ...user, passwordRecord };
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
  loginDelay: 250,
  lock: 60_000,
  registrationsPerHour: 20,
};

const salt = new Uint8Array(16).fill(7);
const ADA = { email: "ada@example.org", username: "Ada", salt, pwd: passwordDigest(salt, "good") };
const origin = { address: "192.0.2.1", clientFingerprint: "f".repeat(64) };
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
  const start = () =>
    new Accounts({
      store: store as unknown as Store,
      passwords,
      limits: { ...LIMITS, ...limits },
      record: (row) => Promise.resolve(void rows.push(row)),
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
  assert.deepEqual(await accounts.login(good), account);
  assert.deepEqual(await accounts.login({ ...origin, email: ADA.email, password: "good" }), account);
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

Deno.test("an unknown address, a wrong password and a locked account get the same words and the same delays", async () => {
  const { accounts, slept, rows, clock } = bench();
  await accounts.register({ ...ADA, ...origin });
  const answers = new Set<string>();
  const delays: number[][] = [];
  for (const login of [wrong, unknown]) {
    for (let tries = 0; tries < 6; tries++) answers.add(await refusal(accounts.login(login)));
    delays.push(slept.splice(0));
    clock.time += LIMITS.lock; // the source's own failures are over
  }
  assert.deepEqual([...answers], ["auth-failed: The e-mail address or the password is wrong."]);
  assert.deepEqual(delays[0], delays[1]);
  assert.deepEqual(delays[0], [250, 500, 1000, 2000, 4000, 5000]);
  const reasons = rows.filter(({ event }) => event === "login_failure").map(({ reason }) => reason);
  const repeat = (text: string, times: number) => Array<string>(times).fill(text);
  assert.deepEqual(reasons.slice(0, 6), [...repeat("wrong password", 3), ...repeat("the account is locked", 3)]);
  assert.deepEqual(reasons.slice(6), repeat("there is no such account", 6));
});

Deno.test("an account is locked after its failures, audited once, and opens when its time is over", async () => {
  const { accounts, events, clock } = bench();
  await accounts.register({ ...ADA, ...origin });
  for (let tries = 0; tries < 3; tries++) await refusal(accounts.login(wrong));
  assert.match(await refusal(accounts.login(good)), /^auth-failed: /);
  clock.time += LIMITS.lock - 1;
  assert.match(await refusal(accounts.login(good)), /^auth-failed: /);
  assert.equal(events().filter((event) => event === "account_locked").length, 1);
  clock.time += 1;
  await accounts.login(good);
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

Deno.test("a success forgets the account's failures, not those of the source", async () => {
  const { accounts, events } = bench({ loginFailuresPerAddress: 5 });
  await accounts.register({ ...ADA, ...origin });
  for (let round = 0; round < 2; round++) {
    await refusal(accounts.login(wrong));
    await refusal(accounts.login(wrong));
    await accounts.login(good);
  }
  await refusal(accounts.login(wrong));
  assert.match(await refusal(accounts.login(good)), /^rate-limited: /);
  assert.deepEqual(events().filter((event) => !event.startsWith("login")), ["registration", "address_limited"]);
});

Deno.test("a source that failed too often is told rate-limited without any work; another source is not", async () => {
  const { accounts, store, rows, clock } = bench({ loginFailuresPerAddress: 2, loginFailuresPerAccount: 10 });
  await accounts.register({ ...ADA, ...origin });
  await refusal(accounts.login(unknown));
  await refusal(accounts.login({ ...unknown, address: `::ffff:${origin.address}` }));
  store.away = true; // a database that is asked would be noticed
  assert.match(await refusal(accounts.login(good)), /^rate-limited: /);
  store.away = false;
  assert.equal(rows.at(-1)?.reason, "too many failed logins from this address");
  await accounts.login({ ...good, address: "192.0.2.2" });
  clock.time += LIMITS.lock;
  await accounts.login(good);
});

Deno.test("a source that is refused without end leaves one row that says so, and no more for the time of a lock", async () => {
  const { accounts, rows, clock } = bench({ loginFailuresPerAddress: 1 });
  await refusal(accounts.login(unknown));
  rows.length = 0;
  for (let tries = 0; tries < 400; tries++) assert.match(await refusal(accounts.login(good)), /^rate-limited: /);
  assert.equal(rows.length, 301);
  assert.deepEqual(rows.filter(({ event }) => event !== "login_failure").map(({ event }) => event), [
    "address_limited",
  ]);
  assert.equal(await accounts.countRefusal({ ...origin, address: `::ffff:${origin.address}` }), false);
  assert.equal(await accounts.countRefusal({ ...origin, address: "192.0.2.2" }), true);
  clock.time += LIMITS.lock;
  assert.equal(await accounts.countRefusal(origin), true);
});

Deno.test("registrations are counted for each source and hour, those that were refused too", async () => {
  const { accounts, clock } = bench({ registrationsPerHour: 2 });
  await accounts.register({ ...ADA, ...origin });
  assert.match(await refusal(accounts.register({ ...ADA, ...origin })), /^user-exists: /);
  const bob = { ...ADA, ...origin, email: "bob@example.org", username: "bob" };
  assert.match(await refusal(accounts.register(bob)), /^rate-limited: /);
  await accounts.register({ ...bob, address: "192.0.2.9" });
  clock.time += 3_600_000;
  assert.match(await refusal(accounts.register(bob)), /^user-exists: /);
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
