/**
 * Who gets a place on a full server. A connection is worth more the more it has shown: at first nothing, then the key
 * of a good certificate, then a session.
 *
 *     a place is free                        → it is given
 *     full, some have shown nothing yet      → the oldest of these gives way, of the address that has most of them
 *     full of people who have shown a key    → a newcomer is refused as `busy`
 *
 * A tenth of all places is for people who resume a session. Once the others are taken, a login or a registration is
 * refused as `busy` and a resume is not.
 *
 * A connection that has shown nothing keeps its place for at least two seconds. That is ample for an honest handshake,
 * and it bounds how often strangers can make each other give way. It doesn't hold against a newcomer whose address has
 * fewer such connections.
 *
 * What counts is the socket, until the system has closed it.
 *
 * @layer chat
 */

import type { Clock } from "./bytes.ts";

/** How far a connection has come. */
export type Progress = "silent" | "proven" | "session";

/** One connection in its place. */
export interface Place {
  readonly source: string;
  readonly since: number;
  progress: Progress;
  /** Whether it was told to go; its socket may still be open. */
  isLeaving: boolean;
  /** Closes it, since somebody else needs the place. */
  readonly giveWay: () => void;
}

/** The limits of a server. */
export interface PlaceLimits {
  /** Sockets in all. */
  readonly all: number;
  /** Sockets of one address. */
  readonly perSource: number;
}

/** So long somebody who has shown nothing keeps the place, in milliseconds. */
const GRACE = 2_000;
/** When nobody can give way, nobody is looked for again for so long, in milliseconds. */
const LOOK_AGAIN = 100;
/** One place in so many is for people who resume a session. */
const RESUME_SHARE = 10;

/** The places of a server. Times are of a clock that never goes back. */
export class Places {
  readonly #limits: PlaceLimits;
  readonly #now: Clock;
  readonly #all = new Set<Place>();
  readonly #bySource = new Map<string, Set<Place>>();
  /** Until when nobody has to be looked for who might give way: that would cost more than the refusal. */
  #fullUntil = -Infinity;

  constructor(limits: PlaceLimits, now: Clock) {
    this.#limits = limits;
    this.#now = now;
  }

  /** How many sockets are open. */
  get size(): number {
    return this.#all.size;
  }

  /** A place for a connection from this source; `undefined` if there is none. */
  take(source: string, giveWay: () => void): Place | undefined {
    const here = this.#bySource.get(source) ?? new Set();
    if (here.size >= this.#limits.perSource && !this.#makeRoom(here, this.#limits.perSource, GRACE)) return undefined;
    if (this.#all.size >= this.#limits.all && !this.#makeRoomForOne(here)) return undefined;
    const place: Place = { source, since: this.#now(), progress: "silent", isLeaving: false, giveWay };
    this.#all.add(place);
    this.#bySource.set(source, here.add(place));
    return place;
  }

  /** The socket of this place is closed. */
  leave(place: Place): void {
    this.#all.delete(place);
    const here = this.#bySource.get(place.source);
    here?.delete(place);
    if (here?.size === 0) this.#bySource.delete(place.source);
  }

  /** Whether somebody who doesn't resume a session may still come in. */
  get hasRoomForStrangers(): boolean {
    let taken = 0;
    for (const { progress } of this.#all) if (progress === "session") taken += 1;
    return taken < this.#limits.all - Math.floor(this.#limits.all / RESUME_SHARE);
  }

  /**
   * Makes the oldest silent one give way; whether somebody does. Its socket is closed a moment later, so sockets may
   * for that moment be more than the limit, by no more than an eighth of it.
   */
  #makeRoom(among: Iterable<Place>, limit: number, grace: number): boolean {
    let [leaving, oldest]: [number, Place | undefined] = [0, undefined];
    for (const place of among) {
      if (place.isLeaving) leaving += 1;
      else if (place.progress === "silent" && (!oldest || place.since < oldest.since)) oldest = place;
    }
    if (!oldest || this.#now() - oldest.since < grace || leaving > Math.max(1, limit / 8)) return false;
    oldest.isLeaving = true;
    oldest.giveWay();
    return true;
  }

  #makeRoomForOne(here: Iterable<Place>): boolean {
    if (this.#now() < this.#fullUntil) return false;
    let [most, found]: [number, Iterable<Place>] = [0, []];
    for (const places of this.#bySource.values()) {
      if (places.size <= most) continue;
      const silent = silentIn(places);
      if (silent > most) [most, found] = [silent, places];
    }
    if (this.#makeRoom(found, this.#limits.all, silentIn(here) + 1 < most ? 0 : GRACE)) return true;
    if (most === 0) this.#fullUntil = this.#now() + LOOK_AGAIN;
    return false;
  }
}

function silentIn(places: Iterable<Place>): number {
  let count = 0;
  for (const { progress, isLeaving } of places) if (progress === "silent" && !isLeaving) count += 1;
  return count;
}
