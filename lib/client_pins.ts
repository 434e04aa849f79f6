/**
 * Which certificates are whose, as far as this client has seen: one for all rooms of a server (docs/PROTOCOL.md,
 * "Before the session" and "Devices and trust").
 *
 *     pins.see("24e7…", "ada")          → "first"     the first certificate of an account is believed
 *     pins.see("9f86…", "ada")          → "new"       a further one is ada's only because the server says so
 *     pins.vouch("24e7…", "9f86…")      → ["9f86…"]   now a known one has said that it is hers as well
 *     pins.see("c031…", "ada")          → "new", and what it vouches for stays new, itself included
 *
 * A certificate is trusted if it is the first of its account, or if a trusted one of the same account has vouched for it.
 * The order of the lines doesn't matter: a vouch by a certificate that is new itself counts from the moment in which that
 * one is vouched for. So rooms that are read in another order, or again, lead to the same result. Names and vouches are
 * handed out to be kept ({@link Pin}), and taken back at the next start.
 *
 * @layer chat
 */

import { usernameKey } from "./names.ts";

/** Why a certificate is believed to be its account's, or that it is not yet. */
export type Standing = "first" | "vouched" | "new";

/** What is kept of a certificate: the account that it said it is of, or the certificate that vouched for it. */
export type Pin =
  | { readonly fingerprint: string; readonly username: string }
  | { readonly fingerprint: string; readonly vouched_by: string };

/** The certificates of all accounts that were seen. */
export class Pins {
  /** Usernames as they are compared, by fingerprint. */
  readonly #names = new Map<string, string>();
  /** Fingerprints by username, in the order in which they were seen. */
  readonly #devices = new Map<string, string[]>();
  /** Who has vouched for a certificate. */
  readonly #vouchers = new Map<string, Set<string>>();
  readonly #changed: (pin: Pin) => void;

  constructor(known: Iterable<Pin> = [], changed: (pin: Pin) => void = () => {}) {
    for (const pin of known) {
      if ("username" in pin) this.#name(pin.fingerprint, usernameKey(pin.username));
      else this.#voucherOf(pin.fingerprint).add(pin.vouched_by);
    }
    this.#changed = changed;
  }

  #name(fingerprint: string, username: string): void {
    this.#names.set(fingerprint, username);
    this.#devices.set(username, [...this.devices(username), fingerprint]);
  }

  #voucherOf(fingerprint: string): Set<string> {
    const known = this.#vouchers.get(fingerprint) ?? new Set();
    this.#vouchers.set(fingerprint, known);
    return known;
  }

  /** A certificate says whose it is: it has a standing from now on, was known before, or is somebody else's. */
  see(fingerprint: string, username: string): Standing | "known" | "another's" {
    const name = usernameKey(username);
    const known = this.#names.get(fingerprint);
    if (known !== undefined) return known === name ? "known" : "another's";
    this.#name(fingerprint, name);
    this.#changed({ fingerprint, username: name });
    return this.standing(fingerprint) ?? "new";
  }

  /** A certificate says that another is of the same account. The seen ones that are trusted from now on. */
  vouch(by: string, fingerprint: string): string[] {
    const vouchers = this.#vouchers.get(fingerprint);
    if (by === fingerprint || vouchers?.has(by)) return [];
    const waiting = this.devices(this.#names.get(by) ?? "").filter((device) => this.standing(device) === "new");
    this.#voucherOf(fingerprint).add(by);
    this.#changed({ fingerprint, vouched_by: by });
    return waiting.filter((device) => this.standing(device) !== "new");
  }

  /** The account that a certificate said it is of, as names are compared; `undefined` for one that was never seen. */
  usernameOf(fingerprint: string): string | undefined {
    return this.#names.get(fingerprint);
  }

  /** Why a certificate is believed to be its account's; `undefined` for one that was never seen. */
  standing(fingerprint: string): Standing | undefined {
    const name = this.#names.get(fingerprint);
    if (name === undefined) return undefined;
    if (this.#devices.get(name)?.[0] === fingerprint) return "first";
    return this.#isTrusted(fingerprint, name, new Set()) ? "vouched" : "new";
  }

  /** Whether vouches lead from the account's first certificate to this one; `passed` were looked at. */
  #isTrusted(fingerprint: string, name: string, passed: Set<string>): boolean {
    if (this.#names.get(fingerprint) !== name || passed.has(fingerprint)) return false;
    if (this.#devices.get(name)?.[0] === fingerprint) return true;
    passed.add(fingerprint);
    return [...this.#vouchers.get(fingerprint) ?? []].some((by) => this.#isTrusted(by, name, passed));
  }

  /** The certificates of an account, in the order in which they were seen. */
  devices(username: string): readonly string[] {
    return this.#devices.get(usernameKey(username)) ?? [];
  }
}
