import { assert } from "./assert.ts";
import { temporaryFolder } from "./environment.ts";
import { encodeUtf8 } from "../lib/bytes.ts";
import { RotatingFile } from "../lib/logging_file.ts";

Deno.test("a file begins anew before a line that it has no room for, and lines stay whole", async () => {
  using folder = temporaryFolder();
  const path = `${folder.path}/log`;
  const file = new RotatingFile(path, { maxBytes: 10, maxFiles: 2 });
  const long = "a line that no file has room for\n";
  const text = `one\ntwo\nthree\n${long}four\n`;
  for (let bytes = encodeUtf8(text); bytes.length > 0;) bytes = bytes.subarray(await file.write(bytes));
  file.close();
  assert.deepEqual(["log.2", "log.1", "log"].map((name) => Deno.readTextFileSync(`${folder.path}/${name}`)), [
    "three\n",
    long,
    "four\n",
  ]);
});
