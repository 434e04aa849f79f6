/**
 * `securechat room`: the logs of a server's rooms, for its operator, on its machine, while it runs or not.
 *
 *     $ securechat room list
 *     #dev        3 lines  open                                     localhost/#dev/7a0c…
 *     #ops       57 lines  read-only since 2026-11-23T03:05:08Z     localhost/#ops/8f14…
 *     $ securechat room close '#ops'
 *
 * A log is read-only once a member holds a later head of it than the server, which has lost lines then: its database
 * was restored from a backup. To close it is the way on: its lines stay under its origin, and the name is free for a
 * new log.
 */

import { type CommandSpec, parseCommand } from "../lib/command_line.ts";
import { type Config, readConfig } from "../lib/config.ts";
import { EXIT, type ExitStatus, Failure } from "../lib/errors.ts";
import { encodeJson } from "../lib/json.ts";
import { directRoom, isRoomName, partners } from "../lib/names.ts";
import type { RoomStore, StoredRoom } from "../lib/room_store.ts";
import type { ServerStore } from "../lib/server_store.ts";
import { askLine } from "../lib/terminal.ts";
import { didYouMean } from "../lib/nearest.ts";
import { printable } from "../lib/text.ts";
import { openServersStore } from "../lib/store_open.ts";
import { formatTime } from "../lib/time_text.ts";
import { JSON_FLAG } from "./making.ts";

const PARTS: Readonly<Record<string, (args: string[]) => Promise<ExitStatus>>> = { list, close };

const SPEC = {
  name: "room",
  summary: "list the logs of the server's rooms, and close one",
  usage: `securechat room list          every log: its lines, whether it accepts more, its origin
securechat room close ROOM    accepts no more lines; the name is free for a new log

Both run on the server's machine with the server's settings, whether the server runs or not. Each has its own --help.

Examples:
  securechat room list --json
  securechat room close '#ops'`,
  options: {},
  positionals: { min: 1, max: 1, names: "list or close" },
} as const satisfies CommandSpec<Record<never, never>>;

/** Runs the command. */
export async function run(args: string[]): Promise<ExitStatus> {
  const [name, ...rest] = args;
  const part = name !== undefined && Object.hasOwn(PARTS, name) ? PARTS[name] : undefined;
  if (part) return await part(rest);
  const { positionals: [word = ""] } = parseCommand(args, SPEC);
  throw new Failure(
    EXIT.usage,
    `unknown command room ${printable(word)}${didYouMean(word, Object.keys(PARTS), "securechat room --help")}`,
  );
}

async function withRooms<T>(
  flags: Parameters<typeof readConfig>[1],
  work: (rooms: RoomStore, store: ServerStore) => Promise<T>,
): Promise<T> {
  const config: Config = readConfig("room", flags);
  const store = await openServersStore(config);
  try {
    return await work(store.rooms, store);
  } finally {
    await store.close();
  }
}

// ---- list

const LIST_OPTIONS = { json: JSON_FLAG } as const;

const LIST_SPEC = {
  name: "room list",
  summary: "list the logs of all rooms and conversations, closed ones too",
  usage: `securechat room list [--json] [--data DIR] [--db URL]

Examples:
  securechat room list
  securechat room list --json`,
  options: LIST_OPTIONS,
  settings: "room",
} as const satisfies CommandSpec<typeof LIST_OPTIONS>;

async function list(args: string[]): Promise<ExitStatus> {
  const { options, flags } = parseCommand(args, LIST_SPEC);
  const logs = await withRooms(flags, (rooms) => rooms.listLogs());
  if (options.json) console.log(encodeJson({ rooms: logs.map(jsonOf) }));
  else if (logs.length > 0) console.log(tell(logs));
  else console.error("There is no room yet.");
  return EXIT.done;
}

type State = "open" | "read-only" | "closed";

/** Whether a log takes lines, and since when it doesn't (unix ms). */
function stateOf({ forkedAt, closedAt }: StoredRoom): { readonly state: State; readonly since: number | undefined } {
  if (closedAt !== undefined) return { state: "closed", since: closedAt };
  return forkedAt === undefined ? { state: "open", since: undefined } : { state: "read-only", since: forkedAt };
}

function jsonOf(log: StoredRoom) {
  const { name, origin, size, createdAt } = log;
  const { state, since } = stateOf(log);
  return {
    ...{ room: name, origin, lines: size, state, since: since === undefined ? null : formatTime(since) },
    created_at: formatTime(createdAt),
  };
}

function tell(logs: readonly StoredRoom[]): string {
  const rows = logs.map((log) => {
    const { state, since } = stateOf(log);
    return [
      log.name,
      linesOf(log),
      since === undefined ? state : `${state} since ${formatTime(since)}`,
      log.origin,
    ] as const;
  });
  const [names, lines, states] = [0, 1, 2].map((at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  return rows.map(([name, count, state, origin]) =>
    `${name.padEnd(names ?? 0)}  ${count.padStart(lines ?? 0)}  ${state.padEnd(states ?? 0)}  ${origin}`
  ).join("\n");
}

function linesOf({ size }: StoredRoom): string {
  return `${size} line${size === 1 ? "" : "s"}`;
}

// ---- close

const CLOSE_OPTIONS = {
  yes: { type: "boolean", short: "y", describe: "don't ask" },
  json: JSON_FLAG,
} as const;

const CLOSE_SPEC = {
  name: "room close",
  summary: "close the log of a room",
  usage: `securechat room close ROOM [--yes] [--json] [--data DIR] [--db URL]

Use this for a log that has lost lines and is read-only, or for any log that should end. It shows the log, asks, and
closes it for good: no more lines are added, and its lines stay in the database as evidence. A running server notices
within two seconds and tells the members. The name is free then: whoever creates #ops, or joins the conversation, begins
a new log. Members who have a record of the old log put it aside with /forget ROOM, then join.

Examples:
  securechat room close '#ops'
  securechat room close @ada,@bob --yes`,
  options: CLOSE_OPTIONS,
  settings: "room",
  positionals: { min: 1, max: 1, names: "ROOM" },
} as const satisfies CommandSpec<typeof CLOSE_OPTIONS>;

async function close(args: string[]): Promise<ExitStatus> {
  const { options, positionals: [word = ""], flags } = parseCommand(args, CLOSE_SPEC);
  const name = roomOf(word);
  return await withRooms(flags, async (rooms, store) => {
    const log = await rooms.findRoom(name);
    if (!log) throw new Failure(EXIT.usage, `no room ${name} is open; securechat room list shows all`);
    const { state } = stateOf(log);
    console.error(`${name}, ${linesOf(log)}, ${state}: ${log.origin}`);
    if (!options.yes) await mustAgree();
    const closedAt = Date.now();
    if (!await rooms.closeLog(log.origin, closedAt)) throw new Failure(EXIT.no, "somebody else has just closed it");
    await store.addAudit([{ event: "room_closed", reason: log.origin, occurredAt: closedAt }]);
    console.log(options.json ? encodeJson(jsonOf({ ...log, closedAt })) : `${log.origin} is closed`);
    console.error(`The name ${name} is free. Members put their record of the old log aside with: /forget ${name}`);
    return EXIT.done;
  });
}

function roomOf(text: string): string {
  const pair = partners(text.toLowerCase());
  const name = pair ? directRoom(...pair) ?? "" : text;
  if (isRoomName(name)) return name;
  throw new Failure(
    EXIT.usage,
    `"${printable(text)}" is no room: a room is # and 1 to 48 of a-z, 0-9, -, _ and ., or @ada,@bob; ` +
      "see securechat room close --help",
  );
}

async function mustAgree(): Promise<void> {
  if (!Deno.stdin.isTerminal()) {
    throw new Failure(EXIT.usage, "not a terminal: confirm with --yes");
  }
  const answer = await askLine("Close it? This cannot be taken back. [y/N] ");
  if (!/^y(?:es)?$/i.test(answer.trim())) throw new Failure(EXIT.no, "nothing was closed");
}
