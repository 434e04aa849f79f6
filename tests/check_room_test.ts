import { assert } from "./assert.ts";
import { ROOT, runCommand, skipUnless } from "./environment.ts";

/** The checks of `verify` that docs/check_room.py makes too. */
const MADE = [
  ...["line log", "line signature", "seqno", "author chain", "checkpoint signature", "checkpoint server", "proof"],
  "opening hash",
];

Deno.test({
  name: "docs/check_room.py, with nothing of ours, finds in each room's evidence what it says that it checks",
  ...skipUnless("python", "openssl"),
  fn: async () => {
    const folders = [...Deno.readDirSync(`${ROOT}/tests/evidence`)].map(({ name }) => name)
      .filter((name) => name.startsWith("room_") && !name.startsWith("room_line_proof")).toSorted();
    assert.ok(folders.length > 30);
    await Promise.all(folders.map(async (name) => {
      const folder = `${ROOT}/tests/evidence/${name}`;
      const { failed } = JSON.parse(await Deno.readTextFile(`${folder}/expected.json`));
      const { status, stdout, stderr } = await runCommand("python3", [`${ROOT}/docs/check_room.py`, folder]);
      assert.equal(stderr, "", name);
      const isFound = failed.some((check: string) => MADE.includes(check));
      assert.equal(status, isFound ? 1 : 0, `${name}: ${stdout}`);
      assert.equal(/^WRONG/m.test(stdout), isFound, name);
    }));
  },
});
