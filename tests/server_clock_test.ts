import { assert } from "./assert.ts";
import { ServerClock } from "../lib/server_clock.ts";

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

/** A server's clock over two clocks that the test moves. */
function clocks(last?: number) {
  let [wall, steady] = [1_700_000_000_000, 5_000];
  const told: string[] = [];
  let settled = 0;
  const clock = new ServerClock({
    wall: () => wall,
    steady: () => steady,
    tell: (message) => told.push(message),
    settled: () => settled += 1,
    last,
  });
  return {
    clock,
    told,
    settled: () => settled,
    wall: () => wall,
    pass(ms: number) {
      wall += ms;
      steady += ms;
      clock.look();
    },
    jump: (ms: number) => wall += ms,
  };
}

Deno.test("the clock of a server is the system's, and small steps are believed", () => {
  const { clock, pass, jump, wall, told } = clocks();
  pass(MINUTE);
  jump(-59_000);
  assert.equal(clock.now(), wall());
  assert.ok(!clock.isDoubtful);
  assert.deepEqual(told, []);
});

for (const by of [100 * DAY, -20 * MINUTE]) {
  Deno.test(`a clock that jumps by ${by / MINUTE} minutes is doubted at once, and the time goes on as before until it is back`, () => {
    const { clock, pass, jump, told, settled } = clocks();
    const before = clock.now();
    jump(by);
    assert.ok(clock.isDoubtful);
    assert.equal(clock.now(), before);
    pass(5_000);
    assert.equal(clock.now(), before + 5_000);
    jump(-by);
    assert.equal(clock.now(), before + 5_000);
    assert.ok(!clock.isDoubtful);
    assert.equal(settled(), 1);
    assert.match(told[0] ?? "", /has jumped by -?\d+ s: no heads/);
    assert.match(told[1] ?? "", /back where it was/);
  });
}

Deno.test("a clock that stays where it jumped to is confirmed after a minute in which no member's time contradicts it", () => {
  const { clock, pass, jump, wall } = clocks();
  jump(3 * DAY);
  pass(0);
  pass(MINUTE - 1);
  assert.ok(clock.isDoubtful);
  clock.witness("account 1", wall()); // as after a machine has slept
  clock.witness("account 2", wall() - 10 * DAY); // written offline: says nothing
  pass(1);
  assert.ok(!clock.isDoubtful);
  assert.equal(clock.now(), wall());
});

Deno.test("members whose times are of before the jump keep the clock doubtful, one account as often as it likes counts once", () => {
  const { clock, pass, jump, wall } = clocks();
  jump(3 * DAY);
  pass(0);
  clock.witness("account 1", wall() - 3 * DAY);
  pass(MINUTE);
  assert.ok(clock.isDoubtful);
  for (let times = 0; times < 9; times++) clock.witness("account 1", wall() - 3 * DAY);
  clock.witness("account 2", wall());
  clock.witness("account 3", wall());
  pass(MINUTE);
  assert.ok(!clock.isDoubtful);
});

Deno.test("the operator's word confirms the clock, and a second jump is another", () => {
  const { clock, jump, pass, wall, told } = clocks();
  jump(-DAY);
  assert.ok(clock.isDoubtful);
  clock.confirm();
  assert.equal(clock.now(), wall());
  jump(DAY);
  assert.ok(clock.isDoubtful);
  pass(30_000);
  jump(5 * DAY);
  pass(40_000);
  assert.ok(clock.isDoubtful, "it hasn't stayed anywhere for a minute");
  assert.equal(told.filter((one) => one.includes("has jumped by")).length, 3);
});

Deno.test("a member's time isn't to be ahead of the later of both clocks", () => {
  const { clock, jump, wall } = clocks();
  jump(DAY);
  assert.equal(clock.latest(), wall());
  jump(-2 * DAY);
  assert.equal(clock.latest(), clock.now());
});

const START = 1_700_000_000_000;

Deno.test("at the start a clock is believed that follows on what was written last, after a night or a week", () => {
  for (const off of [-30_000, 0, DAY, 7 * DAY]) {
    const { clock, told } = clocks(START - off);
    assert.ok(!clock.isDoubtful, `${off}`);
    assert.deepEqual(told, []);
  }
});

for (const [ahead, word] of [[8 * DAY, "after"], [-2 * MINUTE, "before"]] as const) {
  Deno.test(`a clock that is ${ahead / MINUTE} minutes ${word} what was written last is doubted from the start, told, and gone by`, () => {
    const { clock, told, pass, settled, wall } = clocks(START - ahead);
    assert.ok(clock.isDoubtful);
    assert.equal(clock.now(), wall());
    assert.match(
      told[0] ?? "",
      new RegExp(`the clock is ${Math.abs(ahead) / 1000} s ${word} what this server wrote last`),
    );
    pass(MINUTE - 1);
    assert.ok(clock.isDoubtful);
    clock.witness("account 1", wall());
    pass(1);
    assert.ok(!clock.isDoubtful);
    assert.equal(settled(), 1);
  });
}

Deno.test("at the start members whose times don't fit the clock keep it doubtful, until it is set or the operator confirms it", () => {
  const { clock, told, pass, jump, wall, settled } = clocks(START - 100 * DAY);
  clock.witness("account 1", wall() - 100 * DAY);
  pass(MINUTE);
  assert.ok(clock.isDoubtful);
  assert.match(told.at(-1) ?? "", /doesn't fit what members sign/);
  jump(-100 * DAY);
  pass(1_000);
  assert.ok(!clock.isDoubtful, "now it follows on what was written");
  assert.equal(clock.now(), wall());
  assert.equal(settled(), 1);

  const other = clocks(START - 100 * DAY);
  other.clock.confirm();
  assert.ok(!other.clock.isDoubtful);
});

Deno.test("at the start lines that were written offline contradict nothing once their author's clock agrees", () => {
  const { clock, pass, wall } = clocks(START - 8 * DAY);
  clock.witness("account 1", wall() - 3 * DAY);
  clock.witness("account 1", wall());
  clock.witness("account 1", wall() - 2 * DAY);
  pass(MINUTE);
  assert.ok(!clock.isDoubtful);
});
