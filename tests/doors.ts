/**
 * The doors to what others wrote: each dependency, what it is for, and the only modules that import it.
 * layers_test.ts holds the doors shut; the table in docs/CONTRIBUTING.md is made from this one.
 */

/** A dependency. */
export interface Dependency {
  readonly for: string;
  /** The modules that import it. Tests may import anything. */
  readonly doors: readonly string[];
}

/** Each dependency in deno.json. */
export const DEPENDENCIES: Readonly<Record<string, Dependency>> = {
  "@logtape/logtape": { for: "the server's log", doors: ["lib/logging.ts"] },
  "@noble/curves": { for: "verifying signatures on P-521", doors: ["lib/certificate_signature.ts"] },
  "@noble/post-quantum": { for: "verifying ML-DSA-44 of witnesses", doors: ["lib/ml_dsa.ts"] },
  "@peculiar/x509": { for: "issuing certificates", doors: ["lib/ca.ts"] },
  "des.js": { for: "opening keys that OpenSSL protects with triple DES", doors: ["lib/private_key_pbes2.ts"] },
  "esbuild": { for: "bundling, for the binary", doors: ["tools/compile.ts"] },
  "fast-check": { for: "property tests", doors: [] },
  "leven": { for: "the nearest command to a mistyped one", doors: ["lib/nearest.ts"] },
  "mysql2": { for: "MySQL and MariaDB", doors: ["lib/store_mysql.ts"] },
  "reflect-metadata": { for: "what @peculiar/x509 wants to be loaded before it", doors: ["lib/ca.ts"] },
  "string-width": { for: "how wide a text is on a terminal", doors: ["lib/cell_width.ts"] },
};
