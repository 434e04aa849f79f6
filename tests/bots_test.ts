import { assert } from "./assert.ts";
import { cleanEnvironment, program, ROOT, skipUnless, startServer } from "./environment.ts";
import { Client, World } from "./room_program.ts";

Deno.test({
  name: "a bot written from the page answers what is live, over a restart of its own and of the server's",
  ...skipUnless("python"),
  fn: async () => {
    await using world = await World.create();
    await using ada = await world.start("ada", "--json");
    const say = (text: string) => ada.type({ command: "say", room: "#ops", text });
    const bot = async (...rooms: string[]) => {
      const { command, args } = program(...await world.args("echo", "--json", ...rooms));
      return new Client(["python3", `${ROOT}/tests/echo_bot.py`, command, ...args], world.path);
    };
    /** The bot is shown as online by a line from that one on. */
    const isHere = (from: number) => ({ lines }: Client) =>
      lines.slice(from).some((line) => /"event":"presen(?:ce|t)".*"username":"echo"[^}]*"state":"online"/.test(line));
    await ada.type({ command: "create", room: "#ops" });
    await say("echo too early");
    await ada.until('"text":"echo too early"');
    {
      await using _bot = await bot("#ops");
      await ada.until(isHere(0));
      await say("echo one");
      await ada.until('"text":"one"');
    }
    await ada.until(/"username":"echo","state":"offline"/);
    await say("echo while you were away");
    await ada.until('"text":"echo while you were away"');

    let from = ada.lines.length;
    await using _bot = await bot();
    await ada.until(isHere(from));
    await say("echo two");
    await ada.until('"text":"two"');
    from = ada.lines.length;
    await world.server.stop();
    await using _again = await startServer(["--tls-port", world.tlsPort], { cwd: world.path });
    await ada.until(isHere(from));
    await say("echo three");
    await ada.until('"text":"three"');
    for (const old of ["too early", "while you were away"]) {
      assert.ok(!ada.lines.some((line) => line.includes(`"text":"${old}"`)), old);
    }
  },
});

Deno.test("a bot that uses the library answers what is live, and nothing of before its start", async () => {
  await using world = await World.create();
  await using ada = await world.start("ada", "--json");
  const say = (text: string) => ada.type({ command: "say", room: "#ops", text });
  await ada.type({ command: "create", room: "#ops" });
  await say("echo too early");
  await ada.until('"text":"echo too early"');
  await world.run("echo", "", "--json", "#ops"); // makes the account
  const args = ["localhost", world.tlsPort, "echo", "echo/kept", "password", "#ops"];
  await using bot = new Client(
    [Deno.execPath(), "run", "-A", `${ROOT}/tests/echo_library_bot.ts`, ...args],
    world.path,
  );
  await bot.until("In #ops as echo.");
  await say("echo now");
  await ada.until('"text":"now"');
  assert.ok(!ada.lines.some((line) => line.includes('"text":"too early"')));
});

Deno.test("a bot that writes without reading is not stuck: everything is done, and it learns what it missed", async () => {
  await using world = await World.create();
  await world.run("ada", '{"command":"create","room":"#ops"}\n', "--json");
  const { command, args } = program(...await world.args("ada", "--json", "#ops"));
  const child = new Deno.Command(command, {
    args,
    cwd: world.path,
    env: cleanEnvironment({ SECURECHAT_PASSWORD_FILE: "password" }),
    clearEnv: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  // More than every pipe and the bound hold: 40 texts of 15,000 characters, 30 times over.
  const input = child.stdin.getWriter();
  const send = (asked: object) => input.write(new TextEncoder().encode(`${JSON.stringify(asked)}\n`));
  for (let i = 0; i < 40; i++) await send({ command: "say", room: "#ops", text: `${i} ${"x".repeat(15_000)}` });
  for (let i = 0; i < 30; i++) await send({ command: "history", room: "#ops", count: 41, id: i });
  await send({ command: "say", room: "#ops", text: "the last" });
  await input.close(); // all of it was taken, and nothing was read yet
  const reader = child.stdout.pipeThrough(new TextDecoderStream());
  let text = "";
  for await (const part of reader) text += part;
  assert.equal((await child.status).code, 0);
  const events = text.trimEnd().split("\n").map((line) => JSON.parse(line));
  const lost = events.filter(({ event }) => event === "overflow").reduce((sum, { lost }) => sum + lost, 0);
  const answered = events.filter(({ event, command }) => event === "done" && command === "history").length;
  assert.ok(lost > 0 || answered === 30, `${lost} lost, ${answered} answered`);
  const said = await world.run("ada", '{"command":"history","room":"#ops","count":1}\n', "--json");
  assert.match(said.stdout, /"text":"the last"/);
});
