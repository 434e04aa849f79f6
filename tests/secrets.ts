/**
 * Looking for secrets where they must not be: as they are, in hex and in base64 wherever in the base64 they begin, in a
 * JSON string's escapes.
 */

import { Buffer } from "node:buffer";
import { encodeHex, encodeUtf8 } from "../lib/bytes.ts";

/** Secrets by a name that may be shown. */
export type Secrets = Readonly<Record<string, string | Uint8Array>>;

/** The names of those that occur in the bytes, in any spelling. */
export function findSecrets(bytes: Uint8Array, secrets: Secrets): string[] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  return Object.keys(secrets).filter((name) => spellings(secrets[name] ?? "").some((form) => text.includes(form)));
}

function spellings(secret: string | Uint8Array): string[] {
  const bytes = typeof secret === "string" ? encodeUtf8(secret) : secret;
  if (bytes.length < 8) throw new RangeError("so short a secret would be found by chance");
  const hex = encodeHex(bytes);
  const forms = [Buffer.from(bytes).toString("latin1"), hex, hex.toUpperCase()];
  for (const before of [0, 1, 2]) {
    // The characters of the base64 that depend on the secret alone, with `before` bytes standing in front of it.
    const base64 = Buffer.concat([new Uint8Array(before), bytes]).toString("base64");
    forms.push(base64.slice(Math.ceil(before * 8 / 6), Math.floor((before + bytes.length) * 8 / 6)));
  }
  if (typeof secret === "string") {
    // As JSON may escape it: beyond ASCII as \u….
    const escaped = [...JSON.stringify(secret).slice(1, -1)].map((letter) =>
      /^[\x20-\x7e]$/.test(letter)
        ? letter
        : letter.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join("")
    ).join("");
    forms.push(escaped);
  }
  return forms;
}
