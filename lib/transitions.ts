/**
 * Which frames each state accepts, and to which state they lead, for both sides of the protocol.
 *
 * A frame that isn't in the list of the state is `unexpected`. `send …` are steps that a client makes on its own; a server
 * only answers. Every state except the last two also leads to `failed`, by an error of either side, for good. The
 * diagrams in docs/PROTOCOL.md, "Which frame when", are made from this table. Two names stand for many frames: `room request` for what a
 * client asks (ROOM_REQUESTS in `log_requests.ts`), `room frame` for what a server sends (ROOM_FRAMES). These, and
 * `enrol`, `resume`, `reset` and `welcome`, are taken only if both sides said that they know rooms. A name with a blank
 * in it is never a type.
 *
 * @layer protocol
 */

/** Frames by state; the value is the next state. */
export type Transitions = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** The states of a server and of a client. */
export const NEXT = {
  server: {
    hello: { hello: "key_agreement", ca: "ended", request_certificate: "ended" },
    key_agreement: { dh_client: "account" },
    account: {
      salt: "account",
      register: "session_key",
      login: "session_key",
      enrol: "session_key",
      resume: "session_key",
      reset: "session_key",
    },
    session_key: { dh_client: "session" },
    session: { msg: "session", receipt: "session", "room request": "session", quit: "ended" },
    ended: {},
    failed: {},
  },
  client: {
    start: { "send hello": "hello", "send ca": "authority", "send request_certificate": "certificate" },
    authority: { ca: "ended" },
    certificate: { certificate: "ended" },
    hello: { server_hello: "key_agreement" },
    key_agreement: { dh_server: "account" },
    account: {
      salt: "account",
      "send register": "session_key",
      "send login": "session_key",
      "send enrol": "session_key",
      "send resume": "session_key",
      "send reset": "session_key",
    },
    session_key: { dh_server: "session" },
    session: { msg_ack: "session", welcome: "session", "room frame": "session", "send quit": "closing" },
    closing: { msg_ack: "closing", "room frame": "closing", receipt: "ended" },
    ended: {},
    failed: {},
  },
} as const satisfies Readonly<Record<string, Transitions>>;

/** `server` or `client`. */
export type Side = keyof typeof NEXT;

/** What a server accepts from a client, in any state. */
export type ServerStep = {
  readonly [S in keyof typeof NEXT.server]: keyof typeof NEXT.server[S];
}[keyof typeof NEXT.server];

/** A state of either side. */
export type State = keyof typeof NEXT.server | keyof typeof NEXT.client;

/** Where a step leads from a state; `undefined` if the state doesn't take it. */
export function nextState(side: Side, state: State, step: string): State | undefined {
  const steps: Readonly<Record<string, string>> | undefined = (NEXT[side] as Transitions)[state];
  return steps && Object.hasOwn(steps, step) ? steps[step] as State : undefined;
}
