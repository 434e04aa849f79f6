import { assert } from "./assert.ts";
import { ANSWER_WITHIN, type RequestFrame, Requests } from "../lib/client_requests.ts";
import type { RoomFrame } from "../lib/log_frames.ts";
import { handClock } from "./fixtures.ts";

const PONG = { type: "pong" } as const;

function bench() {
  const clock = handClock();
  const unanswered: string[] = [];
  const requests = new Requests({ now: clock.now, unanswered: (what) => unanswered.push(what) });
  const sent: (RequestFrame & { readonly id: number })[] = [];
  const ask = (frame: RequestFrame) => {
    const answer = requests.ask(frame, (one) => void sent.push(one));
    answer.catch(() => {});
    return { id: sent.at(-1)?.id ?? 0, answer };
  };
  /** Time passes, and the server shows that it is there. */
  const pass = (ms: number) => {
    clock.advance(ms);
    requests.take(PONG, undefined);
    requests.tick();
  };
  return { clock, unanswered, requests, ask, pass };
}

const posted = (index: number) => ({ type: "posted", room: "#ops", index }) as unknown as RoomFrame;
const pem = { type: "certificate", fingerprint: "ab".repeat(32), pem: "", username: "" } as const;

Deno.test("an answer that a server keeps back while it gives others is named, and named again after as long", () => {
  const { unanswered, ask, pass } = bench();
  ask({ type: "certificate", fingerprint: "ab".repeat(32) });
  pass(ANSWER_WITHIN);
  assert.deepEqual(unanswered, []);
  pass(1);
  pass(1);
  assert.deepEqual(unanswered, [
    "the certificate abababababababab…, without which its owner's lines can't be checked",
  ]);
  pass(ANSWER_WITHIN);
  assert.equal(unanswered.length, 2);
});

Deno.test("a server that says nothing at all keeps no answer back: it may be gone", () => {
  const { clock, requests, unanswered, ask } = bench();
  ask({ type: "keys", room: "#ops", from: 0 });
  requests.take(PONG, undefined);
  clock.advance(10 * ANSWER_WITHIN);
  requests.tick();
  assert.deepEqual(unanswered, []);
});

Deno.test("who waits behind others, or gets a long history line by line, has not been kept waiting", () => {
  const { unanswered, requests, ask, pass } = bench();
  const history = ask({ type: "history", room: "#ops", from: 10, count: 500 });
  const keys = ask({ type: "keys", room: "#ops", from: 0 });
  for (let index = 10; index < 30; index++) {
    pass(ANSWER_WITHIN - 1);
    requests.take(posted(index), undefined);
  }
  pass(ANSWER_WITHIN - 1);
  requests.take({ type: "history_end", room: "#ops", next: 30 }, history.id);
  pass(ANSWER_WITHIN - 1);
  assert.deepEqual(unanswered, []);
  for (const index of [29, 9, 510]) { // shown before, or not what was asked for
    requests.take(posted(index), undefined);
    requests.take(PONG, undefined);
  }
  pass(2);
  assert.deepEqual(unanswered, ["the keys of #ops"]);
  requests.refuse(keys.id, new Error("no"));
});

Deno.test("lines that were shown, and lines of other places, don't draw a history out", () => {
  const { unanswered, requests, ask, pass } = bench();
  ask({ type: "history", room: "#ops", from: 10, count: 20 });
  requests.take(posted(10), undefined);
  for (let i = 0; i < 3; i++) {
    pass(ANSWER_WITHIN / 2);
    for (const index of [10, 9, 30]) requests.take(posted(index), undefined);
    requests.take({ ...posted(11), room: "#other" } as RoomFrame, undefined);
  }
  assert.deepEqual(unanswered, ["the lines of #ops from 10 on"]);
});

Deno.test("an answer of another kind, for another room or with another id is none", async () => {
  const { requests, ask } = bench();
  const { id, answer } = ask({ type: "history", room: "#ops", from: 0, count: 9 });
  for (
    const [frame, as] of [
      [PONG, id],
      [pem, id],
      [{ type: "history_end", room: "#dev", next: 0 }, id],
      [{ type: "history_end", room: "#ops", next: 7 }, id + 1],
      [{ type: "history_end", room: "#ops", next: 7 }, undefined],
    ] as const
  ) {
    assert.equal(requests.isAnswer(frame, as), false);
    requests.take(frame, as);
  }
  const right = { type: "history_end", room: "#ops", next: 1 } as const;
  requests.take(right, id);
  requests.take({ ...right, next: 2 }, id); // late
  assert.equal(await answer, right);
});

Deno.test("a post is owed until its room says otherwise, and is not refused by the end of a connection", () => {
  const { unanswered, requests, pass } = bench();
  let isOpen = true;
  const refused: string[] = [];
  const post = () =>
    requests.post({ type: "post", room: "#ops" }, () => {}, {
      refused: ({ message }) => refused.push(message),
      isOpen: () => isOpen,
    });
  post();
  pass(ANSWER_WITHIN + 1);
  assert.deepEqual(unanswered, ["whether it took your line in #ops"]);
  isOpen = false;
  pass(2 * ANSWER_WITHIN);
  assert.equal(unanswered.length, 1);
  post();
  requests.fail(new Error("gone"));
  assert.deepEqual(refused, []);
});
