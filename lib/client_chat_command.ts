/**
 * What a typed line means: a text to send, or a command of the chat.
 *
 *     hello            the text "hello"
 *     //etc is full    the text "/etc is full"
 *     /status          the command status (also /quit /receipt /help; and the bare word `quit`)
 *     /dance           nothing is sent; the answer says which commands there are
 *
 * A command is a slash, a word of letters and blanks, nothing else; so a mistyped command is never sent as a text by
 * accident. To send the word "quit", put a blank before it. This only parses; `client_chat.ts` acts.
 *
 * @layer chat
 */

/** What a line asks for. */
export type Input =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "quit" | "receipt" | "status" | "help" }
  | { readonly type: "unknown"; readonly reason: string };

const COMMANDS = ["quit", "receipt", "status", "help"] as const;

/** What `/help` answers. */
export const HELP = [
  "Type a line and press Enter to send it.",
  "/status    who is connected, and what is sent and acknowledged",
  "/receipt   write this side's receipt now and send it to the server",
  "/quit      end the session: the server's receipt is fetched and checked (`quit` and Ctrl-D do the same)",
  "//text     send a text that begins with a slash",
] as const;

/** The meaning of a line without its line end. */
export function parseInput(line: string): Input {
  if (line.trimEnd() === "quit") return { type: "quit" };
  if (line.startsWith("//")) return { type: "text", text: line.slice(1) };
  if (!line.startsWith("/")) return { type: "text", text: line };
  const word = line.slice(1).trimEnd();
  const type = COMMANDS.find((command) => command === word);
  if (type) return { type };
  const known = COMMANDS.map((command) => `/${command}`).join(", ");
  return {
    type: "unknown",
    reason: `There is no such command; the commands are ${known}; to send a text that begins with a slash, type two.`,
  };
}
