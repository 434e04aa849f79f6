/**
 * The tour of the documents, played again: an operator, Alice and Bob, each on a terminal of their own, type what the
 * README and docs/GUIDE.md show. A block that follows
 *
 *     <!-- tour: export -->
 *
 * is what stood on somebody's terminal at that step.
 *
 *     deno run -A tests/tour.ts     plays it and writes the blocks anew
 *
 * tour_test.ts plays it and compares, without what is another each time: keys, codes, times. Each terminal has
 * 100 columns; the zone is UTC; the ports are shown as 5000 and 5001, whatever they were.
 */

import { program, ROOT, temporaryFolder } from "./environment.ts";
import { PAGES, pageText } from "./readme.ts";
import { openTmux, type Tmux } from "./tmux.ts";

/** How the program calls itself where it isn't compiled. */
const FROM_SOURCE = "./tools/deno task securechat";
/** A line of the server's log, which the documents leave out. */
const LOG_LINE = /^\d{4}-\d\d-\d\dT[\d:.]+Z [A-Z]+ /;
const BLOCK = /(<!-- tour: ([a-z ]+) -->\n\n```\n)([^]*?)(\n```)/g;

/** The blocks that documents show, by page and step. */
export function shownSteps(): { readonly page: string; readonly step: string; readonly text: string }[] {
  return PAGES.flatMap((page) =>
    [...pageText(page).matchAll(BLOCK)].map(([, , step = "", text = ""]) => ({ page, step, text }))
  );
}

/** A text without what is another each time, where rows break included. */
export function masked(text: string): string {
  return text
    .replaceAll(/sc2\.[\w-]{48}/g, "CODE")
    .replaceAll(/\b[0-9a-f]{16,64}\b/g, "HEX")
    .replaceAll(/\b[0-9a-f]{4}…/g, "HEX…")
    .replaceAll(/(CA of \S+) [0-9a-f]{6}\b/g, "$1 HEX")
    .replaceAll(/(?<!\d)\d{8}_\d{6}(?!\d)/g, "STAMP")
    .replaceAll(/\b\d{4}-\d\d-\d\d(?:T[\d:.]+Z)?\b/g, "DATE")
    .replaceAll(/\b(?:[A-Z][a-z]+day,? )?\d{1,2} [A-Z][a-z]+ \d{4}\b/g, "DATE")
    .replaceAll(/\b\d\d:\d\d(?::\d\d)?\b/g, "TIME")
    .replaceAll(/\b\d{13}\b/g, "MS")
    .replaceAll(/\n +\| /g, " ").replaceAll(/\s+/g, " ");
}

/** A person's shell on a terminal. */
class Person implements AsyncDisposable {
  readonly #terminal: Tmux;

  constructor(terminal: Tmux) {
    this.#terminal = terminal;
  }

  /** Types a line. */
  async type(text: string): Promise<void> {
    await this.#terminal.type("-l", text);
    await this.#terminal.type("Enter");
  }

  /** Presses a key, named as tmux names it. */
  async press(key: string): Promise<void> {
    await this.#terminal.type(key);
  }

  /** Waits until the terminal shows this, and gives all that stands there, rows that went on joined. */
  async shows(what: string | RegExp | ((picture: string) => boolean)): Promise<string> {
    await this.#terminal.shows(what);
    const picture = await this.#terminal.run("capture-pane", "-p", "-J");
    const rows = picture.split("\n").map((row) => row.trimEnd()).filter((row) => !LOG_LINE.test(row));
    return rows.join("\n").trimEnd().replaceAll(FROM_SOURCE, "securechat");
  }

  /** Types a command on an empty terminal, and gives what stands there when this is shown, or the prompt is back. */
  async run(command: string, until?: string | RegExp): Promise<string> {
    await this.type("clear");
    await this.shows((picture) => picture.trim() === "$");
    await this.type(command);
    const isBack = (picture: string) => picture.trim() !== "$" && picture.trimEnd().endsWith("\n$");
    return (await this.shows(until ?? isBack)).replace(/\n\$$/, "");
  }

  /** Ends the shell: nothing is written after that. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.type("exit");
    await this.shows("ended 0").catch(() => {});
    await this.#terminal[Symbol.asyncDispose]();
  }
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Plays the tour: the text of each step. */
export async function playTour(): Promise<Record<string, string>> {
  using folder = temporaryFolder();
  const ports = { SERVER_PORT: `${freePort()}`, TLS_PORT: `${freePort()}` };
  const open = async (name: string): Promise<Person> => {
    const home = `${folder.path}/home/${name}`;
    await Deno.mkdir(home, { recursive: true });
    const { command, args } = program();
    const words = [command, ...args].map((word) => `'${word}'`).join(" ");
    await Deno.writeTextFile(
      `${home}/.setup`,
      `unset SECURECHAT_HOME\nsecurechat() { ${words} "$@"; }\nPS1='$ ' HISTFILE=\n`,
    );
    const env = { HOME: home, TZ: "UTC", NO_COLOR: "1", ...(name === "operator" ? ports : {}) };
    const command_ = ["bash", "--rcfile", `${home}/.setup`];
    return new Person(await openTmux(command_, { cwd: home, columns: 100, rows: 70, env }));
  };
  const steps: Record<string, string> = {};
  await using operator = await open("operator");
  await using alice = await open("alice");
  await using bob = await open("bob");
  await playFirstMinute(steps, { operator, alice, bob });
  await playEvidence(steps, alice);
  await using desk = await open("operator");
  await playChat(steps, desk);
  await operator.press("C-c");
  await playOperator(steps, operator, desk);
  return Object.fromEntries(
    Object.entries(steps).map(([step, text]) => [
      step,
      text.replaceAll(folder.path, "").replaceAll(
        new RegExp(`(localhost|chat.example.org):${ports.TLS_PORT}`, "g"),
        "$1",
      )
        .replaceAll(ports.TLS_PORT, "5001").replaceAll(ports.SERVER_PORT, "5000"),
    ]),
  );
}

interface People {
  readonly operator: Person;
  readonly alice: Person;
  readonly bob: Person;
}

/** A server, two people who come in with their codes, and a few words. */
async function playFirstMinute(steps: Record<string, string>, { operator, alice, bob }: People): Promise<void> {
  const started = steps["start"] = await operator.run("securechat start alice bob", "Ctrl-C stops the server.");
  for (const [name, person] of [["alice", alice], ["bob", bob]] as const) {
    const join = new RegExp(`${name} +(securechat join \\S+)`).exec(started)?.[1] ?? "";
    await person.run(join, "Password:");
    await person.type(`${name} likes lighthouses`);
    await person.shows("Confirm password:");
    steps[`join ${name}`] = await person.shows("Confirm password:");
    await person.type(`${name} likes lighthouses`);
    await person.shows(/▸#general[^]*online/);
  }
  await bob.shows("2 members, 2 here");
  await alice.type("Is the archive complete?");
  await bob.shows("Is the archive complete?");
  await bob.type("It is. Send it on Monday, alice.");
  await alice.shows(/3 \d\d:\d\d +bob: It is/);
  steps["room"] = (await alice.shows(/2 \d\d:\d\d ✓ alice/)).replaceAll(/(?:\n +│$)+/gm, "");
  await alice.type("/proof");
  const rows = (await alice.shows(/│ *Line 2 was[^]*others?\./)).split("\n").map((row) =>
    row.replace(/^.*?│/, "").trim()
  );
  const first = rows.findIndex((row) => row.startsWith("Line 2 was"));
  // What the server's log says depends on the second in which it is asked.
  steps["proof"] = rows.slice(first, rows.indexOf("", first)).join(" ").replace(/ The server's log, .*/, " …");
}

/** What Alice shows to a stranger, and what the stranger says to a changed copy. */
async function playEvidence(steps: Record<string, string>, alice: Person): Promise<void> {
  await alice.type("/quit");
  await alice.shows((picture) => picture.trimEnd().endsWith("$"));
  const exported = steps["export"] = await alice.run("securechat export --out evidence");
  const verify = /^ +(securechat verify .*)$/m.exec(exported)?.[1] ?? "";
  steps["verify"] = await alice.run(verify);
  const bundle = /evidence\/\S+\.evidence/.exec(verify)?.[0] ?? "";
  await alice.run(`sed '10s/|17/|18/' ${bundle} > changed.evidence`); // line 2: README.txt has 6 rows, the receipt 1
  steps["changed"] = await alice.run(verify.replace(bundle, "changed.evidence"));
  steps["prove"] = await alice.run("securechat prove 2");
  steps["profiles"] = await alice.run("securechat profiles");
}

/** A session with the server alone, with the certificate that a server's first start makes. */
async function playChat(steps: Record<string, string>, desk: Person): Promise<void> {
  await desk.run("securechat chat", "Register or login");
  for (const [asked, answer] of [["1 or 2", "1"], ["Username:", "ada"], ["E-mail:", "ada@example.org"]] as const) {
    await desk.shows(asked);
    await desk.type(answer);
  }
  for (const asked of ["Password:", "Confirm password:"]) {
    await desk.shows(asked);
    await desk.type("nobody guesses lighthouses");
  }
  await desk.shows("/help says");
  await desk.type("Send it on Monday, please.");
  steps["chat"] = await desk.shows("✓");
  await desk.type("/quit");
  const ended = await desk.shows(/securechat verify[^]*\n\$/);
  steps["chat end"] = ended.slice(ended.indexOf("The server's receipt")).replace(/\n\$$/, "");
  steps["chat verify"] = await desk.run(/^ +(securechat verify .*)$/m.exec(ended)?.[1] ?? "");
}

/** A server that is to stay. */
async function playOperator(steps: Record<string, string>, operator: Person, desk: Person): Promise<void> {
  await operator.shows((picture) => picture.trimEnd().endsWith("$"));
  await operator.run("mkdir chat; cd chat");
  steps["init"] = await operator.run("securechat init chat.example.org localhost");
  steps["serve"] = await operator.run("securechat serve", "TLS on");
  await desk.run("cd chat");
  steps["invite"] = await desk.run("securechat invite carol --email carol@example.org");
  await operator.press("C-c");
  await operator.shows((picture) => picture.trimEnd().endsWith("^C$"));
}

if (import.meta.main) {
  const steps = await playTour();
  if (Deno.args[0] === "--print") {
    for (const [step, text] of Object.entries(steps)) console.log(`=== ${step}\n${text}\n`);
  } else {
    for (const page of new Set(shownSteps().map(({ page }) => page))) {
      const text = pageText(page).replaceAll(BLOCK, (_, head, step, __, end) => `${head}${steps[step]}${end}`);
      Deno.writeTextFileSync(`${ROOT}/${page}`, text);
    }
  }
}
