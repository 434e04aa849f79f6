import { assert } from "./assert.ts";
import { ROOT, runCommand, skipUnless, temporaryFolder } from "./environment.ts";
import { encodeUtf8 } from "../lib/bytes.ts";
import { Journal, type JournalFile, journalPath, recoverJournals, removeEmptyJournal } from "../lib/server_journal.ts";
import { encodeLine, TranscriptSummary } from "../lib/transcript.ts";

const SESSION = "5e".repeat(32);

/** A line as an accepted message leaves it. */
function line(seqno: number, size = 48): string {
  return encodeLine({
    seqno,
    ts: 1_700_055_622_123 + seqno,
    body: new Uint8Array(size).fill(seqno),
    signature: new Uint8Array(256).fill(255 - seqno),
    signer: "3b".repeat(32),
  });
}

/** A file in memory whose flushes a test holds back or lets fail. */
class HeldFile implements JournalFile {
  /** What was written and what was done, in order. */
  readonly log: string[] = [];
  readonly flushes: PromiseWithResolvers<void>[] = [];
  /** The most bytes that one write takes. */
  most = Infinity;
  failWrite = false;

  write(bytes: Uint8Array): Promise<number> {
    if (this.failWrite) return Promise.reject(new Error("disk on fire"));
    const taken = bytes.subarray(0, this.most);
    this.log.push(new TextDecoder().decode(taken));
    return Promise.resolve(taken.length);
  }

  syncData(): Promise<void> {
    this.log.push("flush");
    const flush = Promise.withResolvers<void>();
    this.flushes.push(flush);
    return flush.promise;
  }

  close(): void {
    this.log.push("close");
  }
}

/** Lets everything run that can run without the disk. */
async function idle(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 0));
}

async function held(): Promise<{ file: HeldFile; journal: Journal }> {
  const file = new HeldFile();
  return { file, journal: await Journal.open("journals", SESSION, () => Promise.resolve(file)) };
}

/** What recovery says of one journal with this content, and what it leaves in the file. */
async function recovered(content: string | Uint8Array) {
  using folder = temporaryFolder();
  const path = journalPath(folder.path, SESSION);
  await Deno.writeFile(path, typeof content === "string" ? encodeUtf8(content) : content);
  await Deno.utime(path, 1_700_000_000, 1_700_000_000);
  const [journal] = await recoverJournals(folder.path, [SESSION]);
  assert(journal);
  return { journal, left: await Deno.readTextFile(path) };
}

function hashOf(lines: readonly string[]): string {
  const summary = new TranscriptSummary();
  lines.forEach((text, seqno) => summary.add(text, seqno, 0));
  return summary.hash();
}

Deno.test("Journal.append() doesn't resolve while the flush is held back", async () => {
  const { file, journal } = await held();
  let durable = false;
  const append = journal.append("one").then(() => durable = true);
  await idle();
  assert.deepEqual(file.log, ["one\n", "flush"]);
  assert.equal(durable, false);
  file.flushes[0]?.resolve();
  await append;
  assert.equal(durable, true);
});

Deno.test("lines that come during a flush share the next write and the next flush", async () => {
  const { file, journal } = await held();
  const first = journal.append("one");
  const others = [journal.append("two"), journal.append("three"), journal.append("four")];
  await idle();
  file.flushes[0]?.resolve();
  await first;
  await idle();
  assert.deepEqual(file.log, ["one\n", "flush", "two\nthree\nfour\n", "flush"]);
  file.flushes[1]?.resolve();
  await Promise.all(others);
});

Deno.test("a write that takes only a part is continued before the flush", async () => {
  const { file, journal } = await held();
  file.most = 3;
  const append = journal.append("12345");
  await idle();
  file.flushes[0]?.resolve();
  await append;
  assert.deepEqual(file.log, ["123", "45\n", "flush"]);
});

Deno.test("a flush that fails rejects all that wait and all that come, and the file is left alone", async () => {
  const { file, journal } = await held();
  const first = journal.append("one");
  const second = journal.append("two");
  await idle();
  file.flushes[0]?.reject(new Error("disk on fire"));
  await assert.rejects(first, /the journal cannot be written/);
  await assert.rejects(second, /the journal cannot be written/);
  await assert.rejects(journal.append("three"), /the journal cannot be written/);
  assert.deepEqual(file.log, ["one\n", "flush"]);
  await journal.close();
  assert.equal(file.log.at(-1), "close");
});

Deno.test("a write that fails rejects likewise", async () => {
  const { file, journal } = await held();
  file.failWrite = true;
  await assert.rejects(journal.append("one"), /the journal cannot be written/);
  file.failWrite = false;
  await assert.rejects(journal.append("two"), /the journal cannot be written/);
  assert.deepEqual(file.log, []);
});

Deno.test("Journal.close() waits for the lines that were given, and takes no more", async () => {
  const { file, journal } = await held();
  const first = journal.append("one");
  const closing = journal.close();
  await assert.rejects(journal.append("two"), /closed/);
  await idle();
  assert.deepEqual(file.log, ["one\n", "flush"]);
  file.flushes[0]?.resolve();
  await first;
  await closing;
  assert.deepEqual(file.log, ["one\n", "flush", "close"]);
});

Deno.test("a journal is a new file of mode 0600 with an LF after every line", async () => {
  using folder = temporaryFolder();
  const journal = await Journal.open(folder.path, SESSION);
  await Promise.all([journal.append("one"), journal.append("two")]);
  await journal.append("three");
  await journal.close();
  const path = `${folder.path}/${SESSION}.transcript`;
  assert.equal(await Deno.readTextFile(path), "one\ntwo\nthree\n");
  if (Deno.build.os !== "windows") assert.equal((await Deno.stat(path)).mode! & 0o777, 0o600);
  await assert.rejects(Journal.open(folder.path, SESSION), Deno.errors.AlreadyExists);
});

Deno.test("a journal's name is 64 hex digits and nothing else", () => {
  for (const session of ["", "..", "../../etc/passwd", SESSION.toUpperCase(), `${SESSION}0`, `${SESSION}\n`]) {
    assert.throws(() => journalPath("journals", session), RangeError, session);
  }
});

Deno.test("recoverJournals() counts and hashes whole lines, and says when the last was written", async () => {
  const lines = [line(0), line(1), line(5)];
  const { journal, left } = await recovered(lines.map((text) => `${text}\n`).join(""));
  const { summary, ...rest } = journal;
  assert.equal(summary.hash(), hashOf(lines), "a receipt can be made over it");
  assert.deepEqual(rest, {
    tokenHash: SESSION,
    count: 3,
    first: 0,
    last: 5,
    transcriptHash: hashOf(lines),
    endedAt: 1_700_000_000_000,
    cut: 0,
    damaged: false,
  });
  assert.equal(left, lines.map((text) => `${text}\n`).join(""));
});

Deno.test("a journal cut off after any byte comes back to its whole lines", async () => {
  const lines = [line(0), line(1)];
  const whole = lines.map((text) => `${text}\n`).join("");
  const firstEnd = (lines[0]?.length ?? 0) + 1;
  for (let size = 0; size <= whole.length; size++) {
    const { journal, left } = await recovered(whole.slice(0, size));
    const count = size === whole.length ? 2 : size >= firstEnd ? 1 : 0;
    assert.equal(journal.count, count, `after ${size} bytes`);
    assert.equal(left, whole.slice(0, [0, firstEnd, whole.length][count]));
    assert.equal(journal.transcriptHash, hashOf(lines.slice(0, count)));
    assert.equal(journal.cut, size - left.length);
    assert.equal(journal.endedAt, 1_700_000_000_000, "the cut itself is no sign of life");
  }
});

Deno.test("blocks of zeros, whole lines of rubbish and endless lines at the end are cut", async () => {
  const good = `${line(0)}\n`;
  const tails = [
    "\0".repeat(4096),
    "\0".repeat(200_000),
    "\0\0\n\0\0\n",
    `${line(1).slice(0, -1)}\n`,
    `${line(1)}\r\n`,
    "\n",
    "\n\n\n",
    `${"A".repeat(70_000)}\n`,
    `${"A".repeat(64 * 1024 - good.length)}${line(1)}\n`, // what the reader finds at its next read is no line's start
    `${line(1).slice(5)}\n${"x".repeat(40_000)}`,
  ];
  for (const tail of tails) {
    const { journal, left } = await recovered(good + tail);
    assert.deepEqual(
      [journal.count, journal.damaged, journal.cut],
      [1, false, tail.length],
      JSON.stringify(tail.slice(0, 20)),
    );
    assert.equal(left, good);
  }
  const bytes = new Uint8Array([...encodeUtf8(good), 0xff, 0xfe, 10]);
  assert.equal((await recovered(bytes)).left, good);
});

Deno.test("a journal that is damaged before its end is said to be, and left as it is", async () => {
  const content = `${line(0)}\n${line(1).replace("|", "?")}\n${line(2)}\n`;
  const { journal, left } = await recovered(content);
  assert.deepEqual([journal.count, journal.last, journal.damaged, journal.cut], [1, 0, true, 0]);
  assert.equal(left, content);
});

Deno.test("a session without a journal has said nothing", async () => {
  using folder = temporaryFolder();
  assert.deepEqual((await recoverJournals(folder.path, [SESSION])).map(({ summary: _, ...rest }) => rest), [{
    tokenHash: SESSION,
    count: 0,
    first: null,
    last: null,
    transcriptHash: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    endedAt: undefined,
    cut: 0,
    damaged: false,
  }]);
});

Deno.test("removeEmptyJournal() removes a journal in which nothing stands, and no other", async () => {
  using folder = temporaryFolder();
  const path = journalPath(folder.path, SESSION);
  await (await Journal.open(folder.path, SESSION)).close();
  await removeEmptyJournal(folder.path, SESSION);
  await assert.rejects(Deno.stat(path), Deno.errors.NotFound);
  await removeEmptyJournal(folder.path, SESSION); // of a session that has none
  await Deno.writeTextFile(path, "\n");
  await removeEmptyJournal(folder.path, SESSION);
  assert.equal(await Deno.readTextFile(path), "\n");
});

Deno.test("lines of every length come whole out of the reader's buffer", async () => {
  const lines = Array.from({ length: 120 }, (_, seqno) => line(seqno, 32 + 16 * (seqno * 37 % 1000)));
  const { journal } = await recovered(lines.map((text) => `${text}\n`).join(""));
  assert.equal(journal.count, 120);
  assert.equal(journal.transcriptHash, hashOf(lines));
});

Deno.test({
  name: "after kill -9 the journal holds every line whose append had resolved",
  ...skipUnless("unix"),
  async fn() {
    using folder = temporaryFolder();
    const program = `
      import { Journal } from "${new URL("../lib/server_journal.ts", import.meta.url)}";
      import { encodeLine } from "${new URL("../lib/transcript.ts", import.meta.url)}";
      const journal = await Journal.open(${JSON.stringify(folder.path)}, Deno.args[0]);
      const encoder = new TextEncoder();
      for (let seqno = 0;; seqno++) {
        const line = encodeLine({ seqno, ts: 1, body: new Uint8Array(160), signature: new Uint8Array(256), signer: "3b".repeat(32) });
        const append = journal.append(line).then(() => Deno.stdout.writeSync(encoder.encode(seqno + "\\n")));
        if (seqno % 7 === 0) await append;
      }
    `;
    const file = `${folder.path}/program.ts`;
    await Deno.writeTextFile(file, program);
    for (const [index, milliseconds] of [5, 20, 60].entries()) {
      const session = String(index).repeat(64);
      // The shell kills it some time after its first line, wherever it is then.
      const { stdout, stderr } = await runCommand("sh", [
        "-c",
        `"$0" run --quiet -A --no-check "$1" "$2" > "$3" & while ! [ -s "$3" ]; do sleep 0.01; done; sleep ${
          milliseconds / 1000
        }; kill -9 $!; wait $! 2> /dev/null; tail -n 2 "$3"`,
        Deno.execPath(),
        file,
        session,
        `${folder.path}/acknowledged`,
      ], { cwd: ROOT });
      // The last line may itself be cut off.
      const acknowledged = Number(stdout.split("\n")[0]);
      assert(acknowledged >= 0, stderr);
      const [journal] = await recoverJournals(folder.path, [session]);
      assert(journal && !journal.damaged);
      assert(journal.count > acknowledged, `${journal.count} lines, ${acknowledged} acknowledged`);
      assert.equal(journal.last, journal.count - 1);
      await Deno.remove(`${folder.path}/acknowledged`);
    }
  },
});

Deno.test({
  name: "a line is never acknowledged whose journal was deleted or changed by another program",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    using folder = temporaryFolder();
    const changes: ((path: string) => void)[] = [
      (path) => Deno.removeSync(path),
      (path) => Deno.writeTextFileSync(path, "somebody else's\n", { append: true }),
    ];
    for (const [at, change] of changes.entries()) {
      const session = `${at}e`.repeat(32);
      const journal = await Journal.open(folder.path, session);
      change(journalPath(folder.path, session));
      await assert.rejects(journal.append(line(0)), (error) => {
        assert.ok(error instanceof Error && error.cause instanceof Error);
        return /while the server runs/.test(error.cause.message);
      });
      await assert.rejects(journal.append(line(1)), /the journal cannot be written/);
      await journal.close();
    }
  },
});
