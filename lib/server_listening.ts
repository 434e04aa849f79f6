/**
 * Where a running server listens, for commands on the same machine: `DATA_DIR/listening`.
 *
 *     {"host":"0.0.0.0","tls_port":5001}
 *
 * The file outlives a server that was killed, so whoever reads it tries the port before believing it.
 *
 * @layer outside
 */

import { readTextFile, writeAtomically } from "./files.ts";
import { encodeJson, isJsonObject, member, parseJson } from "./json.ts";

/** Where a server takes TLS connections. */
export interface Listening {
  /** The address that it listens on. */
  readonly host: string;
  readonly tlsPort: number;
}

const fileIn = (dir: string) => `${dir}/listening`;

/** Notes where the server of this data folder listens. */
export async function noteListening(dir: string, { host, tlsPort }: Listening): Promise<void> {
  const text = `${encodeJson({ host, tls_port: tlsPort })}\n`;
  await writeAtomically(fileIn(dir), text, { mode: 0o600, replace: true });
}

/** Takes the note back: the server of this data folder has stopped. */
export async function forgetListening(dir: string): Promise<void> {
  await Deno.remove(fileIn(dir)).catch(() => {}); // it may never have been written
}

/** Where the server of this data folder listens; `undefined` if none does, or none that takes TLS. */
export async function findListening(dir: string): Promise<Listening | undefined> {
  const text = await readTextFile(fileIn(dir)).catch(() => undefined);
  const object = text === undefined ? undefined : parseJson(text);
  const [host, tlsPort] = isJsonObject(object) ? [member(object, "host"), member(object, "tls_port")] : [];
  if (typeof host !== "string" || typeof tlsPort !== "number") return undefined;
  try {
    const hostname = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
    (await Deno.connect({ hostname, port: tlsPort })).close();
    return { host, tlsPort };
  } catch {
    return undefined; // a server that was killed, or a port that is no port
  }
}
