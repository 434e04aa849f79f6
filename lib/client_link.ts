/**
 * The server, as a client asks it: while a session stands requests go to it, and everything that it answers is unchecked
 * (docs/PROTOCOL.md, "Requests" and "Pages").
 *
 *     link.online(session);                               a session stands
 *     const all = await link.members("#ops");             page by page
 *     link.offline();                                     requests under way are refused
 *
 * @layer chat
 */

import type { Bytes, Clock } from "./bytes.ts";
import type { ListedRoom, Member } from "./client_event.ts";
import { type RequestFrame, RequestRefused, Requests } from "./client_requests.ts";
import type { Json } from "./json.ts";
import type { Checkpoint } from "./log_checkpoint.ts";
import type { RoomFrame } from "./log_frames.ts";

/** The most pages that are read of a list, which a server could go on with for ever. */
const MAX_PAGES = 2_000;

/** A session with rooms, as far as a client needs one. */
export interface StandingSession {
  /** The account. */
  readonly username: string;
  /** The origin of the log that the server shows, and how often it ticks. */
  readonly log?: string | undefined;
  readonly logSeconds?: number | undefined;
  request(frame: RequestFrame): void;
  /** The plaintext of what the server sealed for this session. */
  open(payload: Bytes): Bytes | undefined;
}

/** What a link works with. */
export interface ServerLinkOptions {
  /** A clock that isn't set, in milliseconds. */
  readonly now: Clock;
  /** The server answers, but keeps this back, in words: the connection is to be made anew. */
  readonly unanswered: (what: string) => void;
  /** After how long that is told, in milliseconds. */
  readonly within: number;
}

/** How it is told that a post was refused, and whether it still waits. */
export interface PostOutcome {
  readonly refused: (error: RequestRefused) => void;
  readonly isOpen: () => boolean;
}

/** The server of a client, over one session at a time. */
export class ServerLink {
  readonly #requests: Requests;
  #session: StandingSession | undefined;

  constructor(options: ServerLinkOptions) {
    this.#requests = new Requests(options);
  }

  /** The session that stands. */
  get session(): StandingSession | undefined {
    return this.#session;
  }

  /** A session stands. */
  online(session: StandingSession): void {
    this.#session = session;
  }

  /** The session is over: requests under way are refused. */
  offline(): void {
    this.#session = undefined;
    this.#requests.fail(notConnected());
  }

  /** The plaintext of what the server sealed for the session that stands. */
  open(payload: Bytes): Bytes | undefined {
    return this.#session?.open(payload);
  }

  /** Asks the server; rejects with {@link RequestRefused}. */
  request(frame: RequestFrame): Promise<RoomFrame> {
    const session = this.#session;
    return session ? this.#requests.ask(frame, (one) => session.request(one)) : Promise.reject(notConnected());
  }

  /** Sends a post, which `posted` answers; false: there is no session. */
  post(frame: RequestFrame, { refused, isOpen }: PostOutcome): boolean {
    const session = this.#session;
    if (!session) return false;
    this.#requests.post(frame, (one) => session.request(one), {
      refused: (error) => {
        if (error instanceof RequestRefused) refused(error);
      },
      isOpen,
    });
    return true;
  }

  /** Whether this frame answers a request of that id. */
  isAnswer(frame: RoomFrame, id: Json | undefined): boolean {
    return this.#requests.isAnswer(frame, id);
  }

  /** What the server sent. */
  take(frame: RoomFrame, id: Json | undefined): void {
    this.#requests.take(frame, id);
  }

  /** The server refused the request of that id. */
  refused(id: number, error: RequestRefused): void {
    this.#requests.refuse(id, error);
  }

  /** To be called every second or so: names what the server keeps back. */
  tick(): void {
    if (this.#session) this.#requests.tick();
  }

  // Questions.

  /** The certificate of that fingerprint, as PEM with its intermediates; `undefined` if the server has none. */
  async certificate(fingerprint: string): Promise<string | undefined> {
    const answer = await unlessRefused(this.request({ type: "certificate", fingerprint }), "no-room");
    return answer?.type === "certificate" ? answer.pem : undefined;
  }

  /** The audit path of a line, or the proof that one log goes on from another; `undefined` if the server has none. */
  async proof(
    question: { readonly type: "inclusion" | "consistency"; readonly room: string } & Readonly<Record<string, unknown>>,
  ): Promise<readonly Bytes[] | undefined> {
    const answer = await unlessRefused(this.request(question), "forbidden");
    return answer?.type === question.type && "hashes" in answer ? answer.hashes : undefined;
  }

  /** The last checkpoint of a room that was signed up to a time, in unix seconds; `undefined` if there is none. */
  async earlierCheckpoint(room: string, by: number): Promise<Checkpoint | undefined> {
    const answer = await unlessRefused(this.request({ type: "earlier_checkpoint", room, by }), "no-room");
    return answer?.type === "earlier_checkpoint" ? answer.checkpoint : undefined;
  }

  /** The members of a room if it has so few that one page holds them; `undefined` if that can't be had. */
  async fewMembers(room: string): Promise<readonly Member[] | undefined> {
    const page = await this.request({ type: "members", room, from: 0 }).catch(() => undefined);
    return page?.type === "members" && page.next === undefined ? page.members : undefined;
  }

  /** Who is in a room, and who is there now. */
  async members(room: string): Promise<readonly Member[]> {
    const all: Member[] = [];
    let from: number | undefined = 0;
    for (let pages = 0; from !== undefined && pages < MAX_PAGES; pages++) {
      const page: RoomFrame = await this.request({ type: "members", room, from });
      if (page.type !== "members") break;
      all.push(...page.members);
      from = page.next !== undefined && page.next > from ? page.next : undefined;
    }
    return all;
  }

  /** The rooms that this account may know of. */
  async list(): Promise<readonly ListedRoom[]> {
    const all: ListedRoom[] = [];
    let from: string | undefined = "";
    for (let pages = 0; from !== undefined && pages < MAX_PAGES; pages++) {
      const page: RoomFrame = await this.request({ type: "rooms", from });
      if (page.type !== "rooms") break;
      all.push(...page.rooms);
      from = page.next !== undefined && page.next > from ? page.next : undefined;
    }
    return all;
  }
}

function notConnected(): RequestRefused {
  return new RequestRefused("timeout", "There is no connection to the server now.");
}

/** The answer; `undefined` if the server says by that refusal that it has none. Any other refusal means: not now. */
async function unlessRefused(asked: Promise<RoomFrame>, errorType: string): Promise<RoomFrame | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof RequestRefused && error.errorType === errorType) return undefined;
    throw error;
  }
}
