/**
 * What a password may be, for the side that knows it: the client. (The server sees a digest.)
 *
 *     normalisePassword("e\u0301tude nocturne") → "étude nocturne", as another keyboard types it
 *     passwordProblem("password1")              → "This is one of the passwords that everybody tries first …"
 *     generatePassword(random)                  → "wq7kd-m3xzt-8cfjp-5hvna": 100 bits
 *
 * Texts are compared as the OpaqueString profile of RFC 8265 prepares them: every space is U+0020, then NFC; letters
 * keep their case and their width. A certificate is needed beside a password, so eight characters are enough of a new
 * one.
 *
 * @layer crypto
 */

import type { Random } from "./bytes.ts";

/** The fewest characters of a new password. */
export const MIN_PASSWORD = 8;
/** The most: a digest is made of any length, and a paste that went wrong is no password. */
export const MAX_PASSWORD = 1024;

/** The password as its digest is made. */
export function normalisePassword(text: string): string {
  return text.replace(/\p{Zs}/gu, " ").normalize("NFC");
}

/** What is wrong with a new password, in a sentence; `undefined` for one that may be taken. */
export function passwordProblem(text: string, known: readonly string[] = []): string | undefined {
  const password = normalisePassword(text);
  const characters = [...password];
  if (!password.isWellFormed() || /[\p{Cc}\p{Cn}]/u.test(password)) {
    return "A password has no control characters; type it anew.";
  }
  if (characters.length < MIN_PASSWORD) return `A new password has at least ${MIN_PASSWORD} characters.`;
  if (characters.length > MAX_PASSWORD) return `A password has at most ${MAX_PASSWORD} characters.`;
  if (isCommon(password.toLowerCase(), known)) {
    return "This is one of the passwords that everybody tries first; choose another, or have one made with --generate.";
  }
  return undefined;
}

function isCommon(password: string, known: readonly string[]): boolean {
  const bare = password.replace(/[^\p{L}\p{N}]/gu, "");
  const stem = bare.replace(/^[0-9]+|[0-9]+$/g, "");
  if (new Set(bare).size < 5) return true; // aaaaaaaa, 12341234
  if (COMMON.has(bare) || COMMON.has(stem) || isRun(bare)) return true;
  return known.some((name) => name !== "" && (stem === name.toLowerCase() || password === name.toLowerCase()));
}

/** Characters that follow each other on a keyboard or in the alphabet, either way. */
function isRun(text: string): boolean {
  return RUNS.some((run) => run.repeat(2).includes(text) || [...run].reverse().join("").repeat(2).includes(text));
}

const RUNS = [
  "abcdefghijklmnopqrstuvwxyz",
  "0123456789",
  "1234567890",
  "qwertyuiop",
  "asdfghjkl",
  "zxcvbnm",
  "qwertzuiop",
];

/** The stems that lists of stolen passwords begin with, digits at either end aside. */
const COMMON: ReadonlySet<string> = new Set(
  ("password passwort passw0rd p4ssword pa55word letmein iloveyou admin administrator welcome monkey dragon football " +
    "baseball superman batman princess sunshine shadow master michael jennifer jordan hunter ranger trustno1 starwars " +
    "whatever freedom computer internet changeme changeit default secret secure securechat access login guest test " +
    "testtest qwerty qwertz azerty qwertyui 1q2w3e4r 1q2w3e4r5t 1qaz2wsx q1w2e3r4 q1w2e3r4t5 zaq12wsx asdfghjk asdfasdf " +
    "zxcvbnm liverpool arsenal chelsea pokemon charlie matthew daniel jessica ashley nicole summer winter autumn spring " +
    "google facebook linkedin samsung hello hellohello lovely loveme flower cookie cheese pepper killer mustang " +
    "correcthorsebatterystaple").split(" "),
);

/** Without letters and digits that are read as one another; 32 of them, 5 bits each. */
const ALPHABET = "23456789abcdefghijkmnpqrstuvwxyz";
const [GROUPS, GROUP] = [4, 5];

/** A password that nobody guesses, in groups that can be read aloud. */
export function generatePassword(random: Random): string {
  const letters = [...random(GROUPS * GROUP)].map((byte) => ALPHABET[byte & 31] ?? "");
  return Array.from({ length: GROUPS }, (_, at) => letters.slice(at * GROUP, (at + 1) * GROUP).join("")).join("-");
}
