import { assert } from "./assert.ts";
import { runCommand, skipUnless, temporaryFolder } from "./environment.ts";
import { EXIT, Failure } from "../lib/errors.ts";
import { type LogOptions, openLog } from "../lib/logging.ts";

function options(file: string, rest: Partial<LogOptions> = {}): LogOptions {
  return { level: "info", file, maxBytes: 1_000_000, maxFiles: 3, stderr: null, ...rest };
}

/** The lines of a log file, without their times. */
function linesOf(file: string): string[] {
  return Deno.readTextFileSync(file).trimEnd().split("\n").map((line) => line.replace(/^\S+ /, ""));
}

/** Waits until it is so, for ten seconds. */
async function until(holds: () => boolean): Promise<void> {
  for (let tries = 1_000; !holds() && tries > 0; tries--) await new Promise((resolve) => setTimeout(resolve, 10));
}

Deno.test("a log writes one line an event, the same to its file and to stderr", async () => {
  using folder = temporaryFolder();
  const file = `${folder.path}/logs/server.log`;
  const stderr: string[] = [];
  const log = await openLog(options(file, { stderr: (line) => stderr.push(line) }));
  log.info("login succeeded", { user: "ada", address: "127.0.0.1:40312", count: 3 });
  log.warn("{braces} stay");
  log.error("three", { reason: 'a "quoted" thing', empty: "", sum: "1=1" });
  await log.close();
  assert.equal(Deno.readTextFileSync(file), stderr.join(""));
  assert.match(stderr[0] ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO login succeeded user=ada /);
  assert.deepEqual(linesOf(file), [
    "INFO login succeeded user=ada address=127.0.0.1:40312 count=3",
    "WARN {braces} stay",
    'ERROR three reason="a \\"quoted\\" thing" empty="" sum="1=1"',
  ]);
});

Deno.test("a log keeps to its level", async () => {
  using folder = temporaryFolder();
  for (const [level, count] of [["debug", 4], ["info", 3], ["warn", 2], ["error", 1]] as const) {
    const file = `${folder.path}/${level}.log`;
    const log = await openLog(options(file, { level }));
    log.debug("one");
    log.info("two");
    log.warn("three");
    log.error("four");
    await log.close();
    assert.equal(linesOf(file).length, count, level);
  }
});

Deno.test("a log escapes what could forge a line or move a cursor", async () => {
  using folder = temporaryFolder();
  const file = `${folder.path}/server.log`;
  const log = await openLog(options(file));
  log.info("a\nb\u001b[2J", { user: "eve\r\n2026 INFO forged", "na\nme": "\u202e\u0085" });
  await log.close();
  // The value is quoted by JSON first: its own escapes are backslashes too, and none of them is a control character.
  assert.deepEqual(linesOf(file), [
    'INFO a\\u{a}b\\u{1b}[2J user="eve\\r\\n2026 INFO forged" na\\u{a}me=\\u{202e}\\u{85}',
  ]);
});

Deno.test("a log hands each line to the system at once", async () => {
  using folder = temporaryFolder();
  const file = `${folder.path}/server.log`;
  const log = await openLog(options(file));
  log.info("first");
  await until(() => linesOf(file)[0] !== ""); // nothing else is asked of it
  assert.deepEqual(linesOf(file), ["INFO first"]);
  log.info("second");
  await log.close();
  assert.deepEqual(linesOf(file), ["INFO first", "INFO second"]);
});

Deno.test("a log goes on where the last one ended, and rotates by size", async () => {
  using folder = temporaryFolder();
  const file = `${folder.path}/server.log`;
  const written: string[] = [];
  for (let round = 0; round < 40; round++) {
    const log = await openLog(options(file, { maxBytes: 4096, maxFiles: 2 }));
    for (let line = 0; line < 5; line++) {
      const text = `line ${round}.${line} ${"x".repeat(40)}`;
      written.push(`INFO ${text}`);
      log.info(text);
    }
    await log.close();
  }
  const names = [...Deno.readDirSync(folder.path)].map(({ name }) => name).toSorted();
  assert.deepEqual(names, ["server.log", "server.log.1", "server.log.2"]);
  for (const name of names) assert(Deno.statSync(`${folder.path}/${name}`).size <= 4096, name);
  const kept = ["server.log.2", "server.log.1", "server.log"].flatMap((name) => linesOf(`${folder.path}/${name}`));
  assert.deepEqual(kept, written.slice(-kept.length));
});

Deno.test({
  name: "a log's folder and file are their owner's alone",
  ...skipUnless("unix"),
  fn: async () => {
    using folder = temporaryFolder();
    await (await openLog(options(`${folder.path}/logs/server.log`))).close();
    const mode = (path: string) => (Deno.statSync(path).mode ?? 0) & 0o777;
    assert.equal(mode(`${folder.path}/logs`), 0o700);
    assert.equal(mode(`${folder.path}/logs/server.log`), 0o600);
  },
});

Deno.test("a log that can't be written ends the start with one sentence", async () => {
  using folder = temporaryFolder();
  Deno.writeTextFileSync(`${folder.path}/file`, "");
  for (const file of [`${folder.path}/file/server.log`, folder.path]) {
    await assert.rejects(openLog(options(file)), (error: unknown) => {
      assert(error instanceof Failure);
      assert.equal(error.status, EXIT.usage);
      assert.match(error.message, /^the log file .* can't be written \(.*\); set LOG_FILE to another path$/);
      return true;
    });
  }
});

Deno.test({
  name: "a log whose disk is full says so on stderr and lets the server go on",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const stderr: string[] = [];
    const log = await openLog(options("/dev/full", { stderr: (line) => stderr.push(line) }));
    log.info("one");
    await log.close();
    assert.match(stderr[0] ?? "", /INFO one\n$/);
    assert.match(stderr[1] ?? "", /^securechat: the log file \/dev\/full can't be written \(.*space.*\)\n$/);
  },
});

Deno.test("a log that was moved away is opened anew under its name, and no line is lost meanwhile", async () => {
  using folder = temporaryFolder();
  const file = `${folder.path}/server.log`;
  const log = await openLog(options(file));
  log.info("before");
  await Deno.rename(file, `${file}.moved`);
  const reopened = log.reopen();
  log.info("meanwhile");
  await reopened;
  log.info("after");
  await log.close();
  assert.deepEqual(linesOf(`${file}.moved`), ["INFO before"]);
  assert.deepEqual(linesOf(file), ["INFO meanwhile", "INFO after"]);
  if (Deno.build.os !== "windows") assert.equal((Deno.statSync(file).mode ?? 0) & 0o777, 0o600);
});

Deno.test("a log whose file can't be reopened goes on at stderr", async () => {
  using folder = temporaryFolder();
  const file = `${folder.path}/logs/server.log`;
  const said: string[] = [];
  const log = await openLog(options(file, { stderr: (line) => void said.push(line) }));
  await Deno.remove(`${folder.path}/logs`, { recursive: true });
  Deno.writeTextFileSync(`${folder.path}/logs`, "no folder");
  await log.reopen();
  log.info("after");
  await log.close();
  assert.match(said.join(""), /ERROR the log file can't be reopened [^]*INFO after/);
});

Deno.test({
  name: "a log may go to a FIFO or a device, which isn't rotated, and with - to stderr alone",
  ...skipUnless("unix"),
  async fn() {
    using folder = temporaryFolder();
    const fifo = `${folder.path}/fifo`;
    await runCommand("mkfifo", [fifo]);
    const stderr: string[] = [];
    for (const file of [fifo, "/dev/null", "-", "/dev/stderr"]) {
      stderr.length = 0;
      const log = await openLog(options(file, { maxBytes: 4096, stderr: (line) => stderr.push(line) }));
      using reader = file === fifo ? Deno.openSync(fifo, { read: true, write: true }) : undefined;
      log.info("one", { long: "x".repeat(5000) });
      log.info("two");
      await log.reopen();
      await log.close();
      assert.equal(stderr.length, 2, file);
      const buffer = new Uint8Array(8192);
      if (reader) {
        assert.match(new TextDecoder().decode(buffer.subarray(0, reader.readSync(buffer) ?? 0)), / INFO two\n$/);
      }
    }
    assert.deepEqual([...Deno.readDirSync(folder.path)].map(({ name }) => name), ["fifo"]);
    await assert.rejects(openLog(options(folder.path)), /can't be written/);
  },
});
