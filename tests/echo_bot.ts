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

/** The first line of each room that is new: what was said before isn't answered again. */
const newFrom = new Map<string, number>();

for await (const line of createInterface({ input: client.stdout })) {
  const event = JSON.parse(line);
  if (event.event === "caught_up") newFrom.set(event.room, event.size);
  if (event.event === "invited") ask({ command: "join", room: event.room });
  if (event.event !== "line" || event.kind !== "text" || event.mine || event.bad !== null) continue;
  if (event.index < (newFrom.get(event.room) ?? Infinity) || !event.text.startsWith("echo ")) continue;
  ask({ command: "say", room: event.room, text: event.text.slice(5) });
}
