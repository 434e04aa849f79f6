/**
 * The way from the server to its witnesses: HTTP, bounded in time and size, without redirects.
 *
 * @layer outside
 */

import { concat } from "./bytes.ts";
import type { Bytes } from "./bytes.ts";
import { messageOf } from "./errors.ts";
import type { WitnessReply, WitnessTransport } from "./server_witness_exchange.ts";
import { printable } from "./text.ts";

/** How long one request takes at most, in milliseconds. */
const TIMEOUT = 5_000;
/** The longest answer that is read. */
const MAX_ANSWER = 65_536;

/** Asks witnesses over HTTP. `timeout`: milliseconds for one request. */
export function witnessTransport(timeout = TIMEOUT): WitnessTransport {
  const ask = async (url: string, init: RequestInit): Promise<WitnessReply> => {
    try {
      const answer = await fetch(url, { ...init, redirect: "manual", signal: AbortSignal.timeout(timeout) });
      return { status: answer.status, body: await readBody(answer) };
    } catch (error) {
      throw new Error(reasonOf(error, timeout));
    }
  };
  const headers = { "content-type": "text/plain; charset=utf-8" };
  return {
    post: (url, body) => ask(url, { method: "POST", body, headers }),
    get: (url) => ask(url, { method: "GET" }),
  };
}

/** The same with the time that a request has in production. */
export const witnessHttp: WitnessTransport = witnessTransport();

async function readBody({ body }: Response): Promise<Bytes> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body ?? []) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > MAX_ANSWER) throw new RangeError(`its answer is longer than ${MAX_ANSWER} bytes`);
  }
  return concat(...chunks);
}

function reasonOf(error: unknown, timeout: number): string {
  if (error instanceof RangeError) return error.message;
  if (error instanceof DOMException && error.name === "TimeoutError") {
    return `it didn't answer within ${timeout / 1000} s`;
  }
  const said = messageOf(error);
  return `it can't be reached: ${printable(said).slice(0, 200)}`;
}
