/**
 * `securechat prove`: one line of a room with its inclusion proof, certificates and text, in one file that
 * `securechat verify` checks without any other.
 *
 *     securechat prove '#ops' 41        writes room_ops_41_20261123_143022.json
 *
 * The line comes from this client's own files (`securechat export` writes many); no server is asked.
 */

import { parseCommand } from "../lib/command_line.ts";
import { EXIT, type ExitStatus } from "../lib/errors.ts";
import { encodeAsciiJson } from "../lib/json.ts";
import { proveLine } from "../lib/client_bundle.ts";
import { awaitHead } from "../lib/client_export.ts";
import { write } from "../lib/terminal.ts";
import { fromRecords, indexOf, tellFiles, tellWaiting } from "./export.ts";

const SPEC = {
  name: "prove",
  summary: "write one line of a room with everything that proves it into one file",
  usage: `securechat prove [FLAGS] [PROFILE] [ROOM] INDEX

The line comes from this client's files, whether "rooms" is running or not; the server isn't asked. INDEX is the number
before the line in the room; by default ROOM is the room that was last open.

Examples:
  securechat prove '#ops' 41
  securechat prove '#ops' 41 --closed

Exit status: 0 written; 2 usage, or there is no such line; 5 no signed head covers the line yet, or the file can't be
written.`,
  settings: "prove",
  positionals: { min: 1, max: 3, names: "INDEX" },
  options: {
    closed: { type: "boolean", describe: "leave its text out" },
    out: { type: "string", value: "DIR", describe: "folder for the file, made if needed [the current one]" },
    json: { type: "boolean", describe: "print the file's name as JSON" },
  },
} as const;

/** The command. */
export async function run(args: string[]): Promise<ExitStatus> {
  const { options, positionals, flags } = parseCommand(args, SPEC);
  const { closed, out = ".", json } = options;
  const at = indexOf("prove", "INDEX", positionals.at(-1) ?? "");
  const written = await fromRecords(
    "prove",
    flags,
    positionals.slice(0, -1),
    async ({ records, room, ca, identity }) => {
      await awaitHead(records, room, { to: at + 1, waiting: tellWaiting });
      return await proveLine(records, room, at, {
        ...{ ca, identity, open: closed ? "none" : "all", now: Date.now(), folder: out },
      });
    },
  );
  if (json) write(`${encodeAsciiJson(written)}\n`);
  else tellFiles([written.path], written.verify);
  return EXIT.done;
}
