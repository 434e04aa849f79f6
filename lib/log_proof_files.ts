/**
 * What a line proof shows of the server's log (docs/PROTOCOL.md, "What is shown of the server's log"): the object of a
 * log.json with the files that it refers to.
 *
 *     { …, "files": { "notes/1024.note": "<b64>", "tokens/1024.1.tst": "<b64>", "tsa.pem": "<b64>" } }
 *
 * @layer format
 */

import { type Bytes, encodeBase64, parseBase64 } from "./bytes.ts";
import { isJsonObject, type Json, type JsonObject, member } from "./json.ts";

/** The names of files, each with its largest size in bytes. */
const FILES: readonly { readonly name: RegExp; readonly max: number }[] = [
  { name: /^notes\/[1-9][0-9]{0,15}\.note$/, max: 49_152 },
  { name: /^tokens\/[1-9][0-9]{0,15}\.[1-9]\.tst$/, max: 4_096 },
  { name: /^tsa\.pem$/, max: 1_048_576 },
];

/** The object of a log.json, and the files beside it by name. */
export interface ProofLog {
  readonly evidence: JsonObject;
  readonly files: ReadonlyMap<string, Bytes>;
}

/** The `log` of a line proof. */
export function encodeProofLog({ evidence, files }: ProofLog): JsonObject {
  return { ...evidence, files: Object.fromEntries([...files].map(([name, bytes]) => [name, encodeBase64(bytes)])) };
}

/** What a line proof shows of the log; a sentence without its full stop if its files have another form. */
export function parseProofLog(value: Json): ProofLog | string {
  if (!isJsonObject(value)) return "log is not an object";
  const { files: given, ...evidence } = value;
  if (!isJsonObject(given)) return "the log's files are not an object";
  if (member(evidence, "search") !== undefined) return "the log has a search, which a line proof can't have";
  const files = new Map<string, Bytes>();
  for (const [name, text] of Object.entries(given)) {
    const bytes = typeof text === "string" ? parseBase64(text) : undefined;
    const kind = FILES.find((each) => each.name.test(name));
    if (!kind || !bytes || bytes.length > kind.max) {
      return "the log's files are not notes, tokens and tsa.pem in base64";
    }
    files.set(name, bytes);
  }
  for (const name of files.keys()) {
    const [, size, k] = /^tokens\/([0-9]+)\.([0-9])\.tst$/.exec(name) ?? [];
    if (k === undefined) continue;
    const isNext = k === "1" || files.has(`tokens/${size}.${Number(k) - 1}.tst`);
    if (!isNext || !files.has(`notes/${size}.note`)) return "the log's tokens have a gap, or no note";
  }
  return { evidence, files };
}
