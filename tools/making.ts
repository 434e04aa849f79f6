/**
 * What `init`, `ca` and `cert` have in common: the flags of what is made, and how it is told.
 */

import { encodeHex } from "../lib/bytes.ts";
import { CA_DAYS, CERTIFICATE_DAYS, type Made, type Making } from "../lib/ca_folder.ts";
import { KEY_BITS, type KeyBits } from "../lib/ca.ts";
import type { OptionSpec } from "../lib/command_line.ts";
import { EXIT, Failure } from "../lib/errors.ts";
import { readPassphrase } from "../lib/identity.ts";
import { encodeJson } from "../lib/json.ts";
import { formatTime } from "../lib/time_text.ts";
import { canonicalAddress } from "../lib/x509.ts";

/** Flags of what is made. */
export const MAKING = {
  days: { type: "string", value: "N", describe: `days that it is good for [${CERTIFICATE_DAYS}; a CA: ${CA_DAYS}]` },
  bits: { type: "string", value: "N", describe: "size of the RSA key: 2048, 3072 or 4096 [2048]" },
  passphrase: { type: "boolean", describe: "ask for a passphrase that protects the key" },
} as const satisfies Record<string, OptionSpec>;

/** For a command whose output is data. */
export const JSON_FLAG = { type: "boolean", describe: "print JSON" } as const satisfies OptionSpec;

interface MakingFlags {
  readonly days: string | undefined;
  readonly bits: string | undefined;
  readonly passphrase: boolean;
}

/** What the flags ask for. `passphraseFile` protects the key without a question. */
export async function makingOf(
  flags: MakingFlags,
  passphraseFile: string | undefined,
  fallback: number = CERTIFICATE_DAYS,
): Promise<Making> {
  return {
    days: daysOf("--days", flags.days) ?? fallback,
    bits: bitsOf(flags.bits),
    passphrase: passphraseFile !== undefined
      ? await readPassphrase(passphraseFile)
      : flags.passphrase
      ? await askNewPassphrase()
      : undefined,
  };
}

/** A number of days, up to a hundred years. */
export function daysOf(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const days = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (days < 1 || days > 36_500) {
    throw new Failure(EXIT.usage, `${flag} ${text} is not a number of days from 1 to 36500`);
  }
  return days;
}

/** The size of a key. */
export function bitsOf(text: string | undefined): KeyBits {
  const bits = KEY_BITS.find((bits) => String(bits) === (text ?? "2048"));
  if (bits === undefined) {
    throw new Failure(EXIT.usage, `--bits ${text} is not a size that is made: 2048, 3072 or 4096`);
  }
  return bits;
}

async function askNewPassphrase(): Promise<string> {
  const { askHidden } = await import("../lib/terminal.ts");
  const passphrase = await askHidden("Passphrase for the new key: ");
  if (passphrase === "") {
    throw new Failure(EXIT.usage, "an empty passphrase protects nothing; leave --passphrase out instead");
  }
  if (await askHidden("The same once more: ") !== passphrase) {
    throw new Failure(EXIT.usage, "the two passphrases differ, so nothing was made; run the command again");
  }
  return passphrase;
}

/** A host name or an address that can stand in a certificate. */
export function hostOf(text: string): string {
  const host = text.toLowerCase().replace(/\.$/, "");
  const isName = host.length <= 253 &&
    host.split(".").every((label) => /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(label)) &&
    !/(?:^|\.)\d+$/.test(host);
  const address = canonicalAddress(host);
  if (!isName && address === undefined) {
    throw new Failure(EXIT.usage, `"${text}" is not a host name (letters, digits, hyphens and dots) or an address`);
  }
  return address ?? host;
}

/** A name for a subject: the whole CN may have 64 characters (RFC 5280 appendix A.1). */
export function nameOf(text: string, what: string): string {
  if (text.trim() !== text || text === "" || text.length > 56 || !/^[^\p{C}\p{Zl}\p{Zp}]+$/u.test(text)) {
    throw new Failure(EXIT.usage, `${what} must have 1 to 56 printable characters, without blanks around them`);
  }
  return text;
}

/**
 * A name for a CA that isn't given one: with the host, and a random end, so that no two CAs have the same name. Lists
 * and certificates are found by the name of their issuer.
 */
export function ownName(kind: "ca" | "issuing", host?: string): string {
  const end = encodeHex(crypto.getRandomValues(new Uint8Array(3)));
  const of = host === undefined ? "" : ` of ${host.slice(0, MAX_HOST_IN_NAME)}`;
  return `Secure Chat ${kind === "ca" ? "CA" : "issuing CA"}${of} ${end}`;
}

/** What is left of 56 characters beside the other words. */
const MAX_HOST_IN_NAME = 23;

/** What was made, for people. */
export function tellMade(made: readonly Made[]): string {
  return made.map(({ certificate, files }) =>
    [
      files.certificate,
      `  ${certificate.subject}, until ${formatTime(certificate.notAfter).slice(0, 10)}`,
      `  fingerprint ${certificate.fingerprint}`,
      `  key ${files.key}`,
    ].join("\n")
  ).join("\n");
}

/** What was made, for programs. */
export function jsonOfMade(made: readonly Made[], more: Record<string, unknown> = {}): string {
  const certificates = made.map(({ role, certificate, files }) => ({
    role,
    file: files.certificate,
    key_file: files.key,
    subject: certificate.subject,
    serial: certificate.serial,
    fingerprint: certificate.fingerprint,
    not_before: formatTime(certificate.notBefore),
    not_after: formatTime(certificate.notAfter),
  }));
  return encodeJson({ certificates, ...more });
}
