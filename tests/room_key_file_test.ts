import { assert } from "./assert.ts";
import { skipUnless, temporaryFolder } from "./environment.ts";
import { EXIT, Failure } from "../lib/errors.ts";
import { loadRoomKey, ROOM_KEY_FILE } from "../lib/room_key_file.ts";

/** The sentence with which loading ends. */
async function refusal(folder: string): Promise<string> {
  try {
    await loadRoomKey(folder);
  } catch (error) {
    assert(error instanceof Failure, String(error));
    assert.equal(error.status, EXIT.usage);
    return error.message;
  }
  assert.fail("the key was loaded");
}

Deno.test("loadRoomKey() makes a key at the first start, and finds it again", async () => {
  using folder = temporaryFolder();
  using other = temporaryFolder();
  const data = `${folder.path}/a/data`;
  const key = await loadRoomKey(data);
  assert.equal(key.length, 32);
  assert.deepEqual(await loadRoomKey(data), key);
  assert.notDeepEqual(await loadRoomKey(other.path), key);
  assert.deepEqual([...Deno.readDirSync(data)].map(({ name }) => name), [ROOM_KEY_FILE]);
});

Deno.test("eight that start at once get one key", async () => {
  using folder = temporaryFolder();
  const keys = await Promise.all(Array.from({ length: 8 }, () => loadRoomKey(folder.path)));
  for (const key of keys) assert.deepEqual(key, keys[0]);
  assert.equal([...Deno.readDirSync(folder.path)].length, 1);
});

Deno.test({
  name: "loadRoomKey() makes a file of 0600, and refuses one that others can read",
  ...skipUnless("unix"),
  async fn() {
    using folder = temporaryFolder();
    const path = `${folder.path}/${ROOM_KEY_FILE}`;
    await loadRoomKey(folder.path);
    assert.equal((Deno.statSync(path).mode ?? 0) & 0o777, 0o600);
    for (const mode of [0o640, 0o604, 0o644, 0o660]) {
      await Deno.chmod(path, mode);
      assert.match(await refusal(folder.path), /people other than its owner can read .*room_key; run: chmod 600/);
    }
    await Deno.chmod(path, 0o400);
    await loadRoomKey(folder.path);
  },
});

Deno.test("loadRoomKey() refuses what is no key, says none of it, and leaves it there", async () => {
  using folder = temporaryFolder();
  const path = `${folder.path}/${ROOM_KEY_FILE}`;
  for (
    const text of ["", "\n", "ab".repeat(31), "ab".repeat(33), "AB".repeat(32), "zz".repeat(32), `x${"ab".repeat(32)}`]
  ) {
    await Deno.writeTextFile(path, text, { mode: 0o600 });
    assert.equal(
      await refusal(folder.path),
      `${path} is no room key: it must be 64 hex digits; restore it from a backup`,
    );
    assert.equal(await Deno.readTextFile(path), text);
  }
  await Deno.writeTextFile(path, "ab".repeat(32));
  assert.deepEqual(await loadRoomKey(folder.path), new Uint8Array(32).fill(0xab));
});

Deno.test("loadRoomKey() says so where the folder is a file", async () => {
  using folder = temporaryFolder();
  await Deno.writeTextFile(`${folder.path}/data`, "");
  assert.match(await refusal(`${folder.path}/data`), /data can't be made a folder: there is a file with that name/);
});
