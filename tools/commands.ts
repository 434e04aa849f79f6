/**
 * The commands of the program, by what people do with them. Help, shell completion, the man page and the tests are
 * derived from this table and from each command's own specification.
 *
 *     COMMANDS.verify → { task: "Prove what was said", summary: "check evidence, offline", load: () => … }
 *
 * Each command is loaded when it is called, so that a start doesn't pay for a database or for certificates that it
 * doesn't use.
 */

import { type CommandPage, HelpAsked } from "../lib/command_line.ts";
import type { ExitStatus } from "../lib/errors.ts";

/** A module of `tools/` that is a command. */
export interface CommandModule {
  /** Gets what stands behind the command's name. */
  run(args: string[]): Promise<ExitStatus>;
}

/** What people do, in the order in which help lists it. */
export const TASKS = ["Talk", "Prove what was said", "Run a server", "Certificates", "This program"] as const;

/** A row of the table. */
export interface CommandEntry {
  readonly task: typeof TASKS[number];
  /** One line, without a full stop. */
  readonly summary: string;
  /** Words that may follow, each of them a command with flags and help of its own: `cert show`. */
  readonly parts?: readonly string[];
  readonly load: () => Promise<CommandModule>;
}

/** Every command, by name. */
export const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  join: {
    task: "Talk",
    summary: "accept an invitation: make a key, get its certificate, register",
    load: () => import("./join.ts"),
  },
  rooms: {
    task: "Talk",
    summary: "talk to others in rooms, signed and recorded",
    load: () => import("./rooms.ts"),
  },
  profiles: {
    task: "Talk",
    summary: "list the servers that you joined, and name, choose and remove them",
    load: () => import("./profiles.ts"),
  },
  password: { task: "Talk", summary: "change your password", load: () => import("./password.ts") },
  chat: { task: "Talk", summary: "talk to the server only, signed and recorded", load: () => import("./chat.ts") },
  export: {
    task: "Prove what was said",
    summary: "write what was said in a room, for others to verify",
    load: () => import("./export.ts"),
  },
  prove: {
    task: "Prove what was said",
    summary: "write one line of a room with everything that proves it",
    load: () => import("./prove.ts"),
  },
  verify: { task: "Prove what was said", summary: "check evidence, offline", load: () => import("./verify.ts") },
  renew: {
    task: "Prove what was said",
    summary: "time-stamp evidence again, before its stamps end",
    load: () => import("./renew.ts"),
  },
  start: {
    task: "Run a server",
    summary: "try it out: run init if needed, then serve on the embedded store",
    load: () => import("./start.ts"),
  },
  serve: { task: "Run a server", summary: "run the server", load: () => import("./serve.ts") },
  invite: { task: "Run a server", summary: "create an invitation code", load: () => import("./invite.ts") },
  room: {
    task: "Run a server",
    summary: "list the logs of the server's rooms, and close one",
    parts: ["list", "close"],
    load: () => import("./room.ts"),
  },
  log: {
    task: "Run a server",
    summary: "show the server's own log, and begin another one",
    parts: ["status", "restart"],
    load: () => import("./log.ts"),
  },
  audit: {
    task: "Run a server",
    summary: "verify the server's audit log, and empty its old rows",
    parts: ["verify", "prune"],
    load: () => import("./audit.ts"),
  },
  witness: {
    task: "Run a server",
    summary: "cosign the logs of other servers, as a witness",
    load: () => import("./witness.ts"),
  },
  init: {
    task: "Certificates",
    summary: "make two CAs, a server certificate and a first client certificate",
    load: () => import("./init.ts"),
  },
  ca: {
    task: "Certificates",
    summary: "make a CA or an issuing CA, or renew its revocation list",
    load: () => import("./ca.ts"),
  },
  cert: {
    task: "Certificates",
    summary: "issue, show, renew, revoke and check certificates",
    parts: ["server", "client", "show", "renew", "revoke", "check"],
    load: () => import("./cert.ts"),
  },
  demo: {
    task: "This program",
    summary: "show everything at work, in a temporary folder",
    load: () => import("./demo.ts"),
  },
  completion: {
    task: "This program",
    summary: "print the completion script of a shell",
    load: () => import("./completion.ts"),
  },
  man: { task: "This program", summary: "print the manual page", load: () => import("./man.ts") },
};

/** A command with its page, or a part of one. */
export interface CataloguePage extends CommandPage {
  readonly task: typeof TASKS[number];
}

/** Everything that `help` prints, command by command: what completion and the man page are made of. */
export async function catalogue(): Promise<CataloguePage[]> {
  const pages: CataloguePage[] = [];
  for (const [name, { task, parts = [], load }] of Object.entries(COMMANDS)) {
    const command = await load();
    for (const part of [[], ...parts.map((part) => [part])]) {
      pages.push({ ...await pageOf(command, part, name), task });
    }
  }
  return pages;
}

async function pageOf(command: CommandModule, part: string[], name: string): Promise<CommandPage> {
  const answer: unknown = await command.run([...part, "--help"]).catch((error) => error);
  if (answer instanceof HelpAsked && answer.page) return answer.page;
  throw new RangeError(`securechat ${[name, ...part].join(" ")} has no help of its own`);
}
