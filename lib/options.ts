/**
 * Checks the options that a caller gives the library: an option with a wrong name would be ignored silently.
 *
 *     checkOptions<Trust>("the trust of verify()", { authorities, crl }, { authorities: true, revocations: true })
 *     → TypeError: the trust of verify() has no option crl; it has authorities, revocations
 *
 * @layer ground
 */

/** The names of an options type, each of them: the compiler refuses one that is missing or too many. */
export type Names<T extends object> = Readonly<Record<keyof Required<T>, true>>;

/** Throws a TypeError for an option of another name. */
export function checkOptions<T extends object>(what: string, options: T, names: Names<T>): void {
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(names, name)) {
      throw new TypeError(`${what} has no option ${name}; it has ${Object.keys(names).join(", ")}`);
    }
  }
}

/** Throws a TypeError for a time that is given and isn't an integer. */
export function checkTime(what: string, time: unknown): void {
  if (time !== undefined && !Number.isSafeInteger(time)) {
    throw new TypeError(`the option ${what} is a time in whole milliseconds, not ${String(time)}`);
  }
}
