/**
 * A chat with the server alone, from the connection to the receipt: a {@link ClientConnection}, its socket, the records
 * on the disk and whoever types and looks, put together.
 *
 *     const status = await runChat({ host: "localhost", port: 5000, identity, trust, account, input, show, … }, judge);
 *
 * Two loops: one reads the input and sends, at most {@link WINDOW} lines ahead of their acknowledgements; one reads the
 * server. An acknowledged line is on the disk before it is shown as acknowledged. However the session ends (`quit`, end
 * of input, a signal, the server or the network gone, a breach of the protocol), this side's receipt is written, and the
 * end is told with the command that verifies what was kept. The server's receipt is kept only if it holds against this
 * side's own transcript and session.
 *
 * Statuses: 0 ended by this side with a verified receipt of the server; 1 that receipt is wrong or missing, or the
 * server broke the protocol; 4 refused before or in the session; 5 the server can't be reached, is gone, shuts down or
 * doesn't answer. Before the session stands there is nothing to keep: then a {@link Failure} is thrown.
 *
 * @layer outside
 */

import type { Identity } from "./certificate_identity.ts";
import { type Clock, encodeUtf8, type Random } from "./bytes.ts";
import type { Trust } from "./certificate_path.ts";
import { HELP, parseInput } from "./client_chat_command.ts";
import { isOfType } from "./dispatch.ts";
import { EXIT, type ExitStatus, Failure, ProtocolError } from "./errors.ts";
import { ClientConnection, type ClientEvent, PeerError } from "./handshake_client.ts";
import { encodeJson, type JsonObject } from "./json.ts";
import { Records } from "./client_chat_records.ts";
import {
  ABANDONED,
  type ChatEnding,
  DONE,
  endingOf,
  INTERRUPTED,
  NO_RECEIPT,
  SERVER_ENDED,
  SERVER_GONE,
  WRONG_RECEIPT,
} from "./client_chat_ending.ts";
import type { ChatEvent } from "./client_chat_screen.ts";
import { MAX_TEXT_OCTETS } from "./session.ts";
import { connect, type ConnectOptions, type Link } from "./transport.ts";
import type { Certificate } from "./x509.ts";

/** How many lines may be on their way: enough to fill a long road, and few enough to stop soon when asked to. */
const WINDOW = 64;
/** The window in its longest form, base64 and all, fits twice. */
const MAX_QUEUED = 4 * 1024 * 1024;

/** Who logs in, or is to be registered. */
export type ChatAccount =
  | { readonly type: "register"; readonly email: string; readonly username: string; readonly password: string }
  | { readonly type: "login"; readonly email: string; readonly password: string };

/** What a chat needs. Times are milliseconds. */
export interface ChatOptions {
  readonly host: string;
  readonly port: number;
  /** Connects to them in another way than over plain TCP. */
  readonly dial?: (options: ConnectOptions) => Promise<Link>;
  readonly identity: Identity;
  readonly trust: () => Promise<Trust>;
  readonly account: ChatAccount;
  /** Takes a server that proves nothing (docs/PROTOCOL.md, "Version 2"). */
  readonly allowV1: boolean;
  /** How long the server may take to prove its identity. */
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

/** A receipt of the server, and what it is to be held against. */
export interface ReceivedReceipt {
  readonly receipt: JsonObject;
  /** This side's own transcript. */
  readonly transcript: AsyncIterable<Uint8Array>;
  readonly trust: Trust;
  /** Of the protocol. */
  readonly version: ClientConnection["version"];
  /** The session's name, if it has one. */
  readonly session: ClientConnection["session"];
  /** The fingerprint of the server's certificate. */
  readonly signer: string;
  /** The fingerprint of this side's certificate. */
  readonly own: string;
  /** Unix milliseconds. */
  readonly now: number;
}

/** What was found of a receipt. */
export interface JudgedReceipt {
  /** Why it doesn't hold; none if it does. */
  readonly problems: readonly string[];
  /** What is to be said of a receipt that holds. */
  readonly notes: readonly string[];
}

/** Judges the server's receipt. The verifier does that, which is no part of the client. */
export type ReceiptJudge = (received: ReceivedReceipt) => Promise<JudgedReceipt>;

/** Connects, logs in, chats. Throws a {@link Failure} if no session comes to stand. */
export async function runChat(options: ChatOptions, judge: ReceiptJudge): Promise<ExitStatus> {
  const { host, port, handshakeTimeout, dial = (how) => connect(host, port, how) } = options;
  const link = await dial({ timeout: handshakeTimeout, maxQueued: MAX_QUEUED });
  try {
    return await new Chat(options, link, judge).run();
  } finally {
    link.close();
  }
}

/** One chat. */
class Chat {
  readonly #options: ChatOptions;
  readonly #link: Link;
  readonly #judgeReceipt: ReceiptJudge;
  readonly #connection: ClientConnection;
  /** Set by whoever closes the link, and why. */
  #ending: ChatEnding | undefined;
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

  constructor(options: ChatOptions, link: Link, judge: ReceiptJudge) {
    this.#judgeReceipt = judge;
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

  async #listen(records: Records): Promise<ChatEnding> {
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
  #end(ending: ChatEnding): void {
    this.#ending ??= ending;
    this.#link.close();
  }

  // The end.

  #endingOf(error: unknown): ChatEnding {
    return endingOf(error, this.#options.host);
  }

  async #judge(records: Records, { receipt, text }: { receipt: JsonObject; text: string }): Promise<ChatEnding> {
    const { show, identity, trust, now } = this.#options;
    const { version, session, serverCertificate } = this.#connection;
    const { problems, notes } = await this.#judgeReceipt({
      receipt,
      transcript: await records.readTranscript(),
      trust: await trust(),
      version,
      session,
      signer: serverCertificate?.fingerprint ?? "",
      own: identity.chain[0]?.fingerprint ?? "",
      now: now(),
    });
    if (problems.length > 0) {
      show({ event: "server_receipt_invalid", problems });
      return WRONG_RECEIPT;
    }
    await records.writeServerReceipt(text);
    this.#serverReceipt = records.serverReceipt;
    show({ event: "server_receipt", path: records.serverReceipt });
    for (const message of notes) show({ event: "warning", message });
    return this.#closing ? DONE : SERVER_ENDED;
  }

  async #conclude(records: Records, { status, reason }: ChatEnding): Promise<ExitStatus> {
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

const VERSION_1_RISK =
  "The server speaks version 1 of the protocol and proves nothing: somebody in the middle who has " +
  "seen its certificate can pose as it, take the login and read and change every line. --allow-v1 takes that risk.";

/** Whole days until a certificate expires. */
export function daysLeft({ notAfter }: Certificate, now: number): number {
  return Math.floor((notAfter - now) / 86_400_000);
}
