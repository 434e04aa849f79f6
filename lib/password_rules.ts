/**
 * Which passwords are acceptable. Only the client can check this: the server sees a digest.
 *
 *     normalisePassword("e\u0301tude nocturne") → "étude nocturne", as another keyboard types it
 *     passwordProblem("password1")              → "This password is among the first that attackers try; …"
 *     generatePassword(random)                  → "wq7kd-m3xzt-8cfjp-5hvna": 100 bits
 *
 * Passwords are prepared as the OpaqueString profile of RFC 8265 says: every space becomes U+0020, then NFC; letters keep
 * their case and their width. A login also needs a certificate, so eight characters are enough for a new password.
 *
 * @layer crypto
 */

import type { Random } from "./bytes.ts";

/** The fewest characters of a new password. */
export const MIN_PASSWORD = 8;
/** The most: a longer text is a paste by mistake. */
export const MAX_PASSWORD = 1024;

/** The password in the form of which the digest is made. */
export function normalisePassword(text: string): string {
  return text.replace(/\p{Zs}/gu, " ").normalize("NFC");
}

/** What is wrong with a new password, in a sentence; `undefined` if it is acceptable. */
export function passwordProblem(text: string, known: readonly string[] = []): string | undefined {
  const password = normalisePassword(text);
  const characters = [...password];
  if (!password.isWellFormed() || /[\p{Cc}\p{Cn}]/u.test(password)) {
    return "A password can't contain control characters; type it again.";
  }
  if (characters.length < MIN_PASSWORD) return `A new password needs at least ${MIN_PASSWORD} characters.`;
  if (characters.length > MAX_PASSWORD) return `A password can't have more than ${MAX_PASSWORD} characters.`;
  if (isCommon(password.toLowerCase(), known)) {
    return "This password is among the first that attackers try; choose another, or use --generate.";
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

/** Whether the characters follow each other on a keyboard or in the alphabet, forwards or backwards. */
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

/** The most common stems in lists of stolen passwords, without digits at either end. */
const COMMON: ReadonlySet<string> = new Set(
  ("password passwort passw0rd p4ssword pa55word letmein iloveyou admin administrator welcome monkey dragon football " +
    "baseball superman batman princess sunshine shadow master michael jennifer jordan hunter ranger trustno1 starwars " +
    "whatever freedom computer internet changeme changeit default secret secure securechat access login guest test " +
    "testtest qwerty qwertz azerty qwertyui 1q2w3e4r 1q2w3e4r5t 1qaz2wsx q1w2e3r4 q1w2e3r4t5 zaq12wsx asdfghjk asdfasdf " +
    "zxcvbnm liverpool arsenal chelsea pokemon charlie matthew daniel jessica ashley nicole summer winter autumn spring " +
    "google facebook linkedin samsung hello hellohello lovely loveme flower cookie cheese pepper killer mustang " +
    "correcthorsebatterystaple").split(" "),
);

/** 32 letters and digits (5 bits each) that can't be mistaken for one another. */
const ALPHABET = "23456789abcdefghijkmnpqrstuvwxyz";
const [GROUPS, GROUP] = [4, 5];

/** A password that can't be guessed, in groups that can be read aloud. */
export function generatePassword(random: Random): string {
  const letters = [...random(GROUPS * GROUP)].map((byte) => ALPHABET[byte & 31] ?? "");
  return Array.from({ length: GROUPS }, (_, at) => letters.slice(at * GROUP, (at + 1) * GROUP).join("")).join("-");
}
