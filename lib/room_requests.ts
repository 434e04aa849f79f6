/**
 * Which request about rooms goes where (docs/PROTOCOL.md, "Requests"). The table has every request of a session but
 * those about the session's own account, which `server_requests.ts` adds.
 *
 * @layer chat
 */

import type { Handlers } from "./dispatch.ts";
import type { Json } from "./json.ts";
import { encodeLogAnswer, type LogRequest } from "./log_follow_frames.ts";
import type { RoomRequest } from "./log_requests.ts";
import type { Attendee } from "./room_attendee.ts";
import type { Hub } from "./room_hub.ts";
import { noLog } from "./server_log.ts";
import type { LogAnswers } from "./server_log_answers.ts";

/** The requests that are about rooms. */
export type HubRequest = Exclude<
  RoomRequest,
  { readonly type: "code" | "renew" | "account" | "password" | "logout" | "ping" }
>;

/** Who asks whom. */
export interface Asker {
  readonly hub: Hub;
  readonly attendee: Attendee;
  /** Answers about the server's log; `undefined` if the server runs without one. */
  readonly serverLog: LogAnswers | undefined;
}

/** What answers each request. What is thrown refuses it. */
export const ROOM_ANSWERS: Handlers<HubRequest, [asker: Asker, id: Json | undefined], Promise<void>> = {
  create: (request, { hub, attendee }, id) => hub.create(attendee, request, id),
  join: (request, { hub, attendee }, id) => hub.join(attendee, request, id),
  rooms: (request, { hub, attendee }, id) => hub.list(attendee, request.from, id),
  presence: (request, { hub, attendee }, id) => hub.setAway(attendee, request.state === "away", id),
  certificate: (request, { hub, attendee }, id) => hub.certificate(attendee, request.fingerprint, id),
  post: async (request, { hub, attendee }, id) =>
    await (await hub.room(request.room, attendee)).post(request, attendee, id),
  history: async (request, { hub, attendee }, id) =>
    await (await hub.room(request.room, attendee)).history(attendee, request, id),
  keys: async (request, { hub, attendee }, id) =>
    await (await hub.room(request.room, attendee)).keys(attendee, request.from, id),
  members: async (request, { hub, attendee }, id) =>
    (await hub.room(request.room, attendee)).listMembers(attendee, request.from, id),
  checkpoint: async (request, { hub, attendee }, id) =>
    (await hub.room(request.room, attendee)).checkpoint(attendee, id),
  earlier_checkpoint: async (request, { hub, attendee }, id) =>
    await (await hub.room(request.room, attendee)).earlierCheckpoint(attendee, request.by, id),
  consistency: async (request, { hub, attendee }, id) =>
    await (await hub.room(request.room, attendee)).proveConsistency(attendee, request, id),
  inclusion: async (request, { hub, attendee }, id) =>
    await (await hub.room(request.room, attendee)).proveInclusion(attendee, request, id),
  log: answerLog,
  log_ticks: answerLog,
  log_heads: answerLog,
  log_note: answerLog,
  log_tokens: answerLog,
};

async function answerLog(request: LogRequest, { hub, attendee, serverLog }: Asker, id: Json | undefined) {
  if (!serverLog) throw noLog();
  const answer = await serverLog.answer(request, async (room) => (await hub.room(room, attendee)).originFor(attendee));
  attendee.answer(encodeLogAnswer(answer), id);
}
