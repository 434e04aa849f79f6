import { assert } from "./assert.ts";
import type { Log, LogFields } from "../lib/logging.ts";
import { SummedLog } from "../lib/logging_summary.ts";
import { handClock } from "./fixtures.ts";

/** A log whose lines a test can read. */
function summed() {
  const lines: string[] = [];
  const write = (level: string) => (message: string, fields: LogFields = {}) =>
    void lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  const log: Log = { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
  const clock = handClock();
  return { log: new SummedLog(log, clock.now), lines, clock };
}

Deno.test("what one person causes over and over is written some times, and then summed up", () => {
  const { log, lines, clock } = summed();
  for (let i = 0; i < 442; i++) {
    log.warn("the client's receipt is wrong", { email: "mallory@x.org", address: "10.0.0.7" });
  }
  log.warn("the client's receipt is wrong", { email: "ada@x.org", address: "10.0.0.7" });
  assert.equal(lines.length, 31, "others are counted apart");
  clock.advance(60_000);
  log.look();
  assert.equal(
    lines.at(-1),
    `warn the client's receipt is wrong: 412 more like this in a minute {"email":"mallory@x.org"}`,
  );
  log.warn("the client's receipt is wrong", { email: "mallory@x.org" });
  assert.equal(lines.length, 33, "the next minute begins anew");
});

Deno.test("many addresses together are summed up as well, and the end tells what is left", () => {
  const { log, lines } = summed();
  for (let i = 0; i < 1_000; i++) log.info("a connection was refused", { address: `10.0.${i >> 8}.${i & 255}` });
  assert.equal(lines.length, 600);
  log.look(true);
  assert.deepEqual(lines.slice(600), ["info a connection was refused: 400 more like this in a minute {}"]);
});

Deno.test("an address of IPv6 is counted with its network", () => {
  const { log, lines } = summed();
  for (let i = 0; i < 100; i++) log.info("a connection was refused", { address: `2001:db8:1:2::${i}` });
  assert.equal(lines.length, 30);
});

Deno.test("what the server tells of itself is written as it comes", () => {
  const { log, lines } = summed();
  for (let i = 0; i < 100; i++) log.error("lines could not be stored", { room: "#ops" });
  assert.equal(lines.length, 100);
});
