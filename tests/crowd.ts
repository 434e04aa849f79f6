/**
 * Many people at once, each a {@link Client} in this process, who chat with a server in another; and what its disk must
 * hold afterwards.
 */

import { DatabaseSync } from "node:sqlite";
import { assert } from "./assert.ts";
import { encodeHex, encodeUtf8 } from "../lib/bytes.ts";
import { sha256 } from "../lib/hash.ts";
import { loadTrust } from "../lib/identity.ts";
import { journalPath } from "../lib/server_journal.ts";
import type { JsonObject } from "../lib/json.ts";
import { SQLITE_FILE } from "../lib/store_sqlite.ts";
import { verify } from "../lib/verify.ts";
import { certificates, type Client } from "./server.ts";

/** Settings under which a crowd from one address is let in. */
export const CROWD_LIMITS = {
  MAX_CONNECTIONS_PER_ADDRESS: "1000",
  REGISTRATIONS_PER_HOUR: "100000",
  PASSWORD_QUEUE: "1000",
  HANDSHAKE_TIMEOUT: "120",
  LINES_PER_SECOND: "1000000",
  LINE_BYTES_PER_SECOND: "1000000000",
};

/** How many messages are sent ahead of their acknowledgements. */
const AHEAD = 16;

/**
 * Sends the texts and puts each line into `lines` when it is acknowledged; whether all were, before the connection was
 * over.
 */
export async function talk(client: Client, texts: readonly string[], lines: string[]): Promise<boolean> {
  let [sent, answered] = [0, 0];
  while (answered < texts.length) {
    while (sent < texts.length && sent - answered < AHEAD) await client.connection.sendText(texts[sent++] ?? "");
    const event = await client.next();
    if (event === "end") return false;
    assert.equal(event.type, "acknowledged");
    if (event.type === "acknowledged") lines.push(event.message.line);
    answered++;
  }
  return true;
}

/** Quits; the server's receipt, or `undefined` where the connection was over before it came. */
export async function quit(client: Client): Promise<JsonObject | undefined> {
  await client.connection.quit();
  const event = await client.next();
  client.close();
  return event !== "end" && event.type === "receipt" ? event.receipt : undefined;
}

/** The receipt verifies over these lines. */
export async function assertHolds(receipt: JsonObject | string, lines: readonly string[]): Promise<void> {
  const verdict = await verify({ receipt, lines }, await loadTrust(await certificates()), {
    policy: { version2Only: true },
  });
  const problems = verdict.checks.filter(({ outcome }) => outcome !== "passed");
  assert.equal(verdict.result, "valid", JSON.stringify(problems));
}

/** What a server under DATA_DIR says of a session. */
export interface StoredSession {
  readonly lines: readonly string[];
  /** The server's own receipt as it lies on the disk. */
  readonly receipt: string | undefined;
}

/** All sessions in a server's database and journals. Each must be closed, with what its journal says. */
export function storedSessions(data: string): StoredSession[] {
  using database = new DatabaseSync(`${data}/${SQLITE_FILE}`, { readOnly: true });
  const rows = database.prepare("SELECT session_token, ended_at, message_count, transcript_hash FROM sessions").all();
  return rows.map(({ session_token, ended_at, message_count, transcript_hash }) => {
    const token = String(session_token);
    const path = journalPath(`${data}/journals`, token);
    const text = read(path);
    assert(text === "" || text.endsWith("\n"), `the journal ${path} has a torn line`);
    const lines = text.split("\n").slice(0, -1);
    assert.notEqual(ended_at, null, `the session ${token} has no end`);
    assert.equal(message_count, lines.length);
    assert.equal(transcript_hash, encodeHex(sha256(encodeUtf8(lines.join("\n")))));
    return { lines, receipt: read(path.replace(/transcript$/, "receipt.json")) || undefined };
  });
}

/** A file's text; empty where there is none. */
function read(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

/**
 * People who know no protocol: 20 connections a second of random bytes, broken frames, endless lines and silence. Call
 * the function to send them home; how many there were.
 */
export function startGarbage(port: number): () => Promise<number> {
  const open: Deno.Conn[] = [];
  let over = false;
  const visits: Promise<void>[] = [];
  const kinds = [
    () => crypto.getRandomValues(new Uint8Array(5000)),
    () => encodeUtf8('{"type":"hello","client_cert":"-----BEGIN CERTIFICATE-----\\nAAAA","nonce":5}\n'),
    () => encodeUtf8("[".repeat(20_000)),
    () => encodeUtf8('{"type":"hel'),
    () => new Uint8Array(0),
  ];
  const visit = async (number: number) => {
    try {
      const conn = await Deno.connect({ hostname: "127.0.0.1", port });
      open.push(conn);
      if (over) return conn.close();
      await conn.write(kinds[number % kinds.length]?.() ?? new Uint8Array(0));
      if (number % 2 === 0) { while (await conn.read(new Uint8Array(4096)) !== null); }
    } catch {
      // A server that drops such a connection does right.
    }
  };
  const timer = setInterval(() => visits.push(visit(visits.length)), 50);
  return async () => {
    clearInterval(timer);
    over = true;
    for (const conn of open) {
      try {
        conn.close();
      } catch {
        // It is closed.
      }
    }
    await Promise.all(visits);
    return visits.length;
  };
}
