/**
 * The time that a server goes by. The system's clock can jump: somebody sets it wrong, a virtual machine is stopped and
 * goes on, a time server lies. A head that was signed under a wrong time stays in a room's log for good, so a jump
 * isn't believed at once.
 *
 *     the clock agrees with the steady one           → now() is the system's clock
 *     it has jumped by more than a minute            → doubtful: now() goes on by the steady clock from before the jump
 *     it is back where it was                        → as before the jump
 *     it has stayed for a minute, and at least as many members sign times that fit the new time as the old one
 *                                                    → confirmed: now() is the system's clock again
 *
 * At the start the server knows only when it last wrote something. A clock that is before that time, or more than a
 * week after it, is in doubt too, although now() follows it: for a minute, and then until at least as many members sign
 * times that fit it as times that don't.
 *
 * While the clock is in doubt the server signs no heads, issues nothing and deletes nothing; lines are accepted and get
 * their head later. A member's time is a line's `ts`. A time that fits neither clock says nothing: a line that was
 * written offline is older than its arrival. The operator can confirm the clock at once ({@link ServerClock.confirm}).
 *
 * @layer chat
 */

import type { Clock } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";

/** A jump by more than this is one, in milliseconds; less is what time servers do. */
const JUMP = 60_000;
/** How long a clock that has jumped must stay where it is, in milliseconds. */
const AGREEMENT = 60_000;
/** A server that was off for longer doubts its clock, in milliseconds. */
const LONG_OFF = 7 * 86_400_000;

/** What the clock works with. */
export interface ServerClockOptions {
  /** The system's clock, unix ms. */
  readonly wall: Clock;
  /** Milliseconds of a clock that is never set. */
  readonly steady: Clock;
  /** Tells the operator. */
  readonly tell: (message: string) => void;
  /** The clock is no longer doubtful. */
  readonly settled?: () => void;
  /** When this server last wrote something, unix ms. */
  readonly last?: number | undefined;
}

/** A time that isn't confirmed. */
interface Doubt {
  /** What the system's clock is ahead of the steady one since the jump, or since the start. */
  readonly offset: number;
  readonly isStart: boolean;
  /** Since when, by the steady clock. */
  readonly since: number;
  /**
   * Accounts whose signed times fit the time before the jump, or at the start another time than this one, and those
   * whose times fit the one after it.
   */
  readonly before: Set<string>;
  readonly after: Set<string>;
}

/** A clock that is compared with another. */
export class ServerClock {
  readonly #options: ServerClockOptions;
  /** What the system's clock is ahead of the steady one, as it is believed. */
  #offset: number;
  #doubt: Doubt | undefined;

  constructor(options: ServerClockOptions) {
    this.#options = options;
    this.#offset = options.wall() - options.steady();
    this.#doubtStart();
  }

  /** Doubts a clock that doesn't follow on what was written before the start. */
  #doubtStart(): void {
    const { last, steady, tell } = this.#options;
    const since = steady();
    const ahead = last === undefined ? 0 : since + this.#offset - last;
    if (ahead >= -JUMP && ahead <= LONG_OFF) return;
    this.#doubt = { offset: this.#offset, isStart: true, since, before: new Set(), after: new Set() };
    const seconds = Math.abs(Math.round(ahead / 1000));
    tell(
      `the clock is ${seconds} s ${ahead < 0 ? "before" : "after"} what this server wrote last: no heads are signed, ` +
        "no certificates issued and nothing is deleted for a minute, and until members' times agree; set it if it is " +
        "wrong, and if it is right, send SIGHUP",
    );
  }

  /** The time to go by, unix ms. */
  readonly now: Clock = () => {
    this.look();
    return Math.round(this.#options.steady() + this.#offset);
  };

  /** The later of the believed time and the system's: what a member's time isn't to be ahead of. */
  readonly latest: Clock = () => Math.max(this.now(), this.#options.wall());

  /** Whether the clock has jumped and isn't confirmed. */
  get isDoubtful(): boolean {
    this.look();
    return this.#doubt !== undefined;
  }

  /** Throws `server-error` while the clock is doubtful: nothing is issued then. */
  mustBeCertain(): void {
    if (this.isDoubtful) {
      throw new ProtocolError("server-error", "The server's clock is in doubt; try again in some minutes.");
    }
  }

  /** Compares the clocks. To be called every second or so, too. */
  look(): void {
    const steady = this.#options.steady();
    const offset = this.#options.wall() - steady;
    if (this.#doubt?.isStart) this.#lookAtStart(this.#doubt, offset, steady);
    else if (Math.abs(offset - this.#offset) <= JUMP) {
      this.#offset = offset;
      if (this.#doubt) this.#settle("the clock is back where it was before it jumped; heads are signed again");
    } else if (!this.#doubt || Math.abs(offset - this.#doubt.offset) > JUMP) {
      this.#begin(offset, steady);
    } else if (steady - this.#doubt.since >= AGREEMENT) this.#judge(this.#doubt, steady);
  }

  /** Nothing before the start is gone on from: whatever the clock is set to is gone by, and judged anew. */
  #lookAtStart(doubt: Doubt, offset: number, steady: number): void {
    if (Math.abs(offset - doubt.offset) <= JUMP) {
      if (steady - doubt.since >= AGREEMENT) this.#judge(doubt, steady);
      return;
    }
    this.#doubt = undefined;
    this.#offset = offset;
    this.#doubtStart();
    if (this.#doubt === undefined) this.#settle("the clock follows on what was written before; heads are signed again");
  }

  #begin(offset: number, since: number): void {
    this.#doubt = { offset, isStart: false, since, before: new Set(), after: new Set() };
    const seconds = Math.round((offset - this.#offset) / 1000);
    this.#options.tell(
      `the clock has jumped by ${seconds} s: no heads are signed, no certificates issued and nothing is deleted until ` +
        "it is back, or has stayed there for a minute and members' times agree; if it is right, send SIGHUP",
    );
  }

  #judge({ before, after, ...doubt }: Doubt, since: number): void {
    if (before.size > after.size) {
      this.#doubt = { ...doubt, since, before: new Set(), after: new Set() };
      this.#options.tell(
        doubt.isStart
          ? "the clock doesn't fit what members sign; set it, or send SIGHUP if it is right"
          : "the clock has jumped, and what members sign is still of the time before; set it, or send SIGHUP",
      );
    } else this.confirm();
  }

  /** A member has signed this time just now. */
  witness(account: string, ts: number): void {
    this.look();
    if (!this.#doubt) return;
    const { offset, isStart, before, after } = this.#doubt;
    const steady = this.#options.steady();
    if (Math.abs(ts - steady - offset) <= JUMP) {
      after.add(account);
      if (isStart) before.delete(account); // what came before was written offline
    } else if (isStart && !after.has(account)) before.add(account);
    else if (Math.abs(ts - steady - this.#offset) <= JUMP) before.add(account);
  }

  /** Believes the system's clock from now on. */
  confirm(): void {
    if (!this.#doubt) return;
    this.#offset = this.#options.wall() - this.#options.steady();
    this.#settle("the clock is confirmed where it is; heads are signed again");
  }

  #settle(message: string): void {
    this.#doubt = undefined;
    this.#options.tell(message);
    this.#options.settled?.();
  }
}
