/**
 * `securechat chat`: who is to log in and how it is shown; the chat itself is `client.ts`.
 *
 *     securechat chat --host chat.example.org                      asks for everything, on a terminal
 *     SECURECHAT_PASSWORD_FILE=pw securechat chat --login --email ada@example.org --json < lines.txt
 *
 * Three faces: a picture with a prompt where a terminal can keep one; plain sentences where it can't (`TERM=dumb`) or
 * where output or input is a pipe; one JSON event a line with `--json`. Everything is asked before the connection is
 * made, in the order of the seed (register or login, names, hidden password, its confirmation), since a server waits
 * for nobody who types.
 */

import type { Identity } from "../lib/certificate_identity.ts";
import { chat } from "../client.ts";
import { type ChatAccount, type ChatOptions, daysLeft } from "../lib/client_chat.ts";
import { parseCommand } from "../lib/command_line.ts";
import { type Config } from "../lib/config.ts";
import { type ExitStatus, Failure } from "../lib/errors.ts";
import { shellPath } from "../lib/files.ts";
import { loadIdentity, loadTrust, pathIn } from "../lib/identity.ts";
import { suspend } from "../lib/job.ts";
import { type Edit, LineEditor, SecondPress } from "../lib/line_editor.ts";
import { isUsername, normaliseEmail } from "../lib/names.ts";
import { PROGRAM } from "../lib/program.ts";
import { readable } from "../lib/readable.ts";
import { TypedLines } from "../lib/client_typed.ts";
import { type ChatEvent, eventJson, Screen, sentences } from "../lib/client_chat_screen.ts";
import {
  askLine,
  canDraw,
  isTerminal,
  lines,
  onRows,
  size,
  StopSignals,
  useTimeZone,
  wantsColour,
  write,
} from "../lib/terminal.ts";
import { askFor, canAskAgain, passwordFor, usage } from "./asking.ts";
import { DONT_MARK_PASTE, DrawnTerminal, eachEdit, MARK_PASTE, printer } from "./faces.ts";
import { type Place, placeOf } from "./place.ts";
import { zoneOf } from "../lib/time_zone.ts";
import { tlsDialler } from "./tls.ts";

const SPEC = {
  name: "chat",
  summary: "log in to a server and chat",
  usage: `securechat chat [FLAGS] [PROFILE]

On a terminal it asks for everything that is missing, and hides the password. Without a terminal each line of standard
input is sent as a message, and the password is read from the file that SECURECHAT_PASSWORD_FILE names; it is never a
flag. It uses plain TCP with only the protocol's own encryption; --tls adds TLS, at the server's TLS_PORT. With a
profile that "join" made (if there is only one, it needs no name) it uses TLS, unless --port names the other port.
In the chat: /help, /status, /receipt, /quit (or quit, or Ctrl-D); //x sends the text /x.

Examples:
  securechat chat
  securechat chat --host chat.example.org --port 5000 --login --email ada@example.org
  securechat chat --host chat.example.org --tls
  echo hello | SECURECHAT_PASSWORD_FILE=password.txt securechat chat --login --email ada@example.org --json

Exit status: 0 ended with the server's receipt, verified; 1 that receipt is wrong or missing; 2 usage; 4 refused, by
either side; 5 the server can't be reached, is gone, or doesn't answer.`,
  settings: "chat",
  positionals: { min: 0, max: 1, names: "PROFILE" },
  options: {
    register: { type: "boolean", describe: "register a new account" },
    login: { type: "boolean", describe: "log in to an account that exists" },
    email: { type: "string", value: "ADDRESS", describe: "e-mail address of the account" },
    username: { type: "string", value: "NAME", describe: "name of a new account" },
    "allow-v1": {
      type: "boolean",
      describe:
        "accept a server of protocol version 1, which doesn't prove its identity: somebody in the middle could impersonate it",
    },
    tls: { type: "boolean", describe: "connect over TLS, to TLS_PORT; only version 2" },
    json: { type: "boolean", describe: "print one JSON event a line; read lines from standard input" },
  },
} as const;

type Options = ReturnType<typeof parseCommand<typeof SPEC.options>>["options"];

/** The command. */
export async function run(args: string[]): Promise<ExitStatus> {
  useTimeZone();
  const { options, positionals: [profile], flags } = parseCommand(args, SPEC);
  const place = await placeOf("chat", flags, { profile, isNew: options.register });
  const { config } = place;
  const { "allow-v1": allowV1 } = options;
  // A profile knows only the port for TLS.
  const tls = options.tls || (place.profile !== undefined && flags["port"] === undefined && !allowV1);
  if (tls && allowV1) {
    throw usage("chat", "--tls and --allow-v1 exclude each other: over TLS only version 2 is spoken");
  }
  if (!tls && flags["tls-port"] !== undefined) throw usage("chat", "--tls-port says where, --tls that it be over TLS");
  const where = tls ? tlsDialler("chat", config) : { port: config.SERVER_PORT };
  const identity = await loadIdentity(config.CERT_DIR, "client", {
    passphraseFile: config.SECURECHAT_KEY_PASSPHRASE_FILE,
  });
  await loadTrust(config.CERT_DIR); // before anything is asked: what is missing is missing now
  let account = await findAccount(options, place);
  for (let tries = 1;; tries++) {
    try {
      return await talk({ options, config, where, identity, account, allowV1 });
    } catch (error) {
      const isWrong = error instanceof Failure && error.code === "auth-failed" && account.type === "login";
      if (!isWrong || options.json || !canAskAgain(tries, config.SECURECHAT_PASSWORD_FILE)) throw error;
      account = { ...account, password: await passwordFor("chat", undefined, false) };
    }
  }
}

/** One session, from the connection to its end. */
async function talk(
  { options, config, where, identity, account, allowV1 }: {
    readonly options: Options;
    readonly config: Config;
    readonly where: Pick<ChatOptions, "port" | "dial">;
    readonly identity: Identity;
    readonly account: ChatAccount;
    readonly allowV1: boolean;
  },
): Promise<ExitStatus> {
  const face = options.json ? jsonFace() : canDraw() ? drawnFace() : plainFace();
  let signals: StopSignals | undefined;
  warnOfOwnEnd(identity, config, face);
  try {
    return await chat({
      host: config.SERVER_HOST,
      ...where,
      identity,
      trust: () => loadTrust(config.CERT_DIR),
      account,
      allowV1,
      handshakeTimeout: config.HANDSHAKE_TIMEOUT * 1000,
      answerTimeout: config.ANSWER_TIMEOUT * 1000,
      warnDays: config.CERT_WARN_DAYS,
      transcripts: config.TRANSCRIPT_DIR,
      input: face.input,
      show: face.show,
      onStop: (stop) => {
        face.leave = () => stop(false);
        let interrupts = 0;
        face.interrupt = () => stop(++interrupts > 1);
        // A terminal that is closed hangs up more than once, and means no hurry by it.
        signals = new StopSignals((signal) => signal === "SIGHUP" ? face.leave() : face.interrupt());
      },
      now: Date.now,
      random: (length) => crypto.getRandomValues(new Uint8Array(length)),
    });
  } catch (error) {
    if (options.json && error instanceof Failure) face.show(noSession(error));
    throw error;
  } finally {
    face.close();
    signals?.[Symbol.dispose]();
  }
}

function warnOfOwnEnd({ chain: [leaf] }: Identity, config: Config, face: Face): void {
  const days = leaf ? daysLeft(leaf, Date.now()) : 0;
  if (days >= config.CERT_WARN_DAYS) return;
  const when = days < 0 ? "has expired" : `expires in ${days} days`;
  const renew = `${PROGRAM} cert renew ${shellPath(pathIn(config.CERT_DIR, "client_cert.pem"))}`;
  face.show({ event: "warning", message: `The client certificate ${when}; run: ${renew}` });
}

function noSession({ status, message }: Failure): ChatEvent {
  const nothing = { transcript: null, server_receipt: null, client_receipt: null, verify: null };
  return { event: "end", status, reason: message, ...nothing };
}

// ---- who

async function findAccount(options: Options, { config, profile }: Place): Promise<ChatAccount> {
  if (options.register && options.login) throw usage("chat", "--register and --login exclude each other");
  if (options.login && options.username !== undefined) {
    throw usage("chat", "--username is for --register; a login needs --email");
  }
  const type = options.register ? "register" : options.login || profile ? "login" : await askType();
  const username = type === "register"
    ? await askFor("chat", { prompt: "Username: ", flag: "--username", given: options.username, parse: usernameOf })
    : undefined;
  const email = await askFor("chat", {
    prompt: "E-mail: ",
    flag: "--email",
    given: options.email ?? profile?.email,
    parse: normaliseEmail,
  });
  const password = await passwordFor("chat", config.SECURECHAT_PASSWORD_FILE, type === "register");
  return username === undefined ? { type: "login", email, password } : { type: "register", email, username, password };
}

function usernameOf(text: string): string | undefined {
  return isUsername(text) ? text : undefined;
}

async function askType(): Promise<ChatAccount["type"]> {
  if (!isTerminal()) throw usage("chat", "without a terminal --register or --login is needed");
  write("1. Register a new account\n2. Log in\n", Deno.stderr);
  for (;;) {
    const answer = (await askLine("Register or login (1 or 2): ")).trim().toLowerCase();
    if (["1", "r", "register"].includes(answer)) return "register";
    if (["2", "l", "login"].includes(answer)) return "login";
  }
}

// ---- how it is shown

/** Where lines come from and events go. */
interface Face {
  readonly input: AsyncIterable<string | undefined>;
  readonly show: (event: ChatEvent) => void;
  /** Ends the chat in order, once there is one. */
  leave: () => void;
  /** The same, and at once when it is called again. */
  interrupt: () => void;
  readonly close: () => void;
}

/** Shows each event by a line of text. Whoever reads them may go away: then the chat ends in order. */
function writtenFace(text: (event: ChatEvent) => string, input: AsyncIterable<string | undefined>): Face {
  let gone = false;
  const face: Face = {
    input,
    show: (event) => {
      if (gone) return;
      try {
        write(text(event));
      } catch {
        gone = true;
        queueMicrotask(() => face.leave());
      }
    },
    leave: () => {},
    interrupt: () => {},
    close: () => {},
  };
  return face;
}

function jsonFace(): Face {
  return writtenFace((event) => `${eventJson(event)}\n`, lines());
}

function plainFace(): Face {
  return writtenFace(plainText, isTerminal() ? notEmpty(lines()) : lines());
}

function plainText(event: ChatEvent): string {
  const zone = event.event === "session" ? [`Times are in ${zoneOf(Date.now())}.`] : [];
  return onRows([...sentences(event).map(readable), ...zone]).map((line) => `${line}\n`).join("");
}

/** On a terminal an empty line is no message, it is Enter pressed once more. */
async function* notEmpty(all: AsyncIterable<string | undefined>): AsyncGenerator<string | undefined> {
  for await (const line of all) if (line !== "") yield line;
}

const AGAIN: ChatEvent = {
  event: "notice",
  message: "Ctrl-C again ends the chat; Up brings back what you typed.",
};
const TOO_LONG: ChatEvent = {
  event: "notice",
  message: "That is too long for one message: the end was left out.",
};

/** Plain sentences up to the first line that is typed, then a picture. */
function drawnFace(): Face {
  const screen = new Screen({ ...size(), colour: wantsColour() });
  const terminal = new DrawnTerminal();
  const editor = new LineEditor();
  const interrupts = new SecondPress(() => performance.now());
  const typed = new TypedLines();
  const draw = printer(() => {}); // SIGHUP and the end of its input say that the terminal was closed
  const redraw = () => draw(screen.resize(size().columns, size().rows));

  function open(): void {
    terminal.open({
      leave: () => draw(screen.clear() + DONT_MARK_PASTE),
      enter: () => draw(MARK_PASTE + screen.resize(size().columns, size().rows)),
      resize: redraw,
    });
    draw(MARK_PASTE + screen.edit("", ""));
    void eachEdit(editor, { take, end: () => enter("/quit") });
  }

  function take(edit: Edit): void {
    if (!terminal.isOpen) return;
    if (edit.type === "interrupt") interrupt();
    if (edit.type === "end-of-input") enter("/quit");
    if (edit.type === "redraw") redraw();
    if (edit.type === "suspend") suspend();
    if (edit.type === "full") draw(screen.show(TOO_LONG));
    if (["edited", "full", "line"].includes(edit.type)) draw(screen.edit(editor.before, editor.after));
    if (edit.type === "line" && edit.text !== "") enter(edit.text);
  }

  function interrupt(): void {
    if (interrupts.press()) return face.interrupt();
    draw(screen.edit("", "") + screen.show(AGAIN));
  }

  function enter(line: string): void {
    typed.push(line, undefined);
  }

  async function* input(): AsyncGenerator<string> {
    open();
    for await (const { text } of typed) yield text;
  }

  const face = writtenFace((event) => {
    if (event.event === "end") terminal.close();
    return terminal.isOpen ? screen.show(event) : plainText(event);
  }, input());
  return Object.assign(face, { close: () => terminal.close() });
}
