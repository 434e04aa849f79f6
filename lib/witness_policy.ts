/**
 * Which logs count, and which witnesses have to have cosigned a log's note (C2SP tlog-policy; docs/PROTOCOL.md,
 * "Witnesses"). One file serves the server, its members and the verifier:
 *
 *     log chat.example/log/8f14e45fceea167a5a36dedd4bea2543+d04bb4fb+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs
 *     witness friend  witness.example/w1+fea3b187+BBOY9ixtGkV8UbpqS189vS9p/KkyFiGNyJl+QWvRfZPK  https://witness.example
 *     witness other   …
 *     group   two-of-three 2 friend other third
 *     quorum  two-of-three
 *
 * A line begins with its keyword; words are separated by blanks and tabs; `#` begins a line that is a comment. A group
 * or the quorum names what stands above it. `quorum none` asks for no witness. Names mean something only in this file.
 *
 * @layer format
 */

import { EXIT, Failure } from "./errors.ts";
import type { Note } from "./log_note.ts";
import { encodeVkey, KEY_TYPE, type KeyType, type NoteKey, parseVkey, verifyNote } from "./log_note_key.ts";
import { quoted } from "./text.ts";

/** More logs, witnesses and groups together are in no policy: reading one stays quick, and nothing nests deeper. */
export const MAX_POLICY_NAMES = 1_000;
/** Seconds by which a cosignature's time may be ahead of the reader's clock. */
export const MAX_AHEAD = 300;

/** A log of a policy. */
export interface PolicyLog {
  readonly key: NoteKey;
  readonly url: string | undefined;
}

/** A witness of a policy. */
export interface PolicyWitness extends PolicyLog {
  /** What the file calls it. */
  readonly name: string;
}

/** A witness, by its name in the file, or a group of which so many are needed. */
export type Quorum = { readonly witness: string } | { readonly atLeast: number; readonly of: readonly Quorum[] };

/** A policy file. */
export interface WitnessPolicy {
  readonly logs: readonly PolicyLog[];
  /** In the order of the file. */
  readonly witnesses: readonly PolicyWitness[];
  /** `undefined`: `quorum none`, nobody has to have cosigned. */
  readonly quorum: Quorum | undefined;
}

/** Who cosigned a note: a witness's name in the policy, and the time that it stated (unix seconds). */
export type Cosigners = ReadonlyMap<string, number>;

// ---- reading

/** The policy in a file's text; a {@link Failure} names the line that is wrong, but not the file. */
export function parsePolicy(text: string): WitnessPolicy {
  const reader = new PolicyReader();
  for (const [index, line] of text.split("\n").entries()) {
    const words = line.split(/[ \t]+/).filter((word) => word !== "");
    if (words.length === 0 || words[0]?.startsWith("#")) continue;
    const wrong = reader.take(words);
    if (wrong !== undefined) throw new Failure(EXIT.usage, `line ${index + 1}: ${wrong}`);
  }
  return reader.policy();
}

const USAGE = {
  log: '"log VKEY [URL]" is wanted',
  witness: '"witness NAME VKEY [URL]" is wanted',
  group: '"group NAME all|any|NUMBER NAME…" is wanted',
  quorum: '"quorum NAME" or "quorum none" is wanted',
} as const;

class PolicyReader {
  readonly #logs: PolicyLog[] = [];
  readonly #witnesses: PolicyWitness[] = [];
  /** Witnesses and groups, by name. */
  readonly #named = new Map<string, Quorum>();
  /** Names that are in a group. */
  readonly #members = new Set<string>();
  readonly #keys = new Set<string>();
  #quorum: Quorum | undefined | "missing" = "missing";

  /** Takes a line's words; answers what is wrong with them. */
  take([keyword = "", ...words]: readonly string[]): string | undefined {
    const all = [keyword, ...words].join(" ");
    // deno-lint-ignore no-control-regex
    if (/[\u0000-\u001f\u007f]/.test(all)) return "there is a control character; lines end with nothing but LF";
    switch (keyword) {
      case "log":
        return this.#log(words);
      case "witness":
        return this.#witness(words);
      case "group":
        return this.#group(words);
      case "quorum":
        return this.#setQuorum(words);
      default:
        return `${quoted(keyword)} is none of log, witness, group and quorum`;
    }
  }

  /** What was read. */
  policy(): WitnessPolicy {
    if (this.#quorum === "missing") {
      throw new Failure(EXIT.usage, 'the quorum line is missing; "quorum none" asks for no witness');
    }
    return { logs: this.#logs, witnesses: this.#witnesses, quorum: this.#quorum };
  }

  #log([vkey, url, ...more]: readonly string[]): string | undefined {
    if (vkey === undefined || more.length > 0) return USAGE.log;
    const key = this.#newKey(vkey, [KEY_TYPE.log], "a log's key is of type 1, Ed25519");
    if (typeof key === "string") return key;
    this.#logs.push({ key, url });
  }

  #witness([name, vkey, url, ...more]: readonly string[]): string | undefined {
    if (name === undefined || vkey === undefined || more.length > 0) return USAGE.witness;
    const types = [KEY_TYPE.witness, KEY_TYPE.mlDsaWitness];
    const wrong = this.#nameIsWrong(name);
    const key = wrong ?? this.#newKey(vkey, types, "a witness's key is of type 4, Ed25519, or 6, ML-DSA-44");
    if (typeof key === "string") return key;
    this.#witnesses.push({ name, key, url });
    this.#named.set(name, { witness: name });
  }

  #group([name, rule, ...members]: readonly string[]): string | undefined {
    if (name === undefined || rule === undefined || members.length === 0) return USAGE.group;
    const wrong = this.#nameIsWrong(name) ?? members.map((member) => this.#memberIsWrong(member)).find(Boolean);
    if (wrong !== undefined) return wrong;
    if (new Set(members).size < members.length) return `the group ${quoted(name)} names a member twice`;
    const atLeast = rule === "all" ? members.length : rule === "any" ? 1 : /^[0-9]{1,4}$/.test(rule) ? Number(rule) : 0;
    if (atLeast < 1 || atLeast > members.length) {
      return `a group of ${members.length} needs all, any, or a number from 1 to ${members.length}`;
    }
    for (const member of members) this.#members.add(member);
    this.#named.set(name, { atLeast, of: members.flatMap((member) => this.#named.get(member) ?? []) });
  }

  #setQuorum([name, ...more]: readonly string[]): string | undefined {
    if (name === undefined || more.length > 0) return USAGE.quorum;
    if (this.#quorum !== "missing") return "there is a quorum already";
    if (name !== "none" && !this.#named.has(name)) return this.#unknown(name);
    this.#quorum = this.#named.get(name);
  }

  #nameIsWrong(name: string): string | undefined {
    if (name === "none") return '"none" is no name for a witness or a group';
    if (this.#named.has(name)) return `${quoted(name)} is defined twice`;
    if (this.#named.size >= MAX_POLICY_NAMES) return `more than ${MAX_POLICY_NAMES} witnesses and groups`;
  }

  #memberIsWrong(name: string): string | undefined {
    if (!this.#named.has(name)) return this.#unknown(name);
    if (this.#members.has(name)) return `${quoted(name)} is a member of another group already`;
  }

  #unknown(name: string): string {
    return `no witness or group ${quoted(name)} stands above this line`;
  }

  /** The key of a vkey that this file has not named yet, or what is wrong. */
  #newKey(vkey: string, types: readonly KeyType[], expected: string): NoteKey | string {
    const key = parseVkey(vkey);
    if (!key) return `${quoted(vkey)} is no verifier key (name+ID+base64) of a known type`;
    if (!types.includes(key.type)) return expected;
    if (this.#keys.size >= 2 * MAX_POLICY_NAMES) return `more than ${2 * MAX_POLICY_NAMES} keys`;
    // The same key may be a log's and a witness's: types tell them apart.
    for (const mark of [`${types[0]} ${key.publicKey.toHex()}`, `${key.name}+${key.id}`]) {
      if (this.#keys.has(mark)) return "this key stands in the file already";
      this.#keys.add(mark);
    }
    return key;
  }
}

/** The policy of some witnesses of which so many are needed, all of them by default; RangeError for another number. */
export function policyOf(keys: readonly NoteKey[], atLeast = keys.length): WitnessPolicy {
  if (!(atLeast >= 1 && atLeast <= keys.length)) throw new RangeError("one of them at least, and all at most");
  const names = keys.map(({ name }) => name);
  const witnesses = keys.map((key) => {
    const isAlone = names.indexOf(key.name) === names.lastIndexOf(key.name);
    return { name: isAlone ? key.name : encodeVkey(key), key, url: undefined };
  });
  const of = witnesses.map(({ name }) => ({ witness: name }));
  return { logs: [], witnesses, quorum: { atLeast, of } };
}

// ---- judging

/**
 * Which witnesses of the policy cosigned the note; `undefined` if a line of one of them doesn't verify. A cosignature
 * without a time, or of a time more than {@link MAX_AHEAD} after `now` (unix seconds), counts for nothing.
 */
export async function cosignersOf(note: Note, policy: WitnessPolicy, now: number): Promise<Cosigners | undefined> {
  const signers = await verifyNote(note, policy.witnesses.map(({ key }) => key));
  if (!signers) return undefined;
  const times = new Map(signers.map(({ key, time = 0 }) => [key, time]));
  return new Map(policy.witnesses.flatMap(({ name, key }): [string, number][] => {
    const time = times.get(key) ?? 0;
    return time > 0 && time <= now + MAX_AHEAD ? [[name, time]] : [];
  }));
}

/** Whether these cosigners are enough: always under `quorum none`. */
export function isSatisfied({ quorum }: WitnessPolicy, cosigners: Cosigners): boolean {
  return quorum === undefined || Number.isFinite(earliest(quorum, cosigners));
}

/**
 * The smallest t such that the cosignatures of times up to t are enough: the note existed by then. `undefined` if all of
 * them aren't, or nobody is asked for.
 */
export function satisfiedBy({ quorum }: WitnessPolicy, cosigners: Cosigners): number | undefined {
  const time = quorum && earliest(quorum, cosigners);
  return time !== undefined && Number.isFinite(time) ? time : undefined;
}

/**
 * The largest t such that the cosignatures of times from t on are enough: what depends on the closed note is not older.
 * `undefined` if all of them aren't, or nobody is asked for.
 */
export function satisfiedSince({ quorum }: WitnessPolicy, cosigners: Cosigners): number | undefined {
  // With times counted backwards, it is the same question.
  const backwards = new Map([...cosigners].map(([name, time]) => [name, -time]));
  const time = quorum && earliest(quorum, backwards);
  return time !== undefined && Number.isFinite(time) ? -time : undefined;
}

/** The k-th smallest time of a group's members; Infinity if fewer have one. */
function earliest(quorum: Quorum, times: Cosigners): number {
  if ("witness" in quorum) return times.get(quorum.witness) ?? Infinity;
  const members = quorum.of.map((member) => earliest(member, times)).sort((a, b) => a < b ? -1 : a > b ? 1 : 0);
  return members[quorum.atLeast - 1] ?? Infinity;
}
