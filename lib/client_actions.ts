/**
 * What is done when somebody asks for it: commands of `client_command.ts` in, acts of a {@link RoomSession} and answers
 * out.
 *
 *     const actions = new RoomActions({ session, show, folder: "transcripts" });
 *     await actions.perform({ command: "msg", username: "bob", text: "hello" })      the room that is now the current one
 *
 * Nothing is thrown for what can't be done: that is the event "error", in a sentence.
 *
 * @layer outside
 */

import { PROGRAM } from "./config.ts";
import { EXIT, Failure, ProtocolError } from "./errors.ts";
import { sha256 } from "./hash.ts";
import { encodeHex, encodeUtf8 } from "./bytes.ts";
import type { Json } from "./json.ts";
import { type Answer, type AnswerEvent, type Openings, ROOM_HELP, type RoomCommand } from "./client_command.ts";
import type { RoomEvent } from "./client_event.ts";
import { partners, usernameKey } from "./names.ts";
import { notIn } from "./client_rooms.ts";
import { leftOut, waitsFor } from "./client_export.ts";
import { RequestRefused } from "./client_room.ts";
import type { RoomSession } from "./client_session.ts";

/** What actions work with. */
export interface RoomActionsOptions {
  readonly session: RoomSession;
  readonly show: (event: AnswerEvent) => void;
  /** Where exports go. */
  readonly folder: string;
  /**
   * Asks a person for both, shown to nobody; `undefined` where there was no answer. Left out where nobody can be asked.
   */
  readonly askPasswords?: (() => Promise<{ readonly old: string; readonly new: string } | undefined>) | undefined;
}

/** How something was asked for: by a command with an `id`, or in a room. */
export interface AskedWhere {
  readonly id?: Json | undefined;
  readonly current?: string | undefined;
}

/** What came of a command. */
export interface Performed {
  /** `false`: the event "error" says why not. */
  readonly isDone: boolean;
  /** The room that whoever typed it would now be in, where that is another; null: in none. */
  readonly room?: string | null | undefined;
}

/** Tells an answer. */
type Show = (answer: Answer) => void;

/** Does what is asked for. */
export class RoomActions {
  readonly #session: RoomSession;
  readonly #show: (event: AnswerEvent) => void;
  readonly #folder: string;
  readonly #askPasswords: RoomActionsOptions["askPasswords"];
  /** Where the last line of one's own stands. */
  readonly #last = new Map<string, number>();
  readonly #entered = new Set<string>();

  constructor({ session, show, folder, askPasswords }: RoomActionsOptions) {
    this.#session = session;
    this.#show = show;
    this.#folder = folder;
    this.#askPasswords = askPasswords;
  }

  /** Something happened: some answers depend on it. */
  notice(event: RoomEvent): void {
    if (event.event === "line" && event.mine) this.#last.set(event.room, event.index);
    if (event.event === "caught_up") this.#entered.add(event.room);
    if (event.event === "left") this.#entered.delete(event.room);
  }

  /** Does it, for somebody who may have typed it in the room `current`. */
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

  async #do(asked: RoomCommand, current: string | undefined, show: Show): Promise<string | null | undefined> {
    const session = this.#session;
    const room = "room" in asked ? this.#resolve(asked.room) : "";
    switch (asked.command) {
      case "join":
        if (!this.#entered.has(room)) await session.join(room);
        return room;
      case "create":
        await session.create(room, { history: asked.history, inviteOnly: asked.invite_only });
        return room;
      case "msg": {
        const direct = await session.direct(asked.username);
        await session.say(direct, asked.text);
        // The line that is typed next still goes where its writer looks.
        if (current !== undefined && current !== direct) {
          this.#show({
            event: "notice",
            message: `Said to ${asked.username} alone: /join @${asked.username} goes there.`,
          });
        }
        return undefined;
      }
      case "part":
        this.#mustLeaveAnOwner(room);
        await session.part(room);
        return room === current ? session.joined.findLast((other) => other !== room) ?? null : undefined;
      case "say":
        return void await session.say(room, asked.text);
      case "me":
        return void await session.say(room, `/me ${asked.text}`);
      case "vouch":
        return void await session.vouch(asked.fingerprint);
      case "away":
        return void await session.away(asked.away ?? !session.isAway);
      case "invite":
        return void await session.invite(room, asked.username);
      case "kick":
        return void await session.kick(room, asked.username);
      case "ban":
        return void await session.ban(room, asked.username, asked.until);
      case "mute":
        return void await session.mute(room, asked.username, asked.until);
      case "role":
        if (asked.role !== "owner" && this.#isSelf(asked.username)) this.#mustLeaveAnOwner(room);
        return void await session.role(room, asked.username, asked.role);
      case "redact":
        return void await session.redact(room, asked.index);
      default:
        return void await this.#answer(asked, room, show);
    }
  }

  #isSelf(username: string): boolean {
    return usernameKey(username) === usernameKey(this.#session.username);
  }

  /** A room whose only owner goes can have no other, ever. */
  #mustLeaveAnOwner(room: string): void {
    const others = this.#session.state(room)?.members.filter(({ username }) => !this.#isSelf(username)) ?? [];
    if (partners(room) || others.length === 0 || others.some(({ role }) => role === "owner")) return;
    const isOwner = this.#session.state(room)?.members.some(({ username, role }) =>
      role === "owner" && this.#isSelf(username)
    );
    if (!isOwner) return;
    throw new RequestRefused(
      "forbidden",
      "You are the only owner here: make somebody else one first, with /role NAME owner.",
    );
  }

  async #answer(asked: RoomCommand, room: string, show: Show): Promise<void> {
    const session = this.#session;
    switch (asked.command) {
      case "forget": {
        const folder = await session.forget(room);
        this.#last.delete(room);
        return show({ event: "forgotten", room, folder });
      }
      case "who":
        return show({ event: "members", room, members: await session.members(room) });
      case "rooms":
        return show({ event: "rooms", rooms: await session.rooms() });
      case "whois": {
        const devices = (await session.whois(asked.username)).map(({ notAfter, ...device }) => ({
          ...{ ...device, not_after: Math.floor(notAfter / 1000) },
        }));
        return show({ event: "whois", username: asked.username, devices });
      }
      case "history": {
        const lines = await session.history(room, -asked.count, asked.count);
        return show({ event: "history", room, lines });
      }
      case "search":
        return show({ event: "found", room, lines: await session.search(room, asked.text) });
      case "proof":
        return await this.#prove(room, asked.index, show);
      case "head": {
        const head = session.head(room);
        if (!head) throw new RequestRefused("not-member", `There is no signed head of ${room} here; join it first.`);
        return show({ event: "head", room, size: head.size, root: head.root, code: shortCode(room, head) });
      }
      case "topic":
        return await this.#topic(room, asked.text, show);
      case "receipt":
        return await this.#export(room, { open: "none" }, show);
      case "export":
        return await this.#export(room, asked, show);
      case "prove": {
        await this.#awaitHead(room, asked.index + 1, show);
        const { path, verify } = await session.prove(room, asked.index, this.#folder);
        return show({ event: "exported", files: [path], verify });
      }
      case "password":
        return await this.#changePassword(asked, show);
      case "reconnect":
        return session.reconnect();
      case "help":
        return ROOM_HELP.forEach((message) => show({ event: "notice", message }));
    }
  }

  async #changePassword({ old, new: next }: RoomCommand & { readonly command: "password" }, show: Show): Promise<void> {
    if (old === undefined && !this.#askPasswords) {
      throw new RequestRefused("bad-frame", `The password can't be asked for here; run: ${PROGRAM} password`);
    }
    const given = old !== undefined && next !== undefined ? { old, new: next } : await this.#askPasswords?.();
    if (!given) return show({ event: "notice", message: "Your password stays as it is." });
    await this.#session.changePassword(given.old, given.new);
    const message = "Your password is changed. Other devices of yours are asked for it at their next login.";
    show({ event: "notice", message });
  }

  async #topic(room: string, text: string | undefined, show: Show): Promise<void> {
    const session = this.#session;
    if (text !== undefined) return void await session.topic(room, text);
    const state = session.state(room);
    if (!state) throw notIn();
    const message = state.topic === "" ? "There is no topic." : `The topic: ${state.topic}`;
    show({ event: "notice", message });
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
    const { receipt, transcript, openings, verify, left_out } = await this.#session.exportRoom(room, {
      ...(from === undefined ? {} : { from }),
      ...(to === undefined ? {} : { to }),
      open: openingsOf(open),
      folder: this.#folder,
    });
    const files = [receipt, transcript, ...(openings === null ? [] : [openings])];
    show({ event: "exported", files, verify });
    if (left_out > 0 && !covered) throw new Failure(EXIT.unavailable, leftOut(left_out));
  }

  /** Waits for the signed head that covers the lines, where it may come. */
  async #awaitHead(room: string, to: number | undefined, show: Show): Promise<void> {
    const count = this.#session.uncovered(room, to);
    if (count === 0 || !this.#session.isOnline) return;
    show({ event: "notice", message: waitsFor(count) });
    await this.#session.covered(room, to);
  }

  async #prove(room: string, asked: number | undefined, show: Show): Promise<void> {
    const session = this.#session;
    if (!session.state(room)) throw notIn();
    const index = asked ?? this.#last.get(room);
    const unsent = session.unsentCount;
    const known = index === undefined ? undefined : await session.proof(room, index);
    if (index !== undefined && !known) {
      throw new RequestRefused("bad-frame", `There is no line ${index} of ${room} here.`);
    }
    const state = known ?? { state: "unsent", by: null, countersigned: 0 };
    show({ event: "proof", room, index: index ?? null, ...state, unsent });
  }

  /** `@bob` is the conversation with bob. */
  #resolve(room: string): string {
    return !room.startsWith("@") || room.includes(",") ? room : this.#session.conversation(room.slice(1));
  }
}

/** Which lines an export opens, as `client_export.ts` takes it. */
export function openingsOf(open: Openings): "all" | "none" | ReadonlySet<number> {
  return typeof open === "string" ? open : new Set(open);
}

/**
 * Forty digits for a head, in groups of five, to be read aloud: two who have the same have seen the same lines. They
 * are 132 bits, since who signs the heads may choose both logs and search for two that look alike.
 */
export function shortCode(room: string, { size, root }: { readonly size: number; readonly root: string }): string {
  const digits = BigInt(`0x${encodeHex(sha256(encodeUtf8(`${room}\n${size}\n${root}`)))}`) % 10n ** 40n;
  return String(digits).padStart(40, "0").replace(/([0-9]{5})(?=[0-9])/g, "$1 ");
}
