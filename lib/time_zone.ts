/**
 * What TZ says, for a runtime that knows only the names of zones and takes everything else for UTC without a word.
 *
 *     readTimeZone("Europe/Berlin")       → "Europe/Berlin"
 *     readTimeZone(":Europe/Berlin")      → "Europe/Berlin"
 *     readTimeZone("<+03>-3")             → "Etc/GMT-3"
 *     readTimeZone("CET-1CEST")           → undefined: rules of summer time as POSIX writes them are not known
 *
 * @layer ground
 */

const NAME = "(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)";
const OFFSET = new RegExp(`^${NAME}([+-]?)([0-9]{1,2})(?::?00){0,2}$`);

/** The name of the zone; `undefined` where it can't be told. */
export function readTimeZone(tz: string): string | undefined {
  const name = tz.replace(/^:/, "").replace(/^.*\/zoneinfo\/(?:posix\/|right\/)?/, "");
  if (isZone(name)) return name;
  const [, sign = "", digits] = OFFSET.exec(name) ?? [];
  const hours = Number(digits);
  if (digits === undefined || hours > 14 || (hours > 12 && sign !== "-")) return undefined;
  // POSIX and these names count west as positive, both.
  return hours === 0 ? "Etc/UTC" : `Etc/GMT${sign === "-" ? "-" : "+"}${hours}`;
}

function isZone(name: string): boolean {
  if (/^[+-]/.test(name)) return false; // an offset, which is a zone to the formatter alone
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
  if (!minutes) return "UTC"; // also at no possible time
  const size = Math.abs(minutes);
  const rest = size % 60 === 0 ? "" : `:${String(size % 60).padStart(2, "0")}`;
  return `UTC${minutes < 0 ? "-" : "+"}${Math.floor(size / 60)}${rest}`;
}
