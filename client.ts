/**
 * A chat from the connection to the receipt: the glue between a {@link ClientConnection}, its socket, the records on
 * the disk and whoever types and looks.
 *
 *     const status = await chat({ host: "localhost", port: 5000, identity, trust, account, input, show, … });
 *
 * Two loops: one reads the input and sends, at most {@link WINDOW} lines ahead of their acknowledgements; one reads the
 * server. An acknowledged line is on the disk before it is shown as acknowledged. However the session ends (`quit`, end
 * of input, a signal, the server or the network gone, a breach of the protocol) this side's receipt is written and the
 * end is told with the command that verifies what was kept. The server's receipt is kept only where it holds against
 * this side's own transcript and session.
 *
 * Statuses: 0 ended by this side with a verified receipt of the server; 1 that receipt is wrong or missing, or the
 * server broke the protocol; 4 refused before or in the session; 5 the server can't be reached, is gone, shuts down or
 * doesn't answer. Before the session stands there is nothing to keep: then a {@link Failure} is thrown.
 */

import { type Clock, encodeUtf8, type Random } from "./lib/bytes.ts";
import type { Trust } from "./lib/certificate_path.ts";
import { HELP, parseInput } from "./lib/client_chat_command.ts";
import { PROGRAM } from "./lib/config.ts";
import { EXIT, type ExitStatus, Failure, ProtocolError } from "./lib/errors.ts";
import { ClientConnection, type ClientEvent, PeerError } from "./lib/handshake_client.ts";
import type { SigningIdentity } from "./lib/handshake_server.ts";
import { encodeJson, type JsonObject } from "./lib/json.ts";
import { Records } from "./lib/client_chat_records.ts";
import type { ChatEvent } from "./lib/client_chat_screen.ts";
import { checkOptions, type Names } from "./lib/options.ts";
import { MAX_TEXT_OCTETS } from "./lib/session.ts";
import { connect, type ConnectOptions, type Link } from "./lib/transport.ts";
import { parseTime } from "./lib/receipt.ts";
import { transcriptLines, verify } from "./lib/verify.ts";
import { receiptClockNotes } from "./lib/verify_session.ts";
import type { Certificate } from "./lib/x509.ts";

/** How many lines may be on their way: enough to fill a long road, and few enough to stop soon when asked to. */
const WINDOW = 64;
/** The window in its longest form, base64 and all, fits twice. */
const MAX_QUEUED = 4 * 1024 * 1024;

/** Who logs in, or is to be registered. */
export type Account =
  | { readonly type: "register"; readonly email: string; readonly username: string; readonly password: string }
  | { readonly type: "login"; readonly email: string; readonly password: string };

/** What a chat needs. Times are milliseconds. */
export interface ChatOptions {
  readonly host: string;
  readonly port: number;
  /** Connects to them in another way than over plain TCP. */
  readonly dial?: (options: ConnectOptions) => Promise<Link>;
  readonly identity: SigningIdentity;
  readonly trust: () => Promise<Trust>;
  readonly account: Account;
  /** Takes a server that proves nothing (docs/PROTOCOL.md, "Version 2"). */
  readonly allowV1: boolean;
  /** How long the server may take to show who it is. */
  readonly handshakeTimeout: number;
  /** How long it may take for any later answer that is due. */
  readonly answerTimeout: number;
  /** From how many days before its end the server's certificate is warned about. */
  readonly warnDays: number;
  /** Where the transcript and the receipts go. */
  readonly transcripts: string;
  /** The lines that are typed; `undefined` for one that isn't UTF-8. Its end ends the session. */
  readonly input: AsyncIterable<string | undefined>;
  readonly show: (event: ChatEvent) => void;
  /** Gets the function that ends the chat: in order, with the server's receipt, or at once. */
  readonly onStop?: (stop: (atOnce: boolean) => void) => void;
  readonly now: Clock;
  readonly random: Random;
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

/** Connects, logs in, chats. Throws a {@link Failure} where no session comes to stand. */
export async function chat(options: ChatOptions): Promise<ExitStatus> {
  checkOptions("chat()", options, CHAT_NAMES);
  checkOptions<object>("the account of chat()", options.account, ACCOUNT_NAMES[options.account.type]);
  const { host, port, handshakeTimeout, dial = (how) => connect(host, port, how) } = options;
  const link = await dial({ timeout: handshakeTimeout, maxQueued: MAX_QUEUED });
  try {
    return await new Conversation(options, link).run();
  } finally {
    link.close();
  }
}

/** Whole days until a certificate expires. */
export function daysLeft({ notAfter }: Certificate, now: number): number {
  return Math.floor((notAfter - now) / 86_400_000);
}

/** How it ended. */
export interface Ending {
  readonly status: ExitStatus;
  readonly reason: string;
}

class Conversation {
  readonly #options: ChatOptions;
  readonly #link: Link;
  readonly #connection: ClientConnection;
  /** Set by whoever closes the link, and why. */
  #ending: Ending | undefined;
  /** There is a session, and records of it. */
  #stands = false;
  /** Nothing more is sent: `quit` is on its way. */
  #closing = false;
  #sent = 0;
  /** Its path, once it was verified and written. */
  #serverReceipt: string | null = null;
  /** Whoever waits for an answer of the server. */
  #answered = Promise.withResolvers<void>();
  /** When the server was last heard, or the first of what is unanswered was sent; as of performance.now(). */
  #waitingSince = 0;

  constructor(options: ChatOptions, link: Link) {
    this.#options = options;
    this.#link = link;
    this.#connection = new ClientConnection({ ...options, send: (bytes) => link.send(bytes) });
    options.onStop?.((atOnce) => this.#stop(atOnce));
  }

  async run(): Promise<ExitStatus> {
    const records = await this.#open();
    this.#stands = true;
    const session = this.#connection.session ?? null;
    this.#options.show({ event: "session", session, transcript: records.transcript });
    this.#waitingSince = performance.now();
    const watch = setInterval(() => this.#watch(), 250);
    this.#speak(records).catch((error) => this.#end(this.#endingOf(error)));
    const ending = await this.#listen(records);
    clearInterval(watch);
    this.#closing = true;
    this.#wake();
    return await this.#conclude(records, ending);
  }

  // Before the session.

  async #open(): Promise<Records> {
    try {
      return await this.#logIn();
    } catch (error) {
      if (this.#ending) throw new Failure(this.#ending.status, this.#ending.reason);
      const { status, reason } = this.#endingOf(error);
      throw new Failure(status, reason, error instanceof PeerError ? error.frame.errorType : undefined);
    }
  }

  async #logIn(): Promise<Records> {
    const { account, host, port, show, handshakeTimeout, answerTimeout, transcripts, now, trust, warnDays } =
      this.#options;
    const connection = this.#connection;
    connection.hello();
    const ready = await this.#expect("ready", handshakeTimeout);
    show({
      event: "connected",
      host,
      port,
      version: ready.version,
      server: ready.server.subject,
      server_fingerprint: ready.server.fingerprint,
    });
    if (ready.version === 1) show({ event: "warning", message: VERSION_1_RISK });
    const days = daysLeft(ready.server, now());
    if (days < warnDays) {
      const message = `The server's certificate expires in ${days} days: tell whoever runs the server.`;
      show({ event: "warning", message });
    }
    const authorities = (await trust()).authorities.map(({ pem }) => pem).join("");
    if (account.type === "register") {
      await connection.register(account);
    } else {
      connection.askSalt(account.email);
      const { salt } = await this.#expect("salt", answerTimeout);
      await connection.login({ ...account, salt });
    }
    await this.#expect("session", answerTimeout);
    return await Records.open(transcripts, { startedAt: now(), authorities });
  }

  /** The next event of the handshake, which is of that type: the connection takes no other here. */
  async #expect<T extends ClientEvent["type"]>(type: T, time: number): Promise<ClientEvent & { type: T }> {
    const late = `the server did not answer within ${time / 1000} s; try again later, or see that the address is right`;
    const timer = setTimeout(() => this.#end({ status: EXIT.unavailable, reason: late }), time);
    try {
      const event = await this.#event();
      if (event && isOfType(event, type)) return event;
      throw new Failure(EXIT.unavailable, "the server closed the connection before the session stood; see its log");
    } finally {
      clearTimeout(timer);
    }
  }

  /** The next event; `undefined` when the connection is over. */
  async #event(): Promise<ClientEvent | undefined> {
    for (;;) {
      const event = await this.#connection.next();
      if (event) return event;
      const chunk = await this.#link.read();
      if (!chunk) return undefined;
      this.#connection.receive(chunk);
    }
  }

  // The session.

  async #listen(records: Records): Promise<Ending> {
    const { show, now } = this.#options;
    try {
      for (let event = await this.#event(); event; event = await this.#event()) {
        this.#waitingSince = performance.now();
        if (event.type === "acknowledged") {
          await records.append(event.message.line);
          show({ event: "acknowledged", seqno: event.message.seqno, received_at: event.receivedAt });
        } else if (event.type === "refused") {
          const { message: { seqno }, reason } = event;
          show({
            event: "refused",
            seqno,
            error_type: "stale",
            reason,
            server_time: event.now ?? null,
            own_time: now(),
          });
        } else if (event.type === "receipt") {
          return await this.#judge(records, event);
        }
        this.#wake();
      }
      return this.#ending ?? (this.#closing ? NO_RECEIPT : SERVER_GONE);
    } catch (error) {
      if (this.#ending) return this.#ending;
      const ending = this.#endingOf(error);
      // In the handshake that is a refusal; here it means that there is no good receipt.
      return error instanceof ProtocolError ? { ...ending, status: EXIT.no } : ending;
    }
  }

  async #speak(records: Records): Promise<void> {
    for await (const line of this.#options.input) {
      if (!this.#closing) await this.#obey(records, line);
      if (this.#closing) return;
    }
    await this.#quit();
  }

  async #obey(records: Records, line: string | undefined): Promise<void> {
    const { show, host } = this.#options;
    if (line === undefined) return show({ event: "not_sent", reason: "The line is not UTF-8 text." });
    const input = parseInput(line);
    switch (input.type) {
      case "text":
        return await this.#send(input.text);
      case "quit":
        return await this.#quit();
      case "receipt":
        return await this.#handReceipt(records);
      case "help":
        return HELP.forEach((message) => show({ event: "notice", message }));
      case "unknown":
        return show({ event: "not_sent", reason: input.reason });
      case "status":
        return show({
          event: "status",
          host,
          server_fingerprint: this.#connection.serverCertificate?.fingerprint ?? "",
          version: this.#connection.version,
          sent: this.#sent,
          acknowledged: this.#connection.summary.count,
        });
    }
  }

  async #send(text: string): Promise<void> {
    const { show } = this.#options;
    if (encodeUtf8(text).length > MAX_TEXT_OCTETS) {
      const reason = `The line is longer than a message may be, ${MAX_TEXT_OCTETS} octets of UTF-8: send it in parts.`;
      return show({ event: "not_sent", reason });
    }
    while (this.#connection.pendingCount >= WINDOW && !this.#closing) await this.#answered.promise;
    if (this.#closing) return show({ event: "not_sent", reason: "The session ended before the line could be sent." });
    if (this.#connection.pendingCount === 0) this.#waitingSince = performance.now();
    // A lone surrogate can be typed nowhere; from a program's own input it becomes U+FFFD as everywhere in UTF-8.
    const message = await this.#unlessOver(() => this.#connection.sendText(text.toWellFormed()));
    if (!message) return show({ event: "not_sent", reason: "The session ended before the line could be sent." });
    this.#sent += 1;
    show({ event: "sent", seqno: message.seqno, ts: message.ts, text });
  }

  /**
   * The server may end the session while a line is signed: then there is nothing to send it on, and no fault in that.
   */
  async #unlessOver<T>(send: () => Promise<T>): Promise<T | undefined> {
    try {
      return await send();
    } catch (error) {
      if (this.#connection.state === "session") throw error;
      return undefined;
    }
  }

  /** Writes this side's receipt and hands it to the server, once every line before it is answered. */
  async #handReceipt(records: Records): Promise<void> {
    while (this.#connection.pendingCount > 0 && !this.#closing) await this.#answered.promise;
    if (this.#closing) return;
    const receipt = await this.#connection.makeReceipt();
    await records.writeClientReceipt(encodeJson(receipt));
    if (!this.#closing) this.#connection.sendReceipt(receipt);
    this.#options.show({ event: "client_receipt", path: records.clientReceipt });
  }

  async #quit(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    this.#wake();
    this.#waitingSince = performance.now();
    await this.#unlessOver(() => this.#connection.quit());
  }

  #stop(atOnce: boolean): void {
    if (!this.#stands) this.#end(INTERRUPTED);
    else if (atOnce) this.#end(ABANDONED);
    else this.#quit().catch((error) => this.#end(this.#endingOf(error)));
  }

  #watch(): void {
    const isWaiting = this.#closing || this.#connection.pendingCount > 0;
    const { answerTimeout } = this.#options;
    if (isWaiting && performance.now() - this.#waitingSince > answerTimeout) {
      const reason = `The server has not answered for ${answerTimeout / 1000} s; the network or the server is gone.`;
      this.#end({ status: EXIT.unavailable, reason });
    }
  }

  #wake(): void {
    this.#answered.resolve();
    this.#answered = Promise.withResolvers();
  }

  /** Ends all of it: whoever reads the link sees its end. */
  #end(ending: Ending): void {
    this.#ending ??= ending;
    this.#link.close();
  }

  // The end.

  #endingOf(error: unknown): Ending {
    return endingOf(error, this.#options.host);
  }

  async #judge(records: Records, { receipt, text }: { receipt: JsonObject; text: string }): Promise<Ending> {
    const { show, identity, trust, now } = this.#options;
    const { version, session, serverCertificate } = this.#connection;
    const own = identity.chain[0]?.fingerprint ?? "";
    const lines = transcriptLines(await records.readTranscript());
    const verdict = await verify({ receipt, lines }, await trust(), {
      policy: {
        version2Only: version === 2,
        session: {
          role: "server",
          signer: serverCertificate?.fingerprint ?? "",
          now: now(),
          ...(session === undefined ? {} : { identity: { session, other: own } }),
        },
      },
    });
    if (verdict.result === "valid") {
      await records.writeServerReceipt(text);
      this.#serverReceipt = records.serverReceipt;
      show({ event: "server_receipt", path: records.serverReceipt });
      const created = receipt["created_at"];
      const made = typeof created === "string" ? parseTime(created) : undefined;
      for (const message of receiptClockNotes(made, now())) show({ event: "warning", message });
      return this.#closing ? DONE : SERVER_ENDED;
    }
    const problems = verdict.checks.flatMap(({ name, outcome, reasons }) =>
      outcome === "passed" ? [] : reasons.map((reason) => `${name}: ${reason}`)
    );
    show({ event: "server_receipt_invalid", problems });
    return WRONG_RECEIPT;
  }

  async #conclude(records: Records, { status, reason }: Ending): Promise<ExitStatus> {
    const { show } = this.#options;
    const unanswered = this.#connection.pendingCount;
    if (unanswered > 0) {
      const message = `Lines sent and not acknowledged: ${unanswered}. They are not in the transcript; ` +
        "the server may have kept them all the same.";
      show({ event: "warning", message });
    }
    let clientReceipt: string | null = null;
    try {
      await records.writeClientReceipt(encodeJson(await this.#connection.makeReceipt()));
      clientReceipt = records.clientReceipt;
    } catch (error) {
      show({ event: "warning", message: this.#endingOf(error).reason });
    }
    const receipt = this.#serverReceipt ?? clientReceipt;
    show({
      event: "end",
      status,
      reason,
      transcript: records.transcript,
      server_receipt: this.#serverReceipt,
      client_receipt: clientReceipt,
      verify: receipt && records.verifyCommand(receipt),
    });
    records.close();
    return status;
  }
}

function isOfType<T extends ClientEvent["type"]>(event: ClientEvent, type: T): event is ClientEvent & { type: T } {
  return event.type === type;
}

const VERSION_1_RISK =
  "The server speaks version 1 of the protocol and proves nothing: somebody in the middle who has " +
  "seen its certificate can pose as it, take the login and read and change every line. --allow-v1 takes that risk.";

const DONE: Ending = { status: EXIT.done, reason: "The session is over." };
const SERVER_ENDED: Ending = { status: EXIT.unavailable, reason: "The server ended the session." };
const SERVER_GONE: Ending = {
  status: EXIT.unavailable,
  reason: "The server is gone: the connection ended in the middle of the session, without the server's receipt.",
};
const NO_RECEIPT: Ending = {
  status: EXIT.no,
  reason: "The server closed the connection without its receipt; this side's own receipt is what there is.",
};
const WRONG_RECEIPT: Ending = {
  status: EXIT.no,
  reason: "The server's receipt does not hold: what it signed is not this session. It was not kept.",
};
const ABANDONED: Ending = { status: EXIT.no, reason: "Ended at once, without the server's receipt." };
const INTERRUPTED: Ending = { status: EXIT.refused, reason: "interrupted before the session stood" };

/** Errors of the server that say nothing about this side: later it may go well. */
const PASSING: readonly string[] = ["timeout", "busy", "shutdown", "server-error"];

/** Whether a certificate is refused for a revocation list that is out of date: no other certificate helps. */
function isOfList(reason: string): boolean {
  return /\brevocation list\b/.test(reason);
}

/** How an error ends a chat with that host. */
export function endingOf(error: unknown, host: string): Ending {
  if (error instanceof PeerError) {
    const { errorType, reason } = error.frame;
    const status = PASSING.includes(errorType) ? EXIT.unavailable : EXIT.refused;
    const mend = errorType === "bad-cert" && !isOfList(reason)
      ? `; for another certificate run: ${PROGRAM} cert client NAME`
      : "";
    return { status, reason: `the server says: ${reason} (${errorType})${mend}` };
  }
  if (error instanceof ProtocolError && error.code === "bad-cert") {
    const mend = isOfList(error.message)
      ? "get the CA's newest crl.pem"
      : `where the server runs, ${PROGRAM} cert server ${host} makes a good one`;
    return { status: EXIT.refused, reason: `certificate validation failed: ${error.message}; ${mend}` };
  }
  if (error instanceof ProtocolError) {
    return { status: EXIT.refused, reason: `the server was refused (${error.code}): ${error.message}` };
  }
  if (error instanceof Failure) return { status: error.status, reason: error.message };
  throw error;
}
