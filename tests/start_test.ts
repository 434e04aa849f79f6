import { assert } from "./assert.ts";
import { cleanEnvironment, program, run, skipUnless, temporaryFolder } from "./environment.ts";
import { openTerminal } from "./pty.ts";

/** A running `start`, in a folder of its own. */
interface Started extends AsyncDisposable {
  /** What it printed up to the last line that it prints. */
  readonly stdout: string;
  readonly stderr: () => string;
}

async function start(cwd: string, ...args: string[]): Promise<Started> {
  const { command, args: all } = program("start", ...args, "--port", "0");
  const options = { args: all, cwd, env: cleanEnvironment(), clearEnv: true } as const;
  const child = new Deno.Command(command, { ...options, stdin: "null", stdout: "piped", stderr: "piped" }).spawn();
  const told = Promise.withResolvers<string>();
  const [read, errors] = [{ text: "" }, { text: "" }];
  const drain = async (stream: ReadableStream<Uint8Array>, into: { text: string }) => {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      into.text += text;
      if (read.text.includes("Ctrl-C stops the server.\n")) told.resolve(read.text);
    }
  };
  const drained = Promise.all([drain(child.stdout, read), drain(child.stderr, errors)]);
  void child.status.then(({ code }) => told.reject(new Error(`start ended with ${code}: ${errors.text}`)));
  const stdout = await told.promise;
  return {
    stdout,
    stderr: () => errors.text,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGTERM");
      assert.equal((await child.status).code, 0, errors.text);
      await drained;
    },
  };
}

/** The join commands by name. */
function commandsOf(stdout: string): Map<string, string[]> {
  const rows = [...stdout.matchAll(/^ {2}(\w+) +(?:\S+ task )?securechat (join \S+)$/gm)];
  return new Map(rows.map(([, name = "", words = ""]) => [name, words.split(" ")]));
}

/** A person with nothing but the program: an empty folder, and an empty home. */
function person(site: string, name: string) {
  const [cwd, home] = [`${site}/${name}`, `${site}/${name}-home`];
  Deno.mkdirSync(cwd);
  return { cwd, env: { SECURECHAT_HOME: home } };
}

Deno.test({
  name: "from nothing to a proved conversation of two: start, join, export, verify",
  ...skipUnless("pty", "unix"),
  fn: async () => {
    using folder = temporaryFolder();
    const site = `${folder.path}/server`;
    Deno.mkdirSync(site);
    await using server = await start(site, "alice", "bob");
    assert.match(
      server.stdout,
      /^\[\*\] Secure Chat Server listening on 127\.0\.0\.1:\d+\n\[\*\] TLS on 0\.0\.0\.0:\d+\n/,
    );
    const commands = commandsOf(server.stdout);
    assert.deepEqual([...commands.keys()], ["alice", "bob"]);

    const [alice, bob] = [person(folder.path, "alice"), person(folder.path, "bob")];
    const join = (name: string, options: typeof alice, changed = (word: string) => word) => {
      const { command, args } = program(...(commands.get(name) ?? []).map(changed));
      return openTerminal([command, ...args], options);
    };
    {
      await using mistyped = join(
        "alice",
        alice,
        (word) => word.replace(/^sc2\.(.)/, (_, letter) => `sc2.${letter === "A" ? "B" : "A"}`),
      );
      await mistyped.expect("this code is incomplete or mistyped");
      assert.equal((await mistyped.ended()).status, 2);
    }
    await using hers = join("alice", alice);
    await hers.expect("Password: ");
    hers.type("difference engine\r");
    await hers.expect("Confirm password: ");
    hers.type("difference engin\r"); // mistyped
    await hers.expect("Password: ");
    hers.type("difference engine\r");
    await hers.expect("Confirm password: ");
    hers.type("difference engine\r");
    await hers.expect("#general"); // in the list of rooms: a line that is typed now waits for the room
    hers.type("Is the key in its place?\r");
    await hers.expect("key in its place?");

    await using his = join("bob", bob);
    for (const prompt of ["Password: ", "Confirm password: "]) {
      await his.expect(prompt);
      his.type("nabla squared\r");
    }
    await his.expect("Is the key in its place?");
    his.type("It is.\r");
    await hers.expect("It is.");
    hers.type("Send it on Monday.\r");
    await his.expect("Send it on Monday.");
    for (const terminal of [hers, his]) {
      terminal.type("/quit\r");
      assert.deepEqual(await terminal.ended(), { status: 0, isRestored: true });
    }
    assert.doesNotMatch(hers.shown + his.shown, /E-mail|Username|difference engine|nabla squared/);

    const exported = await run(["export", "--files", "--json"], bob);
    assert.equal(exported.status, 0, exported.stderr);
    const { receipt, transcript, openings } = JSON.parse(exported.stdout);
    const certs = [...Deno.readDirSync(bob.env.SECURECHAT_HOME)].find(({ isDirectory }) => isDirectory)?.name;
    const authority = `${bob.env.SECURECHAT_HOME}/${certs}/certs/ca_cert.pem`;
    const verified = await run(["verify", receipt, transcript, "--openings", openings, "--ca", authority], {
      cwd: bob.cwd,
    });
    assert.equal(verified.status, 0, verified.stdout + verified.stderr);
    for (const words of ["Is the key in its place?", "It is.", "Send it on Monday."]) {
      assert.ok(verified.stdout.includes(words), verified.stdout);
    }
  },
});

Deno.test({
  name: "start goes on where it was: the same certificates, and no second code for somebody who has joined",
  ...skipUnless("unix"),
  fn: async () => {
    using folder = temporaryFolder();
    const site = `${folder.path}/server`;
    Deno.mkdirSync(site);
    Deno.writeTextFileSync(`${folder.path}/pw`, "difference engine\n", { mode: 0o600 });
    const alice = person(folder.path, "alice");
    const env = { ...alice.env, SECURECHAT_PASSWORD_FILE: `${folder.path}/pw` };
    let certificate = "";
    {
      await using server = await start(site, "alice", "--as", "localhost");
      certificate = Deno.readTextFileSync(`${site}/certs/server_cert.pem`);
      const joined = await run(commandsOf(server.stdout).get("alice") ?? [], { ...alice, env });
      assert.equal(joined.status, 0, joined.stderr);
      assert.match(joined.stderr, /^You are alice on localhost, with the address alice@localhost\./);
      assert.match(joined.stderr, /Next: .* rooms '#general'\n$/);
      const invited = await run(["invite", "carol"], { cwd: site });
      const [, port] = /@localhost:(\d+)$/.exec(invited.stdout.trim()) ?? [];
      assert.ok(port !== undefined && server.stdout.includes(`TLS on 0.0.0.0:${port}\n`), "the running server's port");
    }
    await using again = await start(site, "alice", "bob");
    assert.match(again.stdout, /^ {2}alice {2}has joined already: .*securechat rooms$/m);
    assert.deepEqual([...commandsOf(again.stdout).keys()], ["bob"]);
    assert.equal(Deno.readTextFileSync(`${site}/certs/server_cert.pem`), certificate);
  },
});

Deno.test("start refuses a name that can't be a username before it makes anything", async () => {
  using folder = temporaryFolder();
  const { status, stderr } = await run(["start", "alice", "no spaces"], { cwd: folder.path });
  assert.equal(status, 2);
  assert.match(stderr, /"no spaces" can't be a username/);
  assert.deepEqual([...Deno.readDirSync(folder.path)], []);
});
