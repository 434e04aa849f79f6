/**
 * Command lines: reads a command's flags and arguments by its specification, and prints `--help` from the same
 * specification. Only this module uses node:util's `parseArgs`.
 *
 *     const { options, positionals, flags } = parseCommand(args, SPEC);
 *
 * @layer outside
 */

import { parseArgs } from "node:util";
import {
  type Command,
  flagOf,
  mayReadEnvFile,
  settingEntries,
  type SettingFlags,
  type SettingName,
} from "./config_settings.ts";
import { EXIT, Failure } from "./errors.ts";
import { nearest } from "./nearest.ts";

/** One flag of a command. */
export interface OptionSpec {
  readonly type: "string" | "boolean";
  /** One letter. */
  readonly short?: string;
  /** May be repeated. */
  readonly multiple?: true;
  /** The placeholder for the value in `--help`. */
  readonly value?: string;
  readonly describe: string;
}

/** A command: its flags, arguments and help. */
export interface CommandSpec<Options extends Readonly<Record<string, OptionSpec>>> {
  /** As it is typed after `securechat`: `serve`, `cert show`. */
  readonly name: string;
  /** The program before it, if that isn't `securechat`: `deno task`. */
  readonly program?: string;
  /** One sentence, without a full stop. */
  readonly summary: string;
  /** Lines of usage, and examples. */
  readonly usage: string;
  readonly options: Options;
  /** Also accepts the flags of this command's settings. */
  readonly settings?: Command;
  /** Arguments that aren't flags; by default none. Messages call them `names`. */
  readonly positionals?: { readonly min: number; readonly max: number; readonly names: string };
}

type OptionValue<Option extends OptionSpec> = Option extends { multiple: true } ? string[]
  : Option extends { type: "boolean" } ? boolean
  : string | undefined;

/** A parsed command line. */
export interface CommandLine<Options extends Readonly<Record<string, OptionSpec>>> {
  readonly options: { readonly [Name in keyof Options]: OptionValue<Options[Name]> };
  readonly positionals: readonly string[];
  /** For {@link readConfig}. */
  readonly flags: SettingFlags;
}

/** A flag as help, completion and the man page show it. */
export interface FlagRow {
  /** Without the hyphens. */
  readonly name: string;
  readonly short: string | undefined;
  /** The placeholder for its value: `FILE`, `debug|info`; `undefined` if it has none. */
  readonly value: string | undefined;
  readonly describe: string;
  /** The setting to which it belongs. */
  readonly setting: SettingName | undefined;
}

/** All that help says about a command. */
export interface CommandPage {
  /** As it is typed after `securechat`: `serve`, `cert show`. */
  readonly name: string;
  readonly summary: string;
  readonly usage: string;
  readonly flags: readonly FlagRow[];
  /** Whether it reads settings from `.env`. */
  readonly readsEnvFile: boolean;
}

/** Thrown for `--help`: the text is printed on stdout, with status 0. */
export class HelpAsked extends Error {
  /** `page`: of one command. */
  constructor(readonly text: string, readonly page?: CommandPage) {
    super("help was asked for");
    this.name = "HelpAsked";
  }
}

/**
 * Reads a command line; throws {@link HelpAsked} for `--help`, and {@link Failure} for what isn't in the specification.
 */
export function parseCommand<const Options extends Readonly<Record<string, OptionSpec>>>(
  args: readonly string[],
  spec: CommandSpec<Options>,
): CommandLine<Options> {
  const known: Record<string, OptionSpec> = { ...settingOptions(spec.settings), ...spec.options, help: HELP };
  const wrong = (what: string) => new Failure(EXIT.usage, `${what}; see ${callOf(spec)} --help`);

  const config = Object.fromEntries(
    Object.entries(known).map(([name, { type, short }]) => [name, short === undefined ? { type } : { type, short }]),
  );
  // Not strict: messages of the strict mode are long and don't name the command.
  const { tokens } = parseArgs({ args: [...args], options: config, strict: false, tokens: true });

  const found = new Map<string, string[]>();
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    const { name, rawName, value, inlineValue } = token;
    const option = Object.hasOwn(known, name) ? known[name] : undefined;
    if (option === undefined) {
      const near = nearest(name, Object.keys(known));
      const suggestion = near === undefined ? "; see" : `: did you mean --${near}? See`;
      throw new Failure(EXIT.usage, `unknown flag ${rawName}${suggestion} ${callOf(spec)} --help`);
    }
    if (option.type === "boolean" && value !== undefined) throw wrong(`${rawName} takes no value`);
    if (option.type === "string" && (value === undefined || value === "" || (!inlineValue && /^-./.test(value)))) {
      throw wrong(`${rawName} needs a value`);
    }
    const values = found.get(name) ?? [];
    if (values.length > 0 && !option.multiple && option.type === "string") throw wrong(`${rawName} is given twice`);
    found.set(name, [...values, value ?? ""]);
  }
  if (found.has("help")) {
    const page = pageOf(spec, known);
    throw new HelpAsked(helpText(callOf(spec), page), page);
  }

  const { min, max, names } = spec.positionals ?? { min: 0, max: 0, names: "" };
  if (positionals.length < min) throw wrong(`${names} is missing`);
  if (positionals.length > max) throw wrong(`"${positionals[max]}" is one argument too many`);

  const options = Object.fromEntries(
    Object.entries<OptionSpec>(spec.options).map(([name, option]) => {
      const values = found.get(name);
      if (option.multiple) return [name, values ?? []];
      return [name, option.type === "boolean" ? values !== undefined : values?.[0]];
    }),
  );
  const flags = Object.fromEntries(
    Object.keys(settingOptions(spec.settings)).flatMap((name) => {
      const value = found.get(name)?.[0];
      return value === undefined || Object.hasOwn(spec.options, name) ? [] : [[name, value]];
    }),
  );
  return { options: options as CommandLine<Options>["options"], positionals, flags };
}

function callOf({ program = "securechat", name }: { program?: string; name: string }): string {
  return `${program} ${name}`;
}

const HELP: OptionSpec = { type: "boolean", short: "h", describe: "print this" };

/** The flags of a command's settings. */
function settingOptions(command: Command | undefined): Record<string, OptionSpec> {
  const options: Record<string, OptionSpec> = {};
  for (const [name, setting] of settingEntries()) {
    const flag = flagOf(name);
    if (command === undefined || flag === undefined || !setting.commands.includes(command)) continue;
    const describe = setting.describeFor?.[command] ?? setting.describe;
    const note = setting.flagMeans !== undefined
      ? `${name}=${setting.flagMeans}: don't ${describe}`
      : `${describe} [${name}${setting.fallback === undefined ? "" : `, ${setting.fallback}`}]`;
    options[flag] = setting.flagMeans === undefined
      ? { type: "string", value: setting.kind.placeholder, describe: note }
      : { type: "boolean", describe: note };
  }
  return options;
}

function pageOf(
  spec: CommandSpec<Readonly<Record<string, OptionSpec>>>,
  known: Readonly<Record<string, OptionSpec>>,
): CommandPage {
  const settings = new Map(
    settingEntries().flatMap(([name, { commands }]): [string, SettingName][] => {
      const flag = flagOf(name);
      const isOurs = spec.settings !== undefined && commands.includes(spec.settings);
      return flag !== undefined && isOurs && !Object.hasOwn(spec.options, flag) ? [[flag, name]] : [];
    }),
  );
  const flags = Object.entries(known).map(([name, { type, short, value = "TEXT", describe }]) => ({
    ...{ name, short, describe, setting: settings.get(name) },
    value: type === "string" ? value : undefined,
  }));
  const readsEnvFile = spec.settings !== undefined && mayReadEnvFile(spec.settings);
  return { name: spec.name, summary: spec.summary, usage: spec.usage.trim(), flags, readsEnvFile };
}

function helpText(call: string, { summary, usage, flags, readsEnvFile }: CommandPage): string {
  const left = ({ name, short, value }: FlagRow) =>
    `  ${short === undefined ? "    " : `-${short}, `}--${name}${value === undefined ? "" : ` ${value}`}`;
  const width = Math.max(...flags.map((flag) => left(flag).length)) + 2;
  const lines = (rows: readonly FlagRow[]) => rows.map((flag) => left(flag).padEnd(width) + flag.describe).join("\n");
  const settings = flags.filter(({ setting }) => setting !== undefined);
  const own = flags.filter(({ setting }) => setting === undefined);
  const parts = [`${call}: ${summary}`, usage, `Flags:\n${lines(own)}`];
  if (settings.length > 0) {
    const sources = readsEnvFile ? "the environment or .env" : "the environment";
    parts.push(`Settings, each also from ${sources} under the name in brackets:\n${lines(settings)}`);
  }
  return `${parts.join("\n\n")}\n`;
}
