/**
 * Asks time-stamping authorities over HTTP (RFC 3161 section 3.4; docs/PROTOCOL.md, "Time-stamp tokens"). Serves the
 * server's log and `securechat renew`.
 *
 *     const { taken, refused } = await stamp(imprintOf(note), urls, { roots }, { now: Date.now });
 *     taken    → [{ url, token, chain, verdict }]     kept tokens, each checked with the roots
 *     refused  → [{ url, cause: "away", reason: "it answers with HTTP status 503" }]
 *
 * All are asked at the same time, each with a nonce of its own. Nothing throws for what an authority does or doesn't: a
 * caller that tries again later needs no other case. `away` and `refused` are told apart since the first mends itself.
 *
 * @layer outside
 */

import { type Bytes, type Clock, concat } from "./bytes.ts";
import type { HashName } from "./hash.ts";
import { printable } from "./text.ts";
import type { Imprint, TokenTrust } from "./timestamp_judge.ts";
import { encodeQuery, freshNonce, type TakenToken, takeReply } from "./timestamp_query.ts";
import type { Certificate } from "./x509.ts";

/** So many authorities are asked at most. */
export const MAX_AUTHORITIES = 4;
/** How long an authority may take, in milliseconds. */
const TIMEOUT = 10_000;
/** 64 KiB of answer: tokens have one to three with their certificates. */
const MAX_ANSWER_BYTES = 65_536;
/** How far (ms) the authority's clock may be from ours. */
const MAX_CLOCK_DIFFERENCE = 300_000;

/** What {@link stamp} is told beside whom to ask. */
export interface StampOptions {
  readonly now: Clock;
  /** SHA-256, unless told otherwise. */
  readonly hash?: HashName;
  /** Certificates that may be on the way to a root, for authorities that don't send them all. */
  readonly certificates?: readonly Certificate[];
  /** Ends the asking early: whoever hasn't answered is away. */
  readonly signal?: AbortSignal;
  /** In place of 10 s, for tests. */
  readonly timeout?: number;
}

/** A token that was taken, and from whom. */
export interface Stamp extends TakenToken {
  readonly url: string;
}

/** An authority from which there is no token. */
export interface StampRefusal {
  readonly url: string;
  /** `away`: there was no whole answer. `refused`: what it answered isn't taken. */
  readonly cause: "away" | "refused";
  /** A sentence without its full stop. */
  readonly reason: string;
}

/** What came of it, each in the order of the URLs. */
export interface Stamped {
  readonly taken: readonly Stamp[];
  readonly refused: readonly StampRefusal[];
}

/** Asks each authority for a token. */
export async function stamp(
  imprint: Imprint,
  urls: readonly string[],
  trust: TokenTrust,
  options: StampOptions,
): Promise<Stamped> {
  const once = rememberedImprint(imprint);
  const asked = urls.slice(0, MAX_AUTHORITIES);
  const answers = await Promise.all(asked.map((url) => stampAt(url, once, trust, options)));
  return {
    taken: answers.filter((answer) => "token" in answer),
    refused: answers.filter((answer) => "cause" in answer),
  };
}

/** What is stamped may be a large file: it is hashed once, for the queries and the answers. */
function rememberedImprint(imprint: Imprint): Imprint {
  const known = new Map<HashName, Promise<Bytes>>();
  return (hash) => {
    const found = known.get(hash) ?? Promise.resolve(imprint(hash));
    known.set(hash, found);
    return found;
  };
}

async function stampAt(
  url: string,
  imprint: Imprint,
  trust: TokenTrust,
  options: StampOptions,
): Promise<Stamp | StampRefusal> {
  const { now, hash = "SHA-256", certificates = [] } = options;
  const nonce = freshNonce((size) => crypto.getRandomValues(new Uint8Array(size)));
  const answer = await post(url, encodeQuery({ hash, imprint: await imprint(hash), nonce }), options);
  if (typeof answer === "string") return { url, cause: "away", reason: answer };
  const rules = { nonce, within: MAX_CLOCK_DIFFERENCE, certificates, now: now() };
  const taken = await takeReply(answer, imprint, trust, rules);
  return typeof taken === "string" ? { url, cause: "refused", reason: taken } : { url, ...taken };
}

/** The body of the answer; a string says why there is none. */
async function post(url: string, query: Bytes, { signal, timeout = TIMEOUT }: StampOptions): Promise<Bytes | string> {
  const limits = [AbortSignal.timeout(timeout), ...signal === undefined ? [] : [signal]];
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/timestamp-query", accept: "application/timestamp-reply" },
      body: query,
      redirect: "manual",
      signal: AbortSignal.any(limits),
    });
    if (response.status !== 200) {
      await response.body?.cancel();
      return `it answers with HTTP status ${response.status}`;
    }
    return await readBody(response) ?? `its answer has more than ${MAX_ANSWER_BYTES} bytes`;
  } catch (error) {
    if (error instanceof DOMException && error.name === "TimeoutError") {
      return `it took longer than ${timeout / 1_000} s`;
    }
    if (signal?.aborted) return "it was asked no further";
    return `it can't be reached: ${printable(error instanceof Error ? error.message : `${error}`)}`;
  }
}

/** The body, unless it is too large. */
async function readBody(response: Response): Promise<Bytes | undefined> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) { // leaving the loop cancels the rest
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES) return undefined;
    chunks.push(chunk);
  }
  return concat(...chunks).slice();
}
