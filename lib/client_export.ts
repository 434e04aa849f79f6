/**
 * What a client shows of a room to a stranger, from nothing but its own records: a transcript with its receipt, openings, or
 * a few lines in one file (docs/PROTOCOL.md, "Receipts of a room").
 *
 *     const { verify } = await exportRoom(records, "#ops", { identity, now: Date.now(), folder: ".", open: "all" });
 *     verify → "securechat verify room_ops_20231115_143022.json room_ops_20231115_143022.txt --openings …"
 *
 * No server is needed and none is asked: the lines, the heads that cover them and the certificates are on the disk
 * since they were checked. The head is the first that covers all that is shown; in a bundle, one that the server's log
 * registers is preferred. Earlier heads go with it
 * (`client_heads.ts`), so that authors whose certificates have ended or were revoked since are judged in their own
 * time. Whether an export holds is the question of `verify_room.ts`.
 *
 * @layer outside
 */

import { encodeUtf8 } from "./bytes.ts";
import type { Checkpoint } from "./log_checkpoint.ts";
import { headsToShow, lastLines } from "./client_heads.ts";
import { chooseHead, headsWithin, type KeptLog } from "./client_log_evidence.ts";
import { EXIT, Failure } from "./errors.ts";
import { createPrivateFolder, exists, shellPath, writeAtomically } from "./files.ts";
import { encodeJson, type JsonObject } from "./json.ts";
import { PROGRAM } from "./program.ts";
import type { SigningKey } from "./pss.ts";
import { leafHash, rangeProof } from "./log_tree.ts";
import { parseRoomLine } from "./log_line.ts";
import { hashFaults } from "./log_rules.ts";
import { encodeOpening, makeRoomReceipt, type Opening } from "./log_receipt.ts";
import type { RoomRecords } from "./client_room_records.ts";
import { COVER_WAIT } from "./client_rooms.ts";
import { LogTree } from "./log_whole_tree.ts";
import type { KeptLine } from "./client_store.ts";
import { formatTime } from "./time_text.ts";
import { MAX_CLOCK_DIFFERENCE, parseLine } from "./transcript.ts";
import { parseCertificates } from "./x509.ts";

/** Of the registered heads within lines, the first of each hour is shown. In seconds. */
const HOUR = 3_600;

/** What to show, and who shows it. */
export interface ExportOptions {
  readonly identity: { readonly fingerprint: string; readonly pem: string; readonly key: SigningKey };
  /** The first line, and the one after the last; without them, all lines that a checkpoint covers. */
  readonly from?: number;
  readonly to?: number;
  /** The lines whose words are shown. */
  readonly open: "all" | "none" | ReadonlySet<number>;
  /** Unix milliseconds. */
  readonly now: number;
  /** Where the files go. */
  readonly folder: string;
  /** The CA's file, for the command that verifies them; without it, that command finds the one in `certs`. */
  readonly ca?: string | undefined;
}

/** The files that were written. */
export interface RoomExport {
  readonly receipt: string;
  readonly transcript: string;
  /** Null if no line is opened. */
  readonly openings: string | null;
  /** The shell command that verifies them. */
  readonly verify: string;
  /** How many lines at the end are left out, since no signed head covers them yet. */
  readonly left_out: number;
}

/** How often the files of another program are looked at, in milliseconds. */
const LOOK = 200;

/** What people read if lines are left out of an export. */
export function leftOut(count: number): string {
  const [what, them] = count === 1 ? ["1 line at the end is", "it"] : [`${count} lines at the end are`, "them"];
  return `${what} left out: no signed head covers ${them} yet. One comes while you are online in the room, unless the ` +
    "server was caught there; --covered exports only the covered lines.";
}

/** What people read while an export waits. */
export function waitsFor(count: number): string {
  const what = count === 1 ? "the last line" : `the last ${count} lines`;
  return `Waiting for a signed head that covers ${what} (${COVER_WAIT / 1000} s at most) …`;
}

/**
 * Waits until another program has written a checkpoint that covers the lines before `to`, or all; a few seconds at most.
 * `waiting` is told, once, how many have none.
 */
export async function awaitHead(
  records: RoomRecords,
  room: string,
  { to = Infinity, waiting }: { readonly to?: number; readonly waiting: (count: number) => void },
): Promise<void> {
  const record = await records.room(room);
  if (record.pinned === undefined) return;
  const { base, lines, lie } = await record.read();
  const end = Math.min(to, (base?.size ?? 0) + lines.length);
  const missing = async () => end - ((await record.checkpoints()).at(-1)?.size ?? 0);
  const count = await missing();
  if (count <= 0 || lie) return;
  waiting(Math.min(count, lines.length));
  for (let looks = COVER_WAIT / LOOK; looks > 0 && await missing() > 0; looks--) {
    await new Promise((resolve) => setTimeout(resolve, LOOK));
  }
}

/** Writes lines of a room, their receipt, and the words of those that are to be opened. */
export async function exportRoom(records: RoomRecords, room: string, options: ExportOptions): Promise<RoomExport> {
  const shown = await show(records, room, options);
  const path = await freeName(options, room, ["json", "txt", "openings"]);
  const [receipt, transcript] = [`${path}.json`, `${path}.txt`];
  const openings = options.open === "none" ? null : `${path}.openings`;
  await writePrivate(transcript, shown.lines.map((line) => `${line}\n`).join(""));
  if (openings !== null) await writePrivate(openings, shown.openings.map(encodeOpening).join(""));
  await writePrivate(receipt, `${encodeJson(shown.receipt)}\n`);
  const verify = verifyCommand(
    receipt,
    transcript,
    ...(openings === null ? [] : ["--openings", openings]),
    ...authorityFlag(options),
  );
  return { receipt, transcript, openings, verify, left_out: shown.leftOut };
}

/** The flag that names the CA's file. */
export function authorityFlag({ ca }: Pick<ExportOptions, "ca">): string[] {
  return ca === undefined ? [] : ["--ca", ca];
}

/** What is shown, before it is written. */
export interface Shown {
  readonly origin: string;
  /** The receipt's checkpoints, the one that covers all lines last. */
  readonly checkpoints: readonly Checkpoint[];
  readonly lines: readonly string[];
  readonly openings: readonly Opening[];
  readonly receipt: JsonObject;
  readonly leftOut: number;
}

/** Makes what is to be shown. `log`: what was kept of the server's log; its registered heads are preferred. */
export async function show(
  records: RoomRecords,
  room: string,
  options: ExportOptions,
  log?: KeptLog,
): Promise<Shown> {
  mustBeGood(options);
  const known = await readKnown(records, room, log);
  const { origin, tree, lines, first, heads } = known;
  const { from, to, head } = chooseRange(room, known, options, log);
  const { identity, now } = options;
  mustFitClock(head, now);
  const part = lines.slice(from - first, to - first);
  const pemOf = (fingerprint: string) => certificate(records, fingerprint, identity);
  const written = part.map(({ line }) => parseLine(line)?.signer ?? "");
  const authors = await pemsOf(written, pemOf);
  const hourly = log ? headsWithin(log, { origin, from, end: to }, HOUR).map(({ checkpoint }) => checkpoint.size) : [];
  const earlier = earlierHeads(heads.filter(({ size }) => size > from && size < to), head, {
    pems: [...authors.values()],
    last: lastLines(written, from),
    sizes: new Set(hourly),
  });
  const signers = await pemsOf([...earlier, head].map((one) => one.from), pemOf);
  const receipt = await makeRoomReceipt({
    role: "client",
    ...identity,
    origin,
    from,
    count: to - from,
    checkpoint: head,
    ...(earlier.length > 0 ? { checkpoints: earlier } : {}),
    proof: await rangeProof({ from, to }, head.size, tree.read),
    pems: [...new Map([...authors, ...signers]).values()],
    createdAt: now,
  });
  const leftOut = options.to === undefined ? tree.size - to : 0;
  const openings = openingsOf(part, from, options.open);
  return { origin, checkpoints: [...earlier, head], lines: part.map(({ line }) => line), openings, receipt, leftOut };
}

/** Checkpoints of two sources, one for each size, in the order of the sizes. */
function merged(kept: readonly Checkpoint[], registered: readonly Checkpoint[]): Checkpoint[] {
  const bySize = new Map([...registered, ...kept].map((checkpoint) => [checkpoint.size, checkpoint]));
  return [...bySize.values()].sort((a, b) => a.size - b.size);
}

/** What the records hold of a room. */
interface Known {
  readonly origin: string;
  readonly tree: LogTree;
  readonly lines: readonly KeptLine[];
  /** The index of the first line. */
  readonly first: number;
  /** The checkpoints over these lines that prove something, by size. */
  readonly heads: readonly Checkpoint[];
}

/** Reads a room's lines and checkpoints. Failure (2) if there are none, (5) if they don't fit each other. */
async function readKnown(records: RoomRecords, room: string, log: KeptLog | undefined): Promise<Known> {
  const record = await records.room(room);
  const origin = record.pinned?.origin;
  if (origin === undefined) {
    throw new Failure(
      EXIT.usage,
      `there is no record of ${room} in ${records.dir}: join it first with ${PROGRAM} rooms`,
    );
  }
  const { base, lines, lie } = await record.read();
  const first = base?.size ?? 0;
  const tree = new LogTree(first, base?.peaks ?? []);
  for (const { line } of lines) tree.append(leafHash(encodeUtf8(line)));
  const registered = log?.heads.filter((head) => head.origin === origin).map(({ checkpoint }) => checkpoint) ?? [];
  const inTree = merged(await record.checkpoints(), registered).filter(({ size }) => tree.rootAt(size) !== undefined);
  const right = inTree.filter(({ size, root }) => tree.rootAt(size) === root);
  if (right.length < inTree.length && !lie) { // the checkpoint of a lie is kept, too
    const what = `the lines in ${record.dir} don't fit the signed heads beside them: a file was changed`;
    throw new Failure(EXIT.unavailable, `${what}; move the folder away, and the room is fetched from the server again`);
  }
  return { origin, tree, lines, first, heads: withoutContradictions(right, lines, first) };
}

/**
 * The lines to show, and a checkpoint that covers them: one that the server's log registers if `log` is given and has
 * one, otherwise the first. Failure (2) or (5) if the lines can't be shown.
 */
function chooseRange(
  room: string,
  { origin, tree, first, heads }: Known,
  options: Pick<ExportOptions, "from" | "to">,
  log: KeptLog | undefined,
): { readonly from: number; readonly to: number; readonly head: Checkpoint } {
  const { from = first, to = heads.at(-1)?.size ?? first } = options;
  const missing = from < first || from >= tree.size ? from : to > tree.size ? to - 1 : undefined;
  if (missing !== undefined) {
    const here = `${room} has lines ${first} to ${tree.size - 1}; ${missing} is out of range`;
    throw new Failure(EXIT.usage, tree.size === first ? `there is no line of ${room} here yet: go online in it` : here);
  }
  if (options.to !== undefined && from >= to) {
    throw new Failure(EXIT.usage, `there is no line from ${from} to before ${to}: the end is the line after the last`);
  }
  const preferred = log && chooseHead(log, origin, to)?.checkpoint;
  const head = heads.find(({ size }) => size === preferred?.size) ?? heads.find(({ size }) => size >= to);
  if (!head || from >= to) {
    const what = `no signed head covers line ${Math.max(from, to - 1)} of ${room} yet`;
    throw new Failure(EXIT.unavailable, `${what}; go online and try again in some seconds`);
  }
  return { from, to, head };
}

/** Failure (5) if the checkpoint is of a time that this computer's clock hasn't reached: nobody would take the receipt. */
function mustFitClock({ time }: Checkpoint, now: number): void {
  if (1_000 * time <= now + MAX_CLOCK_DIFFERENCE) return;
  const what = `this computer's clock says ${formatTime(now)}, but the signed head over the lines ${
    formatTime(1_000 * time)
  }`;
  throw new Failure(
    EXIT.unavailable,
    `${what}: one of them is wrong, and nobody would accept the receipt; set the clock`,
  );
}

/** Failure (2) if the exporter's certificate is not valid now: nobody would accept the receipt. */
function mustBeGood({ identity, now }: ExportOptions): void {
  const [leaf, ...others] = parseCertificates(identity.pem);
  const isOut = [leaf, ...others].some((one) => one && (now < one.notBefore || now >= one.notAfter + 1000));
  if (!leaf || !isOut) return;
  const what = `your certificate ${leaf.subject}, which would sign this, is not valid at ${formatTime(now)}`;
  throw new Failure(EXIT.usage, `${what}; use another of this CA: name its folder with --certs`);
}

/**
 * Leaves out checkpoints whose time is more than 5 minutes before that of a line which they are the first to cover: they
 * prove nothing.
 */
function withoutContradictions(
  heads: readonly Checkpoint[],
  lines: readonly KeptLine[],
  first: number,
): readonly Checkpoint[] {
  let at = first;
  return heads.filter(({ size, time }) => {
    const latest = 1_000 * time + MAX_CLOCK_DIFFERENCE;
    if (lines.slice(at - first, size - first).some(({ line }) => (parseLine(line)?.ts ?? 0) > latest)) return false;
    at = Math.max(at, size);
    return true;
  });
}

/** The checkpoints that lines are judged by: those worth showing, and the last before each author's certificate ends. */
function earlierHeads(
  heads: readonly Checkpoint[],
  main: Checkpoint,
  { pems, last, sizes }: {
    readonly pems: readonly string[];
    readonly last: Iterable<number>;
    /** Sizes of checkpoints to be shown in any case. */
    readonly sizes: ReadonlySet<number>;
  },
): Checkpoint[] {
  const ends = pems.map((pem) => Math.min(...parseCertificates(pem).map(({ notAfter }) => notAfter)))
    .filter((end) => end < main.time * 1000)
    .map((end) => heads.findLast(({ time }) => time * 1000 <= end));
  const needed = new Set([...headsToShow(heads, last), ...ends]);
  return heads.filter((head) => needed.has(head) || sizes.has(head.size)).filter(({ size }, at, all) =>
    size > (all[at - 1]?.size ?? 0)
  );
}

/** The words to be shown. Failure (2) if a named line isn't among these lines, or has no words here. */
function openingsOf(lines: readonly KeptLine[], from: number, open: ExportOptions["open"]): Opening[] {
  const isNamed = (index: number) => open instanceof Set && open.has(index);
  for (const index of open instanceof Set ? open : []) {
    if (lines[index - from]) continue;
    const range = `${from} to ${from + lines.length - 1}`;
    throw new Failure(EXIT.usage, `line ${index} can't be opened: it is not among the exported lines, ${range}`);
  }
  return lines.flatMap(({ line, envelope }, at) => {
    const index = from + at;
    if (open !== "all" && !isNamed(index)) return [];
    // If a server sent other bytes in their place, these are on the disk, and are nobody's words.
    const hashes = parseRoomLine(line)?.body;
    const isOpening = envelope && hashes && hashFaults(hashes, { words: envelope }).length === 0;
    if (isOpening) return [{ index, envelope }];
    if (open === "all") return [];
    throw new Failure(EXIT.usage, `the words of line ${index} are not here: they were erased, or never came as signed`);
  });
}

/** The certificates of these fingerprints, each once. */
async function pemsOf(
  fingerprints: readonly string[],
  pemOf: (fingerprint: string) => Promise<string>,
): Promise<Map<string, string>> {
  const found = [...new Set(fingerprints)].map(async (fingerprint) => [fingerprint, await pemOf(fingerprint)] as const);
  return new Map(await Promise.all(found));
}

async function certificate(
  records: RoomRecords,
  fingerprint: string,
  own: { readonly fingerprint: string; readonly pem: string },
): Promise<string> {
  const pem = fingerprint === own.fingerprint ? own.pem : await records.certificate(fingerprint);
  if (pem !== undefined) return pem;
  const mend = "if it was your own, name its folder with --certs; otherwise go online in the room once";
  throw new Failure(EXIT.unavailable, `the certificate ${fingerprint} is not in the records; ${mend}`);
}

/** A path without its ending, of which no file is there yet: `room_ops_20231115_143022`. */
export async function freeName(
  { folder, now }: ExportOptions,
  room: string,
  endings: readonly string[],
): Promise<string> {
  await createPrivateFolder(folder);
  const stamp = new Date(now).toISOString().slice(0, 19).replaceAll(/[-:]/g, "").replace("T", "_");
  const name = `${folder}/room_${room.replaceAll(/[#@]/g, "").replaceAll(",", "_")}_${stamp}`;
  for (let n = 1;; n++) {
    const path = n === 1 ? name : `${name}_${n}`;
    const taken = await Promise.all(endings.map((ending) => exists(`${path}.${ending}`)));
    if (!taken.includes(true)) return path;
  }
}

/** Writes a file that only its owner can read, and its folder if needed. */
export async function writePrivate(path: string, text: string): Promise<void> {
  await writeAtomically(path, text, { mode: 0o600 });
}

const FLAGS = ["--openings", "--ca"];

/** The shell command that verifies an export. */
export function verifyCommand(receipt: string, ...others: readonly string[]): string {
  return `${PROGRAM} verify ${
    [receipt, ...others].map((word) => FLAGS.includes(word) ? word : shellPath(word)).join(" ")
  }`;
}
