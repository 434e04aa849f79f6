/**
 * Options that a caller gives a verification: one that it doesn't know would be one that it doesn't heed.
 *
 * @layer protocol
 */

/** Throws a TypeError for an option of another name, and for a time (`at`, `now`) that is not an integer. */
export function checkOptions(what: string, options: object, known: readonly string[]): void {
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) throw new TypeError(`${what} has no option ${name}; it has ${known.join(", ")}`);
  }
  for (const name of ["at", "now"]) {
    const time: unknown = Object.entries(options).find(([key]) => key === name)?.[1];
    if (time !== undefined && !Number.isSafeInteger(time)) {
      throw new TypeError(`the option ${name} of ${what} is a time in whole milliseconds, not ${String(time)}`);
    }
  }
}
