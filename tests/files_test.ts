/** Files that must be whole, and files that must be private. */

import { EXIT, Failure } from "../lib/errors.ts";
import {
  createPrivateFolder,
  readPrivateFile,
  readTextFile,
  shellPath,
  shellWord,
  writeAtomically,
} from "../lib/files.ts";
import { assert } from "./assert.ts";
import { run, runCommand, skipUnless, temporaryFolder } from "./environment.ts";

const failure = (pattern: RegExp, status: number = EXIT.usage) => (error: unknown) =>
  error instanceof Failure && error.status === status && pattern.test(error.message);

const names = (path: string) => [...Deno.readDirSync(path)].map(({ name }) => name).sort();

Deno.test("writeAtomically() writes a file and leaves nothing else behind", async () => {
  using folder = temporaryFolder();
  await writeAtomically(`${folder.path}/a.pem`, "äbc\n", { mode: 0o600 });
  assert.equal(Deno.readTextFileSync(`${folder.path}/a.pem`), "äbc\n");
  if (Deno.build.os !== "windows") assert.equal((Deno.statSync(`${folder.path}/a.pem`).mode ?? 0) & 0o777, 0o600);
  assert.deepEqual(names(folder.path), ["a.pem"]);
});

Deno.test("writeAtomically() overwrites nothing unless it is told to", async () => {
  using folder = temporaryFolder();
  const path = `${folder.path}/a.pem`;
  await writeAtomically(path, "one");
  await assert.rejects(writeAtomically(path, "two"), failure(/a\.pem exists, and nothing is overwritten/));
  assert.equal(Deno.readTextFileSync(path), "one");
  await writeAtomically(path, "three", { replace: true });
  assert.equal(Deno.readTextFileSync(path), "three");
  assert.deepEqual(names(folder.path), ["a.pem"]);
});

Deno.test("of ten writers of one new file, one wins and its text is whole", async () => {
  using folder = temporaryFolder();
  const path = `${folder.path}/a.pem`;
  const texts = Array.from({ length: 10 }, (_, i) => String(i).repeat(100_000));
  const ended = await Promise.allSettled(texts.map((text) => writeAtomically(path, text)));
  assert.equal(ended.filter(({ status }) => status === "fulfilled").length, 1);
  assert.ok(texts.includes(Deno.readTextFileSync(path)));
  assert.deepEqual(names(folder.path), ["a.pem"]);
});

Deno.test("writeAtomically() names the folder that is not there", async () => {
  using folder = temporaryFolder();
  await assert.rejects(
    writeAtomically(`${folder.path}/no/a.pem`, "x"),
    failure(/a\.pem can't be written: its folder doesn't exist/),
  );
});

Deno.test({
  name: "a full disk is one sentence with exit status 5",
  ...skipUnless("unix"),
  async fn() {
    using folder = temporaryFolder();
    Deno.symlinkSync("/dev/full", `${folder.path}/full`);
    // A process whose files may have no more than a block stands for a disk without a free one.
    const script = `
      import { writeAtomically } from ${JSON.stringify(new URL("../lib/files.ts", import.meta.url).href)};
      const open = Deno.open;
      Deno.open = (path, options) => open(options?.write ? ${
      JSON.stringify(`${folder.path}/full`)
    } : path, options?.write ? { write: true } : options);
      try { await writeAtomically(${
      JSON.stringify(`${folder.path}/a.pem`)
    }, "x"); } catch (error) { console.log(error.status, error.message); }
    `;
    Deno.writeTextFileSync(`${folder.path}/script.ts`, script);
    const ended = await runCommand(Deno.execPath(), ["run", "-A", "--no-check", `${folder.path}/script.ts`]);
    assert.match(ended.stdout, /^5 .*a\.pem can't be written: the disk is full; run: df -h /);
  },
});

Deno.test({
  name: "readPrivateFile() refuses a file that others can read, with the chmod line to run",
  ...skipUnless("unix"),
  async fn() {
    using folder = temporaryFolder();
    const path = `${folder.path}/a key.pem`;
    Deno.writeTextFileSync(path, "secret");
    for (const mode of [0o644, 0o640, 0o604, 0o660]) {
      Deno.chmodSync(path, mode);
      await assert.rejects(
        readPrivateFile(path),
        failure(/people other than its owner can read .*; run: chmod 600 '.*a key\.pem'$/),
      );
    }
    for (const mode of [0o600, 0o400]) {
      Deno.chmodSync(path, mode);
      assert.equal(await readPrivateFile(path), "secret");
    }
  },
});

Deno.test("readTextFile() says in one sentence what is wrong with a file", async () => {
  using folder = temporaryFolder();
  await assert.rejects(readTextFile(`${folder.path}/none`), failure(/^File not found: .*none$/));
  await assert.rejects(readTextFile(`${folder.path}/none`, { missing: "make one" }), failure(/^make one$/));
  await assert.rejects(readTextFile(folder.path), failure(/is a folder, not a file/));
  Deno.writeFileSync(`${folder.path}/bytes`, Uint8Array.of(0xff, 0xfe));
  await assert.rejects(readTextFile(`${folder.path}/bytes`), failure(/is not a text file/));
});

Deno.test("createPrivateFolder() says why a folder can't be made", async () => {
  using folder = temporaryFolder();
  Deno.writeTextFileSync(`${folder.path}/file`, "");
  for (const path of ["file", "file/below"]) {
    await assert.rejects(
      createPrivateFolder(`${folder.path}/${path}`),
      failure(/can't be made a folder: there is a file with that name, or with the name of a folder above it$/),
    );
  }
  await createPrivateFolder(`${folder.path}/a/b`);
  await createPrivateFolder(`${folder.path}/a/b`);
});

Deno.test("a path in a command is a path, whatever it begins with", async () => {
  assert.equal(shellPath("-rf"), "./-rf");
  assert.equal(shellPath("--certs/a b.pem"), "'./--certs/a b.pem'");
  assert.equal(shellPath("certs/-a.pem"), "certs/-a.pem");
  using folder = temporaryFolder();
  const { stderr } = await run(["serve", "--certs", "our certs"], { cwd: folder.path });
  assert.match(stderr, / make certificates with: .* init --certs 'our certs'\n$/);
});

Deno.test("shellWord() quotes what a shell would take apart", () => {
  assert.equal(shellWord("certs/a_b.pem"), "certs/a_b.pem");
  assert.equal(shellWord("it's $HOME"), "'it'\\''s $HOME'");
  assert.equal(shellWord("\u001b[2J it's\n\\\u0085"), "$'\\x1b[2J it\\'s\\x0a\\\\\\xc2\\x85'");
});
