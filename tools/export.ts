/**
 * `securechat export`: what a room's members said, for a stranger to verify, only from this client's own files.
 *
 *     securechat export                                        the room that was last open in "rooms"
 *     securechat export '#ops' --from 40 --to 57 --only 41,42
 *
 * The second writes lines 40 to 56 with their receipt, and the text of lines 41 and 42. Everything goes into one file;
 * `--files` writes three. No server is asked. `securechat prove` writes a single line; `securechat verify` checks both.
 */

import { parseCommand } from "../lib/command_line.ts";
import { type SettingFlags } from "../lib/config.ts";
import { EXIT, type ExitStatus, Failure } from "../lib/errors.ts";
import { loadIdentity } from "../lib/identity.ts";
import { encodeAsciiJson } from "../lib/json.ts";
import { directRoom, isRoomName, isUsername } from "../lib/names.ts";
import { openingsOf } from "../lib/client_actions.ts";
import { exportBundle } from "../lib/client_bundle.ts";
import { awaitHead, type ExportOptions, exportRoom, leftOut, waitsFor } from "../lib/client_export.ts";
import type { RoomRecords } from "../lib/client_room_records.ts";
import { PROGRAM } from "../lib/program.ts";
import { write } from "../lib/terminal.ts";
import { printable } from "../lib/text.ts";
import { usage } from "./asking.ts";
import { placeOf, recordsToRead, splitProfile } from "./place.ts";

const SPEC = {
  name: "export",
  summary: "write a room's transcript, its receipt and openings, for others to verify",
  usage: `securechat export [FLAGS] [PROFILE] [ROOM]

The lines come from this client's files, whether "rooms" is running or not; the server isn't asked. Without --from and
--to all lines are written. The last lines may not be covered by a signed head yet: export waits 10 s for one, then
leaves them out and says so. The text of all lines is disclosed, unless --closed or --only is given; with --closed the
file shows who spoke when, but no text. --files writes receipt, transcript and openings apart. ROOM is #NAME, or @bob for the conversation with bob; by default it is the room
that was last open.

Examples:
  securechat export
  securechat export '#ops'
  securechat export '#ops' --from 40 --to 57 --closed
  securechat export '#ops' --files
  securechat export work '#ops' --only 41,42

Exit status: 0 written; 2 usage, or there is no such line; 5 no signed head covers the lines yet, or some of them (the
others are written), this computer's clock is behind the head, or a file can't be written.`,
  settings: "export",
  positionals: { min: 0, max: 2, names: "ROOM ('#ops', in quotes)" },
  options: {
    from: { type: "string", value: "INDEX", describe: "the first line" },
    to: { type: "string", value: "INDEX", describe: "the line after the last" },
    open: { type: "boolean", describe: "disclose the text of all lines (the default)" },
    closed: { type: "boolean", describe: "disclose no text" },
    covered: { type: "boolean", describe: "only the lines that a signed head covers, without waiting for others" },
    only: { type: "string", value: "INDEX,…", describe: "disclose only the text of these lines" },
    bundle: { type: "boolean", describe: "write one file with all that proves the lines (the default)" },
    files: { type: "boolean", describe: "write receipt, transcript and openings as three files" },
    out: { type: "string", value: "DIR", describe: "folder for the files, made if needed [the current one]" },
    json: { type: "boolean", describe: "print the files' names as JSON" },
  },
} as const;

/** The command. */
export async function run(args: string[]): Promise<ExitStatus> {
  const { options, positionals, flags } = parseCommand(args, SPEC);
  const { from, to, only, closed, open, covered, bundle, files, out = ".", json } = options;
  if ([closed, open, only !== undefined].filter(Boolean).length > 1) {
    throw usage("export", "use only one of --open, --closed and --only");
  }
  if (bundle && files) throw usage("export", "use only one of --bundle and --files");
  const opened = only === undefined ? openingsOf(closed ? "none" : "all") : openingsOf(indexes("--only", only));
  const written = await fromRecords(
    "export",
    flags,
    positionals,
    async ({ records, room, ca, identity }) => {
      const range = {
        ...(from === undefined ? {} : { from: indexOf("export", "--from", from) }),
        ...(to === undefined ? {} : { to: indexOf("export", "--to", to) }),
      };
      if (!covered) await awaitHead(records, room, { ...range, waiting: tellWaiting });
      const what = { ...range, ca, identity, open: opened, now: Date.now(), folder: out };
      return files ? await exportRoom(records, room, what) : await exportBundle(records, room, what);
    },
  );
  if (json) write(`${encodeAsciiJson(written)}\n`);
  else if ("bundle" in written) tellFiles([written.bundle], written.verify);
  else {
    const { receipt, transcript, openings, verify } = written;
    tellFiles([transcript, receipt, ...(openings === null ? [] : [openings])], verify);
  }
  if (written.left_out === 0 || covered) return EXIT.done;
  write(`${leftOut(written.left_out)}\n`, Deno.stderr);
  return EXIT.unavailable;
}

/** Says that it waits for a signed head. */
export function tellWaiting(count: number): void {
  write(`${waitsFor(count)}\n`, Deno.stderr);
}

/** Says what was written, and with which command to verify it. */
export function tellFiles(files: readonly string[], verify: string): void {
  const rows = [...files.map((file) => `Written: ${file}`), "To verify it:", `  ${verify}`];
  write(rows.map((row) => `${printable(row)}\n`).join(""));
}

/** What a client has of a room on its disk, and who exports it. */
export interface Kept {
  readonly records: RoomRecords;
  readonly room: string;
  readonly identity: ExportOptions["identity"];
  readonly ca: ExportOptions["ca"];
}

/** Does something with a client's files of a room: [PROFILE] [ROOM], by default the room that was last open. */
export async function fromRecords<T>(
  command: "export" | "prove",
  flags: SettingFlags,
  positionals: readonly string[],
  work: (kept: Kept) => Promise<T>,
): Promise<T> {
  const [profile, [name, ...others]] = flags["certs"] === undefined
    ? splitProfile(positionals)
    : [undefined, positionals] as const; // beside --certs there is no profile
  const isRoom = name === undefined || isRoomName(name) || partnersIn(name) !== undefined;
  if (!isRoom) throw usage(command, `"${name}" isn't a room: write #NAME, or @bob for the conversation with bob`);
  if (others.length > 0) throw usage(command, `"${others[0]}" is one argument too many`);
  const place = await placeOf(command, flags, { profile });
  const { chain, pem, key } = await loadIdentity(place.config.CERT_DIR, "client", {
    passphraseFile: place.config.SECURECHAT_KEY_PASSPHRASE_FILE,
  });
  const records = await recordsToRead(place, flags);
  const room = name === undefined ? await currentRoom(command, records) : await roomOf(command, records, name);
  return await work({ records, room, ca: place.ca, identity: { fingerprint: chain[0]?.fingerprint ?? "", pem, key } });
}

/** Both people of a conversation, or the other one: `@alice,@bob`, `@bob`. */
function partnersIn(name: string): readonly string[] | undefined {
  const names = /^@[^,]+(?:,@[^,]+)?$/.test(name) ? name.slice(1).split(",@") : [];
  return names.length > 0 && names.every(isUsername) ? names : undefined;
}

async function roomOf(command: string, records: RoomRecords, name: string): Promise<string> {
  const [one = "", other] = partnersIn(name) ?? [];
  if (one === "") return name;
  const self = await records.account();
  if (other === undefined && self === undefined) {
    throw usage(command, `your own name isn't known here: name both people, as @alice,@bob`);
  }
  const room = directRoom(one, other ?? self ?? "");
  if (room === undefined) throw usage(command, `"${name}" is you; a conversation has two people`);
  return room;
}

/** The room that was last open, or the only one. */
async function currentRoom(command: string, records: RoomRecords): Promise<string> {
  const current = await records.current();
  if (current !== undefined) return current;
  const rooms = await records.rooms();
  const [only] = rooms;
  if (only !== undefined && rooms.length === 1) return only;
  const what = only === undefined
    ? `no room is known here: join one with ${PROGRAM} rooms`
    : `name one of ${rooms.join(", ")}`;
  throw new Failure(EXIT.usage, `${command} needs a room; ${what}`);
}

/** The index in a flag or an argument. */
export function indexOf(command: string, what: string, text: string): number {
  if (/^[0-9]{1,15}$/.test(text)) return Number(text);
  throw usage(command, `${what} "${text}" is not an index: write a number from 0 on`);
}

function indexes(flag: string, text: string): number[] {
  return text.split(",").map((index) => indexOf("export", flag, index));
}
