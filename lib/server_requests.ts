/**
 * The one place that says which request of a session goes where (docs/PROTOCOL.md, "Requests"). The compiler proves that
 * no request is forgotten. Requests about rooms are `room_requests.ts`.
 *
 * @layer outside
 */

import { dispatch, type Handlers } from "./dispatch.ts";
import { ProtocolError } from "./errors.ts";
import type { ServerConnection } from "./handshake_server.ts";
import type { Json } from "./json.ts";
import type { IdentifiedRequest, RoomRequest } from "./log_requests.ts";
import type { Log } from "./logging.ts";
import { ROOM_ANSWERS } from "./room_requests.ts";
import type { MemberLimits } from "./server_limits.ts";
import type { Peer } from "./server_peer.ts";
import type { RoomsSession } from "./server_rooms_session.ts";
import { withoutStore } from "./server_store.ts";

/** What answers each request. What is thrown refuses it. */
const ANSWERS: Handlers<RoomRequest, [session: RoomsSession, id: Json | undefined], Promise<void>> = {
  ...ROOM_ANSWERS,
  account: (_, session, id) => session.describeAccount(id),
  code: (_, session, id) => session.makeCode(id),
  logout: (_, session, id) => session.logOut(id),
  password: (request, session, id) => session.changePassword(request.payload, id),
  ping: (_, session, id) => session.pong(id),
  renew: (request, session, id) => session.renew(request.csr, id),
};

/** What requests are refused with. */
export interface RefusalOptions {
  readonly limits: MemberLimits;
  readonly peer: Peer;
  readonly connection: Pick<ServerConnection, "refuseRequest">;
  readonly log: Pick<Log, "debug">;
}

/** Answers a request or refuses it. Throws what ends the session: a wrong signature, or a fault of the program. */
export async function answerRequest(
  { request, id }: IdentifiedRequest,
  session: RoomsSession,
  { limits, peer, connection, log }: RefusalOptions,
): Promise<void> {
  try {
    limits.check(peer.countedAs, request.type);
    await dispatch(ANSWERS, request, session, id);
  } catch (error) {
    const refusal = withoutStore(error);
    if (!(refusal instanceof ProtocolError) || refusal.code === "sig-fail") throw refusal;
    log.debug("request refused", { ...peer.fields, request: request.type, error: refusal.code });
    connection.refuseRequest(refusal, id);
  }
}
