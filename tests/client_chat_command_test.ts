import { parseInput } from "../lib/client_chat_command.ts";
import { assert } from "./assert.ts";

Deno.test("parseInput() takes quit with and without a slash", () => {
  for (const line of ["quit", "/quit", "quit ", "/quit  "]) assert.deepEqual(parseInput(line), { type: "quit" });
});

Deno.test("parseInput() knows the other commands", () => {
  for (const type of ["receipt", "status", "help"] as const) assert.deepEqual(parseInput(`/${type}`), { type });
});

Deno.test("parseInput() sends what is no command as it stands, blanks and all", () => {
  for (const text of ["hello", " quit", "quit it", "  two ", "", "a /quit", "Quit", "\\/"]) {
    assert.deepEqual(parseInput(text), { type: "text", text });
  }
});

Deno.test("parseInput() takes one slash off two", () => {
  assert.deepEqual(parseInput("//quit"), { type: "text", text: "/quit" });
  assert.deepEqual(parseInput("///"), { type: "text", text: "//" });
});

Deno.test("parseInput() never sends a mistyped command, and names those that there are", () => {
  for (const line of ["/", "/qiut", "/quit now", "/Quit", "/constructor", "/ help"]) {
    const command = parseInput(line);
    assert.equal(command.type, "unknown");
    assert.match(command.type === "unknown" ? command.reason : "", /\/quit, \/receipt, \/status, \/help/);
  }
});
