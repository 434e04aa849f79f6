/** A room with two people in it, for tests of a client, and a server that refuses one request. */

import { ProtocolError } from "../lib/errors.ts";
import { assert } from "./assert.ts";
import { type BenchClient, RoomBench } from "./room_bench.ts";

/** The policy of a room that everybody may join and read from its beginning. */
export const OPEN = { history: "all", inviteOnly: false } as const;

/** A room that ada made and bob came into. */
export async function pair(policy: { history: "all" | "since_join"; inviteOnly: boolean } = OPEN) {
  const bench = await RoomBench.create();
  const [ada, bob] = [await bench.client("ada"), await bench.client("bob")];
  await ada.rooms.create("#ops", policy);
  await bench.settle();
  if (!policy.inviteOnly) await bob.rooms.join("#ops");
  await bench.settle();
  return { bench, ada, bob };
}

/** Something that is said. */
export const text = (words: string) => ({ kind: "text", text: words } as const);

/** The server refuses the next request of that type that fits, once; how often it was asked that. */
export function refuseNext(
  { session }: BenchClient,
  type: string,
  code: ConstructorParameters<typeof ProtocolError>[0] = "server-error",
  fits: (frame: Readonly<Record<string, unknown>>) => boolean = () => true,
): () => number {
  assert.ok(session);
  const request = session.request.bind(session);
  let asked = 0;
  session.request = (frame) => {
    const isMeant = frame.type === type && fits(frame);
    if (isMeant && asked++ === 0) session.refuse(new ProtocolError(code, "not now"), frame.id as number);
    else request(frame);
  };
  return () => asked;
}
