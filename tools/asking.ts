/**
 * The questions of `chat`, `join` and `invite`: names and passwords. Without a terminal these come as flags, and the
 * password from a file.
 */

import { EXIT, Failure } from "../lib/errors.ts";
import { readPrivateFile } from "../lib/files.ts";
import { generatePassword, passwordProblem } from "../lib/password_rules.ts";
import { askHidden, askLine, isTerminal, write } from "../lib/terminal.ts";

/** A {@link Failure} for a command line that lacks something. */
export function usage(command: string, message: string): Failure {
  return new Failure(EXIT.usage, `${message}; see securechat ${command} --help`);
}

const WANTED = {
  "--username": "a valid username: 1 to 64 ASCII letters, digits, dots, underscores and hyphens",
  "--email": "a valid e-mail address",
} as const;

/** What is asked for. */
export interface Question {
  readonly prompt: string;
  readonly flag: keyof typeof WANTED;
  /** The flag's value. */
  readonly given: string | undefined;
  readonly parse: (text: string) => string | undefined;
}

/** The flag's value, if it was given; otherwise asks until the answer is valid. */
export async function askFor(command: string, { prompt, flag, given, parse }: Question): Promise<string> {
  if (given === undefined && !isTerminal()) throw usage(command, `without a terminal ${flag} is needed`);
  for (;;) {
    const value = parse(given ?? (await askLine(prompt)).trim());
    if (value !== undefined) return value;
    if (given !== undefined) throw usage(command, `${flag} "${given}" is not ${WANTED[flag]}`);
    write(`That isn't ${WANTED[flag]}.\n`, Deno.stderr);
  }
}

/** How often a password is asked for after the server refused it. */
const PASSWORD_TRIES = 3;

/** Whether a person can be asked again after the server refused a password; tells them so. */
export function canAskAgain(tries: number, file: string | undefined): boolean {
  if (file !== undefined || !isTerminal() || tries >= PASSWORD_TRIES) return false;
  write("The password is wrong, or the e-mail address is; try again.\n", Deno.stderr);
  return true;
}

/** How many tries a person has to type a new password twice the same. */
const CONFIRMATIONS = 3;

/** The password from a file's first line. Without a file it is asked for; a new one twice, until it is acceptable. */
export async function passwordFor(
  command: string,
  file: string | undefined,
  isNew: boolean,
  known: readonly string[] = [],
): Promise<string> {
  if (file !== undefined) {
    const password = await readPassword(command, file);
    const problem = isNew ? passwordProblem(password, known) : undefined;
    if (problem !== undefined) throw usage(command, `the password in ${file} is refused: ${problem}`);
    return password;
  }
  if (!isTerminal()) {
    throw usage(command, "without a terminal SECURECHAT_PASSWORD_FILE must name the file with the password");
  }
  return await askPassword(isNew, known);
}

/** The same, asked for on the terminal. */
export async function askPassword(
  isNew: boolean,
  known: readonly string[] = [],
  prompt = "Password: ",
): Promise<string> {
  for (let tries = 0; tries < CONFIRMATIONS; tries++) {
    const password = await askHidden(prompt);
    const problem = isNew
      ? passwordProblem(password, known)
      : password === ""
      ? "A password can't be empty."
      : undefined;
    if (problem !== undefined) write(`${problem}\n`, Deno.stderr);
    else if (!isNew || await askHidden("Confirm password: ") === password) return password;
    else write("The two passwords differ; type both again.\n", Deno.stderr);
  }
  throw new Failure(EXIT.refused, "no password was given; nothing was sent");
}

/** A generated password; it is shown once, on stderr. */
export function generatedPassword(): string {
  const password = generatePassword((size) => crypto.getRandomValues(new Uint8Array(size)));
  console.error(`Your password is ${password}\nWrite it down now: it is shown only once.`);
  return password;
}

async function readPassword(command: string, path: string): Promise<string> {
  const [password = ""] = (await readPrivateFile(path)).split(/\r?\n/, 1);
  if (password === "") {
    throw usage(command, `the first line of ${path} (SECURECHAT_PASSWORD_FILE) is empty; it must be the password`);
  }
  return password;
}
