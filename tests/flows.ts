/**
 * Recorded conversations, tests/flows/*.txt: what a client sent and what the server answered, frame by frame.
 *
 *     # A session of version 1: registration, two messages, the receipt.
 *     C> {"type":"hello","client_cert":"-----BEGIN CERTIFICATE-----\n…","nonce":"AQID…"}
 *     S> {"type":"server_hello","server_cert":"-----BEGIN CERTIFICATE-----\n…","nonce":"ERIT…"}
 *
 * A line that begins with `#` is for the reader; a `C>` line is sent with LF after it, whatever it is. The server has a
 * clock that stands still, chance that counts, the key in tests/flows/server_key.pem and one account, so it answers the
 * same bytes each time; only its signatures differ, since PSS has a random salt. For the same reason a flow of version
 * 2 ends with the first `dh_server`: what a client signs after it covers that signature.
 *
 * `deno run -A tests/flows.ts` records all of them anew, with new keys; after a change of the wire, and never to make a
 * test pass.
 */

import type { Identity } from "../lib/certificate_identity.ts";
import { Accounts } from "../lib/server_accounts.ts";
import { encodeUtf8 } from "../lib/bytes.ts";
import { createAuthority, issueCertificate } from "../lib/ca.ts";
import type { Trust } from "../lib/certificate_path.ts";
import { encodePem } from "../lib/der.ts";
import { ProtocolError } from "../lib/errors.ts";
import { ClientConnection, type ClientEvent, PeerError } from "../lib/handshake_client.ts";
import { ServerConnection, type ServerEvent } from "../lib/handshake_server.ts";
import { passwordDigest, PasswordQueue } from "../lib/password.ts";
import { decodePrivateKey, publicKeyOf } from "../lib/private_key.ts";
import { importSigningKey } from "../lib/pss.ts";
import type { Store } from "../lib/server_store.ts";
import { openSqliteStore } from "../lib/store_sqlite.ts";
import { parseCertificates } from "../lib/x509.ts";
import { ROOT, temporaryFolder } from "./environment.ts";
import {
  authority,
  certificate,
  countingRandom,
  fixedClock,
  type Identities,
  identities,
  issuing,
  key,
  NOW,
} from "./fixtures.ts";

/** Where the flows and the server's certificate lie. */
export const FLOWS = `${ROOT}/tests/flows`;

/** The account that is there before a flow begins. */
const GRACE = { email: "grace@example.org", username: "grace", password: "battery staple" };

/** The server's side of a flow: its connection, and the accounts as the server has them. */
export class FlowServer implements AsyncDisposable {
  readonly connection: ServerConnection;
  readonly #folder = temporaryFolder();
  #store: Store | undefined;
  #accounts: Accounts | undefined;
  #sent: string[] = [];

  private constructor(identity: Identity, trust: Trust) {
    this.connection = new ServerConnection({
      identity,
      trust: () => Promise.resolve(trust),
      allowV1: true,
      now: fixedClock,
      random: countingRandom(),
      send: (bytes) => void this.#sent.push(new TextDecoder().decode(bytes).slice(0, -1)),
    });
  }

  /** A server of tests/flows, before the first byte. */
  static async open(): Promise<FlowServer> {
    const read = (name: string) => Deno.readTextFileSync(`${FLOWS}/${name}`);
    const key = await importSigningKey(await decodePrivateKey(read("server_key.pem")));
    const pem = read("server.pem");
    const trust = { authorities: parseCertificates(read("ca.pem")), revocations: [] };
    return new FlowServer({ chain: parseCertificates(pem), pem, key }, trust);
  }

  /** What it answers to a line, which is sent with LF after it. */
  async answer(line: string): Promise<string[]> {
    try {
      this.connection.receive(encodeUtf8(`${line}\n`));
      for (let event = await this.connection.next(); event; event = await this.connection.next()) {
        await this.#take(event);
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.connection.refuse(error);
    }
    return this.#sent.splice(0);
  }

  async #take(event: ServerEvent): Promise<void> {
    if (event.type === "message") return this.connection.acknowledge(event.seqno);
    if (event.type === "stale") return this.connection.refuse(event.error);
    if (event.type === "quit") return this.connection.sendReceipt(await this.connection.makeReceipt());
    if (event.type !== "credentials") return;
    const { credentials } = event;
    const accounts = this.#accounts ??= await this.#openAccounts();
    if (credentials.type === "salt") return this.connection.answerSalt(await accounts.salt(credentials.email));
    if (credentials.type === "register") await accounts.register({ ...credentials, ...ORIGIN });
    else if (credentials.type === "login") await accounts.login({ ...credentials, ...ORIGIN });
    this.connection.accept();
  }

  async #openAccounts(): Promise<Accounts> {
    this.#store = await openSqliteStore(this.#folder.path);
    const accounts = new Accounts({
      store: this.#store,
      passwords: new PasswordQueue({ p: 1, random: countingRandom() }, { waiting: 1 }),
      limits: {
        loginFailuresPerAddress: 10,
        loginFailuresPerAccount: 10,
        loginFailuresPerCertificate: 10,
        loginDelay: 0,
        lock: 1000,
        registrationsPerHour: 10,
      },
      record: () => Promise.resolve(),
      now: fixedClock,
      sleep: () => Promise.resolve(),
    });
    const salt = new Uint8Array(16).fill(7);
    await accounts.register({ ...GRACE, ...ORIGIN, salt, pwd: passwordDigest(salt, GRACE.password) });
    return accounts;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store?.close();
    this.#folder[Symbol.dispose]();
  }
}

const ORIGIN = { address: "192.0.2.1", clientFingerprint: "0".repeat(64), isProven: true };

// ---- recording

/** A client of this project on one end, and what passes written down. */
class Recorder {
  readonly lines: string[] = [];
  readonly client: ClientConnection;
  /** Changes a frame before it leaves; several lines where it returns them. */
  edit: (frame: string) => string | string[] = (frame) => frame;
  /** How far the client's clock is ahead. */
  skew = 0;
  readonly events: ClientEvent[] = [];
  readonly #server: FlowServer;
  readonly #queue: string[] = [];

  private constructor(server: FlowServer, { client, trust }: Identities) {
    this.#server = server;
    this.client = new ClientConnection({
      identity: client,
      trust: () => Promise.resolve(trust),
      host: "localhost",
      allowV1: true,
      now: () => NOW + this.skew,
      random: countingRandom(),
      send: (bytes) => void this.#queue.push(new TextDecoder().decode(bytes).slice(0, -1)),
    });
  }

  static async open(server: FlowServer): Promise<Recorder> {
    return new Recorder(server, await identities());
  }

  /** Sends a line of no client's making. */
  async say(line: string): Promise<void> {
    this.lines.push(`C> ${line}`);
    for (const answer of await this.#server.answer(line)) {
      this.lines.push(`S> ${answer}`);
      this.client.receive(encodeUtf8(`${answer}\n`));
    }
  }

  /** Lets what is due pass, both ways. An error of the server ends it. */
  async run(): Promise<void> {
    try {
      for (let frame = this.#queue.shift(); frame !== undefined; frame = this.#queue.shift()) {
        for (const line of [this.edit(frame)].flat()) await this.say(line);
        for (let event = await this.client.next(); event; event = await this.client.next()) this.events.push(event);
      }
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      this.#queue.length = 0;
    }
  }

  /** The conversation up to the first key, in version 1. */
  async greet(): Promise<void> {
    const edit = this.edit;
    this.edit = (frame) => edit(frame.replace(',"v":2}', "}"));
    this.client.hello();
    await this.run();
  }

  /** A new account, and a session. */
  async register(username = "ada", email = `${username}@example.org`): Promise<void> {
    await this.greet();
    await this.client.register({ email, username, password: "correct horse" });
    await this.run();
  }

  /** A session of the account that there is. */
  async login(password: string): Promise<void> {
    await this.greet();
    this.client.askSalt(GRACE.email);
    await this.run();
    const salt = this.events.find((event) => event.type === "salt")?.salt;
    if (!salt) throw new Error("the server gave no salt");
    await this.client.login({ email: GRACE.email, password, salt });
    await this.run();
  }

  async send(text: string): Promise<void> {
    await this.client.sendText(text);
    await this.run();
  }

  async quit(): Promise<void> {
    await this.client.quit();
    await this.run();
  }
}

/** What is recorded: the file's name, what it shows, and how it goes. */
const RECORDED: readonly [string, string, (flow: Recorder) => Promise<void>][] = [
  ["session", "Version 1: registration, two messages, the server's receipt.", async (flow) => {
    await flow.register();
    await flow.send("hello");
    await flow.send("");
    await flow.quit();
  }],
  ["login", "Version 1: a salt, a login, and a session without a message.", async (flow) => {
    await flow.login(GRACE.password);
    await flow.quit();
  }],
  ["wrong_password", "Version 1: a wrong password ends in auth-failed.", (flow) => flow.login("wrong")],
  ["user_exists", "Version 1: a name that is taken ends in user-exists.", (flow) => flow.register("Grace", "g@x.org")],
  ["replay", "Version 1: a message that comes a second time ends the session.", async (flow) => {
    await flow.register();
    flow.edit = (frame) => [frame, frame];
    await flow.send("once");
  }],
  [
    "stale",
    "Version 1: a message of 5 minutes and a second ago is refused alone, and the session goes on.",
    async (flow) => {
      await flow.register();
      flow.skew = -301_000;
      await flow.send("late");
      flow.skew = 0;
      await flow.send("in time");
      await flow.quit();
    },
  ],
  ["tamper", "Version 1: a changed byte of a message's ciphertext ends the session.", async (flow) => {
    await flow.register();
    flow.edit = (frame) => frame.replace(/"ct":"(.)/, (_, first) => `"ct":"${first === "A" ? "B" : "A"}`);
    await flow.send("changed on its way");
  }],
  ["bad_frame", "What is no JSON object is bad-frame.", (flow) => flow.say('{"type":"hello"')],
  ["unexpected", "A message before the session is unexpected.", async (flow) => {
    await flow.greet();
    await flow.say('{"type":"msg","seqno":0,"ts":1780315200000,"ct":"","sig":""}');
  }],
  ["dh_group", "A key agreement over a prime of the client's own is dh-error.", async (flow) => {
    flow.edit = (frame) => frame.replace(/"p":\d+/, '"p":23');
    await flow.greet();
  }],
  ["expired", "A certificate that ended yesterday is bad-cert.", async (flow) => {
    const old = { ...issuing, now: NOW - 2 * 86_400_000, days: 1 };
    const publicKey = publicKeyOf(await key("client"));
    const { pem } = await issueCertificate(await authority(), { role: "client", name: "ada", publicKey }, old);
    await flow.say(hello(pem));
  }],
  ["self_signed", "A certificate that its own key has signed is bad-cert.", async (flow) => {
    const { certificate } = await createAuthority("CLIENT: ada", await key("client"), issuing);
    await flow.say(hello(certificate.pem));
  }],
  ["bad_cn", "A server's certificate is no client's: bad-cert.", async (flow) => {
    const { pem } = await certificate("client", { role: "server", name: "example.org", hosts: ["example.org"] });
    await flow.say(hello(pem));
  }],
  ["version_2", "Version 2: both sides prove their keys.", async (flow) => {
    flow.client.hello();
    await flow.run();
  }],
  ["version_2_no_proof", "Version 2: a key agreement without its signature is proof-fail.", async (flow) => {
    flow.edit = (frame) => frame.replace(/,"sig":"[^"]*"/, "");
    flow.client.hello();
    await flow.run();
  }],
];

function hello(pem: string): string {
  return JSON.stringify({ type: "hello", client_cert: pem, nonce: "AQIDBAUGBwgJCgsMDQ4PEA==" });
}

async function record(): Promise<void> {
  const { server, trust } = await identities();
  Deno.writeTextFileSync(`${FLOWS}/ca.pem`, trust.authorities.map(({ pem }) => pem).join(""));
  Deno.writeTextFileSync(`${FLOWS}/server.pem`, server.pem);
  Deno.writeTextFileSync(`${FLOWS}/server_key.pem`, encodePem("PRIVATE KEY", await key("server")));
  for (const [name, about, play] of RECORDED) {
    await using side = await FlowServer.open();
    const flow = await Recorder.open(side);
    await play(flow);
    Deno.writeTextFileSync(`${FLOWS}/${name}.txt`, [`# ${about}`, ...flow.lines, ""].join("\n"));
  }
}

if (import.meta.main) await record();
