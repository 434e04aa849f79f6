/**
 * Algorithms that have lost a verifier's trust: `--distrust sha256=2035-01-01` (docs/PROTOCOL.md, "Time-stamp tokens").
 *
 * What relies on such an algorithm fails, unless something that is still trusted took over before that day. Until the
 * day itself nothing fails: now comes before it.
 *
 * @layer crypto
 */

/** What can lose its trust. */
export const ALGORITHMS = ["sha256", "sha384", "sha512", "rsa", "ecdsa", "ed25519", "ml-dsa"] as const;

/** One of {@link ALGORITHMS}. */
export type Algorithm = typeof ALGORITHMS[number];

/** From when on (unix ms) each of these is no longer trusted. */
export type Distrust = ReadonlyMap<Algorithm, number>;

/** `sha256=2035-01-01`, or with a time: `rsa=2035-01-01T12:00:00Z`. `undefined` for anything else. */
export function parseDistrust(text: string): readonly [Algorithm, number] | undefined {
  const [, name, day, time = "T00:00:00Z"] = /^([a-z0-9-]+)=(\d{4}-\d\d-\d\d)(T\d\d:\d\d:\d\dZ)?$/.exec(text) ?? [];
  const algorithm = ALGORITHMS.find((one) => one === name);
  const from = Date.parse(`${day}${time}`);
  // 30 February would become a day of March.
  const isDate = !Number.isNaN(from) && new Date(from).toISOString().startsWith(`${day}${time.slice(0, -1)}`);
  return algorithm === undefined || !isDate ? undefined : [algorithm, from];
}

/** The first of these algorithms that is not trusted for what something newer took over at that time (unix ms). */
export function distrustedOf(
  algorithms: Iterable<Algorithm>,
  protectedAt: number,
  distrust: Distrust,
): Algorithm | undefined {
  for (const algorithm of algorithms) {
    if (protectedAt >= (distrust.get(algorithm) ?? Infinity)) return algorithm;
  }
  return undefined;
}
