/** The one door to assertions: `@std/assert` goes here where JSR can be reached. */
export { default as assert } from "node:assert/strict";
