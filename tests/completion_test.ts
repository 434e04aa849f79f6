import { assert } from "./assert.ts";
import { run, runCommand, skipUnless, temporaryFolder } from "./environment.ts";

/** What a command line is completed to, by each shell: the line, and words that must be offered or must not be. */
const CASES: readonly (readonly [line: string, offered: readonly string[], other: readonly string[]])[] = [
  ["", ["serve", "rooms", "verify", "version"], ["--json"]],
  ["ser", ["serve"], ["rooms"]],
  ["help exp", ["export"], ["serve"]],
  ["cert ", ["show", "renew", "check"], ["serve", "crl"]],
  ["cert show --j", ["--json"], ["--ca"]],
  ["cert check --ho", ["--host"], ["--json"]],
  ["serve --log-level ", ["debug", "error"], ["rooms"]],
  ["verify --ca evi", ["evidence.pem"], ["rooms"]],
];

async function script(folder: string, shell: string): Promise<string> {
  const { status, stdout, stderr } = await run(["completion", shell]);
  assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
  Deno.writeTextFileSync(`${folder}/evidence.pem`, "");
  Deno.writeTextFileSync(`${folder}/completion`, stdout);
  return `${folder}/completion`;
}

function mustOffer(answers: readonly string[]): void {
  for (const [index, [line, offered, other]] of CASES.entries()) {
    const words = (answers[index] ?? "").split(/\s+/);
    for (const word of offered) assert.ok(words.includes(word), `"${line}" offers ${words.join(" ")}, and not ${word}`);
    for (const word of other) assert.ok(!words.includes(word), `"${line}" offers ${word}`);
  }
}

Deno.test({
  name: "bash completes commands, parts, flags and their values",
  ...skipUnless("unix"),
  fn: async () => {
    using folder = temporaryFolder();
    const path = await script(folder.path, "bash");
    const lines = CASES.map(([line]) => `complete_line ${JSON.stringify(line)}`).join("\n");
    const program = `. ${path}
complete_line() {
  COMP_WORDS=(securechat $1); case $1 in ""|*" ") COMP_WORDS+=("");; esac
  COMP_CWORD=$(( \${#COMP_WORDS[@]} - 1 ))
  _securechat; echo "\${COMPREPLY[@]}"
}
${lines}`;
    const { status, stdout, stderr } = await runCommand("bash", ["--norc", "-c", program], { cwd: folder.path });
    assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
    mustOffer(stdout.split("\n"));
  },
});

Deno.test({
  name: "fish completes commands, parts, flags and their values",
  ...skipUnless("fish"),
  fn: async () => {
    using folder = temporaryFolder();
    const path = await script(folder.path, "fish");
    const answers: string[] = [];
    for (const [line] of CASES) {
      const program = `source ${path}; complete -C ${JSON.stringify(`securechat ${line}`)}`;
      const { status, stdout, stderr } = await runCommand("fish", ["--no-config", "-c", program], { cwd: folder.path });
      assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
      answers.push(stdout);
    }
    mustOffer(answers);
  },
});

Deno.test({
  name: "zsh completes commands, parts, flags and their values",
  ...skipUnless("zsh"),
  fn: async () => {
    using folder = temporaryFolder();
    const path = await script(folder.path, "zsh");
    // zsh completes on a terminal only: zpty is one, and what the completion offers is listed there.
    const answers: string[] = [];
    for (const [line, [awaited]] of CASES) {
      const program = `zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'PS1=READY; stty cols 200 rows 100; autoload -U compinit && compinit -u -D; source ${path}'
zpty -w shell 'zstyle ":completion:*" list-separator ""; LISTMAX=0; bindkey "^I" list-choices; echo BEG''IN'
zpty -r shell text '*BEGIN*'
zpty -w -n shell ${JSON.stringify(`securechat ${line}`)}$'\\t'
zpty -r shell text '*${awaited}*'
print -r -- $text
zpty -w -n shell $'\\C-u'
zpty -w shell 'echo E''ND'
zpty -r shell text '*END*'
print -r -- $text`;
      const { status, stdout } = await runCommand("timeout", ["30", "zsh", "-f", "-c", program], { cwd: folder.path });
      assert.equal(status, 0);
      // deno-lint-ignore no-control-regex -- what a terminal is told beside the text
      answers.push(stdout.replaceAll(/\u001b\[[0-9;?]*[A-Za-z]/g, " "));
    }
    mustOffer(answers.map((answer) => answer.split("\n").slice(1).join("\n")));
  },
});

Deno.test("an unknown shell is refused in one sentence", async () => {
  assert.deepEqual(await run(["completion", "zhs"]), {
    status: 2,
    stdout: "",
    stderr: "securechat: unknown shell zhs: did you mean zsh? See securechat completion --help\n",
  });
});
