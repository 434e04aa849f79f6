/**
 * `securechat log`: the server's own log, for its operator, on its machine.
 *
 *     $ securechat log status
 *     log        chat.example/log/8f14e45fceea167a5a36dedd4bea2543
 *     vkey       chat.example/log/8f14e45fceea167a5a36dedd4bea2543+d04bb4fb+AepK…
 *     ticks      812, root 3f0a…
 *     note       812 ticks, cosigned by witness.example/w1
 *
 * The vkey is what witnesses, members and verifiers are given. `log restart` begins another log, whose charter names the
 * ones before.
 */

import { type CommandSpec, parseCommand } from "../lib/command_line.ts";
import { type Config, readConfig } from "../lib/config.ts";
import { encodeHex, encodeUtf8 } from "../lib/bytes.ts";
import { EXIT, type ExitStatus, Failure } from "../lib/errors.ts";
import { exists, readTextFile, writeAtomically } from "../lib/files.ts";
import { loadIdentity } from "../lib/identity.ts";
import { encodeJson } from "../lib/json.ts";
import { logOrigin, MAX_WITHIN, MIN_WITHIN } from "../lib/log_charter.ts";
import { parseNote } from "../lib/log_note.ts";
import { encodeVkey, KEY_TYPE, noteSigner, openNote, parseVkey } from "../lib/log_note_key.ts";
import { didYouMean } from "../lib/nearest.ts";
import { LOG_KEY_FILE, makeKeyFile, NEWEST_NOTE_FILE, readKeyFile, withinOf } from "../lib/server_log_service.ts";
import { startLog } from "../lib/server_log.ts";
import type { StoredLog } from "../lib/server_log_store.ts";
import { Spool } from "../lib/server_spool.ts";
import type { ServerStore } from "../lib/server_store.ts";
import { openServersStore } from "../lib/store_open.ts";
import { random } from "../lib/system.ts";
import { askLine } from "../lib/terminal.ts";
import { printable } from "../lib/text.ts";
import { usage } from "./asking.ts";
import { JSON_FLAG } from "./making.ts";

const PARTS: Readonly<Record<string, (args: string[]) => Promise<ExitStatus>>> = { status, restart };

const SPEC = {
  name: "log",
  summary: "show the server's own log, and begin another one",
  usage: `securechat log status     the log: its key, its size, who cosigned it, what waits
securechat log restart    begin another log, after a lost key, a lost database or a new CA

Both run on the server's machine with the server's settings. Each has its own --help.

Examples:
  securechat log status --json
  securechat log restart`,
  options: {},
  positionals: { min: 1, max: 1, names: "status or restart" },
} as const satisfies CommandSpec<Record<never, never>>;

/** Runs the command. */
export async function run(args: string[]): Promise<ExitStatus> {
  const [name, ...rest] = args;
  const part = name !== undefined && Object.hasOwn(PARTS, name) ? PARTS[name] : undefined;
  if (part) return await part(rest);
  const { positionals: [word = ""] } = parseCommand(args, SPEC);
  throw new Failure(
    EXIT.usage,
    `unknown command log ${printable(word)}${didYouMean(word, Object.keys(PARTS), "securechat log --help")}`,
  );
}

async function withStore<T>(config: Config, work: (store: ServerStore) => Promise<T>): Promise<T> {
  const store = await openServersStore(config);
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

// ---- status

const STATUS_OPTIONS = { json: JSON_FLAG } as const;

const STATUS_SPEC = {
  name: "log status",
  summary: "show the server's log: its key, its size, who cosigned it, what waits",
  usage: `securechat log status [--json] [--data DIR] [--db URL]

Works whether the server runs or not. Give the vkey to witnesses (\`log VKEY\` in their policy file), to members and to
verifiers.

Examples:
  securechat log status
  securechat log status --json

Exit status: 0 there is a log; 1 the server keeps none.`,
  options: STATUS_OPTIONS,
  settings: "log",
} as const satisfies CommandSpec<typeof STATUS_OPTIONS>;

/** So many rooms and rows that wait are counted. */
const COUNTED = 10_000;

async function status(args: string[]): Promise<ExitStatus> {
  const { options, flags } = parseCommand(args, STATUS_SPEC);
  const config = readConfig("log", flags);
  const found = await withStore(config, (store) => describe(store, config));
  if (options.json) console.log(encodeJson(found ?? { log: null }));
  else if (found) console.log(tell(found));
  else console.error("The server keeps no log yet: it begins one when it is started.");
  return found ? EXIT.done : EXIT.no;
}

/** What is known of the newest log; `undefined` if there is none. */
async function describe({ log: store }: ServerStore, { CERT_DIR, DATA_DIR }: Config) {
  const [log, ...earlier] = await store.logs();
  if (!log) return undefined;
  const note = await store.closedNote(log.id);
  const [, ...cosigners] = (note && parseNote(note.note)?.signatures) ?? [];
  return {
    log: log.origin,
    vkey: log.vkey,
    ticks: log.size,
    root: log.root,
    within: log.charter["within"] ?? null,
    key: await exists(`${CERT_DIR}/${LOG_KEY_FILE}`) ? "here" : "missing",
    wrong: await wrongWith(log, `${DATA_DIR}/${NEWEST_NOTE_FILE}`),
    note: note ? { ticks: note.size, cosigned_by: cosigners.map(({ name }) => name) } : null,
    stamped: await store.stampedSize(log.id) || null,
    waiting_rooms: (await store.unregistered(log.id, COUNTED)).length,
    waiting_audit_rows: (await store.unloggedAudit(COUNTED)).length,
    earlier: earlier.map(({ origin, size, root }) => ({ log: origin, ticks: size, root })),
  };
}

/** What the newest note on the disk shows to be wrong with the database; null if nothing. */
async function wrongWith({ origin, vkey, size, root }: StoredLog, path: string): Promise<string | null> {
  const key = parseVkey(vkey);
  if (!key || !await exists(path)) return null;
  const kept = (await openNote(encodeUtf8(await readTextFile(path)), key))?.head;
  if (kept?.origin !== origin) return null;
  if (kept.size > size) return `the database has ${size} ticks, and ${path} was signed over ${kept.size}`;
  return kept.size === size && kept.root !== root ? `${path} has another root for ${size} ticks` : null;
}

type Described = NonNullable<Awaited<ReturnType<typeof describe>>>;

function tell(found: Described): string {
  const { note, earlier } = found;
  const by = note?.cosigned_by ?? [];
  const cosigned = by.length === 0 ? "not cosigned" : `cosigned by ${by.map(printable).join(", ")}`;
  const rows: [string, string][] = [
    ["log", found.log],
    ["vkey", found.vkey],
    ["ticks", `${found.ticks}, root ${found.root}`],
    ["key", found.key === "here" ? "here" : "missing: the server runs without its log"],
    ["note", note ? `${note.ticks} ticks, ${cosigned}` : "none is closed yet"],
    ["stamped", found.stamped === null ? "no" : `${found.stamped} ticks`],
    ["waiting", `${found.waiting_rooms} rooms, ${found.waiting_audit_rows} rows of the audit log`],
    ...found.wrong === null ? [] : [["wrong", found.wrong] satisfies [string, string]],
    ...earlier.map(({ log, ticks }): [string, string] => ["earlier", `${log}, ${ticks} ticks`]),
  ];
  return rows.map(([name, text]) => `${name.padEnd(9)} ${text}`).join("\n");
}

// ---- restart

const RESTART_OPTIONS = {
  within: {
    type: "string",
    value: "SECONDS",
    describe: "what it promises: a room is registered within so many seconds",
  },
  yes: { type: "boolean", short: "y", describe: "don't ask" },
} as const;

const RESTART_SPEC = {
  name: "log restart",
  summary: "begin another log of the server, whose charter names the ones before",
  usage: `securechat log restart [--within SECONDS] [--yes] [--data DIR] [--db URL]

Use this after the log's key was lost or stolen, after a database was lost, or under a new CA. The server must be
stopped. A new key takes the place of the old one, which is kept beside it. Members follow the new log, and are told how
much of the old one it leaves out; witnesses and verifiers need the new vkey.

Examples:
  securechat log restart
  securechat log restart --within 3600 --yes

Exit status: 0 it has begun; 2 usage; 5 a server is running, or a file can't be written.`,
  options: RESTART_OPTIONS,
  settings: "log",
} as const satisfies CommandSpec<typeof RESTART_OPTIONS>;

async function restart(args: string[]): Promise<ExitStatus> {
  const { options, flags } = parseCommand(args, RESTART_SPEC);
  const config = readConfig("log", flags);
  const within = options.within === undefined ? withinOf(config) : secondsOf(options.within);
  if (config.LOG_SECONDS > within / 5) {
    throw usage("log restart", `--within is at least ${5 * config.LOG_SECONDS}: five times LOG_SECONDS`);
  }
  if (!options.yes) await confirm();
  // What a running server holds as well: two logs at once would convict it.
  const spool = await Spool.open(config.DATA_DIR, { limit: config.SPOOL_MAX_BYTES, lockWait: 500 });
  try {
    const vkey = await withStore(config, (store) => begin(store, config, within));
    console.log(`A new log has begun. Give its vkey to witnesses, members and verifiers:\n${vkey}`);
  } finally {
    spool.close();
  }
  return EXIT.done;
}

function secondsOf(text: string): number {
  const seconds = /^[0-9]{1,6}$/.test(text) ? Number(text) : NaN;
  if (seconds >= MIN_WITHIN && seconds <= MAX_WITHIN) return seconds;
  throw usage("log restart", `--within is a number from ${MIN_WITHIN} to ${MAX_WITHIN}`);
}

async function confirm(): Promise<void> {
  if (!Deno.stdin.isTerminal()) throw usage("log restart", "not a terminal: confirm with --yes");
  const answer = await askLine(
    "Begin another log, under a new key? Witnesses and verifiers need the new vkey. (yes/no) ",
  );
  if (answer?.trim().toLowerCase() !== "yes") throw new Failure(EXIT.no, "nothing was changed");
}

/** Makes the key and the log; the log's vkey. */
async function begin(store: ServerStore, config: Config, within: number): Promise<string> {
  const { chain, key } = await loadIdentity(config.CERT_DIR, "server", {
    passphraseFile: config.SECURECHAT_KEY_PASSPHRASE_FILE,
  });
  const server = chain[0]?.hostNames?.dnsNames[0] ?? "localhost";
  const path = `${config.CERT_DIR}/${LOG_KEY_FILE}`;
  if (await exists(path)) await keepKey(path);
  await makeKeyFile(path, random);
  const { key: logKey } = noteSigner(logOrigin(server, encodeHex(random(16))), KEY_TYPE.log, await readKeyFile(path));
  const vkey = encodeVkey(logKey);
  const fingerprint = chain[0]?.fingerprint ?? "";
  const begun = {
    store: store.log,
    key: { vkey, origin: logKey.name, sign: (text: string) => Promise.resolve(text) },
    signer: () => ({ key, fingerprint, ends: Infinity }),
    now: Date.now,
    within,
  };
  await startLog(begun, await store.log.logs());
  return vkey;
}

/** Keeps the key of the log before, and makes room for another. */
async function keepKey(path: string): Promise<void> {
  const stamp = new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, "").replace("T", "_");
  const text = await readTextFile(path);
  await writeAtomically(path.replace(/\.pem$/, `.old_${stamp}.pem`), text, { mode: 0o600 });
  await Deno.remove(path);
}
