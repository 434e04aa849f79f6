/**
 * Passwords: the digest that travels (docs/PROTOCOL.md, "Credentials") and the slow record that is stored.
 *
 *     pwd    = SHA-256(salt || UTF-8(password))       made by the client; it is as good as the password, so it isn't stored
 *     record = scrypt$14$8$1$IUh9B2dh2Xsk7MTDP9ojcA==$jSzF9nDvGKBVmzJYcPYgTCXqkRyfVsK7WUbSZDHM9UA=
 *              scheme $ log2 N $ r $ p $ base64(salt of the record) $ base64(scrypt(pwd, salt of the record))
 *
 * The Python design stored hex(pwd): anyone who reads such a table can log in. {@link checkPassword} recognises such a
 * row by its 64 hex digits, and replaces it with scrypt(pwd) whether the password was right or not, since that needs no
 * password.
 *
 * A check always takes as long as making a fresh record, so that its time says nothing about an account. If a record
 * was made with a lower p, the missing rounds are computed and thrown away. (A record with a higher p than the setting
 * takes longer, until its owner has logged in.)
 *
 * scrypt (RFC 7914) runs on the runtime's own threads; {@link PasswordQueue} limits how many run and how many wait. This
 * module knows no accounts: `server_accounts.ts` decides who may try, and how often.
 *
 * @layer crypto
 */

import { scrypt } from "node:crypto";
import { type Bytes, encodeBase64, encodeUtf8, equalBytes, parseBase64, parseHex, type Random } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";
import { sha256 } from "./hash.ts";

/** N = 2^14 and r = 8: 16 MiB and some 40 ms for one hash at p = 1; with p = 5 it is one of OWASP's settings. */
const LOG_N = 14;
const BLOCK_SIZE = 8;
/** The record's own salt: equal digests get different records. */
const SALT_SIZE = 16;
const HASH_SIZE = 32;

/**
 * The most that a record may ask for, so that a manipulated row in the table can't stop the server: 16 rounds of
 * 2^18 * 8 * 128 bytes, which are 256 MiB.
 */
const MAX_LOG_N = 18;
const MAX_BLOCK_SIZE = 8;
const MAX_ROUNDS = 16;

/** How a new record is made. */
export interface PasswordWork {
  /** scrypt's p, from 1 to 5: a hash takes p times as long. */
  readonly p: number;
  readonly random: Random;
}

/** The result of a check. */
export interface PasswordCheck {
  readonly matches: boolean;
  /** What to store in place of the record, which was the Python design's or was made with other parameters. */
  readonly replacement?: string;
  /** The record's form is unknown, so no password matches it: it must be reset. */
  readonly unreadable?: true;
}

interface ScryptRecord {
  readonly logN: number;
  readonly r: number;
  readonly p: number;
  readonly salt: Bytes;
  readonly hash: Bytes;
}

/** `pwd`: SHA-256(salt || UTF-8(password)). */
export function passwordDigest(salt: Uint8Array, password: string): Bytes {
  return sha256(salt, encodeUtf8(password));
}

/** A fresh record of `pwd`. */
export async function hashPassword(pwd: Bytes, { p, random }: PasswordWork): Promise<string> {
  const salt = random(SALT_SIZE);
  return encodeRecord({
    logN: LOG_N,
    r: BLOCK_SIZE,
    p,
    salt,
    hash: await derive(pwd, { logN: LOG_N, r: BLOCK_SIZE, p, salt }),
  });
}

/** A record that no `pwd` matches, for addresses without an account: checking it takes the same time. */
export function unmatchableRecord({ p, random }: PasswordWork): string {
  return encodeRecord({ logN: LOG_N, r: BLOCK_SIZE, p, salt: random(SALT_SIZE), hash: random(HASH_SIZE) });
}

/** Whether `pwd` belongs to the record; compared in constant time. */
export async function checkPassword(pwd: Bytes, record: string, work: PasswordWork): Promise<PasswordCheck> {
  const plain = record.length === 2 * HASH_SIZE ? parseHex(record) : undefined;
  if (plain) return { matches: equalBytes(pwd, plain), replacement: await hashPassword(plain, work) };

  const parsed = parseRecord(record);
  if (!parsed) {
    await hashPassword(pwd, work);
    return { matches: false, unreadable: true };
  }
  const matches = equalBytes(await derive(pwd, parsed), parsed.hash);
  const { logN, r, p } = parsed;
  if (logN === LOG_N && r === BLOCK_SIZE && p === work.p) return { matches };
  if (matches) return { matches, replacement: await hashPassword(pwd, work) };
  if (p < work.p) await derive(pwd, { ...parsed, p: work.p - p });
  return { matches };
}

function encodeRecord({ logN, r, p, salt, hash }: ScryptRecord): string {
  return ["scrypt", logN, r, p, encodeBase64(salt), encodeBase64(hash)].join("$");
}

function parseRecord(text: string): ScryptRecord | undefined {
  const fields = /^scrypt\$([1-9][0-9]?)\$([1-9])\$([1-9][0-9]?)\$([^$]+)\$([^$]+)$/.exec(text);
  if (!fields) return undefined;
  const [logN, r, p] = [Number(fields[1]), Number(fields[2]), Number(fields[3])];
  const [salt, hash] = [parseBase64(fields[4] ?? ""), parseBase64(fields[5] ?? "")];
  if (logN > MAX_LOG_N || r > MAX_BLOCK_SIZE || p > MAX_ROUNDS) return undefined;
  return salt?.length === SALT_SIZE && hash?.length === HASH_SIZE ? { logN, r, p, salt, hash } : undefined;
}

function derive(pwd: Bytes, { logN, r, p, salt }: Omit<ScryptRecord, "hash">): Promise<Bytes> {
  // maxmem protects against our own parameters, which are bounded above.
  const options = { N: 2 ** logN, r, p, maxmem: 2 ** (MAX_LOG_N + 11) };
  return new Promise((resolve, reject) => {
    scrypt(pwd, salt, HASH_SIZE, options, (error, key) => error ? reject(error) : resolve(new Uint8Array(key)));
  });
}

/** How much password work a server does at once. */
export interface PasswordQueueLimits {
  /** How many hashes run at once, 16 MiB each; 2 by default. */
  readonly running?: number;
  /** How many more may wait in line. */
  readonly waiting: number;
}

/** On whose behalf password work is done. */
export interface PasswordClaim {
  /** The parties it counts for, and how many places each may have at once, running or in line. */
  readonly shares: readonly { readonly party: string; readonly most: number }[];
  /** Aborted when nobody waits for the answer any more; the place in line is then freed. */
  readonly signal?: AbortSignal | undefined;
}

/** Thrown for work that was aborted. */
export class Abandoned extends Error {}

/** Work in line. */
interface Waiting {
  readonly claim: PasswordClaim;
  readonly begin: () => void;
}

const NO_CLAIM: PasswordClaim = { shares: [] };

/**
 * Password work with limits: on how much runs at a time, how much waits, and how much each party has. Work beyond a limit
 * is refused at once. The next in line is from the party whose last turn was longest ago, so that a party with many
 * attempts doesn't delay the others.
 */
export class PasswordQueue {
  readonly work: PasswordWork;
  readonly #limits: PasswordQueueLimits;
  readonly #line: Waiting[] = [];
  /** How many places each party has, and its last turn. */
  readonly #places = new Map<string, { taken: number; turn: number }>();
  #turn = 0;
  #running = 0;

  constructor(work: PasswordWork, limits: PasswordQueueLimits) {
    this.work = work;
    this.#limits = limits;
  }

  /** How many may wait in line. */
  get waiting(): number {
    return this.#limits.waiting;
  }

  /** {@link hashPassword}, when its turn comes. */
  hash(pwd: Bytes, claim = NO_CLAIM): Promise<string> {
    return this.#inTurn(claim, () => hashPassword(pwd, this.work));
  }

  /** {@link checkPassword}, when its turn comes. */
  check(pwd: Bytes, record: string, claim = NO_CLAIM): Promise<PasswordCheck> {
    return this.#inTurn(claim, () => checkPassword(pwd, record, this.work));
  }

  async #inTurn<T>(claim: PasswordClaim, task: () => Promise<T>): Promise<T> {
    const isOver = claim.shares.some(({ party, most }) => (this.#places.get(party)?.taken ?? 0) >= most);
    const mustWait = this.#running >= (this.#limits.running ?? 2);
    if (isOver || (mustWait && this.#line.length >= this.#limits.waiting)) {
      throw new ProtocolError("rate-limited", "The server is busy checking passwords; try again in a moment.");
    }
    this.#count(claim, 1);
    try {
      if (mustWait) await this.#wait(claim);
      else this.#begin(claim);
      try {
        return await task();
      } finally {
        this.#next();
      }
    } finally {
      this.#count(claim, -1);
    }
  }

  /** Resolves when its turn has come; rejects if it was aborted. */
  #wait(claim: PasswordClaim): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const giveUp = () => {
      const at = this.#line.indexOf(waiting);
      if (at < 0) return;
      this.#line.splice(at, 1);
      reject(new Abandoned());
    };
    const waiting: Waiting = {
      claim,
      begin: () => {
        claim.signal?.removeEventListener("abort", giveUp);
        resolve();
      },
    };
    this.#line.push(waiting);
    if (claim.signal?.aborted) giveUp();
    else claim.signal?.addEventListener("abort", giveUp);
    return promise;
  }

  /** Hands the place to the next in line at once, so that no newcomer gets in between. */
  #next(): void {
    const turnOf = ({ claim: { shares } }: Waiting) =>
      Math.max(0, ...shares.map(({ party }) => this.#places.get(party)?.turn ?? 0));
    const turns = this.#line.map(turnOf);
    const [next] = this.#line.splice(turns.indexOf(Math.min(...turns)), 1);
    this.#running--;
    if (!next) return;
    this.#begin(next.claim);
    next.begin();
  }

  #begin(claim: PasswordClaim): void {
    this.#running++;
    this.#turn++;
    for (const { party } of claim.shares) {
      const places = this.#places.get(party);
      if (places) places.turn = this.#turn;
    }
  }

  #count({ shares }: PasswordClaim, change: 1 | -1): void {
    for (const { party } of shares) {
      const places = this.#places.get(party) ?? { taken: 0, turn: 0 };
      places.taken += change;
      if (places.taken === 0) this.#places.delete(party);
      else this.#places.set(party, places);
    }
  }
}
