/**
 * A bot that uses the library: it says again whatever somebody says to it with `echo`.
 *
 *     deno run -A tests/echo_library_bot.ts chat.example.org 5001 certs kept password.txt '#ops'
 *
 * `certs` is the folder with the bot's certificate, `kept` the one for its records.
 */

import { EXIT, Failure, openClient } from "../mod.ts";

const [host = "localhost", port = "5001", certs = "certs", transcripts = "kept", file = "pw", room = "#ops"] =
  Deno.args;
const [password = ""] = (await Deno.readTextFile(file)).split("\n");

const client = await openClient({
  ...{ host, port: Number(port), certs, transcripts },
  credentials: () => Promise.resolve({ type: "login", email: "echo@example.org", password }),
  show: (event, isLive) => {
    if (event.event === "warning") console.error(event.message);
    if (!isLive || event.event !== "line" || event.kind !== "text" || event.mine || event.bad !== null) return;
    const words = /^echo (.+)$/s.exec(event.text ?? "")?.[1];
    if (words !== undefined) client.rooms.say(event.room, words).catch((error) => console.error(error.message));
  },
});

Deno.addSignalListener("SIGTERM", () => void client.stop());
try {
  await client.start();
  await client.rooms.join(room);
  console.log(`In ${room} as ${client.rooms.username}.`);
  await client.ended();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  Deno.exitCode = error instanceof Failure ? error.status : EXIT.refused;
}
