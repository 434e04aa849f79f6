/**
 * A server that lies: it stands before a real one with that server's own certificate and key, and changes on their way
 * to a client the frames of the rooms that it lies in.
 *
 *     using front = await LyingFront.open({ port: server.port, certs: "certs" });      clients connect to front.port
 *     front.lieIn("#ops", (frame) => frame.type === "posted" && frame.index === 4 ? [] : [frame]);
 *     front.lieIn("#dev", async (frame, shown) => frame.type === "checkpoint" ? [await shown.head(3)] : [frame]);
 *
 * To the client it is TLS with the server; behind it is the server's plain port on the loopback. The inner handshake is
 * not bound to TLS and passes as it is, so what is sealed for the session stays sealed: a liar that wants a room's key
 * takes it from the server's database. Whatever a liar shows is noted ({@link ShownLog}), so that it can sign heads of
 * it.
 */

import type { Identity } from "../lib/certificate_identity.ts";
import { encodeHex, encodeUtf8, parseBase64 } from "../lib/bytes.ts";
import { encodeCheckpoint, signCheckpoint } from "../lib/log_checkpoint.ts";
import { loadIdentity } from "../lib/identity.ts";
import { Frontier, leafHash } from "../lib/log_tree.ts";
import { encodeLine } from "../lib/transcript.ts";
import type { WireFrame } from "./room_bench.ts";

/** What becomes of a frame of a room on its way to the client. */
export type Liar = (frame: WireFrame, shown: ShownLog) => readonly WireFrame[] | Promise<readonly WireFrame[]>;

/** A room's log as a client was shown it. */
export class ShownLog {
  readonly #room: string;
  readonly #server: Identity;
  readonly #lines: string[] = [];
  origin = "";

  constructor(room: string, server: Identity) {
    this.#room = room;
    this.#server = server;
  }

  /** Takes what the client gets. */
  note(frame: WireFrame): void {
    if (frame.type === "joined") this.origin = String(frame.origin);
    if (frame.type === "posted") this.#lines[frame.index as number] = lineOf(frame);
  }

  /** A head of the first lines that were shown and of those that are about to be, signed by the server's own key. */
  async head(size: number, next: readonly WireFrame[] = []): Promise<WireFrame> {
    const tree = new Frontier();
    for (const line of [...this.#lines, ...next.map(lineOf)].slice(0, size)) tree.append(leafHash(encodeUtf8(line)));
    const { key, chain } = this.#server;
    const signer = { key, fingerprint: chain[0]?.fingerprint ?? "", time: Math.ceil(Date.now() / 1000) };
    const head = { size: tree.size, root: encodeHex(tree.root()) };
    return {
      type: "checkpoint",
      room: this.#room,
      ...encodeCheckpoint(await signCheckpoint(this.origin, head, signer)),
    };
  }
}

function lineOf({ seqno, ts, ct, sig, from }: WireFrame): string {
  const [body, signature] = [ct, sig].map((text) => parseBase64(String(text)) ?? new Uint8Array(0));
  return encodeLine({
    ...{ seqno: seqno as number, ts: ts as number, signer: String(from) },
    ...{ body: body ?? new Uint8Array(0), signature: signature ?? new Uint8Array(0) },
  });
}

/** What stands between clients and a server. */
export class LyingFront implements Disposable {
  readonly #target: number;
  readonly #server: Identity;
  readonly #listener: Deno.TlsListener;
  readonly #liars = new Map<string, Liar>();
  #elsewhere: (frame: WireFrame) => readonly WireFrame[] = (frame) => [frame];
  readonly #shown = new Map<string, ShownLog>();
  readonly #conns = new Set<Deno.Conn>();

  private constructor(target: number, server: Identity, listener: Deno.TlsListener) {
    this.#target = target;
    this.#server = server;
    this.#listener = listener;
    void this.#accept();
  }

  /** `certs` has the server's pair. */
  static async open({ port, certs }: { port: number; certs: string }): Promise<LyingFront> {
    const cert = await Deno.readTextFile(`${certs}/server_cert.pem`);
    const key = await Deno.readTextFile(`${certs}/server_private_key.pem`);
    const listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key });
    return new LyingFront(port, await loadIdentity(certs, "server"), listener);
  }

  /** Where clients connect to. */
  get port(): string {
    return String("port" in this.#listener.addr ? this.#listener.addr.port : 0);
  }

  /** From now on the room's frames are the liar's. */
  lieIn(room: string, liar: Liar): void {
    this.#liars.set(room, liar);
  }

  /** From now on frames of no room are this liar's. */
  lieElsewhere(liar: (frame: WireFrame) => readonly WireFrame[]): void {
    this.#elsewhere = liar;
  }

  /** No more lies; what was shown is forgotten. */
  reform(): void {
    this.#elsewhere = (frame) => [frame];
    this.#liars.clear();
    this.#shown.clear();
  }

  async #accept(): Promise<void> {
    try {
      for await (const conn of this.#listener) void this.#pass(conn);
    } catch {
      // The listener was closed.
    }
  }

  async #pass(client: Deno.Conn): Promise<void> {
    const server = await Deno.connect({ hostname: "127.0.0.1", port: this.#target });
    const pair = [client, server];
    for (const conn of pair) this.#conns.add(conn);
    try {
      await Promise.race([client.readable.pipeTo(server.writable), this.#tell(server, client)]);
    } catch {
      // One of both is gone.
    }
    for (const conn of pair) this.#close(conn);
  }

  /** What the server says, line by line, in its order. */
  async #tell(server: Deno.Conn, client: Deno.Conn): Promise<void> {
    const writer = client.writable.getWriter();
    let rest = "";
    for await (const chunk of server.readable.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) for (const told of await this.#told(line)) await writer.write(encodeUtf8(`${told}\n`));
    }
  }

  async #told(line: string): Promise<string[]> {
    const frame: WireFrame = JSON.parse(line);
    if (typeof frame.room !== "string") {
      return this.#elsewhere(frame).map((one) => one === frame ? line : JSON.stringify(one));
    }
    const shown = this.#shown.get(frame.room) ?? new ShownLog(frame.room, this.#server);
    this.#shown.set(frame.room, shown);
    const frames = await this.#liars.get(frame.room)?.(frame, shown) ?? [frame];
    for (const one of frames) shown.note(one);
    return frames.map((one) => one === frame ? line : JSON.stringify(one));
  }

  #close(conn: Deno.Conn): void {
    this.#conns.delete(conn);
    try {
      conn.close();
    } catch {
      // It was closed.
    }
  }

  [Symbol.dispose](): void {
    this.#listener.close();
    for (const conn of [...this.#conns]) this.#close(conn);
  }
}
