/**
 * Verification of a bundle: all that is shown of a record in one file (docs/PROTOCOL.md, "One file").
 *
 *     const verdict = await verifyBundle(file, { authorities, revocations: [] }, { now, log: { policies, … } });
 *
 * The members go where the separate files would: receipt, transcript and openings to `verify_room.ts` or `verify.ts`,
 * log.json with its notes and tokens to `verify_log.ts`. Renewals are judged first, from the newest down: they say until
 * when the tokens before them have to hold.
 *
 * @layer protocol
 */

import {
  BUNDLE_README,
  BundleFault,
  type BundleMember,
  type RandomAccess,
  readBundle,
  readMember,
  streamMember,
} from "./bundle.ts";
import { type Bytes, parseUtf8 } from "./bytes.ts";
import type { Trust } from "./certificate_path.ts";
import { ProtocolError } from "./errors.ts";
import { type HashName, RunningHash } from "./hash.ts";
import { type Json, parseJson, repeatedName } from "./json.ts";
import { judgeRenewals } from "./timestamp_renewal.ts";
import { type Verdict, verify } from "./verify.ts";
import { transcriptLines } from "./verify_transcript.ts";
import { RoomFindings } from "./verify_findings.ts";
import type { LogFiles } from "./verify_log.ts";
import { roomEvidenceType, type RoomVerdict, verifyRoom, type VerifyRoomOptions } from "./verify_room.ts";
import { unreadable } from "./verify_room_report.ts";
import { type Certificate, parseCertificateFile, parseRevocationListFile, type RevocationList } from "./x509.ts";

/** The most certificates in one file of a bundle. */
const MAX_CERTIFICATES = 1_024;

/** What a bundle is worth. */
export interface BundleVerdict {
  readonly verdict: Verdict | RoomVerdict;
  /** How many renewals hold. */
  readonly renewals: number;
  /** Why a renewal counts for nothing, though it may be honest: sentences without their full stop. */
  readonly passedOver: readonly string[];
}

/** Verifies a bundle. */
export async function verifyBundle(
  source: RandomAccess,
  trust: Trust,
  options: VerifyRoomOptions = {},
): Promise<BundleVerdict> {
  try {
    return await new Bundle(source, await readBundle(source)).verify(trust, options);
  } catch (error) {
    if (!(error instanceof BundleFault)) throw error;
    const findings = new RoomFindings();
    findings.listAll();
    findings.frame("bundle", error.message);
    return { verdict: unreadable(findings), renewals: 0, passedOver: [] };
  }
}

class Bundle {
  readonly #source: RandomAccess;
  readonly #members: ReadonlyMap<string, BundleMember>;

  constructor(source: RandomAccess, members: readonly BundleMember[]) {
    this.#source = source;
    this.#members = new Map(members.map((member) => [member.name, member]));
  }

  async verify(trust: Trust, options: VerifyRoomOptions): Promise<BundleVerdict> {
    const readme = await this.#text("README.txt");
    if (readme !== BUNDLE_README) throw new BundleFault("its README.txt is not the one that every bundle has");
    const receipt = await this.#read("receipt.json") ?? new Uint8Array(0);
    const lines = this.#rows("transcript.txt") ?? [];
    if (roomEvidenceType(receipt) !== "room_receipt") {
      this.#refuse((name) => name.startsWith("log.json") || name.includes("/") || name === "openings.txt");
      const { at, now, signatures } = options;
      const how = {
        ...at === undefined ? {} : { at },
        ...now === undefined ? {} : { now },
        ...signatures === undefined ? {} : { signatures },
      };
      return { verdict: await verify({ receipt, lines }, trust, how), renewals: 0, passedOver: [] };
    }
    const openings = this.#rows("openings.txt");
    const log = await this.#log();
    const renewal = await this.#renewals(options);
    const whom = { policies: [], logs: [], roots: [], quorum: 1, ...options.log };
    const verdict = await verifyRoom(
      { receipt, lines, ...openings ? { openings } : {}, ...log ? { log } : {} },
      trust,
      {
        ...options,
        log: { ...whom, protectedAt: renewal.protectedAt, renewal },
      },
    );
    return { verdict, renewals: renewal.good, passedOver: renewal.passedOver };
  }

  /** Members that don't belong beside a session's receipt. */
  #refuse(isForeign: (name: string) => boolean): void {
    const foreign = [...this.#members.keys()].find(isForeign);
    if (foreign !== undefined) throw new BundleFault(`its member ${foreign} doesn't belong to a session`);
  }

  async #read(name: string): Promise<Bytes | undefined> {
    const member = this.#members.get(name);
    return member && await readMember(this.#source, member);
  }

  async #text(name: string): Promise<string | undefined> {
    const bytes = await this.#read(name);
    return bytes && parseUtf8(bytes);
  }

  #rows(name: string) {
    const member = this.#members.get(name);
    return member && transcriptLines(streamMember(this.#source, member));
  }

  /** What is shown of the server's log. */
  async #log(): Promise<{ readonly evidence: Json; readonly files: LogFiles } | undefined> {
    const names = [...this.#members.keys()].filter((name) => /^(?:notes|tokens)\//.test(name));
    const text = await this.#text("log.json");
    if (text === undefined) {
      if (names[0] !== undefined) throw new BundleFault(`nothing refers to its member ${names[0]}`);
      return undefined;
    }
    const repeated = parseJson(text) === undefined ? undefined : repeatedName(text);
    if (repeated !== undefined) throw new BundleFault(`its log.json has a name twice`);
    const files = { names, read: (name: string) => this.#read(name), ...await this.#material() };
    return { evidence: parseJson(text) ?? null, files };
  }

  /** Certificates of authorities and lists in the bundle: to look things up in, never trusted. */
  async #material(): Promise<Pick<LogFiles, "certificates" | "revocations">> {
    const pems = [...this.#members.keys()].filter((name) => name === "tsa.pem" || /^renewal\/\d+\.pem$/.test(name));
    const lists = [...this.#members.keys()].filter((name) => name === "crl.pem" || /^renewal\/\d+\.crl$/.test(name));
    const certificates: Certificate[] = [];
    const revocations: RevocationList[] = [];
    for (const name of pems) {
      certificates.push(...readPem(name, await this.#text(name), (pem) => parseCertificateFile(pem, MAX_CERTIFICATES)));
    }
    for (const name of lists) {
      for (const pem of blocksOf(await this.#text(name) ?? "")) {
        revocations.push(readPem(name, pem, parseRevocationListFile));
      }
    }
    return { certificates, revocations };
  }

  /** Judges the renewals; without any, everything has to hold now. */
  async #renewals({ now = 0, log }: VerifyRoomOptions) {
    const tokens: { readonly token: Bytes; readonly imprint: (hash: HashName) => Promise<Bytes> }[] = [];
    for (let k = 1;; k++) {
      const member = this.#members.get(`renewal/${k}.tst`);
      if (!member) break;
      tokens.push({
        token: await readMember(this.#source, member),
        imprint: async (hash) => await this.#digestBefore(member.header, hash),
      });
    }
    if (tokens.length === 0) {
      return { protectedAt: now, good: 0, last: undefined, problems: [], passedOver: [], skipped: "there is none" };
    }
    const { verdicts, protectedAt } = await judgeRenewals(
      tokens,
      await this.#material(),
      { roots: log?.roots ?? [] },
      log ?? {},
      now,
    );
    const problems = verdicts.flatMap((verdict, at) =>
      verdict.outcome === "wrong" ? [`renewal ${at + 1}: ${verdict.reason}`] : []
    );
    const passedOver = verdicts.flatMap((verdict, at) =>
      verdict.outcome === "nothing" ? [`renewal ${at + 1}: ${verdict.reason}`] : []
    );
    const good = verdicts.filter((verdict) => verdict.outcome === "good");
    return { protectedAt, good: good.length, last: good.at(-1), problems, passedOver, skipped: passedOver[0] };
  }

  /** The digest of everything before a place in the file. */
  async #digestBefore(end: number, hash: HashName): Promise<Bytes> {
    const running = new RunningHash(hash);
    for await (const piece of streamMember(this.#source, { name: "bundle", at: 0, size: end })) running.update(piece);
    return running.digest();
  }
}

/** The PEM blocks of a text. */
function blocksOf(text: string): string[] {
  return text.split(/(?<=-----END [A-Z0-9 ]+-----\n)/).filter((block) => block.trim() !== "");
}

function readPem<T>(name: string, pem: string | undefined, parse: (pem: string) => T): T {
  try {
    return parse(pem ?? "");
  } catch (error) {
    if (error instanceof ProtocolError) throw new BundleFault(`its member ${name} can't be read: ${error.message}`);
    throw error;
  }
}
