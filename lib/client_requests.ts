/**
 * The requests that a client waits for: each by its id; posts are answered by `posted`, without an id.
 *
 *     const answer = await requests.ask({ type: "history", room: "#ops", from: 41, count: 500 }, send);
 *     requests.take(frame, id);        whatever the server sends: the answer to one of them, or a sign of life
 *     requests.tick();                 names a request that is not answered: "the lines of #ops from 41 on"
 *
 * A server that answers other requests and keeps one answer back must not hold anybody up unnoticed. A request's time
 * runs from the moment in which it could be answered, which is when those before it were: over a slow connection many
 * wait in a line. The time stops while nothing comes at all: then the server is gone, which is the session's concern. An
 * answer counts only if it is of the kind that was asked for, and for the same room.
 *
 * @layer chat
 */

import type { Clock } from "./bytes.ts";
import type { Json } from "./json.ts";
import type { RoomFrame } from "./log_frames.ts";
import type { RoomRequest } from "./log_requests.ts";

/** How long a server that answers other requests may keep an answer back, in milliseconds, unless told otherwise. */
export const ANSWER_WITHIN = 30_000;

/** The server refused a request, in its own words; or it could not be asked. */
export class RequestRefused extends Error {
  constructor(readonly errorType: string, reason: string) {
    super(reason);
    this.name = "RequestRefused";
  }
}

/** A request's frame. */
export type RequestFrame = { readonly type: string } & Readonly<Record<string, unknown>>;

/** What answers each request. */
const ANSWERS: Readonly<Record<Exclude<RoomRequest["type"], "post">, RoomFrame["type"]>> = {
  create: "joined",
  join: "joined",
  certificate: "certificate",
  history: "history_end",
  keys: "keys",
  members: "members",
  rooms: "rooms",
  checkpoint: "checkpoint",
  earlier_checkpoint: "earlier_checkpoint",
  consistency: "consistency",
  inclusion: "inclusion",
  code: "code",
  renew: "renewed",
  account: "account",
  password: "password_changed",
  logout: "done",
  presence: "done",
  ping: "pong",
  log: "log",
  log_ticks: "log_ticks",
  log_heads: "log_heads",
  log_note: "log_note",
  log_tokens: "log_tokens",
};

/** A request that is not answered yet. */
interface Asked {
  readonly frame: RequestFrame;
  /** Since when it could have been answered. */
  since: number;
  /** How many lines of the history that was asked for have come. */
  progress: number;
  readonly resolve: (frame: RoomFrame) => void;
  readonly reject: (error: Error) => void;
  /** Whether an answer is still due; for a post, the room knows that. */
  readonly isOpen: () => boolean;
}

/** What {@link Requests} work with. */
export interface RequestsOptions {
  /** A clock that nobody sets, in milliseconds. */
  readonly now: Clock;
  /** How long an answer may take, in milliseconds. */
  readonly within?: number;
  /** The server answers, but not this request, which is put into words: told once. The connection is to be made anew. */
  readonly unanswered: (what: string) => void;
}

/** The requests of one client. */
export class Requests {
  readonly #options: RequestsOptions;
  /** By id, in the order in which they were made. */
  readonly #asked = new Map<number, Asked>();
  #nextId = 1;
  #heardAt = -Infinity;

  constructor(options: RequestsOptions) {
    this.#options = options;
  }

  /** Asks, and resolves with the answer. */
  ask(frame: RequestFrame, send: (frame: RequestFrame & { readonly id: number }) => void): Promise<RoomFrame> {
    const { promise, resolve, reject } = Promise.withResolvers<RoomFrame>();
    this.#send(frame, send, { resolve, reject, isOpen: () => true });
    return promise;
  }

  /** Sends a post. `refused`: how it is told that it was; `isOpen`: whether it waits still. */
  post(
    frame: RequestFrame,
    send: (frame: RequestFrame & { readonly id: number }) => void,
    { refused, isOpen }: { readonly refused: (error: Error) => void; readonly isOpen: () => boolean },
  ): void {
    this.#send(frame, send, { resolve: () => {}, reject: refused, isOpen });
  }

  #send(
    frame: RequestFrame,
    send: (frame: RequestFrame & { readonly id: number }) => void,
    owed: Pick<Asked, "resolve" | "reject" | "isOpen">,
  ): void {
    const id = this.#nextId++;
    this.#asked.set(id, { frame, since: this.#options.now(), progress: 0, ...owed });
    send({ ...frame, id });
  }

  /** Whether a frame answers the request of that id. */
  isAnswer(frame: RoomFrame, id: Json | undefined): id is number {
    const asked = typeof id === "number" ? this.#asked.get(id) : undefined;
    if (!asked) return false;
    const { type, room } = asked.frame;
    if (!isRequest(type) || ANSWERS[type] !== frame.type) return false;
    return room === undefined || ("room" in frame && frame.room === room);
  }

  /** Takes what the server sent. */
  take(frame: RoomFrame, id: Json | undefined): void {
    this.#heardAt = this.#options.now();
    if (frame.type === "posted") this.#progress(frame.room, frame.index);
    if (this.isAnswer(frame, id)) this.#settle(id)?.resolve(frame);
  }

  /** The server refused a request; false if there is none of that id. */
  refuse(id: number, error: Error): boolean {
    this.#heardAt = this.#options.now();
    const asked = this.#settle(id);
    asked?.reject(error);
    return asked !== undefined;
  }

  /** The connection is gone, and all answers with it. Posts are sent again by their rooms. */
  fail(error: Error): void {
    const all = [...this.#asked.values()];
    this.#asked.clear();
    for (const { frame, reject } of all) if (frame.type !== "post") reject(error);
  }

  #settle(id: number): Asked | undefined {
    const asked = this.#asked.get(id);
    this.#asked.delete(id);
    if (asked) this.#next(id);
    return asked;
  }

  /** The requests after that one could be answered from now on. */
  #next(id: number): void {
    const now = this.#options.now();
    for (const [other, asked] of this.#asked) if (other > id) asked.since = now;
  }

  /** A line of a history is a part of its answer; each line counts once, so that nothing can be drawn out. */
  #progress(room: string, index: number): void {
    for (const [id, asked] of this.#asked) {
      const { type, room: of, from, count } = asked.frame;
      const at = index - Number(from);
      if (type !== "history" || of !== room || at < asked.progress || at >= Number(count)) continue;
      asked.progress = at + 1;
      asked.since = this.#options.now();
      this.#next(id);
    }
  }

  /** To be called every second or so. */
  tick(): void {
    const { now: clock, within = ANSWER_WITHIN, unanswered } = this.#options;
    const now = clock();
    for (const [id, { isOpen }] of this.#asked) if (!isOpen()) this.#settle(id);
    // If nothing at all comes, the server is gone, and doesn't keep an answer back.
    const isThere = this.#heardAt > now - within / 2;
    // A ping doesn't count: over a slow connection it waits behind what comes.
    const late = [...this.#asked.values()].find(({ frame, since }) => frame.type !== "ping" && now - since > within);
    if (!late || !isThere) return;
    late.since = now; // told
    unanswered(wordsOf(late.frame));
  }
}

function isRequest(type: string): type is keyof typeof ANSWERS {
  return Object.hasOwn(ANSWERS, type);
}

/** What is missing without that answer, in words. */
function wordsOf({ type, room, from, fingerprint }: RequestFrame): string {
  switch (type) {
    case "create":
    case "join":
      return `the answer to your joining ${room}`;
    case "history":
      return `the lines of ${room} from ${from} on`;
    case "keys":
      return `the keys of ${room}`;
    case "certificate":
      return `the certificate ${String(fingerprint).slice(0, 16)}…, without which its owner's lines can't be checked`;
    case "checkpoint":
    case "earlier_checkpoint":
      return `a signed head of ${room}`;
    case "inclusion":
    case "consistency":
      return `a proof about the log of ${room}`;
    case "members":
      return `the members of ${room}`;
    case "rooms":
      return "the list of its rooms";
    case "post":
      return `whether it took your line in ${room}`;
    default:
      return `the answer to "${type}"`;
  }
}
