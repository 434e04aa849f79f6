import { COMMANDS } from "../tools/commands.ts";
import { assert } from "./assert.ts";
import { run, runCommand, skipUnless, temporaryFolder } from "./environment.ts";

Deno.test({
  name: "the manual page is sound, and has every command",
  ...skipUnless("mandoc"),
  fn: async () => {
    using folder = temporaryFolder();
    const { status, stdout, stderr } = await run(["man"]);
    assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
    const path = `${folder.path}/securechat.1`;
    Deno.writeTextFileSync(path, stdout);
    assert.deepEqual(await runCommand("mandoc", ["-T", "lint", path]), { status: 0, stdout: "", stderr: "" });
    const shown = await runCommand("mandoc", ["-T", "ascii", "-O", "width=300", path]);
    // deno-lint-ignore no-control-regex -- bold is a letter, a backspace and the letter again
    const text = shown.stdout.replaceAll(/.\u0008/g, "");
    for (const [name, { parts = [] }] of Object.entries(COMMANDS)) {
      for (const call of [name, ...parts.map((part) => `${name} ${part}`)]) {
        assert.ok(text.includes(`\n   securechat ${call}\n`), call);
      }
    }
  },
});
