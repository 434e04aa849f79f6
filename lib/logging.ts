/**
 * The log of a server: one line an event, in a file that is rotated by size (`logging_file.ts`) and on stderr. The one
 * door to LogTape, which filters by level.
 *
 *     2026-11-23T01:23:45.678Z INFO login succeeded user=ada address=127.0.0.1:40312
 *
 * Fields follow the message as `name=value`; a value with a blank, a quote or an equals sign is in double quotes with
 * JSON's escapes. Control characters never reach the file or the terminal: they are written as `\u{1b}`.
 *
 * Every line is given to the system at once, so a `kill -9` loses only the lines of that moment. If the log can't be
 * opened, the start ends with one sentence; if it fails later, stderr says so and the server goes on. The server never
 * waits for the disk or for a slow reader of stderr (`logging_output.ts`). Callers must never log a password, a key, a
 * token or a message's text.
 *
 * @layer outside
 */

import { configure, dispose, getLogger, type LogRecord } from "@logtape/logtape";
import { EXIT, Failure, messageOf } from "./errors.ts";
import { existsSync } from "./files.ts";
import { RotatingFile } from "./logging_file.ts";
import { LineOutput } from "./logging_output.ts";
import { printable } from "./text.ts";

/** A log, as the parts of a server use it. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** The details of an event. */
export type LogFields = Readonly<Record<string, string | number>>;

/** How a log is kept. */
export interface LogOptions {
  readonly level: "debug" | "info" | "warn" | "error";
  /** Its folder is made if it is missing. A device or a FIFO is written to but not rotated; `-` is only stderr. */
  readonly file: string;
  /** Size at which the file is rotated. */
  readonly maxBytes: number;
  /** How many rotated files are kept. */
  readonly maxFiles: number;
  /** Gets the lines for stderr; the default is the process's stderr. `null`: only the file. */
  readonly stderr?: ((line: string) => void) | null;
}

/** A log that drops everything. */
export const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };

const CATEGORY = "securechat";

/**
 * Opens the log of this process; `close` writes the rest and closes it. LogTape is configured for the whole process, so
 * opening a second log closes the first.
 */
export async function openLog(given: LogOptions): Promise<OpenLog> {
  const output = new LineOutput((bytes) => Deno.stderr.write(bytes));
  const options = { stderr: (line: string) => output.write(line), ...given };
  const failed = (error: unknown) => options.stderr?.(failedText(options.file, error));
  let file: OpenFile | undefined;
  try {
    file = openFile(options, failed);
    await configureLogTape({ ...options, file });
  } catch (error) {
    throw new Failure(
      EXIT.usage,
      `the log file ${options.file} can't be written (${reasonOf(error)}); set LOG_FILE to another path`,
    );
  }
  const logger = getLogger(CATEGORY);
  let held: (() => void)[] | undefined;
  const reopen = async () => {
    if (held || !file?.isRotated) return;
    held = []; // events that come meanwhile are written after it
    await file.close();
    try {
      file = openFile(options, failed);
      await configureLogTape({ ...options, file });
    } catch (error) {
      file = undefined;
      await configureLogTape({ ...options, file });
      logger.error("{text}", { text: "the log file can't be reopened", fields: { reason: reasonOf(error) } });
    }
    const lines = held;
    held = undefined;
    for (const line of lines) line();
  };
  /** The message is passed as a property, since LogTape would read braces in it as placeholders. */
  const at = (level: "debug" | "info" | "warn" | "error") => (text: string, fields?: LogFields) => {
    const line = () => logger[level]("{text}", { text, fields });
    if (held) held.push(line);
    else line();
  };
  const close = async () => {
    await dispose();
    await file?.close();
    await output.close();
  };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error"), reopen, close };
}

/** The log of a process. */
export interface OpenLog extends Log {
  /** Writes the rest and closes it. */
  close(): Promise<void>;
  /** Reopens the file under its name, after somebody moved it away. If that fails, only stderr goes on. */
  reopen(): Promise<void>;
}

async function configureLogTape(
  { level, file, stderr }: Omit<LogOptions, "file"> & { readonly file: OpenFile | undefined },
): Promise<void> {
  const toStderr = stderr ?? (() => {});
  await configure({
    reset: true,
    sinks: {
      file: (record: LogRecord) => file?.output.write(formatLine(record)),
      stderr: (record: LogRecord) => toStderr(formatLine(record)),
    },
    loggers: [
      {
        category: CATEGORY,
        sinks: ["stderr", "file"],
        lowestLevel: level === "warn" ? "warning" : level,
      },
      { category: ["logtape", "meta"], sinks: [], lowestLevel: "warning" },
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

/** Names of open descriptors. Whoever opened such a file rotates it. */
const OPEN_ALREADY = /^\/(?:dev\/(?:stdin|stdout|stderr|fd\/\d+)|proc\/.+)$/;

/** Where a log's lines go besides stderr. */
interface OpenFile {
  readonly output: LineOutput;
  /** A device, a FIFO and stderr aren't. */
  readonly isRotated: boolean;
  /** Writes the rest and closes it; gives up after a second. */
  close(): Promise<void>;
}

/** Opens what LOG_FILE names; `-` is only stderr. */
function openFile({ file: path, maxBytes, maxFiles }: LogOptions, failed: (error: unknown) => void): OpenFile {
  if (path === "-" || path === "/dev/stderr") {
    return notRotated(new LineOutput((bytes) => Promise.resolve(bytes.length)));
  }
  const { isFile = true, isDirectory = false, isFifo = false } = existsSync(path) ? Deno.statSync(path) : {};
  if ((isFile || isDirectory) && !OPEN_ALREADY.test(path)) {
    createFolder(path);
    const file = new RotatingFile(path, { maxBytes, maxFiles });
    const output = new LineOutput((bytes) => file.write(bytes), failed);
    return { output, isRotated: true, close: () => output.close().finally(() => file.close()) };
  }
  // Opened for reading and writing, a FIFO doesn't wait for a reader.
  const device = Deno.openSync(path, { write: true, read: isFifo === true });
  return notRotated(new LineOutput((bytes) => device.write(bytes), failed));
}

function notRotated(output: LineOutput): OpenFile {
  return { output, isRotated: false, close: () => output.close() };
}

function failedText(file: string, error: unknown): string {
  return `securechat: the log file ${printable(file)} can't be written (${reasonOf(error)})\n`;
}

/** Makes the folder of a file, which only its owner can open, where it is missing. */
function createFolder(file: string): void {
  const folder = file.replace(/[^/\\]*$/, "");
  if (folder !== "") Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
}

function reasonOf(error: unknown): string {
  return printable(messageOf(error));
}
