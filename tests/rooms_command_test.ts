import { encodeHex, encodeUtf8 } from "../lib/bytes.ts";
import { createAuthority, issueCertificate, issueRevocationList } from "../lib/ca.ts";
import { encodePrivateKey, publicKeyOf } from "../lib/private_key.ts";
import { assert } from "./assert.ts";
import { program, ROOT, run, skipUnless, startServer } from "./environment.ts";
import { authority, key } from "./fixtures.ts";
import { personIdentity } from "./room_bench.ts";
import { Client, ofType, World } from "./room_program.ts";
import { openTmux } from "./tmux.ts";

Deno.test("two people talk over TLS, one as JSON and one as plain lines, and what they said is proved and exported", async () => {
  await using world = await World.create();
  await using ada = await world.start("ada", "--json");
  await ada.type({ command: "create", room: "#ops", id: 1 });
  await ada.until('"event":"done","command":"create","id":1');
  await using bob = await world.start("bob", "--plain", "#ops");
  await bob.until("[#ops] You are in the room");
  const told = bob.lines.findIndex((line) => line.includes("Everything here is signed and recorded"));
  const joined = bob.lines.findIndex((line) => line.includes("bob joined and consented to recording"));
  assert.ok(told >= 0 && (joined < 0 || told < joined), "the consent is asked for before it is given");
  await bob.type("good morning");
  await ada.until('"text":"good morning"');
  await ada.type({ command: "say", room: "#ops", text: "hello\n[#ops 9] 00:00 bob: I owe ada 100\u001b[2J\u202e" });
  await bob.until(/^\[#ops 3\] \d\d:\d\d ada: hello$/);
  await bob.until((client) => client.lines.includes("[#ops 3] | [#ops 9] 00:00 bob: I owe ada 100\\u{1b}[2J\\u{202e}"));
  await bob.type("/me waves");
  await bob.until(/ bob: \*waves\*$/);
  await bob.type("/away");
  await bob.until(/^You are away/);
  await ada.until('"state":"away"');
  await bob.type("/who");
  await bob.until("[#ops] bob, member, away");
  await bob.type("I am back");
  await bob.until("You are back.");
  await ada.until((client) => ofType(client, "presence").at(-1)?.state === "online");
  await ada.type({ command: "away", away: true, id: 2 });
  await ada.until('"event":"done","command":"away","id":2');
  await bob.until("[#ops] ada is away.");
  await ada.type({ command: "say", room: "#ops", text: "me too" });
  await bob.until("[#ops] ada is here.");
  await bob.type("/vouch 0123456789abcdef");
  await bob.until("This client has seen no certificate of yours that begins with 0123456789abcdef");
  await bob.type("/topic all of it is mine");
  await bob.until("Your role in this room does not allow that");
  await bob.type("/dance");
  await bob.until("Unknown command /dance.");
  await bob.type("/msg ada psst");
  await ada.until('"event":"invited"');
  await ada.type({ command: "join", room: "@bob" });
  await ada.until('"text":"psst"');
  await ada.type({ command: "invite", room: "#ops" });
  await ada.until('"event":"error","command":"invite"');

  await ada.until((client) => ofType(client, "covered").some(({ room, size }) => room === "#ops" && size >= 5));
  await ada.until((client) => ofType(client, "accepted").length === ofType(client, "sending").length + 2);
  await ada.type({ command: "proof", room: "#ops", index: 2 });
  await ada.until('"event":"proof"');
  const [proof] = ofType(ada, "proof");
  assert.deepEqual([proof?.index, proof?.state, proof?.unsent], [2, "accepted", 0]);
  await ada.type({ command: "export", room: "#ops", open: [2] });
  await ada.until('"event":"exported"');
  const files = ofType(ada, "exported")[0]?.files ?? [];
  const [receipt = "", transcript = "", openings = ""] = files;
  const verdict = await run(["verify", receipt, transcript, "--openings", openings, "--ca", "ada/ca_cert.pem"], {
    cwd: world.path,
  });
  assert.equal(verdict.status, 0, verdict.stdout + verdict.stderr);
  assert.match(verdict.stdout, /good morning/);
  assert.doesNotMatch(verdict.stdout, /hello/);
  assert.equal(await bob.end(), 4, "through a pipe, and three times refused");
  assert.equal(await ada.end(), 0);
});

Deno.test("what comes through a pipe and is not done ends with 4, as does a ROOM that can't be come into", async () => {
  await using world = await World.create();
  const nowhere = await world.run("ada", "the backup is done\n", "--plain", "#gone");
  assert.equal(nowhere.status, 4, nowhere.stdout);
  assert.match(nowhere.stderr, /^You could not join #gone\.$/m);
  const refused = await world.run("ada", "/create ops\n/kick nobody here\nsaid\n", "--plain");
  assert.equal(refused.status, 4, refused.stdout);
  assert.match(refused.stderr, /^1 command failed\.$/m);
  const done = await world.run("ada", "said again\n", "--plain", "#ops");
  assert.equal(done.status, 0, done.stderr);
  assert.equal((await world.run("ada", "", "--json", "#gone")).status, 4);
});

Deno.test("a client whose server hangs says what it waits for, and ends at once when it is asked to twice", async () => {
  await using world = await World.create();
  await using ada = await world.start("ada", "--json");
  await ada.type({ command: "create", room: "#ops" });
  await ada.until('"event":"accepted"');
  world.server.child.kill("SIGSTOP");
  try {
    await ada.type({ command: "say", room: "#ops", text: "into the void" });
    await ada.until('"event":"done","command":"say"');
    ada.kill("SIGTERM");
    await ada.until("Sending 1 remaining line, then exiting. Ctrl-C again exits at once.");
    ada.kill("SIGTERM");
    await ada.until("1 line not sent: kept, and sent when you come back.");
    assert.equal(await ada.end(), 5);
  } finally {
    world.server.child.kill("SIGCONT");
  }
});

Deno.test("a client that waits for its server ends when it is told to", async () => {
  await using world = await World.create();
  assert.equal((await world.run("ada", '{"command":"create","room":"#ops"}\n', "--json")).status, 0);
  world.server.child.kill("SIGSTOP");
  try {
    await using ada = await world.start("ada", "--json", "#ops");
    await ada.until('"event":"account"');
    const begin = performance.now();
    ada.kill("SIGTERM");
    await ada.until("You could not join #ops.");
    assert.equal(await ada.end(), 4);
    assert.ok(performance.now() - begin < 4_000, "not when the server's time to answer is over");
  } finally {
    world.server.child.kill("SIGCONT");
  }
});

Deno.test("rooms goes on with the last session's token: in the same rooms, and without the password", async () => {
  await using world = await World.create();
  const first = await world.run(
    "ada",
    '{"command":"create","room":"#ops"}\n{"command":"say","room":"#ops","text":"one"}\n',
    "--json",
  );
  assert.equal(first.status, 0, first.stderr);
  await Deno.remove(`${world.path}/password`);
  const second = await world.run("ada", "/join #ops\ntwo\n/history\n", "--plain");
  assert.equal(second.status, 0, second.stderr);
  assert.equal(await Deno.readTextFile(`${world.path}/ada/kept/rooms/localhost/rooms`), '["#ops"]');
  assert.match(second.stdout, /^\[#ops 1\] \d\d:\d\d ada: one$/m);
  assert.match(second.stdout, /^\[#ops 2\] \d\d:\d\d ada: two$/m);
});

Deno.test("export and prove write from the client's own files what verify finds good", async () => {
  await using world = await World.create();
  const lines = '{"command":"create","room":"#ops"}\n{"command":"say","room":"#ops","text":"one"}\n';
  await using ada = await world.start("ada", "--json");
  for (const line of lines.trim().split("\n")) await ada.type(line);
  await ada.until((client) => ofType(client, "covered").some(({ size }) => size >= 2));

  const where = ["--host", "localhost", "--certs", "ada", "--transcripts", "ada/kept", "--json"];
  const options = { cwd: world.path };
  const closed = await run(["export", "#ops", "--closed", "--files", "--out", "new/evidence", ...where], options); // while the client is running
  assert.equal(closed.status, 0, closed.stderr);
  assert.equal(await ada.end(), 0);
  await world.server.stop();
  const { receipt, transcript, openings } = JSON.parse(closed.stdout);
  assert.equal(openings, null);
  const shut = await run(["verify", receipt, transcript, "--ca", "ada/ca_cert.pem"], options);
  assert.equal(shut.status, 0, shut.stdout);
  assert.doesNotMatch(shut.stdout, /[:|] "one"$/m);

  const whole = await run(["export", "#ops", ...where], options);
  assert.equal(whole.status, 0, whole.stderr);
  const { bundle, receipt: none } = JSON.parse(whole.stdout);
  assert.equal(none, undefined);
  const judged = await run(["verify", bundle, "--ca", "ada/ca_cert.pem"], options);
  assert.equal(judged.status, 0, judged.stdout);
  assert.match(judged.stdout, /[:|] "one"$/m);

  const byAnother = where.map((word) => word === "ada" ? "certs" : word); // as after ada's certificate was renewed
  const proved = await run(["prove", "#ops", "1", ...byAnother], options);
  assert.equal(proved.status, 0, proved.stderr);
  const open = await run(["verify", JSON.parse(proved.stdout).path, "--ca", "ada/ca_cert.pem"], options);
  assert.equal(open.status, 0, open.stdout);
  assert.match(open.stdout, /[:|] "one"$/m);

  for (
    const [args, wanted] of [
      [["prove", "#ops", "9"], /#ops has lines 0 to 1; 9 is out of range/],
      [["prove", "#ops", "last"], /INDEX "last" is not an index/],
      [["export", "ops"], /"ops" isn't a room/],
      [["export", "#ops", "#dev"], /"#dev" is one argument too many/],
      [["export", "#none"], /there is no record of #none in ada\/kept\/rooms\/localhost: join it first/],
      [
        ["export", "#ops", "--from", "1", "--to", "1"],
        /no line from 1 to before 1: the end is the line after the last/,
      ],
      [["export", "#ops", "--only", "0,2"], /line 2 can't be opened: it is not among the exported lines, 0 to 1/],
      [["export", "#ops", "--open", "--closed"], /use only one of/],
      [["export", "#ops", "--bundle", "--files"], /use only one of --bundle and --files/],
    ] as const
  ) {
    const { status, stderr } = await run([...args, ...where], options);
    assert.equal(status, 2, stderr);
    assert.match(stderr, wanted);
  }
  const elsewhere = await run(["export", "#ops", ...where.map((word) => word === "ada/kept" ? "gone" : word)], options);
  assert.equal(elsewhere.status, 2, elsewhere.stderr);
  assert.match(elsewhere.stderr, /Folder not found: gone\/rooms\/localhost; name the server/);
  assert.deepEqual([...Deno.readDirSync(`${world.path}/ada/kept/rooms/localhost`)].map(({ name }) => name).sort(), [
    "#ops",
    "account",
    "certificates",
    "current",
    "devices",
    "lock",
    "rooms",
    "server",
    "server_log",
    "token",
  ], "who only reads makes nothing");
});

/** The files of a folder, and of those in it, that hold a text. */
async function filesWith(dir: string, text: string): Promise<string[]> {
  // An envelope begins with 9 bytes before a text: in base64 that is a multiple of a group.
  const wanted = [text, btoa(text).slice(0, -4), encodeHex(encodeUtf8(text))];
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(dir)) {
    const path = `${dir}/${name}`;
    if (isDirectory) found.push(...await filesWith(path, text));
    else if (wanted.some((one) => latin1(path).includes(one))) found.push(path);
  }
  return found;
}

function latin1(path: string): string {
  return Array.from(Deno.readFileSync(path), (byte) => String.fromCharCode(byte)).join("");
}

Deno.test("words that are erased stand in no file of the server and of no client, and all else verifies; who is revoked is put out", async () => {
  await using world = await World.create();
  await using ada = await world.start("ada", "--json");
  await using bob = await world.start("bob", "--json");
  const secret = "the password is swordfish";
  await ada.type({ command: "create", room: "#ops" });
  await ada.until('"event":"caught_up"');
  await bob.type({ command: "join", room: "#ops" });
  await bob.until('"event":"caught_up"');
  await ada.type({ command: "say", room: "#ops", text: secret });
  await bob.until(secret);
  const index = ofType(bob, "line").find(({ text }) => text === secret)?.index ?? 0;
  await bob.type({ command: "say", room: "#ops", text: "I have read it" });
  await ada.until("I have read it");
  for (const name of ["ada", "bob"]) {
    const found = await filesWith(`${world.path}/${name}/kept`, secret);
    assert.ok(found.some((path) => path.endsWith("/openings.txt")), "the search finds what is there");
  }
  await ada.type({ command: "redact", room: "#ops", index });
  for (const client of [ada, bob]) {
    await client.until('"event":"erased"');
    await client.until((one) => ofType(one, "covered").some(({ size }) => size > index + 2));
    await client.type({ command: "search", room: "#ops", text: "swordfish" });
    await client.until('"event":"found"');
    assert.deepEqual(ofType(client, "found").at(-1)?.lines, []);
    await client.type({ command: "export", room: "#ops" });
    await client.until('"event":"exported"');
    const [receipt = "", transcript = "", openings = ""] = ofType(client, "exported").at(-1)?.files ?? [];
    const ca = ["--ca", "certs/ca_cert.pem", "--openings", openings];
    const verdict = await run(["verify", receipt, transcript, ...ca], { cwd: world.path });
    assert.equal(verdict.status, 0, verdict.stdout + verdict.stderr);
    assert.match(verdict.stdout, /I have read it/);
    assert.doesNotMatch(verdict.stdout, /swordfish/);
  }
  assert.deepEqual(await filesWith(world.path, secret), []);

  const { chain: [leaf] } = await personIdentity("bob");
  const now = Date.now();
  const dates = { now: now - 60_000, nextUpdate: now + 86_400_000, number: 1n };
  const list = await issueRevocationList(
    await authority(),
    [{ serial: leaf?.serial ?? "", date: now - 60_000 }],
    dates,
  );
  await Deno.writeTextFile(`${world.path}/certs/crl.pem`, list);
  await bob.until("the server says: The client certificate was revoked. (bad-cert)");
  assert.equal(await bob.end(), 4);
  await ada.until((client) => ofType(client, "presence").at(-1)?.state === "offline");
  await ada.type({ command: "say", room: "#ops", text: "without him" });
  await ada.until("without him");
  assert.equal(await ada.end(), 0);
});

Deno.test("a line that is typed while the server is away is kept, and said when it is back", async () => {
  await using world = await World.create();
  await world.run("ada", '{"command":"create","room":"#ops"}\n', "--json");
  await world.server.stop();
  const away = await world.run("ada", "from afar\n", "--plain", "#ops");
  assert.equal(away.status, 5, away.stdout + away.stderr);
  assert.match(away.stdout, /Disconnected: cannot connect/);
  assert.match(away.stderr, /1 line not sent: kept, and sent when you come back/);
  await using _again = await startServer(["--tls-port", world.tlsPort], { cwd: world.path });
  const back = await world.run("ada", "", "--plain");
  assert.equal(back.status, 0, back.stdout + back.stderr);
  assert.match(back.stdout, /^\[#ops 1\] \d\d:\d\d ada: from afar$/m);
});

Deno.test("the example of a bot answers what is new, and has thirty lines at most", async () => {
  const example = `${ROOT}/tests/echo_bot.ts`;
  assert.ok((await Deno.readTextFile(example)).trimEnd().split("\n").length <= 30);
  await using world = await World.create();
  await using ada = await world.start("ada", "--plain");
  await ada.type("/create ops");
  await ada.until("You are in the room");
  await ada.type("echo too early");
  await ada.until(/ ada: echo too early$/);
  const { command, args } = program(...await world.args("echo", "--json", "#ops"));
  await using bot = new Client([Deno.execPath(), "run", "--quiet", "-A", example, command, ...args], world.path);
  await ada.until(/ echo joined and consented/);
  await ada.until("echo is here");
  await ada.type("echo hello, bot");
  await ada.until(/ echo: hello, bot$/);
  assert.deepEqual(bot.lines, []);
  assert.ok(!ada.lines.some((line) => line.includes("echo: too early")));
});

Deno.test("rooms refuses with one sentence what makes no sense", async () => {
  await using world = await World.create();
  for (
    const [args, wanted] of [
      [["--json", "--plain"], /--json and --plain exclude each other/],
      [["ops"], /"ops" isn't a room: a room is #/],
      [["--plaintext", "--host", "chat.example.org"], /--plaintext works only for a server on this machine/],
    ] as const
  ) {
    const { status, stderr } = await run(["rooms", "--certs", "certs", ...args], { cwd: world.path });
    assert.equal(status, 2, stderr);
    assert.match(stderr, wanted);
    assert.equal(stderr.trim().split("\n").length, 1);
  }
});

/** A picture without what is another one each time. */
function masked(picture: string): string {
  return picture.replaceAll(/\b\d\d:\d\d\b/g, "HH:MM").replaceAll(/── \w+day \d+ \w+ \d+, UTC\S* ──/g, "── DAY ──")
    .trimEnd();
}

const AT_80 = String.raw`▸#ops           │#ops · deploys on Friday                      2 members, 2 here
 #deploys       │Everything here is signed and recorded. Members, future members
                │        and the operator can read it and prove it to others. By
                │        joining you consent.
                │── DAY ──
                │ 0 HH:MM   * ada joined and consented to recording
                │ 1 HH:MM   * ada set the topic: deploys on Friday
                │ 2 HH:MM ✓ * bob joined and consented to recording
                │ 3 HH:MM ✓ bob: good morning
                │ 4 HH:MM   ada: bob:
                │      | \u{1b}[2J\u{1b}[1;1H\u{1b}[31mred\u{7}\u{202e}
                │There is no such room; create it, or look at the list of rooms.
                │ 5 HH:MM   ada: the second is for bob alone
                │
                │
                │
                │
                │
                │
                │
                │
                │
─ bob @ localhost ─ online ─ recorded ──────────────────────────────────────────
> half a line`;

const AT_120 = String
  .raw`▸#ops                   │#ops · deploys on Friday                                                      2 members, 2 here
 #deploys               │Everything here is signed and recorded. Members, future members and the operator can read it
                        │        and prove it to others. By joining you consent.
                        │── DAY ──
                        │ 0 HH:MM   * ada joined and consented to recording
                        │ 1 HH:MM   * ada set the topic: deploys on Friday
                        │ 2 HH:MM ✓ * bob joined and consented to recording
                        │ 3 HH:MM ✓ bob: good morning
                        │ 4 HH:MM   ada: bob: \u{1b}[2J\u{1b}[1;1H\u{1b}[31mred\u{7}\u{202e}
                        │There is no such room; create it, or look at the list of rooms.
                        │ 5 HH:MM   ada: the second is for bob alone
…
─ bob @ localhost ─ online ─ recorded ──────────────────────────────────────────────────────────────────────────────────
> half a line`;

Deno.test({
  name: "on a terminal rooms draws the picture, follows its size, and shows what escapes would do without doing it",
  ...skipUnless("tmux"),
  fn: async () => {
    await using world = await World.create();
    await using ada = await world.start("ada", "--json");
    await ada.type({ command: "create", room: "#ops" });
    await ada.type({ command: "topic", room: "#ops", text: "deploys on Friday" });
    await ada.until('"index":1');
    const { command, args } = program(...await world.args("bob", "#ops"));
    const env = { SECURECHAT_PASSWORD_FILE: "password" };
    await using bob = await openTmux([command, ...args], { cwd: world.path, env, columns: 80, rows: 24 });
    await bob.shows(/✓ \* bob joined/);
    await bob.type("good morning", "Enter");
    await bob.shows(/✓ bob: good morning/);
    await ada.type({ command: "say", room: "#ops", text: "bob: \u001b[2J\u001b[1;1H\u001b[31mred\u0007\u202e" });
    await ada.type({ command: "create", room: "#deploys" });
    await ada.until('"room":"#deploys","size"');
    await bob.shows("[31mred");
    await bob.type("/join dep", "Enter");
    await bob.shows(/There is no such room[^]*> \/join dep\n*$/); // it comes back, to be mended
    await bob.type("C-u");
    await bob.type("/join #deploys", "Enter");
    await bob.shows(/▸#deploys/);
    await bob.shows(/✓ \* bob joined/);
    await ada.type({ command: "say", room: "#ops", text: "the second is for bob alone" });
    await bob.shows("#ops 1!");
    await bob.type("M-Up");
    await bob.shows("the second is for bob alone");
    await bob.type("/away", "Enter");
    await bob.shows("─ bob @ localhost ─ away ─ recorded ─");
    await bob.type("/away", "Enter");
    await bob.shows("─ bob @ localhost ─ online ─ recorded ─");
    await bob.shows("2 members, 2 here"); // told at most once a second
    await bob.type("half a line");
    assert.equal(masked(await bob.shows("> half a line")), AT_80);
    await bob.resize(120, 40);
    const wide = /\n─ bob @ localhost ─ online ─ recorded ─{80,}\n> half a line/;
    assert.equal(masked(await bob.shows(wide)).replaceAll(/(?:\n {24}│)+\n/g, "\n…\n"), AT_120);
    await bob.resize(80, 24);
    await bob.shows((picture) => masked(picture) === AT_80);
    await bob.type("C-u", "/quit", "Enter");
    assert.match(await bob.shows("ended"), /^Connecting to localhost …\nended 0$/m);
  },
});

Deno.test("rooms takes no certificate of a CA that the machine trusts and CERT_DIR doesn't", async () => {
  await using world = await World.create();
  const random = (size: number) => crypto.getRandomValues(new Uint8Array(size));
  const foreign = await createAuthority("A public CA", await key("a public CA"), { now: Date.now(), random, days: 30 });
  const publicKey = publicKeyOf(await key("another server"));
  const request = { role: "server", name: "localhost", hosts: ["localhost"], publicKey } as const;
  const leaf = await issueCertificate(foreign, request, { now: Date.now(), random, days: 30 });
  await Deno.writeTextFile(`${world.path}/public.pem`, foreign.certificate.pem);
  const listener = Deno.listenTls({
    ...{ hostname: "127.0.0.1", port: 0, cert: leaf.pem },
    key: await encodePrivateKey(await key("another server"), undefined, random),
  });
  const accepted = listener.accept().then(async (conn) => {
    await assert.rejects(conn.handshake());
    conn.close();
  });
  world.tlsPort = String("port" in listener.addr ? listener.addr.port : 0);
  const trusting = { DENO_TLS_CA_STORE: "system", SSL_CERT_FILE: "public.pem", DENO_CERT: "public.pem" };
  const { command, args } = program(...await world.args("ada", "--plain"));
  await using ada = new Client([command, ...args], world.path, trusting);
  await ada.until("its certificate isn't one that this client trusts for that name");
  await accepted;
  listener.close();
});

Deno.test("rooms --register comes in where the account is there already with that password, and says so where it isn't", async () => {
  await using world = await World.create();
  const args = await world.args("ada", "--plain");
  const register = async (password: string) => {
    await Deno.writeTextFile(`${world.path}/password`, `${password}\n`, { mode: 0o600 });
    await Deno.remove(`${world.path}/ada/kept`, { recursive: true }).catch(() => {});
    return await run(args, { cwd: world.path, env: { SECURECHAT_PASSWORD_FILE: "password", TERM: "dumb" }, stdin: "" });
  };
  for (let time = 0; time < 2; time++) { // the answer to the first may have been lost
    const { status, stderr } = await register("correct horse battery");
    assert.equal(status, 0, stderr);
  }
  const other = await register("another horse");
  assert.equal(other.status, 4, other.stderr);
  assert.match(other.stderr, /This certificate is an account's already; log in to that/);
  const short = await register("short");
  assert.equal(short.status, 2, short.stderr);
  assert.match(short.stderr, /A new password needs at least 8 characters/);
});

Deno.test({
  name: "/password asks for both passwords in the picture, and shows neither",
  ...skipUnless("tmux"),
  async fn() {
    await using world = await World.create();
    const env = { SECURECHAT_PASSWORD_FILE: "password" };
    const made = await world.run("ada", "/create #ops\n", "--plain");
    assert.equal(made.status, 0, made.stderr);
    const { command, args } = program(...await world.args("ada", "#ops"));
    await using ada = await openTmux([command, ...args], { cwd: world.path, env, columns: 80, rows: 24 });
    await ada.shows(/✓ \* ada joined/);
    await ada.type("/password", "Enter");
    await ada.shows("Type your password and press Enter");
    await ada.type("correct horse battery", "Enter");
    await ada.shows("Type the new password and press Enter");
    await ada.type("garage-otter", "Enter");
    await ada.shows("Type the new password again");
    await ada.type("garage-otter", "Enter");
    const picture = await ada.shows("Your password was changed");
    assert.ok(!picture.includes("otter") && !picture.includes("battery"), picture);
    await ada.type("/quit", "Enter");
  },
});

Deno.test("export that must leave lines out says how many and ends with 5, unless --covered asks for just that", async () => {
  await using world = await World.create();
  await using ada = await world.start("ada", "--json");
  await ada.type({ command: "create", room: "#ops" });
  for (const [at, text] of ["one", "two"].entries()) {
    await ada.type({ command: "say", room: "#ops", text });
    await ada.until((client) => ofType(client, "covered").some(({ size }) => size >= at + 2));
  }
  assert.equal(await ada.end(), 0);
  await world.server.stop();
  const [folder = ""] = [...Deno.readDirSync(`${world.path}/ada/kept/rooms`)].map(({ name }) => name);
  const file = `${world.path}/ada/kept/rooms/${folder}/#ops/checkpoints`;
  const heads = Deno.readTextFileSync(file).trimEnd().split("\n");
  Deno.writeTextFileSync(file, heads.filter((head) => !head.includes('"size":3')).map((head) => `${head}\n`).join(""));

  const where = ["--host", "localhost", "--certs", "ada", "--transcripts", "ada/kept"];
  const exported = await run(["export", "#ops", ...where], { cwd: world.path });
  assert.equal(exported.status, 5, exported.stderr);
  assert.match(exported.stderr, /^Waiting [^\n]*\n1 line at the end is left out[^\n]*\n$/, exported.stderr);
  const covered = await run(["export", "#ops", "--covered", ...where], { cwd: world.path });
  assert.deepEqual([covered.status, covered.stderr], [0, ""]);
});
