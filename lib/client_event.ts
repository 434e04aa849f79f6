/**
 * What happens in a client's rooms, as events: for a screen, for a plain terminal, and as one JSON a line for a bot.
 *
 *     {"event":"line","room":"#ops","index":41,"from":"9f86…","username":"ada","seqno":3,"kind":"text","text":"hello",…}
 *     {"event":"lie","room":"#ops","lie":"fork","reason":"The server has signed two different logs of 57 lines."}
 *
 * Every value can be written as JSON. Texts, names and reasons come from others and are exactly as they came: whoever
 * shows them on a terminal passes them through `readable`.
 *
 * @layer chat
 */

import type { Statement } from "./log_envelope.ts";
import type { Presence } from "./log_fields.ts";
import type { ListedRoom, Member } from "./log_frames.ts";
import type { HistoryPolicy } from "./log_requests.ts";

/** The ways in which a server is caught. */
export type Lie =
  /** A line between two others is kept back. */
  | "missing line"
  /** A line is not as it was signed, or not as it was shown before. */
  | "changed line"
  /** A line that its author never signed. */
  | "invented line"
  /** A line of another room or log. */
  | "replayed line"
  /** An author's lines are not in the order in which they were written, or one is left out. */
  | "wrong order"
  /** A signed head is not that of the lines that were shown. */
  | "wrong head"
  /** Two logs under one name. */
  | "fork"
  /** A head of a shorter or earlier log after that of a longer one. */
  | "old head"
  /** A head that no certificate of this server has signed. */
  | "unsigned head"
  /** Another log in place of the one that was pinned. */
  | "other log"
  /** A line that the server had refused stands in the log. */
  | "refused line";

/** A line of a room. */
export interface LineEvent {
  readonly event: "line";
  readonly room: string;
  readonly index: number;
  /** The author: a certificate's fingerprint. */
  readonly from: string;
  /** The name in the author's own `join` line; null before one is known. */
  readonly username: string | null;
  readonly seqno: number;
  /** The author's own time, unix milliseconds. */
  readonly ts: number;
  /** The time of the first checkpoint shown that covers the line, unix seconds; null until there is one. */
  readonly by: number | null;
  /** Null if the words are erased, or can't be read. */
  readonly kind: string | null;
  readonly text: string | null;
  /** What a line says, if its kind is known. */
  readonly statement: Statement | null;
  /** How many lines the author had seen signed. */
  readonly seen: number | null;
  readonly mine: boolean;
  readonly erased: boolean;
  /** Whether the author's certificate is a further one for which no known one has vouched yet. */
  readonly unvouched: boolean;
  /**
   * Whether signatures are still to be checked: `checked` or `bad_line` follows, or the line again, with another name.
   */
  readonly unchecked: boolean;
  /** What is wrong with the line. */
  readonly bad: string | null;
}

/**
 * What a client tells of the server's log. `lie`: the server was caught, and its log counts for nothing any more. `late`:
 * something isn't done in time; `mended`: it is now.
 */
export type ServerLogNews = "lie" | "late" | "mended";

/** Everything that happens. */
export type RoomEvent =
  /** Whose rooms these are. It comes before there is a session, since what is on the disk is told first. */
  | { readonly event: "account"; readonly username: string }
  | { readonly event: "online"; readonly username: string; readonly server_fingerprint: string }
  /** `retry_in`: milliseconds; null if nothing more is tried. */
  | { readonly event: "offline"; readonly reason: string; readonly retry_in: number | null }
  /** Nothing has come from the server for that long, though it was asked, in milliseconds; 0: it has answered. */
  | { readonly event: "silent"; readonly silent_for: number }
  | {
    readonly event: "joined";
    readonly room: string;
    readonly origin: string;
    readonly mode: string;
    readonly history: HistoryPolicy;
    readonly topic: string;
    /** How many lines the log has. */
    readonly count: number;
  }
  /** All lines up to the time of joining are here. */
  | { readonly event: "caught_up"; readonly room: string; readonly size: number }
  | { readonly event: "left"; readonly room: string; readonly reason: string }
  | LineEvent
  /** The signatures of lines from..to-1, shown as unchecked before, are good. */
  | { readonly event: "checked"; readonly room: string; readonly from: number; readonly to: number }
  | { readonly event: "bad_line"; readonly room: string; readonly index: number; readonly reason: string }
  | { readonly event: "erased"; readonly room: string; readonly index: number }
  /** A signed head covers every line before `size`: these are accepted. */
  | { readonly event: "covered"; readonly room: string; readonly size: number; readonly time: number }
  /** No head has covered lines from..to-1 for 30 seconds. */
  | { readonly event: "uncovered"; readonly room: string; readonly from: number; readonly to: number }
  /**
   * A signed head is of another time than this computer's (both unix seconds), or of an earlier one than its lines: it
   * counts for nothing, until the next that fits.
   */
  | { readonly event: "wrong_clock"; readonly room: string; readonly time: number; readonly now: number }
  | { readonly event: "right_clock"; readonly room: string }
  /** What this client found in the server's log. */
  | { readonly event: "server_log"; readonly news: ServerLogNews; readonly reason: string }
  /** The author of a line follows another log of this server, or lies: no conviction. */
  | { readonly event: "other_log"; readonly room: string; readonly index: number }
  | {
    readonly event: "state";
    readonly room: string;
    readonly topic: string;
    readonly members: readonly { readonly username: string; readonly role: string }[];
  }
  /**
   * A further certificate of somebody's has come in, or one that was known has now said that it is theirs: `vouched`.
   */
  | {
    readonly event: "device";
    readonly room: string;
    readonly username: string;
    readonly fingerprint: string;
    readonly vouched: boolean;
    /** Whether it is this client's own. */
    readonly mine: boolean;
  }
  /** The room is not trusted any more, and takes no lines. */
  | { readonly event: "lie"; readonly room: string; readonly lie: Lie; readonly reason: string }
  /** A line of one's own is on the disk and on its way; `key` names it until it has an index. */
  | {
    readonly event: "sending";
    readonly room: string;
    readonly key: number;
    readonly kind: string;
    readonly text: string | null;
  }
  | { readonly event: "accepted"; readonly room: string; readonly key: number; readonly index: number }
  /**
   * It will not be sent again. It may stand in the log all the same, and where the server has refused it, that would be
   * a lie; with `not-kept` or `not-sent` it never left. `timeout`: no answer came.
   */
  | {
    readonly event: "dropped";
    readonly room: string;
    readonly key: number;
    readonly error_type: string;
    readonly reason: string;
  }
  /** Lines stay unsent for the time being. */
  | { readonly event: "waiting"; readonly room: string; readonly count: number; readonly reason: string }
  /** Who is in a room and who is here, as the server says: after catching up, where it tells what changes. */
  | { readonly event: "present"; readonly room: string; readonly members: readonly Member[] }
  /** Somebody came, went, or left the keyboard. */
  | { readonly event: "presence"; readonly room: string; readonly username: string; readonly state: Presence }
  /** This client has told the others, or tells them with the next session, that nobody is here, or is again. */
  | { readonly event: "away"; readonly away: boolean }
  | { readonly event: "invited"; readonly room: string; readonly from: string }
  /** This client's certificate was renewed; the session begins again with the new one, good until (unix seconds). */
  | { readonly event: "renewed"; readonly fingerprint: string; readonly not_after: number }
  | { readonly event: "warning"; readonly message: string };

/** Members and rooms, and whether somebody is here, as the server's frames have them. */
export type { ListedRoom, Member, Presence };
