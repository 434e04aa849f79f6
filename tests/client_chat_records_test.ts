import { Failure } from "../lib/errors.ts";
import { Records } from "../lib/client_chat_records.ts";
import { PROGRAM } from "../lib/program.ts";
import { assert } from "./assert.ts";
import { skipUnless, temporaryFolder } from "./environment.ts";

const startedAt = Date.UTC(2023, 10, 15, 14, 30, 22, 999);
const options = { startedAt, authorities: "-----BEGIN CERTIFICATE-----\n" };

function names(dir: string): string[] {
  return [...Deno.readDirSync(dir)].map(({ name }) => name).sort();
}

Deno.test("Records.open() makes the folder, an empty transcript named by the time in UTC, and a copy of the CA", async () => {
  using folder = temporaryFolder();
  const dir = `${folder.path}/new/transcripts`;
  const records = await Records.open(dir, options);
  records.close();
  assert.deepEqual(names(dir), ["ca_cert.pem", "transcript_20231115_143022.txt"]);
  assert.equal(await Deno.readTextFile(`${dir}/ca_cert.pem`), options.authorities);
  assert.equal(await Deno.readTextFile(records.transcript), "");
});

Deno.test("Records.open() counts up where one of the three names is taken, and overwrites nothing", async () => {
  using folder = temporaryFolder();
  const dir = folder.path;
  for (const taken of ["transcript_20231115_143022.txt", "receipt_20231115_143022_2.json"]) {
    await Deno.writeTextFile(`${dir}/${taken}`, "kept");
  }
  await Deno.writeTextFile(`${dir}/client_receipt_20231115_143022_3.json`, "kept");
  const all = await Promise.all([Records.open(dir, options), Records.open(dir, options)]);
  for (const records of all) {
    await records.append("line");
    await records.writeServerReceipt("{}");
    await records.writeClientReceipt("{}");
    records.close();
  }
  assert.deepEqual(
    all.map(({ transcript }) => transcript.slice(dir.length)).sort(),
    ["/transcript_20231115_143022_4.txt", "/transcript_20231115_143022_5.txt"],
  );
  const kept = names(dir).filter((name) => Deno.readTextFileSync(`${dir}/${name}`) === "kept");
  assert.equal(kept.length, 3);
  assert.equal(names(dir).length, 3 + 1 + 2 * 3, "and nothing half-made is left");
});

Deno.test("Records.open() leaves the copy of another CA alone, and the verify command names its own", async () => {
  using folder = temporaryFolder();
  const records = await Records.open(folder.path, options);
  const other = await Records.open(folder.path, { ...options, authorities: "another" });
  const again = await Records.open(folder.path, options);
  for (const one of [records, other, again]) one.close();
  assert.equal(await Deno.readTextFile(`${folder.path}/ca_cert.pem`), options.authorities);
  assert.equal(await Deno.readTextFile(`${folder.path}/ca_cert_20231115_143022_2.pem`), "another");
  assert.match(other.verifyCommand(other.serverReceipt), / --ca \S+ca_cert_20231115_143022_2\.pem$/);
  assert.doesNotMatch(again.verifyCommand(again.serverReceipt), /--ca/);
});

Deno.test("Records.append() has the line on the disk when it resolves, an LF after each", async () => {
  using folder = temporaryFolder();
  const records = await Records.open(folder.path, options);
  for (const line of ["one", "two"]) {
    await records.append(line);
    assert.match(await Deno.readTextFile(records.transcript), new RegExp(`${line}\n$`));
  }
  records.close();
  assert.equal(await Deno.readTextFile(records.transcript), "one\ntwo\n");
});

Deno.test({
  name: "Records.append() flushes each line to the disk",
  ...skipUnless("unix"),
  fn: async () => {
    using folder = temporaryFolder();
    const records = await Records.open(folder.path, options);
    const flushed: string[] = [];
    const { syncData } = Deno.FsFile.prototype;
    Deno.FsFile.prototype.syncData = function () {
      flushed.push(Deno.readTextFileSync(records.transcript));
      return syncData.call(this);
    };
    try {
      await records.append("one");
      await records.append("two");
    } finally {
      Deno.FsFile.prototype.syncData = syncData;
      records.close();
    }
    assert.deepEqual(flushed, ["one\n", "one\ntwo\n"]);
  },
});

Deno.test("Records.append() cuts off what a failed write left, and says so", async () => {
  using folder = temporaryFolder();
  const records = await Records.open(folder.path, options);
  await records.append("one");
  const { write } = Deno.FsFile.prototype;
  Deno.FsFile.prototype.write = function (bytes) {
    if (bytes.length < 100) return Promise.reject(Object.assign(new Error("no space"), { code: "ENOSPC" }));
    return write.call(this, bytes.subarray(0, 50)); // the disk takes so much and is full then
  };
  try {
    await assert.rejects(
      records.append("x".repeat(120)),
      (error) => error instanceof Failure && /disk is full/.test(error.message),
    );
  } finally {
    Deno.FsFile.prototype.write = write;
  }
  records.close();
  assert.equal(await Deno.readTextFile(records.transcript), "one\n");
});

Deno.test("Records.writeClientReceipt() takes the place of an earlier one of the session", async () => {
  using folder = temporaryFolder();
  const records = await Records.open(folder.path, options);
  await records.writeClientReceipt("{}");
  await records.writeClientReceipt('{"type":"receipt"}');
  records.close();
  assert.equal(await Deno.readTextFile(records.clientReceipt), '{"type":"receipt"}\n');
});

Deno.test("Records.verifyCommand() quotes what a shell would take apart", async () => {
  using folder = temporaryFolder();
  const dir = `${folder.path}/it's a $folder`;
  const records = await Records.open(dir, options);
  records.close();
  const quoted = `'${folder.path}/it'\\''s a $folder/`;
  assert.equal(
    records.verifyCommand(records.serverReceipt),
    `${PROGRAM} verify ${quoted}receipt_20231115_143022.json' ${quoted}transcript_20231115_143022.txt'`,
  );
});

Deno.test("Records.open() says in one sentence that its folder cannot be", async () => {
  using folder = temporaryFolder();
  await Deno.writeTextFile(`${folder.path}/file`, "");
  await assert.rejects(Records.open(`${folder.path}/file/below`, options), Failure);
  await assert.rejects(Records.open(`${folder.path}/file`, options), Failure);
});
