/**
 * How the text of a setting becomes a value: a port, one of a few words, a path, a database's URL.
 *
 * @layer outside
 */

import { isServiceUrl } from "./urls.ts";

/** How a setting's text becomes a value. */
export interface Kind<T> {
  /** The value; `undefined` if the text is invalid. */
  parse(text: string): T | undefined;
  /** The placeholder for a value in `--help`. */
  placeholder: string;
  /** The end of a sentence that begins with "… is not". */
  expected: string;
}

/** A number in a range. */
export function integer(min: number, max: number, placeholder = "N"): Kind<number> {
  return {
    placeholder,
    expected: `a number from ${min} to ${max}`,
    parse(text) {
      const value = /^[0-9]{1,15}$/.test(text) ? Number(text) : NaN;
      return value >= min && value <= max ? value : undefined;
    },
  };
}

/** One of a few words. */
export function choice<T extends string>(...values: T[]): Kind<T> {
  return {
    placeholder: values.join("|"),
    expected: `one of ${values.join(", ")}`,
    parse: (text) => values.find((value) => value === text.toLowerCase()),
  };
}

/** A port; 0 lets the system choose. */
export const port: Kind<number> = {
  ...integer(0, 65535, "PORT"),
  expected: "a port: a number from 0 to 65535",
};

/** A port for TLS, or `off`. */
export const tlsPort: Kind<number | "off"> = {
  placeholder: "PORT|off",
  expected: "a port or off: a number from 0 to 65535, or off",
  parse: (text) => text.toLowerCase() === "off" ? "off" : port.parse(text),
};

/** Yes or no. */
export const boolean: Kind<boolean> = {
  placeholder: "true|false",
  expected: "true or false",
  parse(text) {
    if (/^(?:true|yes|on|1)$/i.test(text)) return true;
    return /^(?:false|no|off|0)$/i.test(text) ? false : undefined;
  },
};

/** Text without control characters: a path, a name. */
export function text(placeholder: string, expected: string, pattern = /^\P{Cc}+$/u): Kind<string> {
  return { placeholder, expected, parse: (value) => pattern.test(value) ? value : undefined };
}

/** A path of a file or folder. */
export const path = (placeholder: "DIR" | "FILE") => text(placeholder, "a path");
/** A host name or an address. */
export const host = text("HOST", "a host name or an address", /^[A-Za-z0-9._:%-]+$/);

/** A host, or `off`. */
export const hostOrOff: Kind<string> = {
  placeholder: "ADDRESS|off",
  expected: "an address, or off",
  parse: (text) => text.toLowerCase() === "off" ? "off" : host.parse(text),
};

/** The parts of DB_URL; missing parts are undefined. */
export interface DatabaseUrl {
  readonly host: string;
  readonly port: number | undefined;
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly name: string | undefined;
}

/** `sqlite`, or the URL of a MySQL or MariaDB database. */
export const databaseUrl: Kind<DatabaseUrl | "sqlite"> = {
  placeholder: "URL",
  expected: "a database: mysql://USER:PASSWORD@HOST:PORT/NAME or sqlite",
  parse(value) {
    if (value === "sqlite") return value;
    const url = URL.parse(value);
    if (url?.protocol !== "mysql:" || url.hostname === "" || url.search !== "" || url.hash !== "") return undefined;
    try {
      return {
        host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
        port: url.port === "" ? undefined : Number(url.port),
        user: decodeURIComponent(url.username) || undefined,
        password: decodeURIComponent(url.password) || undefined,
        name: decodeURIComponent(url.pathname.slice(1)) || undefined,
      };
    } catch {
      return undefined; // a % that begins no escape
    }
  },
};

/** Up to 4 addresses of services, with commas between them. */
export const urls: Kind<readonly string[]> = {
  placeholder: "URL,URL",
  expected: "at most 4 http:// or https:// addresses, with commas between them",
  parse(text) {
    const all = text.split(",").map((each) => each.trim()).filter((each) => each !== "");
    return all.length <= 4 && all.every(isServiceUrl) ? all : undefined;
  },
};

/** A level of the log. */
export const logLevel: Kind<"debug" | "info" | "warn" | "error"> = {
  ...choice("debug", "info", "warn", "error"),
  parse: (value) => choice("debug", "info", "warn", "error").parse(value.replace(/^warning$/i, "warn")),
};

/** An address and a port on which to listen. */
export const listenAddress: Kind<{ readonly host: string; readonly port: number }> = {
  placeholder: "HOST:PORT",
  expected: "an address and a port: 127.0.0.1:7380 or [::1]:7380, for example",
  parse(value) {
    const [, bracketed, plain, digits = ""] =
      /^(?:\[([0-9A-Fa-f:.%]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})$/.exec(value) ?? [];
    const number = port.parse(digits);
    const name = bracketed ?? plain;
    return name === undefined || number === undefined ? undefined : { host: name, port: number };
  },
};
