/**
 * A worker of `line_signature_pool.ts`: gets a batch of lines, answers with what became of their signatures. It has nothing
 * else to do with the outside.
 *
 * @layer outside
 */

import { useEngine } from "./engine.ts";
import { openLibcrypto } from "./libcrypto.ts";
import { checkPacked } from "./line_signature.ts";
import { type Answer, type Question, WITH_ENGINE } from "./line_signature_pool.ts";

interface Port {
  readonly name: string;
  onmessage: (event: MessageEvent<Question>) => void;
  postMessage(answer: Answer): void;
}

const port = globalThis as unknown as Port;

if (port.name === WITH_ENGINE) useEngine(openLibcrypto());
port.onmessage = ({ data: { id, lines } }) => port.postMessage({ id, verdicts: checkPacked(lines) });
