import { assert } from "./assert.ts";
import { ROOT, skipUnless } from "./environment.ts";
import { openTmux, type Tmux } from "./tmux.ts";

/** A shell that controls jobs, on a terminal. */
function shell(): Promise<Tmux> {
  const env = { PS1: "$ " };
  return openTmux(["bash", "--norc", "--noprofile"], { cwd: ROOT, env, columns: 80, rows: 24 });
}

/** Runs a few lines in that shell. */
async function start(terminal: Tmux, code: string): Promise<void> {
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(file, `import * as terminal from "file://${ROOT}/lib/terminal.ts";\n${code}`);
  await terminal.type("-l", `${Deno.execPath()} run --quiet --config ${ROOT}/deno.json -A ${file}; rm ${file}`);
  await terminal.type("Enter");
}

const ASK = `
  const answer = await terminal.askHidden("Password: ");
  console.log(JSON.stringify({ answer }));
  Deno.exit(0);`;

Deno.test({
  name: "a question for a password can be suspended, and echoes nothing after it goes on",
  ...skipUnless("tmux"),
  fn: async () => {
    for (const how of ["Ctrl-Z", "SIGTSTP", "SIGSTOP"] as const) {
      await using terminal = await shell();
      await start(terminal, `console.log("pid", Deno.pid, ".");${ASK}`);
      const pid = Number(/pid ([0-9]+) \./.exec(await terminal.shows(/\nPassword:$/m))?.[1]);
      if (how === "Ctrl-Z") await terminal.type("m", "y", "Space", "C-z");
      else Deno.kill(pid, how);
      await terminal.shows(/Stopped/);
      await terminal.type("echo seen", "Enter");
      await terminal.shows(/^seen$/m);
      await terminal.type("fg", "Enter");
      await terminal.shows(/Password:[^]*Password:$/m);
      await terminal.type("-l", how === "Ctrl-Z" ? "secret" : "my secret");
      await terminal.type("Enter");
      const picture = await terminal.shows('{"answer":"my secret"}');
      assert.equal(picture.split("secret").length, 2, picture);
      await terminal.type("echo echoed", "Enter");
      await terminal.shows(/^echoed$/m);
    }
  },
});

Deno.test({
  name: "Ctrl-Z stops nothing where no shell could let it go on",
  ...skipUnless("tmux"),
  fn: async () => {
    const code = `import * as terminal from "file://${ROOT}/lib/terminal.ts";${ASK}`;
    const command = [Deno.execPath(), "eval", "--quiet", code];
    await using terminal = await openTmux(command, { cwd: ROOT, columns: 80, rows: 24 });
    await terminal.shows("Password:");
    await terminal.type("C-z", "ok", "Enter");
    await terminal.shows('{"answer":"ok"}');
  },
});
