import { assert } from "./assert.ts";
import { cleanEnvironment, program, skipUnless } from "./environment.ts";
import { openTerminal } from "./pty.ts";
import { World } from "./room_program.ts";
import { openTmux } from "./tmux.ts";

const ENV = { SECURECHAT_PASSWORD_FILE: "password", PS1: "$ " };

Deno.test("what comes through a pipe goes to no room that the command line doesn't name", async () => {
  await using world = await World.create();
  assert.equal((await world.run("ada", "/create ops\nhello\n", "--plain")).status, 0);
  const { status, stdout } = await world.run("ada", "secret for another room\n/topic x\n", "--plain");
  assert.equal(status, 4);
  assert.equal(stdout.match(/You are in no room/g)?.length, 2, stdout);
  const { stdout: shown } = await world.run("ada", "", "--plain", "#ops");
  assert.doesNotMatch(shown, /secret for another room/);
});

Deno.test({
  name: "rooms comes back to the room of last time, and suspends with its picture and without",
  ...skipUnless("tmux"),
  fn: async () => {
    await using world = await World.create();
    await world.run("ada", "/create ops\n/create dev\n", "--plain");
    const words = async () => {
      const { command, args } = program(...await world.args("ada"));
      return [command, ...args].join(" ");
    };
    await using terminal = await openTmux(["bash", "--norc", "--noprofile"], {
      ...{ cwd: world.path, columns: 80, rows: 24 },
      env: cleanEnvironment(ENV),
    });
    await terminal.type("-l", await words());
    await terminal.type("Enter");
    await terminal.shows(/▸#dev/);
    await terminal.type("M-Up");
    await terminal.shows(/▸#ops/);
    await terminal.type("half a line");
    await terminal.shows("> half a line");
    await terminal.type("C-z");
    await terminal.shows(/Stopped/);
    await terminal.type("echo echoed", "Enter");
    await terminal.shows(/^echoed$/m);
    await terminal.type("fg", "Enter");
    await terminal.shows(/▸#ops[^]*─ ada @ localhost ─ online[^]*> half a line/);
    await terminal.type("C-c");
    await terminal.shows(/Ctrl-C again exits/);
    await terminal.type("C-c");
    await terminal.shows((picture) => !picture.includes("▸#ops") && /\$ *\n*$/.test(picture));
    await terminal.type("-l", await words());
    await terminal.type("Enter");
    await terminal.shows(/▸#ops/);
    await terminal.type("/quit", "Enter");
    await terminal.shows((picture) => !picture.includes("▸#ops") && /\$ *\n*$/.test(picture));
    await terminal.type("-l", `${await words()} --plain`);
    await terminal.type("Enter");
    await terminal.shows("You are writing in #ops.");
    await terminal.type("C-c");
    await terminal.shows("Ctrl-C again exits;");
    await terminal.type("C-c");
    await terminal.shows(/Ctrl-C again exits[^]*\n\$ *\n*$/);
  },
});

Deno.test({
  name: "on a terminal --plain says where lines go, and asks before words are erased",
  ...skipUnless("pty"),
  fn: async () => {
    await using world = await World.create();
    await world.run("ada", "/create ops\nmy password\n", "--plain");
    const { command, args } = program(...await world.args("ada", "--plain", "#ops"));
    await using terminal = openTerminal([command, ...args], { cwd: world.path, env: ENV });
    await terminal.expect("You are writing in #ops.");
    terminal.type("/redact 1\n");
    await terminal.expect("Erase the words of line 1 for good? [y/N]");
    terminal.type("\n");
    await terminal.expect("Nothing was sent; Up brings back what you typed.");
    terminal.type("/redact 1\ny\n");
    await terminal.expect(/words of line 1 were erased/);
    terminal.type("/quit\n");
    assert.equal((await terminal.ended()).status, 0);
  },
});

Deno.test({
  name:
    "rooms holds out against sizes and pastes, and ends at once when its terminal is closed, whatever is on its way",
  ...skipUnless("tmux"),
  fn: async () => {
    await using world = await World.create();
    await world.run("ada", "/create ops\n", "--plain");
    const { command, args } = program(...await world.args("ada"));
    const shell = ["sh", "-c", `trap : HUP; "$@"; echo $? >status`, "sh", command, ...args];
    {
      const size = { columns: 80, rows: 24 };
      await using terminal = await openTmux(shell, { cwd: world.path, env: cleanEnvironment(ENV), ...size });
      await terminal.shows(/▸#ops/);
      for (const [columns, rows] of [[20, 3], [200, 60], [2, 2], [61, 5], [80, 24]] as const) {
        await terminal.resize(columns, rows);
      }
      await Deno.writeTextFile(`${world.path}/paste`, "サーバー👩‍💻\t".repeat(60_000));
      await terminal.run("load-buffer", "paste");
      await terminal.run("paste-buffer", "-p");
      await terminal.shows("Too long for one message");
      await terminal.type("C-u");
      await terminal.shows(/─ ada @ localhost ─ online ─ recorded ─+\n>\n/);
      Deno.kill(world.server.child.pid, "SIGSTOP");
      await terminal.type("on its way", "Enter");
      await terminal.shows("1 unsent");
    }
    const status = () => Deno.readTextFile(`${world.path}/status`).catch(() => "");
    while (await status() === "") await new Promise((resolve) => setTimeout(resolve, 20));
    assert.match(await status(), /^(?:5|141)\n$/, "unsent lines are left, or nobody reads that they are");
    Deno.kill(world.server.child.pid, "SIGCONT");
  },
});

Deno.test({
  name: "on a terminal --plain shows twenty lines of a room, keeps the line being typed below them, and loses no words",
  ...skipUnless("tmux"),
  fn: async () => {
    await using world = await World.create();
    const words = Array.from({ length: 25 }, (_, at) => `words ${at}\n`).join("");
    await world.run("bob", `/create ops\n/create dev\n/join #ops\n${words}`, "--plain");
    const { command, args } = program(...await world.args("ada", "--plain", "#ops"));
    const size = { columns: 100, rows: 50 };
    await using terminal = await openTmux([command, ...args], { cwd: world.path, env: cleanEnvironment(ENV), ...size });
    const start = await terminal.shows(/ada joined[^]*You are writing in #ops\.\n#ops>\n/);
    assert.match(
      start,
      /\[#ops\] 7 earlier lines; \/history 27 shows them\.\n(?:---.*\n)?\[#ops 7\] .* bob: words 6\n/,
    );
    assert.equal(start.match(/^\[#ops \d+\]/gm)?.length, 20, start);

    await terminal.type("-l", "half a li");
    await terminal.shows(/^#ops> half a li$/m);
    assert.equal((await world.run("bob", "meanwhile\n", "--plain", "#ops")).status, 0);
    await terminal.shows(/ bob: meanwhile\n(?:\[#ops\] .*\n)*#ops> half a li\n*$/);
    await terminal.type("-l", "ne");
    await terminal.type("Enter");
    await terminal.shows(
      /^#ops> half a line\n(?:\[#ops\] .*\n)*\[#ops \d+\] .* ada: half a line\n(?:\[#ops\] .*\n)*#ops>\n*$/m,
    );

    await terminal.type("-l", "/histry 3");
    await terminal.type("Enter");
    await terminal.shows(/Unknown command \/histry[^]*\n#ops> \/histry 3\n*$/);
    await terminal.type("C-u");
    await terminal.type("-l", "/join #dev");
    await terminal.type("Enter");
    await terminal.shows(/You are writing in #dev\.\n(?:\[#(?:ops|dev)[^]*\n)?#dev>\n*$/);
    await terminal.type("-l", "/quit");
    await terminal.type("Enter");
    await terminal.shows("ended 0");
  },
});

Deno.test({
  name: "what is refused on a terminal comes back into the input line with the reason, in the picture and in --plain",
  ...skipUnless("tmux"),
  fn: async () => {
    await using world = await World.create();
    for (const flag of ["", "--plain"]) {
      const { command, args } = program(...await world.args(`ada${flag}`, ...flag === "" ? [] : [flag]));
      const size = { columns: 100, rows: 30 };
      await using terminal = await openTmux([command, ...args], {
        ...{ cwd: world.path, env: cleanEnvironment(ENV), ...size },
      });
      await terminal.shows(/\n>\n*$/);
      await terminal.type("-l", "hello");
      await terminal.type("Enter");
      await terminal.shows(/You are in no room[^]*\n> hello\n*$/);
      await terminal.type("C-u");
      await terminal.type("-l", "/join nowhere");
      await terminal.type("Enter");
      // The reason must be there too: the words alone are also what stands there before the answer.
      await terminal.shows(/There is no such room[^]*\n> \/join nowhere\n*$/);
      await terminal.type("C-u");
      await terminal.type("-l", `/create room${flag}`);
      await terminal.type("Enter");
      await terminal.shows(`#room${flag}`);
      await Deno.writeTextFile(`${world.path}/paste`, `${"x".repeat(20_000)}end`);
      await terminal.run("load-buffer", `${world.path}/paste`);
      await terminal.run("paste-buffer", "-p");
      await terminal.shows(/xend\n*$/);
      await terminal.type("Enter");
      await terminal.shows(/too long|16,?000[^]*xend\n*$/);
      await terminal.type("C-u");
      await terminal.type("-l", "/quit");
      await terminal.type("Enter");
      await terminal.shows("ended 0");
    }
  },
});
