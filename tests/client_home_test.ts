/** The home of a person's program and the profiles in it. */

import {
  defaultProfile,
  folderFor,
  homeOf,
  isProfileName,
  placesOf,
  profileNamed,
  profilesOf,
  removeProfile,
  saveProfile,
  setDefaultProfile,
} from "../lib/client_home.ts";
import { assert } from "./assert.ts";
import { skipUnless, temporaryFolder } from "./environment.ts";

const ADA = { name: "chat.example", host: "chat.example", tlsPort: 5001, username: "ada", email: "ada@example.org" };

Deno.test("the home is where the system keeps settings and data of programs, or the folder that is named", () => {
  const of = (environment: Record<string, string>, system: typeof Deno.build.os = "linux") =>
    homeOf(undefined, (name) => environment[name], system);
  assert.deepEqual(homeOf("here", () => undefined), { config: "here", data: "here" });
  assert.deepEqual(of({ HOME: "/home/ada" }), {
    config: "/home/ada/.config/securechat",
    data: "/home/ada/.local/share/securechat",
  });
  const own = { HOME: "/home/ada", XDG_CONFIG_HOME: "/c", XDG_DATA_HOME: "relative" };
  assert.deepEqual(of(own), { config: "/c/securechat", data: "/home/ada/.local/share/securechat" });
  assert.equal(of({ HOME: "/Users/ada" }, "darwin").data, "/Users/ada/Library/Application Support/securechat");
  assert.equal(of({ APPDATA: "C:\\Users\\ada" }, "windows").config, "C:\\Users\\ada\\securechat");
  assert.throws(() => of({}), /HOME is not set, so there is no home for profiles; name a folder with --home/);
});

Deno.test("a profile is kept, listed, renamed in its place, chosen and removed", async () => {
  using folder = temporaryFolder();
  const home = { config: `${folder.path}/c/securechat`, data: `${folder.path}/d/securechat` };
  assert.deepEqual(await profilesOf(home), []);
  await saveProfile(home, "chat.example", ADA);
  await Deno.mkdir(`${home.config}/chat.example/certs`);
  const [kept] = await profilesOf(home);
  assert.deepEqual(kept, {
    ...ADA,
    folder: "chat.example",
    certs: `${home.config}/chat.example/certs`,
    transcripts: `${home.data}/chat.example/transcripts`,
  });
  if (!kept) return;
  await saveProfile(home, kept.folder, { ...kept, name: "work" });
  assert.equal((await profileNamed(home, "WORK")).certs, kept.certs);
  await assert.rejects(
    profileNamed(home, "chat.example"),
    /there is no profile "chat\.example" in .*; there are: work;/,
  );
  assert.equal(await defaultProfile(home), undefined);
  await setDefaultProfile(home, kept);
  assert.equal(await defaultProfile(home), "work");
  await removeProfile(home, kept);
  assert.deepEqual(await profilesOf(home), []);
  assert.equal(await defaultProfile(home), undefined);
});

Deno.test({
  name: "a home's folders and files are readable by their owner alone",
  ...skipUnless("unix"),
  fn: async () => {
    using folder = temporaryFolder();
    const home = homeOf(`${folder.path}/home`);
    await saveProfile(home, "a", ADA);
    const mode = async (path: string) => ((await Deno.stat(`${folder.path}/${path}`)).mode ?? 0) & 0o777;
    assert.deepEqual([await mode("home"), await mode("home/a"), await mode("home/a/profile")], [0o700, 0o700, 0o600]);
  },
});

Deno.test("a new profile gets a folder that nothing is in, and a join that was cut off goes on in its own", async () => {
  using folder = temporaryFolder();
  const home = homeOf(folder.path);
  const nobodys = () => Promise.resolve(false);
  assert.equal(await folderFor(home, "chat.example", nobodys), "chat.example");
  await saveProfile(home, "chat.example", { ...ADA, name: "work" });
  assert.equal(await folderFor(home, "Chat.Example", nobodys), "Chat.Example-2");
  assert.equal(await folderFor(home, "work", nobodys), "work-2", "a name is taken as well");
  assert.equal(await folderFor(home, "::1", nobodys), "server", "never a number alone");
  await Deno.mkdir(`${folder.path}/begun/certs`, { recursive: true });
  const { certs } = placesOf(home, "begun");
  assert.equal(await folderFor(home, "other", (found) => Promise.resolve(found === certs)), "begun");
  assert.equal((await profilesOf(home)).length, 1, "what was only begun is no profile");
});

Deno.test("a profile can't be called like a room, a line's index or a part of a path", () => {
  for (const name of ["#ops", "@bob", "41", "..", "a/b", "", "a b", "-x"]) assert.ok(!isProfileName(name), name);
  for (const name of ["work", "chat.example.org", "localhost-2", "4real"]) assert.ok(isProfileName(name), name);
});

Deno.test("a damaged profile is named, and what mends it", async () => {
  using folder = temporaryFolder();
  const home = homeOf(folder.path);
  await saveProfile(home, "a", ADA);
  await Deno.writeTextFile(`${folder.path}/a/profile`, '{"name":"a"}');
  await assert.rejects(profilesOf(home), /a\/profile is damaged; restore it, or move .* away and join again/);
});
