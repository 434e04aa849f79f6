/**
 * A worker of `signature_pool.ts`: gets a batch of lines, answers with what became of their signatures. It has nothing
 * else to do with the outside.
 */

import { ONE_BY_ONE, type SignedLine } from "./line_signature.ts";

interface Port {
  onmessage: (event: MessageEvent<readonly SignedLine[]>) => void;
  postMessage(answer: unknown): void;
}

const port = globalThis as unknown as Port;

port.onmessage = ({ data }) => port.postMessage(ONE_BY_ONE.check(data));
