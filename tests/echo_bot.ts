/**
 * An example of a bot: says again what begins with "echo ", in every room that it is in or is invited to.
 *
 *     deno run -A tests/echo_bot.ts securechat rooms --json '#ops'
 */

import { spawn } from "node:child_process";
import { argv } from "node:process";
import { createInterface } from "node:readline";

const [program = "", ...args] = argv.slice(2);
const client = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
const ask = (command: object) => client.stdin.write(`${JSON.stringify(command)}\n`);

for await (const line of createInterface({ input: client.stdout })) {
  const event = JSON.parse(line);
  if (event.event === "invited") ask({ command: "join", room: event.room });
  // What was said before isn't answered again, and neither is what isn't proved to be its author's.
  if (event.event !== "line" || !event.live || event.mine || event.bad !== null || event.kind !== "text") continue;
  if (event.text.startsWith("echo ")) ask({ command: "say", room: event.room, text: event.text.slice(5) });
}
