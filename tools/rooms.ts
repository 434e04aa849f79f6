/**
 * `securechat rooms`: rooms for a person on a terminal, for a person who listens or reads a log, and for a bot.
 *
 *     securechat rooms '#ops'                                          a picture, where the terminal allows one
 *     securechat rooms --plain '#ops'                                  every event one plain line
 *     SECURECHAT_PASSWORD_FILE=pw securechat rooms --json '#ops'       events out, commands in, one JSON a line
 *
 *     → {"command":"join","room":"#ops","id":1}
 *     ← {"event":"joined","room":"#ops","mode":"recorded",…}     ← {"event":"done","command":"join","id":1}
 *     → {"command":"say","room":"#ops","text":"hello"}
 *     ← {"event":"line","room":"#ops","index":7,"username":"bot","kind":"text","text":"hello",…}
 *
 * Events are those of `lib/client_event.ts` and the answers of `lib/client_command.ts`, where the commands stand too. What
 * can't be done is {"event":"error","command":…,"reason":…}, with the `id` of the command. The end of the input ends
 * the program once every line is accepted. What happens between is `lib/client_session.ts`.
 */

import type { Identity } from "../lib/certificate_identity.ts";
import { makeClient, MAX_QUEUED } from "../client.ts";
import { parseCommand } from "../lib/command_line.ts";
import { type Config } from "../lib/config.ts";
import { useEngine } from "../lib/engine.ts";
import { EXIT, type ExitStatus, Failure } from "../lib/errors.ts";
import { SecondPress } from "../lib/line_editor.ts";
import { clientPassphrase, loadIdentity, loadTrust, replacedBy } from "../lib/identity.ts";
import { openLibcrypto } from "../lib/libcrypto.ts";
import { isRoomName, isUsername, normaliseEmail } from "../lib/names.ts";
import { RoomActions } from "../lib/client_actions.ts";
import type { RoomCommand } from "../lib/client_command.ts";
import { RoomRecords } from "../lib/client_room_records.ts";
import type { Credentials } from "../lib/client_login.ts";
import type { ClientSession, Wire } from "../lib/client_session.ts";
import type { ShownEvent } from "../lib/client_command.ts";
import { plural } from "../lib/client_text.ts";
import { sleep } from "../lib/system.ts";
import { canDraw, isTerminal, StopSignals, useTimeZone, write } from "../lib/terminal.ts";
import { connect } from "../lib/transport.ts";
import { printable } from "../lib/text.ts";
import { askFor, canAskAgain, passwordFor, usage } from "./asking.ts";
import { type Place, placeOf, splitProfile } from "./place.ts";
import { type Asked, drawnFace, type Face, jsonFace, plainFace, typedFace } from "./rooms_faces.ts";
import type { WitnessPolicy } from "../lib/witness_policy.ts";
import { loadPolicy } from "../lib/witness_policy_file.ts";
import { tlsDialler } from "./tls.ts";

const SPEC = {
  name: "rooms",
  summary: "talk to others in rooms, signed and recorded",
  usage: `securechat rooms [FLAGS] [PROFILE] [ROOM…]

PROFILE is one that "join" made; if there is only one, it can be left out ("securechat profiles" lists them). To use the
certificate of another folder, name that with --certs. Connects over TLS, logs in or resumes the last session, and joins
the rooms named and those of last time. It stays connected: a lost connection is made again, and no line is lost. You are
asked for the password, hidden, or it comes from the file that SECURECHAT_PASSWORD_FILE names; it is never a flag. Type
/help for the commands.

Examples:
  securechat rooms
  securechat rooms work '#ops'
  securechat rooms --host chat.example.org --certs certs '#ops'
  securechat rooms --register --username ada --email ada@example.org
  echo 'the backup is done' | securechat rooms --plain '#ops'
  ./bot | securechat rooms --json '#ops'

Exit status: 0 ended; 2 usage; 4 refused, by either side, or a ROOM could not be joined, or a command that came through a
pipe without --json failed; 5 not every line could be sent before the end.`,
  settings: "rooms",
  positionals: { min: 0, max: 100, names: "PROFILE or ROOM" },
  options: {
    register: { type: "boolean", describe: "register a new account" },
    email: { type: "string", value: "ADDRESS", describe: "e-mail address of the account, if a login is needed" },
    username: { type: "string", value: "NAME", describe: "name of a new account" },
    moved: {
      type: "boolean",
      describe: "the server has moved to this port: continue the records of the old one",
    },
    plaintext: { type: "boolean", describe: "no TLS: only for a server's plain port on this machine, in development" },
    plain: { type: "boolean", describe: "print each event as one plain line; the default if nothing can be drawn" },
    json: {
      type: "boolean",
      describe: "print one JSON event a line, and read one JSON command a line from standard input",
    },
  },
} as const;

type Options = ReturnType<typeof parseCommand<typeof SPEC.options>>["options"];

/** The command. */
export async function run(args: string[]): Promise<ExitStatus> {
  useTimeZone();
  useEngine(openLibcrypto());
  const { options, positionals, flags } = parseCommand(args, SPEC);
  const [profile, given] = splitProfile(positionals);
  const rooms = (flags["certs"] === undefined ? given : positionals).map(roomOf); // beside --certs there is no profile
  if (options.json && options.plain) throw usage("rooms", "--json and --plain exclude each other");
  const place = await placeOf("rooms", flags, { profile, isNew: options.register, moved: options.moved });
  const { config } = place;
  const dial = dialler(config, options.plaintext);
  const passphrase = await clientPassphrase(config.CERT_DIR, { passphraseFile: config.SECURECHAT_KEY_PASSPHRASE_FILE });
  const identity = await loadIdentity(config.CERT_DIR, "client", { passphrase });
  const { authorities } = await loadTrust(config.CERT_DIR); // before anything is asked: what is missing is missing now
  const records = await RoomRecords.of(place.records, authorities);
  const was = await replacedBy(identity, config.CERT_DIR);
  const policy = config.WITNESS_POLICY === undefined ? undefined : await loadPolicy(config.WITNESS_POLICY);
  const program = new Program({ place, options, identity, was, passphrase, records, dial, rooms, policy });
  return await program.run();
}

function roomOf(text: string): string {
  if (isRoomName(text) || (text.startsWith("@") && isUsername(text.slice(1)))) return text;
  throw usage(
    "rooms",
    `"${text}" isn't a room: a room is # followed by 1 to 48 of a-z, 0-9, -, _ and ., or @ followed by a person's name`,
  );
}

const LOOPBACK = /^(?:localhost|127\.[0-9.]+|::1)$/;

function dialler(config: Config, isPlain: boolean): () => Promise<Wire> {
  const { SERVER_HOST: host, SERVER_PORT: port } = config;
  const how = { timeout: config.HANDSHAKE_TIMEOUT * 1000, maxQueued: MAX_QUEUED };
  if (!isPlain) {
    const { dial } = tlsDialler("rooms", config);
    return () => dial(how);
  }
  if (!LOOPBACK.test(host)) throw usage("rooms", "--plaintext works only for a server on this machine");
  return () => connect(host, port, how);
}

// ---- what is done

interface ProgramOptions {
  readonly place: Place;
  readonly options: Options;
  readonly identity: Identity;
  /** The certificate that it has replaced. */
  readonly was: string | undefined;
  readonly passphrase: string | undefined;
  readonly records: RoomRecords;
  readonly dial: () => Promise<Wire>;
  /** Rooms to come into. */
  readonly rooms: readonly string[];
  /** Whose cosignatures of the server's log count. */
  readonly policy: WitnessPolicy | undefined;
}

/** What somebody reads who comes in for the first time. */
const NOWHERE = "You are in no room yet. /rooms lists the rooms, /join #NAME joins one, /create #NAME makes one, " +
  "/msg NAME TEXT sends a message to one person; /help lists the other commands.";

/** How long the end waits for the next line to be accepted, in milliseconds. */
const QUIET = 5_000;
/** How long the end waits for a checkpoint of the last lines, in milliseconds. */
const LAST_HEAD = 2_000;

class Program {
  readonly #given: ProgramOptions;
  readonly #face: Face;
  readonly #session: ClientSession;
  readonly #actions: RoomActions;
  /** Somebody asked for the end, and for the end at once. */
  readonly #stopped = Promise.withResolvers<void>();
  readonly #hurried = Promise.withResolvers<void>();
  #isStopping = false;
  /** What could not be done, where nobody may be there to see it. */
  #refusals = 0;
  /** Rooms that the command line names and that this client did not come into yet. */
  readonly #due: Set<string>;
  /** The first of them that it came into. */
  #first: string | undefined;
  readonly #interrupts = new SecondPress(() => performance.now());
  #credentials: Credentials | undefined;
  /** Whether a session has stood: from then on a new account is an old one. */
  #wasIn = false;
  /** How often the password was refused. */
  #refusedPasswords = 0;
  #noted: string | undefined;
  /** Whoever could be asked is typing something else now. */
  #isBusy = false;
  #entering: Promise<void> = Promise.resolve();

  constructor(given: ProgramOptions) {
    this.#given = given;
    const { place: { config }, options, identity, was, passphrase, records, dial } = given;
    const leave = () => this.#stop();
    this.#face = options.json
      ? jsonFace(leave)
      : !canDraw()
      ? plainFace(leave)
      : options.plain
      ? typedFace(leave)
      : drawnFace(config.SERVER_HOST, () => this.#session.rooms.unsentCount, leave);
    this.#due = new Set(given.rooms);
    this.#session = makeClient({
      ...{ host: config.SERVER_HOST, certs: config.CERT_DIR, passphrase, identity, was, records, dial },
      ca: given.place.ca,
      policy: given.policy,
      credentials: () => this.#logIn(),
      registers: options.register,
      otherCredentials: () => this.#logInAgain(),
      emit: (event) => this.#take(event),
      times: { handshake: config.HANDSHAKE_TIMEOUT * 1000 },
    });
    this.#actions = new RoomActions({
      session: this.#session,
      show: (event) => this.#answer(event),
      folder: config.TRANSCRIPT_DIR,
      askPasswords: this.#face.ask && (() => this.#askPasswords()),
    });
  }

  async #askPasswords(): Promise<{ old: string; new: string } | undefined> {
    const { ask } = this.#face;
    const old = await ask?.("Type your password and press Enter; it is not shown. Ctrl-C cancels.");
    const next = old === undefined ? undefined : await ask?.("Type the new password and press Enter.");
    const again = next === undefined ? undefined : await ask?.("Type the new password again.");
    if (old === undefined || next === undefined || again === undefined) return undefined;
    if (next !== again) throw new Failure(EXIT.refused, "The two passwords differ; your password was not changed.");
    return { old, new: next };
  }

  async run(): Promise<ExitStatus> {
    const { rooms, place: { config } } = this.#given;
    const [session, face] = [this.#session, this.#face];
    let last: string | undefined;
    if (await this.#needsLogIn()) await this.#logIn(); // asked before the connection: a server waits for nobody
    using _signals = new StopSignals((signal) => this.#hear(signal)); // behind the questions, which a signal ends by itself
    try {
      if (isTerminal()) write(`Connecting to ${config.SERVER_HOST} …\n`, Deno.stderr);
      await Promise.race([session.start(), this.#stopped.promise]);
      this.#isBusy = true;
      face.open();
      await Promise.race([this.#entering, this.#stopped.promise]);
      const named = this.#first ?? rooms.find(isRoomName);
      this.#enter(named ?? await this.#lastRoom(), named !== undefined);
      if (session.rooms.joined.length === 0 && !this.#given.options.json) {
        face.show({ event: "notice", message: NOWHERE });
      }
      await Promise.race([this.#obeyAll(), this.#stopped.promise, session.ended()]);
      const { status, message } = await this.#conclude();
      if (message !== undefined && this.#given.options.json) face.show({ event: "warning", message });
      else last = message;
      return status;
    } finally {
      this.#note(face.current());
      await face.close();
      if (last !== undefined) console.error(printable(last)); // where a picture was, it is gone with what it said
      await session.stop();
    }
  }

  #hear(signal: Deno.Signal): void {
    // Where lines are read from the terminal itself, a Ctrl-C may be meant for the line that is being typed.
    const isTyped = signal === "SIGINT" && isTerminal() && !this.#given.options.json;
    if (isTyped && !this.#isStopping && !this.#interrupts.press()) {
      return this.#face.show({ event: "notice", message: "Ctrl-C again exits." });
    }
    this.#stop();
    if (signal === "SIGHUP") this.#stop(); // nobody is there to wait for
  }

  /** Twice: at once, whatever is on its way. */
  #stop(): void {
    if (this.#isStopping) this.#hurried.resolve();
    this.#isStopping = true;
    this.#stopped.resolve();
  }

  /** Waits for lines on their way, as long as some of them are accepted. Those that stay unsent go next time. */
  async #conclude(): Promise<{ readonly status: ExitStatus; readonly message?: string }> {
    const { rooms } = this.#session;
    const count = rooms.unsentCount;
    if (count > 0 && rooms.isOnline) {
      const what = `Sending ${plural(count, "remaining line")}, then exiting`;
      this.#face.show({ event: "notice", message: `${what}. Ctrl-C again exits at once.` });
    }
    await this.#sendRest();
    const left = rooms.unsentCount;
    if (left > 0) {
      const message = `${plural(left, "line")} not sent: kept, and sent when you come back.`;
      return { status: EXIT.unavailable, message };
    }
    // With the checkpoint that covers them, which comes a second later, the last lines can be proved to others.
    const covered = Promise.all(rooms.joined.map((room) => rooms.covered(room)));
    await Promise.race([covered, this.#hurried.promise, sleep(LAST_HEAD)]);
    const isScript = !Deno.stdin.isTerminal() && !this.#given.options.json;
    if (this.#due.size > 0) {
      return { status: EXIT.refused, message: `You could not join ${[...this.#due].join(", ")}.` };
    }
    if (!isScript || this.#refusals === 0) return { status: EXIT.done };
    return { status: EXIT.refused, message: `${plural(this.#refusals, "command")} failed.` };
  }

  /** Resolves once every line is accepted, nothing has been accepted for some time, or somebody is in a hurry. */
  async #sendRest(): Promise<void> {
    const { rooms } = this.#session;
    let isHurried = false;
    void this.#hurried.promise.then(() => isHurried = true);
    let least = rooms.unsentCount;
    let late = performance.now() + QUIET;
    while (rooms.unsentCount > 0 && rooms.isOnline && !isHurried && performance.now() < late) {
      await Promise.race([rooms.changed, this.#hurried.promise, sleep(late - performance.now())]);
      if (rooms.unsentCount >= least) continue;
      least = rooms.unsentCount;
      late = performance.now() + QUIET;
    }
  }

  #take(event: Parameters<RoomActions["notice"]>[0]): void {
    this.#actions.notice(event);
    if (event.event === "dropped") this.#refusals += 1;
    this.#face.show(event);
    if (event.event !== "online") return;
    this.#wasIn = true;
    this.#entering = this.#comeIn();
  }

  #answer(event: ShownEvent): void {
    if (event.event === "error") this.#refusals += 1;
    this.#face.show(event);
  }

  /** Into the rooms that the command line names. */
  async #comeIn(): Promise<void> {
    for (const room of this.#due) {
      const { room: entered } = await this.#actions.perform({ command: "join", room });
      if (typeof entered !== "string") continue;
      this.#due.delete(room);
      this.#first ??= entered;
    }
  }

  async #obeyAll(): Promise<void> {
    for await (const asked of this.#face.commands()) {
      if ("command" in asked && asked.command.command === "quit") return;
      const isDone = await this.#obey(asked);
      if (!isDone && asked.typed) this.#face.giveBack?.(asked.typed);
    }
  }

  async #obey(asked: Asked): Promise<boolean> {
    if ("command" in asked) return await this.#perform(asked.command, asked.id);
    const { problem: reason, id, name: command = null } = asked;
    this.#answer({ event: "error", command, reason, ...(id === undefined ? {} : { id }) });
    return false;
  }

  async #perform(command: RoomCommand, id?: Asked["id"]): Promise<boolean> {
    const { isDone, room } = await this.#actions.perform(command, { id, current: this.#face.current() });
    if (room !== undefined) this.#enter(room ?? undefined);
    else if (command.command === "say") this.#note(command.room);
    return isDone;
  }

  #enter(room: string | undefined, isNamed = false): void {
    this.#face.enter(room, isNamed);
    this.#note(this.#face.current() ?? room);
  }

  /** The room that was looked at when the program ended last, else the one joined last; a script names its own. */
  async #lastRoom(): Promise<string | undefined> {
    const { joined } = this.#session.rooms;
    if (!Deno.stdin.isTerminal() && !this.#given.options.json) return undefined;
    const current = await this.#given.records.current();
    return current !== undefined && joined.includes(current) ? current : joined.at(-1);
  }

  /** Keeps which room is looked at, for the next start and for `securechat export`. */
  #note(room: string | undefined): void {
    if (room === undefined || room === this.#noted || !isRoomName(room)) return;
    this.#noted = room;
    this.#given.records.keepCurrent(room).catch(() => {}); // a full disk is told where it costs something
  }

  // Who.

  async #needsLogIn(): Promise<boolean> {
    const { options, records } = this.#given;
    return options.register || !await records.mayHaveToken();
  }

  /** Asked once; a new account is an old one from then on. */
  async #logIn(): Promise<Credentials | undefined> {
    const { options, place: { config, profile }, records } = this.#given;
    const known = this.#credentials;
    if (known?.type === "register" && this.#wasIn) return { ...known, type: "login" };
    const email = options.email ?? profile?.email ?? await records.email();
    const mustAsk = config.SECURECHAT_PASSWORD_FILE === undefined || email === undefined;
    if (!known && this.#isBusy && mustAsk) return undefined;
    this.#credentials = known ?? await this.#ask();
    return this.#credentials;
  }

  /** Asks once more on a terminal, before there was a session. */
  async #logInAgain(): Promise<boolean> {
    const { options, place: { config } } = this.#given;
    this.#refusedPasswords += 1;
    if (options.register || this.#isBusy) return false;
    if (!canAskAgain(this.#refusedPasswords, config.SECURECHAT_PASSWORD_FILE)) return false;
    this.#credentials = await this.#ask();
    return true;
  }

  async #ask(): Promise<Credentials> {
    const { options, place: { config, profile }, records } = this.#given;
    const parse = (text: string) => isUsername(text) ? text : undefined;
    const username = options.register
      ? await askFor("rooms", { prompt: "Username: ", flag: "--username", given: options.username, parse })
      : undefined;
    const email = await askFor("rooms", {
      ...{ prompt: "E-mail: ", flag: "--email", parse: normaliseEmail },
      given: options.email ?? (options.register ? undefined : profile?.email ?? await records.email()),
    });
    const password = await passwordFor("rooms", config.SECURECHAT_PASSWORD_FILE, options.register);
    return username === undefined
      ? { type: "login", email, password }
      : { type: "register", email, username, password };
  }
}
