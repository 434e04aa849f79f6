/**
 * `securechat prove`: one line of a room with its inclusion proof, certificates and words, in one file that
 * `securechat verify` takes alone.
 *
 *     securechat prove '#ops' 41        writes room_ops_41_20261123_143022.json
 *
 * The line comes from this client's own files (`securechat export` shows many); no server is asked.
 */

import { parseCommand } from "../lib/config.ts";
import { EXIT, type ExitStatus } from "../lib/errors.ts";
import { encodeAsciiJson } from "../lib/json.ts";
import { awaitHead, proveLine } from "../lib/client_export.ts";
import { write } from "../lib/terminal.ts";
import { fromRecords, indexOf, tellFiles, tellWaiting } from "./export.ts";

const SPEC = {
  name: "prove",
  summary: "write one line of a room with all that proves it into one file",
  usage: `securechat prove [FLAGS] [PROFILE] [ROOM] INDEX

The line comes from this client's files, while "rooms" is running or not, so nothing is asked of the server. INDEX is
the number that stands before it in the room; without ROOM it is the room that was looked at last.

Examples:
  securechat prove '#ops' 41
  securechat prove '#ops' 41 --closed

Exit status: 0 written; 2 usage, or no such line is here; 5 no signed head covers the line yet, or the file can't be
written.`,
  settings: "prove",
  positionals: { min: 1, max: 3, names: "INDEX" },
  options: {
    closed: { type: "boolean", describe: "leave its words out" },
    out: { type: "string", value: "DIR", describe: "where the file goes, made if need be; the current one without it" },
    json: { type: "boolean", describe: "name the file as JSON" },
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
