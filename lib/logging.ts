/**
 * The log of a server: one line an event, in a file and on stderr. The one door to LogTape, which rotates the file by
 * size (`server.log.1` is the newest of the old ones) and picks by level.
 *
 *     2026-11-23T01:23:45.678Z INFO login succeeded user=ada address=127.0.0.1:40312
 *
 * Fields follow the message as `name=value`; a value that holds a blank, a quote or an equals sign stands in double
 * quotes with JSON's escapes. Control characters never reach the file or the terminal: they are written as `\u{1b}`.
 *
 * Every line is handed to the system as it comes, so that a `kill -9` loses none but those of the moment in which the
 * disk is flushed. A log that can't be opened ends the start with one sentence; one that fails later is reported on
 * stderr, and the server goes on. Nobody waits for whoever reads stderr (`logging_output.ts`). What may be logged is for
 * those who log: never a password, a key, a token or a message's text.
 *
 * @layer outside
 */

import { getRotatingFileSink } from "@logtape/file";
import { configure, dispose, getLogger, type LogRecord } from "@logtape/logtape";
import { EXIT, Failure } from "./errors.ts";
import { existsSync } from "./files.ts";
import { LineOutput } from "./logging_output.ts";
import { printable } from "./text.ts";

/** What the parts of a server write to. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** What belongs to an event. */
export type LogFields = Readonly<Record<string, string | number>>;

/** How a log is kept. */
export interface LogOptions {
  readonly level: "debug" | "info" | "warn" | "error";
  /** Its folder is made where it is missing. A device or a FIFO is written to and not rotated; `-` is stderr alone. */
  readonly file: string;
  /** Size at which the file is rotated. */
  readonly maxBytes: number;
  /** Rotated files that are kept. */
  readonly maxFiles: number;
  /** Takes the lines for stderr; without it they go to the process's own. `null` keeps the log to its file. */
  readonly stderr?: ((line: string) => void) | null;
}

/** A log that goes nowhere. */
export const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };

const CATEGORY = "securechat";

/**
 * Opens the log of this process; `close` ends it with everything written. LogTape is configured for the process as a
 * whole, so opening a second log closes the first one.
 */
export async function openLog(given: LogOptions): Promise<OpenLog> {
  const output = new LineOutput((bytes) => Deno.stderr.write(bytes));
  const options = { stderr: (line: string) => output.write(line), ...given };
  let device: LineOutput | undefined;
  try {
    device = openDevice(options.file, (error) => options.stderr?.(failedText(options.file, error)));
    if (!device) createPrivately(options.file);
    await configureLogTape({ ...options, device });
  } catch (error) {
    throw new Failure(
      EXIT.usage,
      `the log file ${options.file} cannot be written (${reasonOf(error)}); set LOG_FILE to a path that can`,
    );
  }
  const logger = getLogger(CATEGORY);
  let held: (() => void)[] | undefined;
  const reopen = async () => {
    if (held || device) return;
    held = []; // what is said meanwhile is written behind it
    try {
      createPrivately(options.file);
      await configureLogTape({ ...options, device });
    } catch (error) {
      await configureLogTape({ ...options, file: undefined, device });
      logger.error("{text}", { text: "the log file can't be opened anew", fields: { reason: reasonOf(error) } });
    }
    const lines = held;
    held = undefined;
    for (const line of lines) line();
  };
  /** The message goes in as a property's value: LogTape would take braces in it for placeholders. */
  const at = (level: "debug" | "info" | "warn" | "error") => (text: string, fields?: LogFields) => {
    const line = () => logger[level]("{text}", { text, fields });
    if (held) held.push(line);
    else line();
  };
  const close = async () => {
    await dispose();
    await device?.close();
    await output.close();
  };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error"), reopen, close };
}

/** The log of a process. */
export interface OpenLog extends Log {
  /** Ends it with everything written. */
  close(): Promise<void>;
  /** Opens its file anew under its name, for whoever has moved it away; stderr goes on where that can't be. */
  reopen(): Promise<void>;
}

async function configureLogTape(
  { level, file, device, maxBytes, maxFiles, stderr }: Omit<LogOptions, "file"> & {
    readonly file: string | undefined;
    readonly device: LineOutput | undefined;
  },
): Promise<void> {
  const toStderr = stderr ?? (() => {});
  // No buffer, and a flush that doesn't block: a line is written at once, or after the flush that is under way.
  const how = {
    maxSize: maxBytes,
    maxFiles,
    bufferSize: 0,
    flushInterval: 0,
    nonBlocking: true,
    formatter: formatLine,
  } as const;
  await configure({
    reset: true,
    sinks: {
      file: device
        ? (record: LogRecord) => device.write(formatLine(record))
        : file === undefined
        ? () => {}
        : getRotatingFileSink(file, how),
      stderr: (record: LogRecord) => toStderr(formatLine(record)),
      trouble: ({ properties: { error } }: LogRecord) => toStderr(failedText(file ?? "", error)),
    },
    loggers: [
      {
        category: CATEGORY,
        sinks: ["stderr", "file"],
        lowestLevel: level === "warn" ? "warning" : level,
      },
      { category: ["logtape", "meta"], sinks: ["trouble"], lowestLevel: "warning" },
    ],
  });
}

/** One line, LF included. */
function formatLine({ timestamp, level, properties: { text, fields } }: LogRecord): string {
  const words = [new Date(timestamp).toISOString(), level === "warning" ? "WARN" : level.toUpperCase(), String(text)];
  for (const [name, value] of Object.entries(fields ?? {})) {
    const spelled = String(value);
    words.push(`${name}=${/^[^\s"=]+$/.test(spelled) ? spelled : JSON.stringify(spelled)}`);
  }
  return `${printable(words.join(" "))}\n`;
}

/** Names of what the process has open: a file behind one is rotated by whoever opened it. */
const OPEN_ALREADY = /^\/(?:dev\/(?:stdin|stdout|stderr|fd\/\d+)|proc\/.+)$/;

/** What can't be rotated, a device or a FIFO; `undefined` for a file, and where none is yet. `-` is stderr alone. */
function openDevice(path: string, failed: (error: unknown) => void): LineOutput | undefined {
  if (path === "-" || path === "/dev/stderr") return new LineOutput((bytes) => Promise.resolve(bytes.length));
  const { isFile = true, isDirectory = false, isFifo = false } = existsSync(path) ? Deno.statSync(path) : {};
  if ((isFile || isDirectory) && !OPEN_ALREADY.test(path)) return undefined;
  // Opened for reading, too, a FIFO waits for no reader.
  const device = Deno.openSync(path, { write: true, read: isFifo === true });
  return new LineOutput((bytes) =>
    device.write(bytes).catch((error) => {
      failed(error);
      return bytes.length;
    })
  );
}

function failedText(file: string, error: unknown): string {
  return `securechat: the log file ${printable(file)} cannot be written (${reasonOf(error)})\n`;
}

/**
 * Makes the folder and the file, both for the owner alone, where they are missing: LogTape would make them readable by
 * all.
 */
function createPrivately(file: string): void {
  const folder = file.replace(/[^/\\]*$/, "");
  if (folder !== "") Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
  Deno.openSync(file, { append: true, create: true, mode: 0o600 }).close();
}

function reasonOf(error: unknown): string {
  return printable(error instanceof Error ? error.message : String(error));
}
