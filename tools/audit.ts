/**
 * `securechat audit`: the audit log, for the server's operator, on its machine, while it runs or not.
 *
 *     $ securechat audit verify --note bobs.note
 *     The audit log holds: 4,711 rows, as the server's log registers them.
 *     $ securechat audit prune --before 2026-01-01
 */

import { encodeHex, encodeUtf8 } from "../lib/bytes.ts";
import { type CommandSpec, parseCommand } from "../lib/command_line.ts";
import { type Config, readConfig } from "../lib/config.ts";
import { EXIT, type ExitStatus, Failure } from "../lib/errors.ts";
import { readTextFile } from "../lib/files.ts";
import { encodeJson } from "../lib/json.ts";
import { MAX_NOTE_BYTES } from "../lib/log_note.ts";
import { didYouMean } from "../lib/nearest.ts";
import {
  type AuditFindings,
  encodePruned,
  type OutsideNote,
  type PrunedRows,
  verifyAudit,
} from "../lib/server_audit_verify.ts";
import { askWitnesses, type WitnessWord } from "../lib/server_log_asking.ts";
import type { ServerStore } from "../lib/server_store.ts";
import { witnessHttp } from "../lib/server_witness_http.ts";
import { askable } from "../lib/server_witnesses.ts";
import { openServersStore } from "../lib/store_open.ts";
import { random, sleep } from "../lib/system.ts";
import { askLine } from "../lib/terminal.ts";
import { printable } from "../lib/text.ts";
import { loadPolicy } from "../lib/witness_policy_file.ts";
import { JSON_FLAG } from "./making.ts";

const PARTS: Readonly<Record<string, (args: string[]) => Promise<ExitStatus>>> = { verify, prune };

const SPEC = {
  name: "audit",
  summary: "verify the server's audit log, and empty its old rows",
  usage: `securechat audit verify    whether a row was changed, deleted or inserted
securechat audit prune     empty old rows, so that verify still holds

Both run on the server's machine with the server's settings, whether the server runs or not. Each has its own --help.

Examples:
  securechat audit verify --note bobs.note
  securechat audit prune --before 2026-01-01`,
  options: {},
  positionals: { min: 1, max: 1, names: "verify or prune" },
} as const satisfies CommandSpec<Record<never, never>>;

/** Runs the command. */
export async function run(args: string[]): Promise<ExitStatus> {
  const [name, ...rest] = args;
  const part = name !== undefined && Object.hasOwn(PARTS, name) ? PARTS[name] : undefined;
  if (part) return await part(rest);
  const { positionals: [word = ""] } = parseCommand(args, SPEC);
  throw new Failure(
    EXIT.usage,
    `unknown command audit ${printable(word)}${didYouMean(word, Object.keys(PARTS), "securechat audit --help")}`,
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

// ---- verify

const VERIFY_OPTIONS = {
  note: {
    type: "string",
    value: "FILE",
    multiple: true,
    describe: "a note of the server's log that somebody else kept; may be repeated",
  },
  policy: { type: "string", value: "FILE", describe: "witnesses whose cosignatures count (C2SP tlog-policy)" },
  ask: { type: "boolean", describe: "ask these witnesses now whether they know the same log" },
  json: JSON_FLAG,
} as const;

const VERIFY_SPEC = {
  name: "audit verify",
  summary: "verify that no row of the audit log was changed, deleted or inserted",
  usage: `securechat audit verify [--note FILE]... [--policy FILE [--ask]] [--json] [--data DIR] [--db URL]

Checks every row against the tree over the audit log, that tree against the server's log, and the server's log against
every stored note. Whoever owns the database and the log's key could have rewritten all of that together: only what
others hold shows it. That is a note that a member or a witness kept (--note), cosignatures of witnesses (--policy), and
what witnesses know now (--ask).

Status: 0 if it holds, 1 if it is broken (the first wrong row is named), 3 if it is whole in itself but nothing from
outside was compared.

Examples:
  securechat audit verify
  securechat audit verify --note bobs.note
  securechat audit verify --policy witnesses.txt --ask`,
  options: VERIFY_OPTIONS,
  settings: "audit",
} as const satisfies CommandSpec<typeof VERIFY_OPTIONS>;

async function verify(args: string[]): Promise<ExitStatus> {
  const { options, flags } = parseCommand(args, VERIFY_SPEC);
  if (options.ask && options.policy === undefined) {
    throw new Failure(
      EXIT.usage,
      "--ask needs --policy FILE, which names the witnesses; see securechat audit verify --help",
    );
  }
  const config = readConfig("audit", flags);
  const policy = options.policy === undefined ? undefined : await loadPolicy(options.policy);
  if (options.ask && policy && askable(policy).length === 0) {
    throw new Failure(EXIT.usage, `${options.policy} names no witness with a URL, so --ask can ask nobody`);
  }
  const notes: OutsideNote[] = [];
  for (const path of options.note ?? []) {
    notes.push({ from: printable(path), bytes: encodeUtf8(await readTextFile(path, { max: MAX_NOTE_BYTES })) });
  }
  return await withStore(config, async ({ log: store }) => {
    const findings = await verifyAudit({ store, notes, policy, now: Date.now() });
    const words = options.ask && policy && findings.broken === undefined
      ? await askWitnesses({ store, policy, transport: witnessHttp, now: Date.now, wait: sleep })
      : [];
    const { status, sentence } = judge(findings, words);
    if (options.json) console.log(encodeJson(jsonOf(findings, words, status)));
    else console.log([sentence, ...details(findings, words)].join("\n"));
    return status;
  });
}

function judge(
  { broken, rows, logs, outside }: AuditFindings,
  words: readonly WitnessWord[],
): { readonly status: ExitStatus; readonly sentence: string } {
  const denied = words.find(({ kind }) => kind === "denies");
  const wrong = broken ?? (denied && `the witness ${denied.witness} says: ${denied.reason}`);
  if (wrong !== undefined) return { status: EXIT.no, sentence: `The audit log is broken: ${wrong}.` };
  if (logs.length === 0) {
    return {
      status: EXIT.undecided,
      sentence: "Undecided: the server keeps no log that registers the audit log's rows.",
    };
  }
  const isCompared = outside.length > 0 || words.some(({ kind }) => kind === "agrees");
  return isCompared
    ? { status: EXIT.done, sentence: `The audit log holds: ${count(rows, "row")}, as the server's log registers them.` }
    : {
      status: EXIT.undecided,
      sentence:
        `The audit log is whole in itself: ${count(rows, "row")}. Nothing from outside was compared: whoever owns ` +
        "the database could have rewritten it all. Give a note of a member or a witness with --note FILE, or --policy FILE.",
    };
}

function details({ pruned, waiting, outside, logs, notes }: AuditFindings, words: readonly WitnessWord[]): string[] {
  return [
    ...logs.map(({ origin, ticks }) => `Log      ${origin}, ${count(ticks, "tick")}`),
    `Notes    ${count(notes, "stored note")}`,
    ...outside.map(({ from, rows }) => `Outside  ${from}: agrees up to ${count(rows, "row")}`),
    ...words.map(({ witness, kind, reason }) => `Outside  ${witness} ${WORDS[kind]}: ${printable(reason)}`),
    ...pruned.map((each) => `Pruned   ${prunedText(each)}`),
    ...waiting > 0 ? [`Waiting  ${count(waiting, "row")} without an index yet: the next tick registers them`] : [],
  ];
}

const WORDS: Readonly<Record<WitnessWord["kind"], string>> = {
  agrees: "agrees",
  denies: "doesn't agree",
  silent: "gave no answer that counts",
};

function prunedText({ from, to, says }: PrunedRows): string {
  return `rows ${from} to ${to}, as ${says === undefined ? "a row that waits for its index" : `row ${says}`} says`;
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}

function jsonOf(findings: AuditFindings, words: readonly WitnessWord[], status: ExitStatus) {
  const { broken, rows, waiting, pruned, logs, notes, outside } = findings;
  const result = status === EXIT.done ? "valid" : status === EXIT.no ? "invalid" : "undecided";
  return {
    ...{ result, broken: broken ?? null, rows, waiting, logs, notes, outside, witnesses: words },
    pruned: pruned.map(({ from, to, says }) => ({ from, to, says: says ?? null })),
  };
}

// ---- prune

const PRUNE_OPTIONS = {
  before: { type: "string", value: "DATE", describe: "empty the rows of before that day, in UTC: 2026-01-01" },
  yes: { type: "boolean", short: "y", describe: "don't ask" },
  json: JSON_FLAG,
} as const;

const PRUNE_SPEC = {
  name: "audit prune",
  summary: "empty old rows of the audit log",
  usage: `securechat audit prune --before DATE [--yes] [--json] [--data DIR] [--db URL]

Empties the rows that the server's log has registered: what they say is gone for good, and their places and hashes stay,
so that audit verify still holds. A row audit_pruned says which rows were emptied. Such rows are never emptied.

Examples:
  securechat audit prune --before 2026-01-01
  securechat audit prune --before 2026-01-01 --yes`,
  options: PRUNE_OPTIONS,
  settings: "audit",
} as const satisfies CommandSpec<typeof PRUNE_OPTIONS>;

async function prune(args: string[]): Promise<ExitStatus> {
  const { options, flags } = parseCommand(args, PRUNE_SPEC);
  const before = dayOf(options.before);
  const config = readConfig("audit", flags);
  return await withStore(config, async ({ log }) => {
    if (!options.yes) await mustAgree(options.before ?? "");
    const range = { from: 0, to: 0 };
    const emptied = await log.pruneAudit({
      ...{ before, occurredAt: Date.now(), key: encodeHex(random(16)) },
      reason: (from, to) => encodePruned(Object.assign(range, { from, to })),
    });
    if (options.json) console.log(encodeJson({ emptied, ...emptied > 0 ? range : { from: null, to: null } }));
    else if (emptied === 0) {
      console.log("No row that the server's log has registered is that old: nothing was emptied.");
    } else console.log(`${count(emptied, "row")} emptied, with indexes from ${range.from} to ${range.to}`);
    return EXIT.done;
  });
}

function dayOf(text: string | undefined): number {
  const time = text !== undefined && /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : NaN;
  if (Number.isFinite(time) && new Date(time).toISOString().startsWith(text ?? "")) {
    if (time <= Date.now()) return time;
    throw new Failure(EXIT.usage, "--before is a day of the past");
  }
  throw new Failure(EXIT.usage, "--before DATE is missing or no day: 2026-01-01; see securechat audit prune --help");
}

async function mustAgree(date: string): Promise<void> {
  if (!Deno.stdin.isTerminal()) throw new Failure(EXIT.usage, "not a terminal: confirm with --yes");
  const answer = await askLine(`Empty all rows of before ${date}? This cannot be taken back. [y/N] `);
  if (!/^y(?:es)?$/i.test(answer.trim())) throw new Failure(EXIT.no, "nothing was emptied");
}
