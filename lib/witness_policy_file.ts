/**
 * Reads a policy file from the disk: `WITNESS_POLICY`, `--policy`, and the logs that a witness knows.
 *
 *     const policy = await loadPolicy("witnesses.txt");
 *
 * @layer outside
 */

import { EXIT, Failure } from "./errors.ts";
import { readTextFile } from "./files.ts";
import { parsePolicy, type WitnessPolicy } from "./witness_policy.ts";

/** Room for a thousand witnesses with ML-DSA keys, which have 1,750 characters each. */
const MAX_POLICY_BYTES = 4_194_304;

/** The policy in a file; a {@link Failure} names the file and what is wrong in it. */
export async function loadPolicy(path: string): Promise<WitnessPolicy> {
  const text = await readTextFile(path, { missing: `File not found: ${path}`, max: MAX_POLICY_BYTES });
  try {
    return parsePolicy(text);
  } catch (error) {
    if (error instanceof Failure) throw new Failure(EXIT.usage, `${path}: ${error.message}`);
    throw error;
  }
}
