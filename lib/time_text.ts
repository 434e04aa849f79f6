/**
 * Times as text: `2023-11-15T14:30:22Z`, in UTC and whole seconds.
 *
 * @layer ground
 */

/** The last time that a calendar has, unix milliseconds: evidence may name a later one. */
const MAX_TIME = 8_640_000_000_000_000;

/** Unix milliseconds as in `2023-11-15T14:30:22Z`; beyond any calendar, their number. */
export function formatTime(time: number): string {
  if (time > MAX_TIME) return `${time} ms`;
  return new Date(Math.floor(time / 1000) * 1000).toISOString().replace(".000Z", "Z");
}

/** The unix milliseconds of a time in exactly that form; `undefined` for another, or a day that doesn't exist. */
export function parseTime(text: string): number | undefined {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text)) return undefined;
  const time = Date.parse(text);
  return Number.isNaN(time) || formatTime(time) !== text ? undefined : time;
}
