/**
 * Carries out commands: those of `client_command.ts` in, calls of a {@link ClientSession} and answers out.
 *
 *     const actions = new RoomActions({ session, show, folder: "transcripts" });
 *     await actions.perform({ command: "msg", username: "bob", text: "hello" })
 *
 * If a command can't be carried out, nothing is thrown: the event "error" says why, in a sentence.
 *
 * @layer outside
 */

import { EXIT, Failure, ProtocolError } from "./errors.ts";
import { sha256 } from "./hash.ts";
import { encodeHex, encodeUtf8 } from "./bytes.ts";
import type { Json } from "./json.ts";
import type { Answer, AnswerEvent, Openings, RoomCommand } from "./client_command.ts";
import { ROOM_HELP } from "./client_typed_command.ts";
import type { RoomEvent } from "./client_event.ts";
import { partners, usernameKey } from "./names.ts";
import { notIn } from "./client_rooms.ts";
import { leftOut, waitsFor } from "./client_export.ts";
import { RequestRefused } from "./client_requests.ts";
import type { ClientSession } from "./client_session.ts";
import { PROGRAM } from "./program.ts";

/** What actions work with. */
export interface RoomActionsOptions {
  readonly session: ClientSession;
  readonly show: (event: AnswerEvent) => void;
  /** Where exports go. */
  readonly folder: string;
  /**
   * Asks a person for both passwords, hidden; `undefined` if there was no answer. Left out if nobody can be asked.
   */
  readonly askPasswords?: (() => Promise<{ readonly old: string; readonly new: string } | undefined>) | undefined;
}

/** How a command was given: with an `id`, or typed while its writer looked at the room `current`. */
export interface AskedWhere {
  readonly id?: Json | undefined;
  readonly current?: string | undefined;
}

/** What came of a command. */
export interface Performed {
  /** `false`: the event "error" says why not. */
  readonly isDone: boolean;
  /** The room to look at now, if it is another than before; null: none. */
  readonly room?: string | null | undefined;
}

/** Tells an answer. */
type Show = (answer: Answer) => void;

/** Carries out the commands of one person or bot. */
export class RoomActions {
  readonly #session: ClientSession;
  readonly #show: (event: AnswerEvent) => void;
  readonly #folder: string;
  readonly #askPasswords: RoomActionsOptions["askPasswords"];
  /** The index of the last line of one's own, by room. */
  readonly #last = new Map<string, number>();
  readonly #entered = new Set<string>();

  constructor({ session, show, folder, askPasswords }: RoomActionsOptions) {
    this.#session = session;
    this.#show = show;
    this.#folder = folder;
    this.#askPasswords = askPasswords;
  }

  /** Takes note of an event on which answers depend. */
  notice(event: RoomEvent): void {
    if (event.event === "line" && event.mine) this.#last.set(event.room, event.index);
    if (event.event === "caught_up") this.#entered.add(event.room);
    if (event.event === "left") this.#entered.delete(event.room);
  }

  /** Carries out a command. */
  async perform(command: RoomCommand, { id, current }: AskedWhere = {}): Promise<Performed> {
    const mark = { command: command.command, ...(id === undefined ? {} : { id }) };
    const show = (answer: Answer) => this.#show({ ...answer, ...mark });
    try {
      const room = await this.#do(command, current, show);
      show({ event: "done" });
      return { isDone: true, room };
    } catch (error) {
      if (!(error instanceof RequestRefused || error instanceof Failure || error instanceof ProtocolError)) throw error;
      show({ event: "error", reason: error.message });
      return { isDone: false };
    }
  }

  /** Does it; the room that whoever typed it would now be in, if that is another. */
  async #do(asked: RoomCommand, current: string | undefined, show: Show): Promise<string | null | undefined> {
    const { rooms, account } = this.#session;
    const room = "room" in asked ? this.#resolve(asked.room) : "";
    switch (asked.command) {
      case "join":
        if (!this.#entered.has(room)) await rooms.join(room);
        return room;
      case "create":
        await rooms.create(room, { history: asked.history, inviteOnly: asked.invite_only });
        return room;
      case "msg":
        return await this.#message(asked.username, asked.text, current);
      case "part":
        this.#mustLeaveAnOwner(room);
        await rooms.post(room, { kind: "part" });
        return room === current ? rooms.joined.findLast((other) => other !== room) ?? null : undefined;
      case "vouch":
        return void await account.vouch(asked.fingerprint);
      case "away":
        return void await rooms.presence.away(asked.away ?? !rooms.presence.isAway);
      case "say":
        return void await rooms.say(room, asked.text);
      case "me":
        return void await rooms.say(room, `/me ${asked.text}`);
      case "invite":
      case "kick":
        return void await rooms.post(room, { kind: asked.command, username: asked.username });
      case "ban":
      case "mute": {
        const { command: kind, username, until } = asked;
        return void await rooms.post(room, { kind, username, ...(until === undefined ? {} : { until }) });
      }
      case "role":
        if (asked.role !== "owner" && this.#isSelf(asked.username)) this.#mustLeaveAnOwner(room);
        return void await rooms.post(room, { kind: "role", username: asked.username, role: asked.role });
      case "redact":
        return void await rooms.post(room, { kind: "redact", index: asked.index });
      default:
        return void await this.#answer(asked, room, show);
    }
  }

  /** Says something to one person; the next line that is typed still goes to the room that its writer looks at. */
  async #message(username: string, text: string, current: string | undefined): Promise<undefined> {
    const { rooms } = this.#session;
    const direct = await rooms.direct(username);
    await rooms.say(direct, text);
    if (current === undefined || current === direct) return;
    this.#show({ event: "notice", message: `Sent to ${username} only. /join @${username} opens the conversation.` });
  }

  #isSelf(username: string): boolean {
    return usernameKey(username) === usernameKey(this.#session.rooms.username);
  }

  /** If a room's only owner goes, it can never have another. */
  #mustLeaveAnOwner(room: string): void {
    const members = this.#session.rooms.monitor(room)?.state.members ?? [];
    const others = members.filter(({ username }) => !this.#isSelf(username));
    if (partners(room) || others.length === 0 || others.some(({ role }) => role === "owner")) return;
    if (!members.some(({ username, role }) => role === "owner" && this.#isSelf(username))) return;
    throw new RequestRefused(
      "forbidden",
      "You are the only owner of this room: make somebody else an owner first, with /role NAME owner.",
    );
  }

  async #answer(asked: RoomCommand, room: string, show: Show): Promise<void> {
    const { rooms, history } = this.#session;
    switch (asked.command) {
      case "forget": {
        const folder = await rooms.forget(room);
        this.#last.delete(room);
        return show({ event: "forgotten", room, folder });
      }
      case "who":
        return show({ event: "members", room, members: await rooms.server.members(room) });
      case "rooms":
        return show({ event: "rooms", rooms: await rooms.server.list() });
      case "whois":
        return await this.#whois(asked.username, show);
      case "history":
        return show({ event: "history", room, lines: await history.lines(room, -asked.count, asked.count) });
      case "search":
        return show({ event: "found", room, lines: await history.search(room, asked.text) });
      case "proof":
        return await this.#tellProof(room, asked.index, show);
      case "head":
        return this.#head(room, show);
      case "topic":
        return await this.#topic(room, asked.text, show);
      case "receipt":
        return await this.#export(room, { open: "none" }, show);
      case "export":
        return await this.#export(room, asked, show);
      case "prove": {
        await this.#awaitHead(room, asked.index + 1, show);
        const { path, verify } = await history.prove(room, asked.index, this.#folder);
        return show({ event: "exported", files: [path], verify });
      }
      case "password":
        return await this.#changePassword(asked, show);
      case "reconnect":
        return this.#session.reconnect();
      case "help":
        return ROOM_HELP.forEach((message) => show({ event: "notice", message }));
    }
  }

  async #whois(username: string, show: Show): Promise<void> {
    const known = await this.#session.account.whois(username);
    const devices = known.map(({ fingerprint, subject, notAfter, standing }) => {
      return { fingerprint, subject, not_after: Math.floor(notAfter / 1000), standing };
    });
    show({ event: "whois", username, devices });
  }

  #head(room: string, show: Show): void {
    const head = this.#session.rooms.monitor(room)?.compared;
    if (!head) throw new RequestRefused("not-member", `There is no signed head of ${room} here; join it first.`);
    show({ event: "head", room, size: head.size, root: head.root, code: shortCode(room, head) });
  }

  async #changePassword({ old, new: next }: RoomCommand & { readonly command: "password" }, show: Show): Promise<void> {
    if (old === undefined && !this.#askPasswords) {
      throw new RequestRefused("bad-frame", `Passwords can't be typed here; run: ${PROGRAM} password`);
    }
    const given = old !== undefined && next !== undefined ? { old, new: next } : await this.#askPasswords?.();
    if (!given) return show({ event: "notice", message: "Your password was not changed." });
    await this.#session.account.changePassword(given.old, given.new);
    const message = "Your password was changed. Your other devices need it at their next login.";
    show({ event: "notice", message });
  }

  async #topic(room: string, text: string | undefined, show: Show): Promise<void> {
    const { rooms } = this.#session;
    if (text !== undefined) return void await rooms.post(room, { kind: "topic", text });
    const monitor = rooms.monitor(room);
    if (!monitor) throw notIn();
    const { topic } = monitor.state;
    show({ event: "notice", message: topic === "" ? "There is no topic." : `The topic: ${topic}` });
  }

  async #export(
    room: string,
    { from, to, open, covered }: {
      readonly from?: number;
      readonly to?: number;
      readonly open: Openings;
      readonly covered?: boolean;
    },
    show: Show,
  ): Promise<void> {
    if (!covered) await this.#awaitHead(room, to, show);
    const { receipt, transcript, openings, verify, left_out } = await this.#session.history.export(room, {
      ...(from === undefined ? {} : { from }),
      ...(to === undefined ? {} : { to }),
      open: openingsOf(open),
      folder: this.#folder,
    });
    const files = [receipt, transcript, ...(openings === null ? [] : [openings])];
    show({ event: "exported", files, verify });
    if (left_out > 0 && !covered) throw new Failure(EXIT.unavailable, leftOut(left_out));
  }

  /** Waits for the checkpoint that covers the lines, if one may come. */
  async #awaitHead(room: string, to: number | undefined, show: Show): Promise<void> {
    const { rooms } = this.#session;
    const count = rooms.uncovered(room, to);
    if (count === 0 || !rooms.isOnline) return;
    show({ event: "notice", message: waitsFor(count) });
    await rooms.covered(room, to);
  }

  async #tellProof(room: string, asked: number | undefined, show: Show): Promise<void> {
    const { rooms, history } = this.#session;
    if (!rooms.monitor(room)) throw notIn();
    const index = asked ?? this.#last.get(room);
    const unsent = rooms.unsentCount;
    const known = index === undefined ? undefined : await history.proof(room, index);
    if (index !== undefined && !known) {
      throw new RequestRefused("bad-frame", `There is no line ${index} of ${room} here.`);
    }
    const state = known ?? NOT_PROVED;
    show({ event: "proof", room, index: index ?? null, ...state, unsent });
  }

  /** `@bob` is the conversation with bob. */
  #resolve(room: string): string {
    return !room.startsWith("@") || room.includes(",") ? room : this.#session.rooms.conversation(room.slice(1));
  }
}

/** What is said of a line that isn't in the log. */
const NOT_PROVED = {
  state: "unsent",
  by: null,
  countersigned: 0,
  log: null,
  registered: false,
  cosigners: [],
  stamped: false,
} as const;

/** Which lines an export opens, as `client_export.ts` takes it. */
export function openingsOf(open: Openings): "all" | "none" | ReadonlySet<number> {
  return typeof open === "string" ? open : new Set(open);
}

/**
 * Forty digits for a head, in groups of five, to be read aloud: two people whose digits are the same have seen the same
 * lines. They are 132 bits, since the signer of the heads could search for two logs whose digits are alike.
 */
export function shortCode(room: string, { size, root }: { readonly size: number; readonly root: string }): string {
  const digits = BigInt(`0x${encodeHex(sha256(encodeUtf8(`${room}\n${size}\n${root}`)))}`) % 10n ** 40n;
  return String(digits).padStart(40, "0").replace(/([0-9]{5})(?=[0-9])/g, "$1 ");
}
