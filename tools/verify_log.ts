/**
 * Whom `securechat verify` goes by for what a server's log adds: witnesses, logs and time-stamping authorities, as its
 * flags name them.
 */

import { EXIT, Failure } from "../lib/errors.ts";
import { type Algorithm, parseDistrust } from "../lib/distrust.ts";
import { KEY_TYPE, type NoteKey, parseVkey } from "../lib/log_note_key.ts";
import { readRoots } from "../lib/server_log_service.ts";
import type { LogDemands } from "../lib/verify_room.ts";
import { policyOf, type WitnessPolicy } from "../lib/witness_policy.ts";
import { loadPolicy } from "../lib/witness_policy_file.ts";
import { usage } from "./asking.ts";

/** The flags. */
export const LOG_FLAGS = {
  policy: {
    type: "string",
    value: "FILE",
    multiple: true,
    describe: "witnesses and logs that count (C2SP tlog-policy); of several files one that is satisfied suffices",
  },
  witness: { type: "string", value: "VKEY", multiple: true, describe: "a witness that counts, in place of a policy" },
  quorum: { type: "string", value: "K", describe: "so many of the --witness have to cosign; all of them without it" },
  log: { type: "string", value: "VKEY", multiple: true, describe: "the server's log: any other fails" },
  tsa: {
    type: "string",
    value: "FILE",
    multiple: true,
    describe: "roots of time-stamping authorities that count, as PEM",
  },
  "tsa-quorum": { type: "string", value: "K", describe: "so many of their roots have to stamp; 1 without it" },
  "allow-ended": { type: "boolean", describe: "count time stamps whose certificates have ended since" },
  distrust: {
    type: "string",
    value: "ALG=DATE",
    multiple: true,
    describe: "an algorithm that is not trusted from a day on: sha256=2035-01-01",
  },
  "as-of": { type: "string", value: "TIME", describe: "judge time stamps as if it were then, in place of now" },
  "require-witness": { type: "boolean", describe: "fail evidence that named witnesses haven't cosigned" },
  "require-time": { type: "boolean", describe: "fail evidence for whose time nobody who is named vouches" },
} as const;

/** What the flags say. */
export interface LogOptions {
  readonly policy?: readonly string[] | undefined;
  readonly witness?: readonly string[] | undefined;
  readonly quorum?: string | undefined;
  readonly log?: readonly string[] | undefined;
  readonly tsa?: readonly string[] | undefined;
  readonly "tsa-quorum"?: string | undefined;
  readonly "allow-ended"?: boolean | undefined;
  readonly distrust?: readonly string[] | undefined;
  readonly "require-witness"?: boolean | undefined;
  readonly "require-time"?: boolean | undefined;
}

/** Whom the verifier goes by; `now`: unix milliseconds. */
export async function readLogDemands(options: LogOptions, now: number): Promise<LogDemands> {
  const policies: WitnessPolicy[] = [];
  for (const path of options.policy ?? []) policies.push(await loadPolicy(path));
  const witnesses = (options.witness ?? []).map((text) => keyOf("--witness", text));
  if (witnesses.length > 0) {
    const quorum = countOf("--quorum", options.quorum, witnesses.length);
    if (quorum > witnesses.length) throw usage("verify", "--quorum is at most the number of --witness");
    policies.push(policyOf(witnesses, quorum));
  } else if (options.quorum !== undefined) throw usage("verify", "--quorum goes with --witness");
  const roots = [];
  for (const path of options.tsa ?? []) roots.push(...await readRoots(path));
  const distrust = new Map<Algorithm, number>();
  for (const text of options.distrust ?? []) {
    const read = parseDistrust(text);
    if (!read) throw usage("verify", `--distrust "${text}" is not like sha256=2035-01-01`);
    distrust.set(...read);
  }
  return {
    policies,
    logs: (options.log ?? []).map((text) => keyOf("--log", text)),
    roots,
    quorum: countOf("--tsa-quorum", options["tsa-quorum"], 1),
    protectedAt: now,
    allowEnded: options["allow-ended"],
    distrust,
    requireWitness: options["require-witness"] ?? false,
    requireTime: options["require-time"] ?? false,
  };
}

function keyOf(flag: "--witness" | "--log", text: string): NoteKey {
  const key = parseVkey(text);
  const isLog = key?.type === KEY_TYPE.log;
  if (key && isLog === (flag === "--log")) return key;
  throw new Failure(EXIT.usage, `${flag} is not the vkey of a ${flag === "--log" ? "log" : "witness"}: NAME+ID+KEY`);
}

function countOf(flag: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  if (/^[1-9][0-9]{0,2}$/.test(text)) return Number(text);
  throw usage("verify", `${flag} "${text}" is not a number from 1`);
}
