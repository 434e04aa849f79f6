/**
 * What only the outermost layer may use: chance, the clocks and the passing of time. Everything below is given them.
 *
 * @layer outside
 */

import type { Clock, Random } from "./bytes.ts";

/** Bytes from the system's source of randomness. */
export const random: Random = (size) => crypto.getRandomValues(new Uint8Array(size));

/** The system's clock, unix milliseconds: somebody may set it. */
export const wallClock: Clock = () => Date.now();

/** Milliseconds of a clock that is never set. */
export const steadyClock: Clock = () => performance.now();

/** Resolves after so many milliseconds. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
