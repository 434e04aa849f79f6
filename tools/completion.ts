/**
 * `securechat completion`: what a shell needs to complete the program's command lines.
 */

import { completionScript, SHELLS } from "../lib/completion.ts";
import { parseCommand } from "../lib/command_line.ts";
import { EXIT, type ExitStatus, Failure } from "../lib/errors.ts";
import { didYouMean } from "../lib/nearest.ts";
import { printable } from "../lib/text.ts";
import { catalogue } from "./commands.ts";

const SPEC = {
  name: "completion",
  summary: "print the completion script of a shell",
  usage: `securechat completion bash|zsh|fish

Examples:
  source <(securechat completion bash)                           in ~/.bashrc
  source <(securechat completion zsh)                            in ~/.zshrc, after compinit
  securechat completion fish > ~/.config/fish/completions/securechat.fish`,
  options: {},
  positionals: { min: 1, max: 1, names: "bash, zsh or fish" },
} as const;

/** Runs the command. */
export async function run(args: string[]): Promise<ExitStatus> {
  const { positionals: [word = ""] } = parseCommand(args, SPEC);
  const shell = SHELLS.find((name) => name === word);
  if (shell === undefined) {
    throw new Failure(
      EXIT.usage,
      `unknown shell ${printable(word)}${didYouMean(word, SHELLS, "securechat completion --help")}`,
    );
  }
  await Deno.stdout.write(new TextEncoder().encode(completionScript(shell, await catalogue())));
  return EXIT.done;
}
