/**
 * Asks the server for the lines and keys of one room that this client lacks (docs/PROTOCOL.md, "Pages").
 *
 *     await catchUp.run(57, visit);      history, page by page, until 57 lines are here
 *     catchUp.lack(visit);               a line is here, and those before it are not: asks for them
 *     catchUp.tick(visit);               asks for lines that a checkpoint promises; tells, once, if nothing moves
 *
 * @layer chat
 */

import { type Bytes, type Clock, parseBase64, parseUtf8 } from "./bytes.ts";
import { BLOCK_SIZE } from "./aes_cbc.ts";
import type { RoomEvent } from "./client_event.ts";
import type { LogMonitor } from "./client_log_monitor.ts";
import type { RequestFrame } from "./client_requests.ts";
import { isJsonObject, type Json, member, parseJson } from "./json.ts";
import { MAX_PAGE, type PostedFields, type RoomFrame } from "./log_frames.ts";

/** How long nothing may be shown though there is more, before that is told, in milliseconds. */
const STUCK_AFTER = 30_000;

/** One time of coming in: what belongs to an earlier one is over. */
export class Visit {
  /** Whether the connection is gone since, or this client came in anew. */
  isOver = false;
}

/** What catching up works with. */
export interface CatchUpOptions {
  readonly room: string;
  readonly emit: (event: RoomEvent) => void;
  readonly now: Clock;
  /** Asks the server; rejects if it refuses, or if there is no connection. */
  readonly request: (frame: RequestFrame) => Promise<RoomFrame>;
  /** Opens what the server sealed for this session. */
  readonly open: (payload: Bytes) => Bytes | undefined;
}

/** The lines and keys of one room that are missing. */
export class CatchUp {
  readonly #options: CatchUpOptions;
  readonly #monitor: LogMonitor;
  /** The smallest index that was sent while it isn't known where the log begins for this client. */
  #first = Infinity;
  #isFilling = false;
  /** Whether, at the last look, a checkpoint was here and its lines were not. */
  #wasLate = false;
  /** How far the room was shown at the last look, since when, and whether that was told. */
  #stuck: { readonly shown: number; readonly since: number; isTold: boolean } | undefined;

  constructor(monitor: LogMonitor, options: CatchUpOptions) {
    this.#monitor = monitor;
    this.#options = options;
  }

  /** Asks for keys, and for lines until `target` lines are here. */
  async run(target: number, visit: Visit): Promise<void> {
    const { room, request } = this.#options;
    const monitor = this.#monitor;
    const isOver = () => visit.isOver || monitor.lie !== undefined;
    await this.askKeys();
    while (!isOver() && (monitor.base === undefined || monitor.size < target || monitor.hasGap)) {
      const from = monitor.base === undefined ? 0 : monitor.size;
      await request({ type: "history", room, from, count: MAX_PAGE });
      if (isOver()) return;
      if (monitor.base === undefined) await monitor.begin(Number.isFinite(this.#first) ? this.#first : 0);
      if (monitor.lacksKey) await this.askKeys();
      if (monitor.size <= from && !isOver()) return monitor.missed(from);
    }
  }

  /** Asks for the next page of lines, and for keys. */
  async page(): Promise<void> {
    const { room, request } = this.#options;
    await request({ type: "history", room, from: this.#monitor.size, count: MAX_PAGE });
    await this.askKeys();
  }

  /** Asks for the keys that the server gives. */
  async askKeys(): Promise<void> {
    const { room, request } = this.#options;
    for (let from: number | undefined = 0; from !== undefined;) {
      const page: RoomFrame = await request({ type: "keys", room, from });
      if (page.type !== "keys") return;
      for (const key of page.keys) this.takeKey(key);
      from = page.next !== undefined && page.next > from ? page.next : undefined;
    }
    this.#monitor.tookAllKeys();
  }

  /** A key, sealed with the session's key. */
  takeKey(payload: Bytes): void {
    const opened = this.#options.open(payload);
    const found = opened && parseKey(parseJson(parseUtf8(opened) ?? ""));
    if (found) this.#monitor.takeKey(found.epoch, found.key);
  }

  /** A line that is sent before it is known where the log begins: it may be the first that this client is shown. */
  note({ index }: PostedFields): void {
    if (this.#monitor.base === undefined) this.#first = Math.min(this.#first, index);
  }

  /** Asks for lines that are missing before others, and for keys. */
  lack(visit: Visit): void {
    if (this.#isFilling) return;
    this.#isFilling = true;
    this.run(this.#monitor.promised, visit).catch(() => {}).finally(() => this.#isFilling = false);
  }

  /** To be called every second or so: asks for lines that a checkpoint promises and that don't come by themselves. */
  tick(visit: Visit, isLive: boolean): void {
    const { lie, promised, size, isBehind } = this.#monitor;
    const isLate = !lie && promised > size;
    if (isLive && isLate && this.#wasLate) this.lack(visit);
    this.#wasLate = isLate;
    this.#tellStuck(isLive && isBehind && !lie);
  }

  /** A server may refuse the next lines, or what they are checked with, for ever: that nothing moves is told, once. */
  #tellStuck(isBehind: boolean): void {
    const { now, emit, room } = this.#options;
    const { shown } = this.#monitor;
    if (!isBehind || shown !== this.#stuck?.shown) {
      this.#stuck = isBehind ? { shown, since: now(), isTold: false } : undefined;
    } else if (!this.#stuck.isTold && now() - this.#stuck.since > STUCK_AFTER) {
      this.#stuck.isTold = true;
      const what = shown === 0 ? `Nothing of ${room} is shown` : `${room} is shown only up to line ${shown - 1}`;
      emit({ event: "warning", message: `${what}: the server doesn't give what comes next.` });
    }
  }
}

function parseKey(value: Json | undefined): { epoch: number; key: Bytes } | undefined {
  if (!isJsonObject(value)) return undefined;
  const epoch = member(value, "epoch");
  const text = member(value, "key");
  const key = typeof text === "string" ? parseBase64(text) : undefined;
  return typeof epoch === "number" && key?.length === BLOCK_SIZE ? { epoch, key } : undefined;
}
