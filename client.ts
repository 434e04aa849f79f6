/**
 * The client that people and bots use: rooms over TLS, signed and recorded. This puts the modules of `lib/` together; the
 * command `securechat rooms` runs it with a face, and a program can use it as a library:
 *
 *     const client = await openClient({ host, port, certs: "certs", transcripts: "kept", credentials, show });
 *     await client.start();                             connects, and stays connected
 *     await client.rooms.join("#ops");
 *     await client.rooms.say("#ops", "hello");          resolves once the line would survive a crash
 *     await client.stop();
 *
 * The chat with the server alone is `lib/client_chat.ts`; here it gets the verifier, which judges the server's receipt.
 */

import type { WitnessPolicy } from "./lib/witness_policy.ts";
import type { Identity } from "./lib/certificate_identity.ts";
import type { Trust } from "./lib/certificate_path.ts";
import { type ChatOptions, type JudgedReceipt, type ReceivedReceipt, runChat } from "./lib/client_chat.ts";
import { tlsDialOf } from "./lib/client_dial.ts";
import type { RoomEvent } from "./lib/client_event.ts";
import { LiveEvents } from "./lib/client_live.ts";
import { Renewal } from "./lib/client_renewal.ts";
import { RoomRecords } from "./lib/client_room_records.ts";
import type { Credentials } from "./lib/client_login.ts";
import { ClientSession, type SessionTimes, type Wire } from "./lib/client_session.ts";
import type { ExitStatus } from "./lib/errors.ts";
import { clientPassphrase, loadIdentity, loadTrust, replacedBy } from "./lib/identity.ts";
import { checkOptions, type Names } from "./lib/options.ts";
import { random } from "./lib/system.ts";
import { parseTime } from "./lib/time_text.ts";
import { transcriptLines, verify } from "./lib/verify.ts";
import { receiptClockNotes } from "./lib/verify_session.ts";

/** The most bytes that may wait for the server to read. */
export const MAX_QUEUED = 8 * 1024 * 1024;
/** How long a connection may take, in milliseconds. */
const CONNECT_WITHIN = 10_000;

/** What {@link openClient} needs. */
export interface ClientOptions {
  /** The server's name, as its certificate has it. */
  readonly host: string;
  /** The server's port for TLS. */
  readonly port: number;
  /** The folder with the client's certificate, its key and the CA, as `securechat join` or `securechat init` make it. */
  readonly certs: string;
  /** A file whose first line is the passphrase of the key, if the key is protected. */
  readonly passphraseFile?: string;
  /** The folder in which rooms are kept. Only one program at a time can use it. */
  readonly transcripts: string;
  /** Asked if no earlier session can be resumed; `undefined` ends the client. */
  readonly credentials: () => Promise<Credentials | undefined>;
  /**
   * Gets every event. `isLive`: it is about what happens now, and not about what a room had before this session. A bot
   * that answers only live lines never answers an old one.
   */
  readonly show: (event: RoomEvent, isLive: boolean) => void;
}

const CLIENT_NAMES: Names<ClientOptions> = {
  ...{ host: true, port: true, certs: true, passphraseFile: true, transcripts: true, credentials: true, show: true },
};

/** Reads a client's certificate and records. It connects once it is started. */
export async function openClient(options: ClientOptions): Promise<ClientSession> {
  checkOptions("openClient()", options, CLIENT_NAMES);
  const { host, port, certs, passphraseFile, transcripts, credentials, show } = options;
  const passphrase = await clientPassphrase(certs, { passphraseFile });
  const identity = await loadIdentity(certs, "client", { passphrase });
  const { authorities } = await loadTrust(certs);
  const records = await RoomRecords.of({ folder: `${transcripts}/rooms`, address: { host, port } }, authorities);
  const dial = tlsDialOf({ host, port, certs });
  const live = new LiveEvents();
  return makeClient({
    ...{ host, certs, passphrase, identity, records, credentials },
    dial: () => dial({ timeout: CONNECT_WITHIN, maxQueued: MAX_QUEUED }),
    was: await replacedBy(identity, certs),
    emit: (event) => show(event, live.take(event)),
  });
}

/** The parts of a client, for a program that reads them itself. */
export interface ClientParts {
  readonly host: string;
  /** CERT_DIR. */
  readonly certs: string;
  readonly passphrase: string | undefined;
  readonly identity: Identity;
  /** The fingerprint of the certificate that this one has replaced. */
  readonly was: string | undefined;
  readonly records: RoomRecords;
  readonly dial: () => Promise<Wire>;
  readonly credentials: () => Promise<Credentials | undefined>;
  /** A new account is to be made. */
  readonly registers?: boolean;
  /** Asked if the server refused the credentials: whether there are others now. */
  readonly otherCredentials?: () => Promise<boolean>;
  readonly emit: (event: RoomEvent) => void;
  readonly times?: Partial<SessionTimes>;
  /** The CA's file, for the command that verifies an export. */
  readonly ca?: string | undefined;
  /** Whose cosignatures of the server's log count, and which logs. */
  readonly policy?: WitnessPolicy | undefined;
}

/** Puts a client together, with the clock, the chance and the trust of this machine. */
export function makeClient({ certs, passphrase, ...parts }: ClientParts): ClientSession {
  const trust = () => loadTrust(certs);
  const renewal = new Renewal({ dir: certs, passphrase, trust, random });
  return new ClientSession({ ...parts, trust, random, renewal, now: Date.now });
}

const CHAT_NAMES: Names<ChatOptions> = {
  ...{ host: true, port: true, dial: true, identity: true, trust: true, account: true, allowV1: true },
  ...{ handshakeTimeout: true, answerTimeout: true, warnDays: true, transcripts: true },
  ...{ input: true, show: true, onStop: true, now: true, random: true },
};
const ACCOUNT_NAMES = {
  register: { type: true, email: true, username: true, password: true },
  login: { type: true, email: true, password: true },
} as const;

/** Connects to a server, logs in and chats with it alone. Throws a {@link Failure} if no session comes to stand. */
export async function chat(options: ChatOptions): Promise<ExitStatus> {
  checkOptions("chat()", options, CHAT_NAMES);
  checkOptions<object>("the account of chat()", options.account, ACCOUNT_NAMES[options.account.type]);
  return await runChat(options, judgeReceipt);
}

/** Verifies the server's receipt against this side's own transcript and session. */
async function judgeReceipt(
  { receipt, transcript, trust, version, session, signer, own, now }: ReceivedReceipt & { readonly trust: Trust },
): Promise<JudgedReceipt> {
  const identity = session === undefined ? {} : { identity: { session, other: own } };
  const verdict = await verify({ receipt, lines: transcriptLines(transcript) }, trust, {
    policy: { version2Only: version === 2, session: { role: "server", signer, now, ...identity } },
  });
  const problems = verdict.checks.flatMap(({ name, outcome, reasons }) =>
    outcome === "passed" ? [] : reasons.map((reason) => `${name}: ${reason}`)
  );
  if (verdict.result !== "valid") return { problems: problems.length > 0 ? problems : [verdict.sentence], notes: [] };
  const created = receipt["created_at"];
  const made = typeof created === "string" ? parseTime(created) : undefined;
  return { problems: [], notes: receiptClockNotes(made, now) };
}
