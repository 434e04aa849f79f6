import { assert } from "./assert.ts";
import { type Bytes, encodeBase64, encodeHex, encodeUtf8 } from "../lib/bytes.ts";
import { ProtocolError } from "../lib/errors.ts";
import { checkPassword, hashPassword, passwordDigest, PasswordQueue, unmatchableRecord } from "../lib/password.ts";

let drawn = 0;
const random = (size: number): Bytes => new Uint8Array(size).fill(++drawn);
const work = { p: 1, random };

const pwd = passwordDigest(new Uint8Array(16), "correct horse");
const other = passwordDigest(new Uint8Array(16), "correct house");

Deno.test("passwordDigest() is SHA-256 of the salt and the password's UTF-8", () => {
  const digest = passwordDigest(encodeUtf8("0123456789abcdef"), "pässwörd ☃ 😀");
  // printf '0123456789abcdefpässwörd ☃ 😀' | sha256sum
  assert.equal(encodeHex(digest), "7f49c9c4db5a8e6516dd1d36c14cc22bcc3faf3fc3820d0dc64464b48912fecf");
});

Deno.test("a record says its parameters, never the digest, and is another one each time", async () => {
  const [first, second] = [await hashPassword(pwd, work), await hashPassword(pwd, { p: 2, random })];
  assert.match(first, /^scrypt\$14\$8\$1\$[A-Za-z0-9+/]{22}==\$[A-Za-z0-9+/]{43}=$/);
  assert.match(second, /^scrypt\$14\$8\$2\$/);
  assert.notEqual(first.split("$")[5], (await hashPassword(pwd, work)).split("$")[5]);
  assert(!first.includes(encodeBase64(pwd)) && !first.includes(encodeHex(pwd)));
});

Deno.test("hashPassword() computes scrypt as RFC 7914 section 12 has it", async () => {
  // P = "pleaseletmein", S = "SodiumChloride", N = 16384, r = 8, p = 1: the first 32 of the 64 bytes.
  const salted = { p: 1, random: () => encodeUtf8("SodiumChloride") };
  const record = await hashPassword(encodeUtf8("pleaseletmein"), salted);
  assert.equal(record.split("$")[5], "cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofI=");
});

Deno.test("checkPassword() takes the digest of the record and no other", async () => {
  const record = await hashPassword(pwd, work);
  assert.deepEqual(await checkPassword(pwd, record, work), { matches: true });
  assert.deepEqual(await checkPassword(other, record, work), { matches: false });
  assert.deepEqual(await checkPassword(pwd, unmatchableRecord(work), work), { matches: false });
});

Deno.test("a record with other parameters still matches, and is replaced by one with the setting's", async () => {
  const weak = await hashPassword(pwd, work);
  const { matches, replacement } = await checkPassword(pwd, weak, { p: 2, random });
  assert(matches && replacement);
  assert.match(replacement, /^scrypt\$14\$8\$2\$/);
  assert.deepEqual(await checkPassword(pwd, replacement, { p: 2, random }), { matches: true });
  assert.deepEqual(await checkPassword(other, weak, { p: 2, random }), { matches: false });

  const foreign = "scrypt$10$8$3$AAAAAAAAAAAAAAAAAAAAAA==$"; // N = 2^10, computed by Python
  const hash = "25iAcPXCnMrLFRVdxDz8bj6ZviUtOnH8vG707ECosn8=";
  assert((await checkPassword(encodeUtf8("x"), foreign + hash, work)).matches);
});

Deno.test("a row of the seed's form is wrapped as scrypt(pwd), whether the login is good or not", async () => {
  for (const [given, matches] of [[pwd, true], [other, false]] as const) {
    const check = await checkPassword(given, encodeHex(pwd), work);
    assert.equal(check.matches, matches);
    assert(check.replacement);
    assert.deepEqual(await checkPassword(pwd, check.replacement, work), { matches: true });
    assert.deepEqual(await checkPassword(other, check.replacement, work), { matches: false });
  }
});

Deno.test("a record in no known form, or with parameters beyond all bounds, matches nothing", async () => {
  const good = await hashPassword(pwd, work);
  const bad = [
    "",
    encodeHex(pwd).toUpperCase(),
    encodeHex(pwd).slice(2),
    good.replace("scrypt", "argon2id"),
    good.replace("$14$", "$014$"),
    good.replace("$14$", "$30$"),
    good.replace("$8$", "$9$"),
    good.replace("$1$", "$17$"),
    good.replace("$1$", "$0$"),
    `${good}$`,
    ` ${good}`,
    `${good}\n`,
    good.slice(0, -1),
  ];
  for (const record of bad) {
    const check = await checkPassword(pwd, record, work);
    assert.deepEqual(check, { matches: false, unreadable: true }, JSON.stringify(record));
  }
});

Deno.test("a check takes as long for a record with a lower p, for the seed's and for one in no known form", async () => {
  const strong = { p: 3, random };
  const milliseconds = async (record: string) => {
    const times: number[] = [];
    for (let round = 0; round < 4; round++) {
      const started = performance.now();
      assert(!(await checkPassword(other, record, strong)).matches);
      times.push(performance.now() - started);
    }
    return Math.min(...times); // the least is what the work takes when nothing else disturbs it
  };
  for (const record of [await hashPassword(pwd, { p: 1, random }), encodeHex(pwd), "lost"]) {
    // Without its extra work a record would take a third at most, each time; a busy machine is busy for a while.
    let isAlike = false;
    for (let tries = 0; tries < 5 && !isAlike; tries++) {
      const [nobody, taken] = [await milliseconds(unmatchableRecord(strong)), await milliseconds(record)];
      isAlike = taken > nobody / 2 && taken < nobody * 2;
    }
    assert(isAlike, `${record.slice(0, 12)} takes another time than nobody's record`);
  }
});

Deno.test("PasswordQueue runs so many at once, keeps so many in line, and refuses whoever comes beyond", async () => {
  let begun = 0; // every hash begins with a salt
  const counting = (size: number) => (begun++, random(size));
  const queue = new PasswordQueue({ p: 1, random: counting }, { running: 2, waiting: 3 });
  const accepted = [0, 1, 2, 3, 4].map(() => queue.hash(pwd));
  assert.equal(begun, 2);
  await assert.rejects(queue.hash(pwd), (error) => error instanceof ProtocolError && error.code === "rate-limited");
  await assert.rejects(queue.check(pwd, unmatchableRecord(work)), ProtocolError);
  await Promise.race(accepted);
  assert(begun > 2 && begun < 5); // a place went to the next in line, before all are done
  await Promise.all(accepted);
  assert.equal(begun, 5);
  assert.equal((await queue.check(pwd, await queue.hash(pwd))).matches, true);
});

Deno.test("PasswordQueue gives its place free when the work fails", async () => {
  const random = () => {
    throw new RangeError("no entropy");
  };
  const queue = new PasswordQueue({ p: 1, random }, { running: 1, waiting: 1 });
  for (let round = 0; round < 3; round++) await assert.rejects(queue.hash(pwd), RangeError);
});

Deno.test("the event loop goes on while passwords are hashed", async () => {
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  await Promise.all([1, 2, 3].map(() => hashPassword(pwd, { p: 5, random })));
  clearInterval(timer);
  assert(ticks > 20, `${ticks} turns`);
});

/** Work in the order in which it was done, with one hash at a time. */
function ordered() {
  const queue = new PasswordQueue(work, { running: 1, waiting: 10 });
  const done: string[] = [];
  const claim = (party: string, most = 4) => ({ shares: [{ party, most }] });
  const hash = (party: string, signal?: AbortSignal) =>
    queue.hash(pwd, { ...claim(party), signal }).then(() => void done.push(party));
  return { queue, done, hash };
}

Deno.test("one party has its places and no more, and another one is next however many it has", async () => {
  const { done, hash } = ordered();
  const greedy = Promise.allSettled(Array.from({ length: 9 }, () => hash("mallory")));
  await Promise.all([hash("alice"), greedy]);
  assert.equal((await greedy).filter(({ status }) => status === "rejected").length, 5);
  assert.deepEqual(done, ["mallory", "alice", "mallory", "mallory", "mallory"]);
  await hash("mallory");
});

Deno.test("work that nobody waits for any more leaves the line, and its places are free", async () => {
  const { done, hash } = ordered();
  const gone = new AbortController();
  const first = hash("alice");
  const abandoned = Array.from({ length: 4 }, () => hash("mallory", gone.signal));
  const bob = hash("bob");
  gone.abort();
  for (const { status } of await Promise.allSettled(abandoned)) assert.equal(status, "rejected");
  await assert.rejects(hash("mallory", gone.signal));
  await Promise.all([first, bob, hash("mallory")]);
  assert.deepEqual(done, ["alice", "bob", "mallory"]);
});
