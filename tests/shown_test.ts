import { assert } from "./assert.ts";
import { skipUnless } from "./environment.ts";
import { rerun, shownBlocks } from "./shown.ts";

Deno.test({
  name: "commands on evidence that a document shows print what the document says",
  ...skipUnless("python", "openssl", "unix"),
  fn: async () => {
    const blocks = shownBlocks();
    assert.ok(blocks.length > 3);
    for (const block of blocks) {
      const advice = `${block.page}: write it anew with ./tools/deno run -A tests/shown.ts`;
      assert.equal(block.text, await rerun(block), advice);
    }
  },
});
