/**
 * Reads the variable TZ. The runtime knows only names of zones, and silently uses UTC for everything else.
 *
 *     readTimeZone("Europe/Berlin")       → "Europe/Berlin"
 *     readTimeZone(":Europe/Berlin")      → "Europe/Berlin"
 *     readTimeZone("<+03>-3")             → "Etc/GMT-3"
 *     readTimeZone("CET-1CEST")           → undefined: POSIX rules for summer time are not supported
 *
 * @layer ground
 */

const NAME = "(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)";
const OFFSET = new RegExp(`^${NAME}([+-]?)([0-9]{1,2})(?::?00){0,2}$`);

/** The name of the zone; `undefined` if it isn't known. */
export function readTimeZone(tz: string): string | undefined {
  const name = tz.replace(/^:/, "").replace(/^.*\/zoneinfo\/(?:posix\/|right\/)?/, "");
  if (isZone(name)) return name;
  const [, sign = "", digits] = OFFSET.exec(name) ?? [];
  const hours = Number(digits);
  if (digits === undefined || hours > 14 || (hours > 12 && sign !== "-")) return undefined;
  // Both POSIX and these names count west as positive.
  return hours === 0 ? "Etc/UTC" : `Etc/GMT${sign === "-" ? "-" : "+"}${hours}`;
}

function isZone(name: string): boolean {
  if (/^[+-]/.test(name)) return false; // an offset, which only the formatter takes for a zone
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/** `UTC+1`, `UTC-3:30`: how far the local time of that moment is from UTC. */
export function zoneOf(unixMs: number): string {
  const minutes = -new Date(unixMs).getTimezoneOffset();
  if (!minutes) return "UTC"; // also if the time is NaN
  const size = Math.abs(minutes);
  const rest = size % 60 === 0 ? "" : `:${String(size % 60).padStart(2, "0")}`;
  return `UTC${minutes < 0 ? "-" : "+"}${Math.floor(size / 60)}${rest}`;
}
