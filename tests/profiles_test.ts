/**
 * What `join` learned is not asked again: profiles in a home, run as people run them, from folders with nothing in
 * them. And which server it is: two on one host, other spellings of an address, records of version 0.1.0.
 */

import type { RunningServer } from "../server.ts";
import { assert } from "./assert.ts";
import { type Ended, ownHome, program, run, type RunOptions, skipUnless, temporaryFolder } from "./environment.ts";
import { openTerminal } from "./pty.ts";
import { Client, ofType } from "./room_program.ts";
import { withServer } from "./server.ts";

const PASSWORD = "correct horse battery";

let made: Promise<string> | undefined;

/** An operator's CERT_DIR, made once by `init`. */
function operator(): Promise<string> {
  return made ??= (async () => {
    const dir = await Deno.makeTempDir({ prefix: "securechat-operator-" });
    addEventListener("unload", () => Deno.removeSync(dir, { recursive: true }));
    done(await run(["init"], { cwd: dir }));
    return `${dir}/certs`;
  })();
}

function done({ status, stdout, stderr }: Ended): string {
  assert.equal(status, 0, stderr);
  return stdout.trim();
}

/** A server, its folder, and what its operator does. */
interface Site {
  readonly server: RunningServer;
  readonly code: (name: string) => Promise<string>;
  /** The flags with which somebody without a profile goes there. */
  readonly flags: readonly string[];
}

async function withSite(test: (site: Site) => Promise<void>): Promise<void> {
  const certs = await operator();
  await withServer({ CERT_DIR: certs, LOGIN_DELAY_MS: "0" }, async (server, dir) => {
    const port = String(server.tlsPort);
    const where = ["--port", port, "--certs", certs, "--data", `${dir}/data`];
    const code = async (name: string) => done(await run(["invite", name, "--email", `${name}@example.org`, ...where]));
    await test({ server, code, flags: ["--host", "localhost", "--tls-port", port] });
  });
}

/** Somebody with a home and a folder in which nothing is. */
class User implements Disposable {
  readonly #folder = temporaryFolder();
  readonly home = ownHome();

  constructor() {
    Deno.writeTextFileSync(`${this.#folder.path}/password`, `${PASSWORD}\n`, { mode: 0o600 });
    Deno.mkdirSync(this.cwd);
  }

  /** Empty. */
  get cwd(): string {
    return `${this.#folder.path}/empty`;
  }

  get options(): RunOptions & { readonly cwd: string; readonly env: Readonly<Record<string, string>> } {
    return { cwd: this.cwd, env: { SECURECHAT_HOME: this.home } };
  }

  run(args: readonly string[], stdin = "", env: Readonly<Record<string, string>> = {}): Promise<Ended> {
    return run(args, { ...this.options, stdin, env: { ...this.options.env, ...env } });
  }

  /** With the password out of a file. */
  enter(args: readonly string[], stdin = ""): Promise<Ended> {
    return this.run(args, stdin, { SECURECHAT_PASSWORD_FILE: `${this.#folder.path}/password` });
  }

  /** Types commands as a program does. */
  async does(args: readonly string[], ...commands: readonly object[]): Promise<string> {
    const stdin = commands.map((command) => `${JSON.stringify(command)}\n`).join("");
    return done(await this.run(["rooms", "--json", ...args], stdin));
  }

  terminal(args: readonly string[]) {
    const { command, args: all } = program(...args);
    return openTerminal([command, ...all], this.options);
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

function sentence({ status, stderr }: Ended, wanted: number, pattern: RegExp): void {
  assert.equal(status, wanted, stderr);
  assert.match(stderr, pattern);
  assert.equal(stderr.trimEnd().split("\n").length, 1, stderr);
}

const CREATE = { command: "create", room: "#ops" };
const SAY = (text: string, room = "#ops") => ({ command: "say", room, text });

Deno.test("after join, rooms, export, prove and invite --device need no flags, from any folder", async () => {
  await withSite(async ({ code }) => {
    using ada = new User();
    const joined = await ada.enter(["join", await code("ada")]);
    done(joined);
    assert.match(
      joined.stderr,
      /^You are ada on localhost, with the address \S+\. Your certificate in .*\/localhost\/certs is valid/,
    );
    assert.match(joined.stderr, /\nNext: .* rooms\n$/);
    assert.match(await ada.does([], CREATE, SAY("hello")), /"event":"line".*"text":"hello"/);
    const { command, args } = program("rooms", "--json");
    const client = new Client([command, ...args], ada.cwd, { ...ada.options.env, SECURECHAT_PASSWORD_FILE: "" });
    await client.until(/"event":"line".*"text":"hello"/);
    await client.type(SAY("again"));
    await client.until((client) => ofType(client, "covered").some(({ size }) => size >= 3));
    assert.equal(await client.end(), 0, "in the rooms of last time, without a password");
    const exported = done(await ada.run(["export", "--files", "--json"]));
    assert.match(JSON.parse(exported).transcript, /^\.\/room_ops_/);
    const proved = done(await ada.run(["prove", "1"]));
    assert.match(proved, /^Written: \.\/room_ops_1_/);
    for (const told of [JSON.parse(exported).verify, proved.split("\n").at(-1)?.trim()]) {
      const verified = await ada.run(told.replace(/^.*? verify /, "verify ").split(" "));
      assert.equal(verified.status, 0, "the command that is told finds the CA, wherever the profile is");
    }
    assert.match(done(await ada.run(["invite", "--device"])), /^sc2\./);
    const { profiles } = JSON.parse(done(await ada.run(["profiles", "--json"])));
    assert.equal(profiles.length, 1);
    assert.deepEqual([profiles[0].name, profiles[0].email, profiles[0].default], [
      "localhost",
      "ada@example.org",
      true,
    ]);
    assert.deepEqual(
      [...Deno.readDirSync(ada.cwd)].filter(({ isDirectory }) => isDirectory),
      [],
      "nothing else is made",
    );
  });
});

Deno.test({
  name: "on a terminal a wrong password is asked for again, and nothing but the password",
  ...skipUnless("pty"),
  fn: async () => {
    await withSite(async ({ code }) => {
      using ada = new User();
      done(await ada.enter(["join", await code("ada")]));
      Deno.removeSync(`${ada.home}/localhost/transcripts/rooms/localhost/token`);
      await using terminal = ada.terminal(["rooms"]);
      await terminal.expect("Password: ");
      terminal.type("a guess\r");
      await terminal.expect("The password is wrong");
      await terminal.expect("Password: ");
      terminal.type(`${PASSWORD}\r`);
      await terminal.expect(/ada @ localhost/);
      terminal.type("/quit\r");
      assert.deepEqual(await terminal.ended(), { status: 0, isRestored: true });
      assert.doesNotMatch(terminal.shown, /E-mail|Username|a guess|correct horse/);
    });
  },
});

Deno.test({
  name: "the third wrong password is the last, and invite --device and chat ask again as well",
  ...skipUnless("pty"),
  fn: async () => {
    await withSite(async ({ code }) => {
      using ada = new User();
      done(await ada.enter(["join", await code("ada")]));
      Deno.removeSync(`${ada.home}/localhost/transcripts/rooms/localhost/token`);
      await using first = ada.terminal(["rooms"]);
      for (let tries = 0; tries < 3; tries++) {
        await first.expect("Password: ");
        first.type("a guess\r");
      }
      assert.equal((await first.ended()).status, 4);
      for (const [args, shown] of [[["invite", "--device"], "sc2."], [["chat"], "Logged in"]] as const) {
        await using terminal = ada.terminal(args);
        await terminal.expect("Password: ");
        terminal.type("a guess\r");
        await terminal.expect("The password is wrong");
        await terminal.expect("Password: ");
        terminal.type(`${PASSWORD}\r`);
        await terminal.expect(shown);
        if (args[0] === "chat") terminal.type("/quit\r");
        assert.equal((await terminal.ended()).status, 0);
        assert.doesNotMatch(terminal.shown, /E-mail/);
      }
    });
  },
});

Deno.test({
  name: "securechat password tells that the old password is wrong, and asks for it again, before it asks for a new one",
  ...skipUnless("pty"),
  fn: async () => {
    await withSite(async ({ code }) => {
      using ada = new User();
      done(await ada.enter(["join", await code("ada")]));
      await using terminal = ada.terminal(["password"]);
      await terminal.expect("Password: ");
      terminal.type("a guess\r");
      assert.doesNotMatch(await terminal.expect("The password is wrong"), /New password/);
      await terminal.expect("Password: ");
      terminal.type(`${PASSWORD}\r`);
      await terminal.expect("New password: ");
      terminal.type("quite another one\r");
      await terminal.expect("Confirm password: ");
      terminal.type("quite another one\r");
      await terminal.expect("The password is changed.");
      assert.equal((await terminal.ended()).status, 0);
    });
  },
});

Deno.test("two servers on one host are two profiles, with rooms of one name, and neither is called a liar", async () => {
  await withSite(async (one) => {
    await withSite(async (other) => {
      using ada = new User();
      using bob = new User();
      for (const site of [one, other]) {
        done(await bob.enter(["join", await site.code("bob"), "--profile", site === one ? "one" : "other"]));
        await bob.does([site === one ? "one" : "other"], CREATE);
      }
      done(await ada.enter(["join", await one.code("ada")]));
      const second = await ada.enter(["join", await other.code("ada")]);
      done(second);
      assert.match(second.stderr, /Next: .* rooms localhost-2\n$/);
      for (let visits = 0; visits < 2; visits++) {
        for (const profile of ["localhost", "localhost-2"]) {
          const events = await ada.does([profile], { command: "join", room: "#ops" }, SAY(`to ${profile}`));
          assert.doesNotMatch(events, /"lie"|"error"/);
          assert.match(events, /"event":"joined","room":"#ops"/);
        }
      }
      sentence(await ada.run(["rooms", "--json"]), 2, /you have several profiles, localhost \(ada on localhost\), loc/);
      done(await ada.run(["profiles", "rename", "localhost-2", "lab"]));
      done(await ada.run(["profiles", "default", "lab"]));
      assert.match(await ada.does([], SAY("by default")), /"text":"by default"/);
      const removed = await ada.run(["profiles", "remove", "lab", "--yes"]);
      assert.match(
        removed.stderr,
        /^Removed lab \(ada on localhost\) with its certificate and key\. Its records stay in /,
      );
      assert.equal(JSON.parse(done(await ada.run(["profiles", "--json"]))).profiles.length, 1);
      const device = done(await bob.run(["invite", "--device", "other"]));
      const again = await ada.enter(["join", device, "--email", "bob@example.org"]);
      assert.match(
        again.stderr,
        /^The records of an earlier profile of this address, in .*localhost-2\/.*, stay as they/,
      );
      assert.match(again.stderr, /Next: .* rooms localhost-3\n$/);
    });
  });
});

Deno.test("one client folder serves two servers on one host, and each keeps its record and its token", async () => {
  await withSite(async (one) => {
    await withSite(async (other) => {
      using ada = new User();
      const [folder, where] = [["--certs", "ada"], ["--certs", "ada", "--email", "ada@example.org"]];
      done(await ada.enter(["join", await one.code("ada"), ...folder]));
      const registered = [...where, "--register", "--username", "ada", ...other.flags];
      const events = done(await ada.enter(["rooms", "--json", ...registered], `${JSON.stringify(CREATE)}\n`));
      assert.match(
        events,
        /"event":"warning","message":"The server at localhost:\d+ has the name and the CA of the one at/,
      );
      for (const site of [one, other, one, other]) {
        const said = await ada.does([...folder, ...site.flags], site === one ? CREATE : SAY("hello"));
        assert.match(said, /"event":"online"/, "with its own token");
        assert.doesNotMatch(said, /"lie"/);
      }
    });
  });
});

Deno.test("another spelling of the address finds the same record, without a password", async () => {
  await withSite(async ({ code, flags, server }) => {
    using ada = new User();
    done(await ada.enter(["join", await code("ada"), "--certs", "ada"]));
    await ada.does(["--certs", "ada", ...flags], CREATE, SAY("hello"));
    for (const host of ["LOCALHOST", "127.0.0.1"]) {
      const events = await ada.does(["--certs", "ada", "--host", host, "--tls-port", String(server.tlsPort)]);
      assert.match(events, /"event":"line","room":"#ops".*"text":"hello"/, host);
    }
    const kept = [...Deno.readDirSync(`${ada.cwd}/transcripts/rooms`)].map(({ name }) => name);
    assert.deepEqual(kept, ["localhost"]);
  });
});

Deno.test("records of version 0.1.0 are taken over, with their rooms, lines and token", async () => {
  await withSite(async ({ code, flags }) => {
    using ada = new User();
    done(await ada.enter(["join", await code("ada"), "--certs", "ada"]));
    await ada.does(["--certs", "ada", ...flags], CREATE, SAY("from before"));
    const rooms = `${ada.cwd}/transcripts/rooms`;
    for (const name of ["server", "current"]) Deno.removeSync(`${rooms}/localhost/${name}`);
    Deno.writeTextFileSync(`${rooms}/localhost/account`, '{"username":"ada"}');
    done(await ada.run(["export", "--certs", "ada", "--out", "before"])); // the only room there is
    const events = await ada.does(["--certs", "ada", ...flags]); // with the token of before
    assert.match(events, /"event":"line","room":"#ops".*"text":"from before"/);
    assert.deepEqual([...Deno.readDirSync(rooms)].map(({ name }) => name), ["localhost"]);
  });
});

Deno.test("what is named goes over a profile, and nothing is guessed", async () => {
  await withSite(async ({ code, flags }) => {
    using ada = new User();
    done(await ada.enter(["join", await code("ada")]));
    done(await ada.enter(["join", await code("bob"), "--certs", "certs"]));
    const who = async (...args: string[]) => {
      const events = await ada.does(args);
      return /"event":"online","username":"([a-z]+)"/.exec(events)?.[1];
    };
    const ended = await ada.run(["rooms", "--json"], "");
    assert.match(
      ended.stderr,
      /^Using the profile localhost \(ada on localhost\); for the certificate in this folder, add/,
    );
    assert.equal(await who(), "ada", "the only profile");
    assert.equal(await who(...flags), "ada", "the profile of that server");
    assert.equal(await who("localhost", ...flags), "ada");
    assert.equal(await who("--certs", "certs", ...flags), "bob", "a folder that is named");
    Deno.writeTextFileSync(`${ada.cwd}/.env`, "CERT_DIR=certs\n");
    assert.equal(await who(...flags), "bob", "one that .env names");
    assert.equal(await who("localhost"), "ada", "a profile that the command names goes over .env");
    const elsewhere = { XDG_DATA_HOME: `${ada.cwd}/data`, XDG_CONFIG_HOME: `${ada.cwd}/config`, SECURECHAT_HOME: "" };
    if (Deno.build.os === "linux") {
      Deno.mkdirSync(elsewhere.XDG_CONFIG_HOME);
      Deno.symlinkSync(ada.home, `${elsewhere.XDG_CONFIG_HOME}/securechat`);
      const gone = await ada.run(["rooms", "localhost", "--json"], "", elsewhere);
      sentence(gone, 2, /the records of the profile localhost are gone: there is no .*restore that folder .* mkdir -p/);
    }
    Deno.removeSync(`${ada.cwd}/.env`);
    Deno.removeSync(`${ada.cwd}/certs`, { recursive: true });
    const other = ["rooms", "--json", "--host", "chat.example"];
    sentence(await ada.run(other), 2, /none of your profiles is of that server: localhost \(ada on localhost\)/);
    sentence(await ada.run(["rooms", "work"]), 2, /there is no profile "work" in .*; there are: localhost; if a room/);
    sentence(
      await ada.run(["join", await code("carol"), "--profile", "localhost"]),
      2,
      /there is a profile "localhost" al/,
    );
  });
});

Deno.test("a new account is registered though its name is remembered, and never in another's record", async () => {
  await withSite(async (one) => {
    await withSite(async (other) => {
      using ada = new User();
      const made = ["cert", "client", "ada", "--out", `${ada.cwd}/ada/client_cert.pem`, "--certs", await operator()];
      done(await ada.run(made));
      const register = (name: string, ...more: readonly string[]) => {
        const who = ["--register", "--username", name, "--email", `${name}@example.org`, "--certs", "ada"];
        return ada.enter(["rooms", "--json", ...who, ...more]);
      };
      assert.match(done(await register("ada", ...one.flags)), /"event":"online","username":"ada"/);
      // A server whose database is new: the record of before has the name, and a token.
      assert.match(done(await register("ada", "--moved", ...other.flags)), /"event":"online","username":"ada"/);
      const another = await register("grace", ...other.flags);
      assert.match(another.stdout, /holds the rooms of ada, not of grace/);
      assert.equal(another.status, 2);
    });
  });
});

Deno.test("a port that is the other one is told as that: TLS where none is expected, and none where it is", async () => {
  await withSite(async ({ server, code }) => {
    using ada = new User();
    done(await ada.enter(["join", await code("ada")]));
    const [plain, tls] = [String(server.port), String(server.tlsPort)];
    sentence(
      await ada.enter(["chat", "--port", tls]),
      5,
      /this is the server's TLS port, but the connection is without TLS: add --tls/,
    );
    const wrong = /over TLS \(it speaks no TLS there, as a server's plain port; name the port for TLS\)/;
    sentence(await ada.enter(["chat", "localhost", "--tls-port", plain, "--tls"]), 5, wrong);
    sentence(await ada.enter(["invite", "--device", "localhost", "--port", plain]), 5, /port for TLS|its TLS port/);
    assert.match((await ada.run(["rooms", "localhost", "--json", "--tls-port", plain])).stdout, wrong);
  });
});

Deno.test("export and prove take @bob for the conversation with bob", async () => {
  await withSite(async ({ code }) => {
    using ada = new User();
    using bob = new User();
    for (const [user, name] of [[ada, "ada"], [bob, "bob"]] as const) {
      done(await user.enter(["join", await code(name)]));
    }
    const { command, args } = program("rooms", "--json");
    const client = new Client([command, ...args], ada.cwd, { ...ada.options.env, SECURECHAT_PASSWORD_FILE: "" });
    await client.until(/"event":"online"/);
    await client.type({ command: "msg", username: "bob", text: "hello" });
    await client.until((client) => ofType(client, "covered").some(({ size }) => size >= 2));
    assert.equal(await client.end(), 0);
    for (const room of [["@bob"], ["@Bob"], ["@ada,@bob"], []]) {
      const { transcript } = JSON.parse(done(await ada.run(["export", "--files", "--json", ...room])));
      assert.match(transcript, /^\.\/room_ada_bob_/);
    }
    done(await ada.run(["prove", "@bob", "1"]));
    sentence(await ada.run(["export", "@ada"]), 2, /"@ada" is you; a conversation has two people/);
    sentence(await ada.run(["export", "@b@c"]), 2, /"@b@c" isn't a room/);
  });
});

Deno.test({
  name: "join of a further device asks again for a password that is wrong, and a folder's e-mail address is remembered",
  ...skipUnless("pty"),
  fn: async () => {
    await withSite(async ({ code, flags }) => {
      using ada = new User();
      using laptop = new User();
      done(await ada.enter(["join", await code("ada")]));
      const device = done(await ada.run(["invite", "--device"]));
      await using joining = laptop.terminal(["join", device, "--certs", "certs", "--no-chat"]);
      await joining.expect("Password: ");
      joining.type("a guess\r");
      await joining.expect("The password is wrong");
      await joining.expect("Password: ");
      joining.type(`${PASSWORD}\r`);
      await joining.expect("You are ada on localhost, with the address ada@");
      assert.equal((await joining.ended()).status, 0);
      Deno.removeSync(`${laptop.cwd}/transcripts/rooms/localhost/token`);
      await using rooms = laptop.terminal(["rooms", "--plain", ...flags]);
      await rooms.expect("Password: ");
      rooms.type(`${PASSWORD}\r`);
      await rooms.expect("online");
      rooms.type("/quit\r");
      assert.equal((await rooms.ended()).status, 0);
      assert.doesNotMatch(rooms.shown, /E-mail/);
    });
  },
});
