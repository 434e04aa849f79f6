import { TypedLines, WordsUnderWay } from "../lib/client_typed.ts";
import { assert } from "./assert.ts";

Deno.test("lines come in the order in which they were typed, those of before there was a room for the one that was named", async () => {
  const typed = new TypedLines();
  typed.push("early", undefined);
  typed.push("elsewhere", "#dev");
  typed.belongTo("#ops");
  typed.push("in no room", undefined);
  const read = typed[Symbol.asyncIterator]();
  assert.deepEqual((await read.next()).value, { text: "early", room: "#ops" });
  assert.deepEqual((await read.next()).value, { text: "elsewhere", room: "#dev" });
  assert.deepEqual((await read.next()).value, { text: "in no room", room: undefined });
  const next = read.next();
  typed.push("late", "#ops");
  typed.end();
  assert.deepEqual((await next).value, { text: "late", room: "#ops" });
  assert.equal((await read.next()).done, true);
});

Deno.test("the words of a line that the server refuses come back as they are typed, those that may stand in the log don't", () => {
  const words = new WordsUnderWay();
  const room = "#ops";
  const send = (key: number, kind: string, text: string | null) =>
    words.take({ event: "sending", room, key, kind: kind as "text", text });
  const drop = (key: number, error_type = "muted") =>
    words.take({ event: "dropped", room, key, error_type, reason: "You are muted." });
  for (
    const [text, typed] of [["hello", "hello"], ["/etc is full", "//etc is full"], ["/me waves", "/me waves"]] as const
  ) {
    assert.equal(send(1, "text", text), undefined);
    assert.deepEqual(drop(1), { text: typed, room });
    assert.equal(drop(1), undefined);
  }
  send(2, "topic", null);
  assert.equal(drop(2), undefined);
  send(3, "text", "perhaps there");
  assert.equal(drop(3, "timeout"), undefined);
  send(4, "text", "there");
  words.take({ event: "accepted", room, key: 4, index: 9 });
  assert.equal(drop(4), undefined);
});
