import { assert } from "./assert.ts";
import { encodeUtf8 } from "../lib/bytes.ts";
import type { Checkpoint } from "../lib/log_checkpoint.ts";
import { encodeEnvelope, type Statement } from "../lib/log_envelope.ts";
import { Failure } from "../lib/errors.ts";
import { RoomFiles } from "../lib/client_room_files.ts";
import { RoomRecords } from "../lib/client_room_records.ts";
import type { Kept, UnsentLine } from "../lib/client_store.ts";
import { encodeOpening } from "../lib/log_receipt.ts";
import { encodeLine } from "../lib/transcript.ts";
import { type BenchClient, RoomBench } from "./room_bench.ts";

const ORIGIN = `localhost/#ops/${"0".repeat(32)}`;

async function inFolder(test: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "securechat-" });
  try {
    await test(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

function words(text: string) {
  const statement: Statement = { kind: "text", text };
  return encodeEnvelope({ room: "#ops", seen: { size: 0, root: "0".repeat(64) }, statement, salt: new Uint8Array(16) });
}

function line(index: number, text = `line ${index}`): Kept & { type: "line" } {
  const transcript = {
    ...{ seqno: index, ts: 1_700_000_000_000 + index, body: new Uint8Array(96).fill(index) },
    ...{ signature: new Uint8Array(256).fill(index), signer: "a".repeat(64) },
  };
  return { type: "line", index, line: encodeLine(transcript), envelope: words(text) };
}

function head(size: number, time = size): Kept & { type: "checkpoint" } {
  const checkpoint: Checkpoint = { size, time, root: "b".repeat(64), sig: new Uint8Array(256), from: "c".repeat(64) };
  return { type: "checkpoint", checkpoint };
}

function unsent(key: number, text: string, seqno?: number): UnsentLine {
  const fields = { ct: new Uint8Array(96), sig: new Uint8Array(256), body: new Uint8Array(32) };
  const post = seqno === undefined ? undefined : { room: "#ops", epoch: 1, seqno, ts: 5, ...fields };
  return { key, ts: 5, statement: { kind: "text", text }, post, ...(post ? { by: "a".repeat(64) } : {}) };
}

/** What the system says where the disk is full. */
const full = () => Promise.reject(new Error("No space left on device (os error 28)"));

Deno.test("what was kept of a room is there again, in its order", async () => {
  await inFolder(async (dir) => {
    const record = await RoomFiles.open(`${dir}/#ops`);
    await record.pin(ORIGIN, "all");
    await Promise.all(
      [line(0), line(1), head(2), line(2), { type: "erasure", index: 1 } as const].map((one) => record.keep(one)),
    );
    await Promise.all([record.putUnsent(unsent(7, "seven")), record.putUnsent(unsent(8, "eight", 3))]);
    await record.putUnsent(unsent(7, "seven", 4));
    await record.removeUnsent(8);
    await record.close();
    const again = await RoomFiles.open(`${dir}/#ops`);
    assert.deepEqual(again.pinned, { origin: ORIGIN, history: "all" });
    const { lines, checkpoints, base, lie } = await again.read();
    assert.deepEqual(lines.map((one) => one.line), [0, 1, 2].map((index) => line(index).line));
    assert.deepEqual(lines.map(({ envelope }) => envelope === null), [false, true, false]);
    assert.deepEqual([checkpoints.map(({ size }) => size), base, lie], [[2], undefined, undefined]);
    assert.deepEqual(again.unsent, [unsent(7, "seven", 4)]);
    await again.close();
  });
});

Deno.test("a torn end of any file is cut, and what was whole before it is there", async () => {
  await inFolder(async (dir) => {
    const path = `${dir}/#ops`;
    const record = await RoomFiles.open(path);
    await record.pin(ORIGIN, "all");
    for (const one of [line(0), line(1), head(2)]) await record.keep(one);
    await record.putUnsent(unsent(7, "seven", 2));
    await record.close();
    const left = {
      "transcript.txt": { lines: 1, opened: 1, head: 2, isSigned: true },
      "openings.txt": { lines: 2, opened: 1, head: 2, isSigned: true },
      "checkpoints": { lines: 2, opened: 2, head: undefined, isSigned: true },
      "unsent": { lines: 2, opened: 2, head: 2, isSigned: false },
    };
    for (const [name, expected] of Object.entries(left)) {
      const whole = await Deno.readFile(`${path}/${name}`);
      const words = await Deno.readFile(`${path}/openings.txt`);
      const lastLine = whole.lastIndexOf(10, whole.length - 2) + 1;
      for (const cut of [lastLine + 1, Math.floor((lastLine + whole.length) / 2), whole.length - 1]) {
        await Deno.writeFile(`${path}/${name}`, whole.subarray(0, cut));
        const again = await RoomFiles.open(path);
        const { lines, checkpoints } = await again.read();
        const [only] = again.unsent;
        const found = {
          ...{ lines: lines.length, opened: lines.filter(({ envelope }) => envelope).length },
          ...{ head: checkpoints[0]?.size, isSigned: only?.post !== undefined },
        };
        assert.deepEqual(found, expected, `${name} cut at ${cut}`);
        await again.close();
        assert.equal((await Deno.readFile(`${path}/${name}`)).length, lastLine, "the torn end is gone");
        await Deno.writeFile(`${path}/openings.txt`, words);
        await Deno.writeFile(`${path}/${name}`, whole);
      }
    }
  });
});

Deno.test("words whose line a crash kept from the disk are cut off, and come again", async () => {
  await inFolder(async (dir) => {
    const path = `${dir}/#ops`;
    const record = await RoomFiles.open(path);
    await record.pin(ORIGIN, "all");
    await record.keep(line(0));
    await record.close();
    const before = await Deno.readTextFile(`${path}/openings.txt`);
    await Deno.writeTextFile(`${path}/openings.txt`, `${before}1\t${btoa("lost")}\n`);
    const again = await RoomFiles.open(path);
    await again.keep(line(1, "came again"));
    await again.close();
    const rows = (await Deno.readTextFile(`${path}/openings.txt`)).split("\n");
    assert.deepEqual(rows.map((row) => row.split("\t")[0]), ["0", "1", ""]);
    assert.ok(!rows.includes(`1\t${btoa("lost")}`));
  });
});

Deno.test("what was found of a line stays, and goes with a line that a crash kept from the disk", async () => {
  await inFolder(async (dir) => {
    const path = `${dir}/#ops`;
    const record = await RoomFiles.open(path);
    await record.pin(ORIGIN, "all");
    const faults = [0, 1].map((index) => ({ index, reason: `${index} is not good`, counts: index === 0 }));
    for (const fault of faults) await record.keep({ type: "bad", ...fault });
    await record.keep(line(0));
    assert.deepEqual([...(await record.read()).bad.keys()], [0, 1]);
    await record.close();
    const again = await RoomFiles.open(path);
    assert.deepEqual([...(await again.read()).bad], [[0, faults[0]]]);
    await again.close();
    await Deno.remove(`${path}/bad`);
    assert.deepEqual((await (await RoomFiles.toRead(path)).read()).bad, new Map());
  });
});

Deno.test("a file that is damaged in its middle is refused", async () => {
  await inFolder(async (dir) => {
    const path = `${dir}/#ops`;
    const record = await RoomFiles.open(path);
    await record.pin(ORIGIN, "all");
    for (const one of [line(0), line(1)]) await record.keep(one);
    await record.close();
    const text = await Deno.readTextFile(`${path}/transcript.txt`);
    await Deno.writeTextFile(`${path}/transcript.txt`, `x${text}`);
    await assert.rejects(RoomFiles.open(path), /transcript\.txt is damaged/);
  });
});

Deno.test("a room's record that is put aside is kept whole beside the new one, however often", async () => {
  await inFolder(async (dir) => {
    const records = await RoomRecords.open(dir, "localhost");
    for (const n of [1, 2]) {
      const record = await records.room("#ops");
      assert.deepEqual([record.pinned, record.unsent, (await record.read()).lines.length], [undefined, [], 0]);
      await record.pin(ORIGIN, "all");
      const kept = record.keep(line(0, `log ${n}`));
      void record.keep({ type: "lie", lie: "fork", reason: "two logs", heads: [] }); // written before it is moved
      assert.equal(await records.putAside("#ops"), `${records.dir}/#ops~${n}`);
      await kept;
    }
    await records.close();
    for (const n of [1, 2]) {
      const aside = await RoomFiles.open(`${records.dir}/#ops~${n}`);
      const { lines, lie } = await aside.read();
      assert.deepEqual(lines, [{ line: line(0).line, envelope: words(`log ${n}`) }]);
      assert.equal(lie?.lie, "fork");
      await aside.close();
    }
  });
});

Deno.test("erased words are in no file, those of a line that waits for others neither", async () => {
  await inFolder(async (dir) => {
    const path = `${dir}/#ops`;
    const record = await RoomFiles.open(path);
    await record.pin(ORIGIN, "all");
    await record.putUnsent(unsent(1, "hunter2", 0));
    await record.putUnsent(unsent(2, "waits", 1));
    await record.keep(line(0, "hunter2"));
    await record.removeUnsent(1);
    await record.keep({ type: "erasure", index: 0 });
    await record.close();
    const secret = [encodeUtf8("hunter2"), words("hunter2")].map((bytes) => btoa(String.fromCharCode(...bytes)));
    for (const { name } of Deno.readDirSync(path)) {
      const text = await Deno.readTextFile(`${path}/${name}`);
      for (const form of ["hunter2", ...secret]) assert.ok(!text.includes(form), `${name} holds ${form}`);
    }
    const again = await RoomFiles.open(path);
    assert.deepEqual(again.unsent.map(({ key }) => key), [2]);
    await again.close();
  });
});

Deno.test("a file that could not be written anew is gone on with", async () => {
  await inFolder(async (dir) => {
    const record = await RoomFiles.open(`${dir}/#ops`);
    await record.pin(ORIGIN, "all");
    await record.putUnsent(unsent(1, "waits"));
    await record.keep(line(0));
    const { rename } = Deno;
    try {
      Deno.rename = full;
      await assert.rejects(record.keep({ type: "erasure", index: 0 }), /openings\.txt can't be written/);
    } finally {
      Deno.rename = rename;
    }
    await record.keep(line(1));
    await record.putUnsent(unsent(2, "waits too"));
    await record.close();
    await assert.rejects(record.keep(line(2)), /openings\.txt is closed/);
    const again = await RoomFiles.open(`${dir}/#ops`);
    assert.deepEqual((await again.read()).lines[1], { line: line(1).line, envelope: words("line 1") });
    assert.deepEqual(again.unsent.map(({ key }) => key), [1, 2]);
    await again.close();
  });
});

Deno.test("what the disk did not take is written before anything later: nothing is missing or doubled", async () => {
  const kept: readonly Kept[] = [
    ...[line(0), { type: "bad", index: 1, reason: "not good", counts: false } as const, line(1), head(2), line(2)],
    ...[{ type: "seen", size: 2 } as const, { type: "erasure", index: 0 } as const, line(3), head(4)],
  ];
  const { write } = Deno.FsFile.prototype;
  const writeAll = async (record: RoomFiles) => {
    const failed: boolean[] = [];
    const note = (written: Promise<void>) => written.then(() => failed.push(false), () => failed.push(true));
    await note(record.pin(ORIGIN, "all"));
    for (const one of kept) await note(record.keep(one));
    await note(record.putUnsent(unsent(7, "seven")));
    await note(record.removeUnsent(7));
    await note(record.putUnsent(unsent(8, "eight")));
    return failed.filter((is) => is).length;
  };
  // The writes from `from` on fail: one or three of them, or all up to the end, and each leaves half of what it wrote.
  for (const count of [1, 3, Infinity]) {
    for (let from = 0, failed = 1; failed > 0; from++) {
      await inFolder(async (dir) => {
        const record = await RoomFiles.open(`${dir}/#ops`);
        let at = -1;
        try {
          Deno.FsFile.prototype.write = async function (bytes) {
            at += 1;
            if (at < from || at >= from + count) return await write.call(this, bytes);
            await write.call(this, bytes.subarray(0, bytes.length / 2));
            return await full();
          };
          failed = await writeAll(record);
        } finally {
          Deno.FsFile.prototype.write = write;
        }
        await record.close();
        assert.deepEqual((await Deno.readTextFile(`${dir}/#ops/openings.txt`)).match(/^\d+/gm), ["1", "2", "3"]);
        const again = await RoomFiles.open(`${dir}/#ops`);
        const { lines, bad } = await again.read();
        const what = `${count} from ${from}`;
        assert.deepEqual(lines.map((one) => one.line), [0, 1, 2, 3].map((index) => line(index).line), what);
        assert.deepEqual(lines.map(({ envelope }) => envelope === null), [true, false, false, false], what);
        assert.deepEqual([...bad], [[1, { index: 1, reason: "not good", counts: false }]], what);
        assert.deepEqual((await again.checkpoints()).map(({ size }) => size), [2, 4], what);
        assert.equal(again.pinned?.origin, ORIGIN, what);
        assert.deepEqual(again.unsent, [unsent(8, "eight")], what);
        await again.close();
      });
    }
  }
});

Deno.test("of many heads are left the first of each hour, those that own lines name, cover an author's last, and the newest", async () => {
  await inFolder(async (dir) => {
    const path = `${dir}/#ops`;
    const record = await RoomFiles.open(path);
    await record.pin(ORIGIN, "all");
    const heads = Array.from({ length: 1_200 }, (_, i) => head(i + 1, 86_400 * Math.floor(i / 600) + i));
    const asked = head(1_100, 86_400 + 1_099); // an earlier one that came after the newest
    await Promise.all([...heads, asked].map((one) => record.keep(one)));
    await record.keep({ type: "seen", size: 41 });
    for (const kept of Array.from({ length: 30 }, (_, index) => line(index))) {
      const signer = kept.index === 17 ? "b".repeat(64) : "a".repeat(64); // whose only line that is
      await record.keep({ ...kept, line: kept.line.replace(/[0-9a-f]{64}$/, signer) });
    }
    await record.close();
    const again = await RoomFiles.open(path);
    assert.deepEqual((await again.checkpoints()).map(({ size }) => size), [1, 18, 30, 41, 601, 1_200]);
    assert.equal((await again.read()).checkpoints.at(-1)?.size, 1_200);
    await again.close();
  });
});

Deno.test("what a server was caught at stays on the disk, with the heads that convict it", async () => {
  await inFolder(async (dir) => {
    const record = await RoomFiles.open(`${dir}/#ops`);
    await record.pin(ORIGIN, "since_join");
    const heads = [head(3).checkpoint, head(3, 9).checkpoint];
    await record.keep({ type: "lie", lie: "fork", reason: "Two logs.", heads });
    await record.close();
    const again = await RoomFiles.open(`${dir}/#ops`);
    assert.deepEqual((await again.read()).lie, { lie: "fork", reason: "Two logs." });
    assert.equal(JSON.parse(await Deno.readTextFile(`${dir}/#ops/lie`)).heads.length, 2);
    await again.close();
  });
});

Deno.test("token, rooms, devices and certificates of a server are there again, for their owner alone", async () => {
  await inFolder(async (dir) => {
    const records = await RoomRecords.open(dir, "chat.example:5001");
    assert.equal(await records.account(), undefined);
    await records.claim("ada");
    await records.keepToken(new Uint8Array(32).fill(5));
    await records.keepRooms(["#ops", "@ada,@bob"]);
    const pins = [
      { fingerprint: "a".repeat(64), username: "ada" },
      { fingerprint: "b".repeat(64), vouched_by: "a".repeat(64) },
    ];
    for (const pin of pins) await records.keepPin(pin);
    await records.keepCertificate("a".repeat(64), "a certificate");
    await records.close();
    const again = await RoomRecords.open(dir, "chat.example:5001");
    assert.deepEqual(await again.token(), new Uint8Array(32).fill(5));
    assert.deepEqual(await again.rooms(), ["#ops", "@ada,@bob"]);
    assert.equal(await again.account(), "ada");
    assert.deepEqual(await again.pins(), pins);
    const file = await Deno.readTextFile(`${again.dir}/devices`);
    assert.equal(file.split("\n")[0], `{"fingerprint":"${"a".repeat(64)}","username":"ada"}`, "as it always was");
    assert.equal(await again.certificate("a".repeat(64)), "a certificate");
    if (Deno.build.os !== "windows") assert.equal(((await Deno.stat(`${again.dir}/token`)).mode ?? 0) & 0o777, 0o600);
    await again.keepToken(undefined);
    assert.equal(await again.token(), undefined);
    await again.close();
    assert.equal(again.dir, `${dir}/rooms/chat.example_5001`);
  });
});

Deno.test("while a program holds the records, others read the whole rows of a room, and change nothing", async () => {
  await inFolder(async (dir) => {
    const records = await RoomRecords.open(dir, "localhost");
    const record = await records.room("#ops");
    await record.pin(ORIGIN, "all");
    const kept = [line(0), line(1), head(2), line(2), { type: "erasure", index: 1 } as const];
    for (const one of kept) await record.keep(one);
    const files = ["transcript.txt", "openings.txt", "checkpoints"].map((name) => `${record.dir}/${name}`);
    for (const path of files) await Deno.writeTextFile(path, "5", { append: true });
    const before = await Promise.all(files.map((path) => Deno.readTextFile(path)));
    const reading = await (await RoomRecords.toRead(`${dir}/rooms/localhost`)).room("#ops");
    assert.deepEqual(reading.pinned, { origin: ORIGIN, history: "all" });
    const { lines } = await reading.read();
    assert.deepEqual(lines.map(({ envelope }) => envelope === null), [false, true, false]);
    assert.deepEqual((await reading.checkpoints()).map(({ size }) => size), [2]);
    assert.deepEqual(await Promise.all(files.map((path) => Deno.readTextFile(path))), before);
    await Deno.writeTextFile(files[1] ?? "", "\n", { append: true });
    await assert.rejects(reading.read(), /openings\.txt is damaged; start .* rooms once/);
    await records.close();
  });
});

Deno.test("a line that comes while a room is read is not shown without its words", async () => {
  await inFolder(async (dir) => {
    const row = (index: number) => encodeOpening({ index, envelope: words(`line ${index}`) });
    await Deno.writeTextFile(`${dir}/transcript.txt`, `${line(0).line}\n`);
    await Deno.writeTextFile(`${dir}/openings.txt`, row(0));
    await Deno.writeTextFile(`${dir}/checkpoints`, "");
    const open = Deno.openSync;
    try {
      Deno.openSync = (path, options) => {
        const file = open(path, options); // as it was, and while it is read the next line comes
        if (!String(path).endsWith("openings.txt")) return file;
        Deno.writeTextFileSync(`${dir}/transcript.txt`, `${line(1).line}\n`, { append: true });
        return file;
      };
      const { lines } = await (await RoomFiles.toRead(dir)).read();
      assert.deepEqual(lines.map(({ envelope }) => envelope === null), [false]);
    } finally {
      Deno.openSync = open;
    }
  });
});

Deno.test("two programs don't write the same records", async () => {
  await inFolder(async (dir) => {
    const records = await RoomRecords.open(dir, "localhost");
    await assert.rejects(RoomRecords.open(dir, "localhost"), /securechat is already running with the rooms/);
    const elsewhere = await RoomRecords.open(dir, "chat.example");
    await Promise.all([records.close(), elsewhere.close()]);
  });
});

const text = (words: string) => ({ kind: "text", text: words } as const);

/** A room that ada made and bob came into. */
async function pair() {
  const bench = await RoomBench.create();
  const [ada, bob] = [await bench.client("ada"), await bench.client("bob")];
  await ada.rooms.create("#ops", { history: "all", inviteOnly: false });
  await bench.settle();
  await bob.rooms.join("#ops");
  await bench.settle();
  return { bench, ada };
}

/** Somebody whose records are on a disk, which is full while `whileFull` is done; and who starts again with them. */
async function onDisk(
  { bench, test }: {
    bench: RoomBench;
    test: (carol: BenchClient, whileFull: (work: () => Promise<void>) => Promise<RoomFiles>) => Promise<void>;
  },
): Promise<BenchClient> {
  const dir = await Deno.makeTempDir({ prefix: "securechat-" });
  const [records, { write }] = [await RoomRecords.open(dir, "localhost"), Deno.FsFile.prototype];
  const carol = await bench.client("carol", { records });
  await carol.rooms.join("#ops");
  await bench.settle();
  const record = await records.room("#ops");
  await record.read(); // what came is written
  await test(carol, async (work) => {
    Deno.FsFile.prototype.write = () => Promise.reject(new Error("No space left on device (os error 28)"));
    await work().finally(() => Deno.FsFile.prototype.write = write);
    return record;
  });
  await carol.cut(bench);
  await records.close();
  const kept = await RoomRecords.open(dir, "localhost");
  const again = await bench.client("carol", { records: kept });
  await bench.settle();
  await again.cut(bench);
  await kept.close();
  await Deno.remove(dir, { recursive: true });
  return again;
}

Deno.test("where the disk is full a client goes on, says so once, and keeps all when there is room again", async () => {
  const { bench, ada } = await pair();
  const again = await onDisk({
    bench,
    test: async (carol, whileFull) => {
      await carol.rooms.post("#ops", text("on its way"));
      const record = await whileFull(async () => {
        await bench.settle();
        for (const word of ["one", "two"]) await ada.rooms.post("#ops", text(word));
        await bench.settle();
      });
      assert.deepEqual(carol.texts("#ops"), ["on its way", "one", "two"]);
      const [warning, ...more] = carol.of("warning");
      assert.match(warning?.message ?? "", /^What #ops shows can't be kept for now: .* the disk is full/);
      assert.deepEqual(more, []);
      assert.deepEqual([(await record.read()).lines.length, carol.rooms.unsentCount], [3, 1]);
      await record.written(); // it tries by itself
      await bench.settle();
      assert.deepEqual([(await record.read()).lines.length, carol.rooms.unsentCount], [6, 0]);
      await carol.rooms.post("#ops", text("three"));
      await bench.settle();
    },
  });
  for (const client of [ada, again]) {
    assert.deepEqual([client.texts("#ops"), client.lies], [["on its way", "one", "two", "three"], []]);
  }
});

Deno.test("a line that the disk did not take is refused with a sentence, and said at no later time", async () => {
  const { bench, ada } = await pair();
  const again = await onDisk({
    bench,
    test: async (carol, whileFull) => {
      const posts = () => Promise.all(["one", "two"].map((word) => carol.rooms.post("#ops", text(word))));
      await whileFull(() =>
        assert.rejects(posts(), (error) => error instanceof Failure && /disk is full/.test(error.message))
      );
      await carol.cut(bench);
      await whileFull(() => assert.rejects(posts(), /disk is full/));
      await carol.connect(bench);
      await carol.rooms.post("#ops", text("three"));
      await bench.settle();
      assert.deepEqual([carol.rooms.unsentCount, carol.of("sending").length, carol.of("dropped").length], [0, 5, 4]);
      await carol.rooms.post("#ops", { kind: "redact", index: 3 }); // what is unsent is written anew
      await bench.settle();
    },
  });
  assert.equal(again.rooms.unsentCount, 0);
  assert.deepEqual([ada.lines("#ops").length, ada.of("erased").map(({ index }) => index), ada.lies], [5, [3], []]);
});

Deno.test("a room is come back into when there is room on the disk for the join line of a new certificate", async () => {
  const { bench, ada } = await pair();
  await onDisk({
    bench,
    test: async (carol, whileFull) => {
      await carol.cut(bench);
      await carol.become("renewed");
      const record = await whileFull(() => assert.rejects(carol.connect(bench), /disk is full/));
      await record.written();
      await bench.settle();
      await carol.rooms.post("#ops", text("back"));
      await bench.settle();
      assert.deepEqual([ada.texts("#ops"), carol.rooms.unsentCount], [["back"], 0]);
    },
  });
});
