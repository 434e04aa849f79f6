import { assert } from "./assert.ts";
import { ROOT } from "./environment.ts";
import { HelpAsked, parseCommand } from "../lib/command_line.ts";
import {
  type Command,
  databaseOf,
  flagOf,
  parseEnvFile,
  readConfig,
  type SettingName,
  SETTINGS,
} from "../lib/config.ts";
import { EXIT, Failure } from "../lib/errors.ts";

const NAMES = Object.keys(SETTINGS) as SettingName[];

const SPEC = {
  name: "cert show",
  summary: "print what a certificate says",
  usage: "securechat cert show FILE…\n\nExamples:\n  securechat cert show certs/server_cert.pem",
  options: {
    json: { type: "boolean", describe: "as JSON" },
    out: { type: "string", short: "o", value: "FILE", describe: "where to" },
    san: { type: "string", multiple: true, value: "NAME", describe: "a further name" },
  },
  settings: "cert",
  positionals: { min: 1, max: 2, names: "FILE" },
} as const;

function config(command: Command, { flags = {}, env = {}, file }: {
  flags?: Record<string, string>;
  env?: Record<string, string>;
  file?: string;
} = {}) {
  return readConfig(command, flags, { environment: (name) => env[name], file });
}

/** The sentence and status with which something ends. */
function failureOf(body: () => unknown): { status: number; message: string } {
  try {
    body();
  } catch (error) {
    if (error instanceof Failure) return { status: error.status, message: error.message };
    throw error;
  }
  throw new assert.AssertionError({ message: "nothing failed" });
}

Deno.test("readConfig() takes flags over environment over .env over defaults", () => {
  const [flags, env, file] = [{ port: "1" }, { SERVER_PORT: "2" }, "SERVER_PORT=3"];
  assert.equal(config("serve", { flags, env, file }).SERVER_PORT, 1);
  assert.equal(config("serve", { env, file }).SERVER_PORT, 2);
  assert.equal(config("serve", { file }).SERVER_PORT, 3);
  assert.equal(config("serve").SERVER_PORT, 5000);
});

Deno.test("readConfig() takes an empty value for none", () => {
  assert.equal(config("serve", { env: { DB_HOST: "" }, file: "DB_HOST=\nSERVER_PORT=" }).DB_HOST, undefined);
  assert.equal(config("serve", { env: { SERVER_PORT: "" }, file: "SERVER_PORT=3" }).SERVER_PORT, 3);
});

Deno.test("readConfig() names a value that makes no sense and its source, in one sentence", () => {
  assert.deepEqual(failureOf(() => config("serve", { file: "SERVER_PORT=70000" })), {
    status: EXIT.usage,
    message: "SERVER_PORT=70000 from .env is not a port: a number from 0 to 65535",
  });
  assert.equal(
    failureOf(() => config("serve", { env: { PASSWORD_COST: "6" } })).message,
    "PASSWORD_COST=6 from the environment is not a number from 1 to 5",
  );
  assert.equal(
    failureOf(() => config("serve", { flags: { "log-level": "loud" } })).message,
    "--log-level=loud is not one of debug, info, warn, error",
  );
  for (const port of ["-1", "1e3", "0x10", "5 000", "5000.0", "٣"]) {
    assert.equal(failureOf(() => config("serve", { env: { SERVER_PORT: port } })).status, EXIT.usage, port);
  }
});

Deno.test("readConfig() never prints a value that is a secret", () => {
  const { message } = failureOf(() => config("serve", { env: { DB_URL: "postgres://ada:hunter2@db/x" } }));
  assert.equal(
    message,
    "DB_URL from the environment is not a database: mysql://USER:PASSWORD@HOST:PORT/NAME or sqlite",
  );
});

Deno.test("readConfig() checks only what the command uses", () => {
  assert.equal(config("verify", { env: { SERVER_PORT: "nonsense" } }).CERT_DIR, "certs");
  assert.equal(failureOf(() => config("chat", { env: { SERVER_PORT: "nonsense" } })).status, EXIT.usage);
});

Deno.test("readConfig() knows the spellings of true, false and the levels", () => {
  for (const [text, value] of [["true", true], ["Yes", true], ["1", true], ["false", false], ["OFF", false]] as const) {
    assert.equal(config("serve", { env: { ALLOW_V1: text } }).ALLOW_V1, value, text);
  }
  assert.equal(failureOf(() => config("serve", { env: { ALLOW_V1: "2" } })).status, EXIT.usage);
  assert.equal(config("serve", { env: { LOG_LEVEL: "WARNING" } }).LOG_LEVEL, "warn");
  assert.equal(config("serve", { env: { LOG_LEVEL: "Debug" } }).LOG_LEVEL, "debug");
});

Deno.test("readConfig() has a default within its own range for every setting", () => {
  const defaults = config("serve");
  for (const name of NAMES) {
    assert.equal(defaults[name] === undefined, SETTINGS[name].fallback === undefined, name);
  }
});

Deno.test("the chat connects to localhost where the server listens on every address", () => {
  assert.equal(config("chat").SERVER_HOST, "localhost");
  assert.equal(config("chat", { file: "SERVER_HOST=::" }).SERVER_HOST, "localhost");
  assert.equal(config("chat", { file: "SERVER_HOST=chat.example" }).SERVER_HOST, "chat.example");
  assert.equal(config("serve").SERVER_HOST, "0.0.0.0");
});

Deno.test("databaseOf() is SQLite until DB_HOST or DB_URL names a server", () => {
  assert.deepEqual(databaseOf(config("serve")), { kind: "sqlite" });
  assert.deepEqual(databaseOf(config("serve", { env: { DB_HOST: "db", DB_URL: "sqlite" } })), { kind: "sqlite" });
  const rest = { user: "root", password: "", name: "securechat" };
  assert.deepEqual(databaseOf(config("serve", { env: { DB_HOST: "db" } })), {
    kind: "mysql",
    host: "db",
    port: 3306,
    ...rest,
  });
  const url = "mysql://ada:p%40ss@[::1]:3307/chat";
  assert.deepEqual(databaseOf(config("serve", { env: { DB_HOST: "db", DB_URL: url } })), {
    kind: "mysql",
    host: "::1",
    port: 3307,
    user: "ada",
    password: "p@ss",
    name: "chat",
  });
  const partial = { env: { DB_URL: "mysql://db", DB_PASSWORD: "from elsewhere", DB_PORT: "3308" } };
  assert.deepEqual(databaseOf(config("serve", partial)), {
    kind: "mysql",
    host: "db",
    port: 3308,
    ...rest,
    password: "from elsewhere",
  });
});

Deno.test("readConfig() refuses --db with a password, which a process list would show", () => {
  const { status, message } = failureOf(() => config("serve", { flags: { db: "mysql://ada:secret@db/chat" } }));
  assert.equal(status, EXIT.usage);
  assert.match(message, /^--db holds a password, .* in the environment or in \.env$/);
  assert.doesNotMatch(message, /secret/);
  assert.equal(databaseOf(config("serve", { flags: { db: "mysql://ada@db/chat" } })).kind, "mysql");
});

Deno.test("readConfig() refuses a DB_URL that is no address of a database", () => {
  for (const url of ["db", "mysql:", "mysql://", "http://db/x", "mysql://db/x?ssl=1", "mysql://a%zz@db/x"]) {
    assert.equal(failureOf(() => config("serve", { env: { DB_URL: url } })).status, EXIT.usage, url);
  }
});

Deno.test("parseEnvFile() reads names, quotes and comments", () => {
  const text = [
    "\ufeff# a comment",
    "",
    "A=1",
    "export B = two words \r",
    "C='single # quoted' # comment",
    "D=\"double 'inside'\"",
    "E=pa#ss#word # comment",
    "F=",
    "G= # only a comment",
    "A=2",
    "H=a=b",
  ].join("\n");
  assert.deepEqual(Object.fromEntries(parseEnvFile(text)), {
    A: "2",
    B: "two words",
    C: "single # quoted",
    D: "double 'inside'",
    E: "pa#ss#word",
    F: "",
    G: "",
    H: "a=b",
  });
});

Deno.test("parseEnvFile() names the line that it can't read, and not what stands there", () => {
  for (const line of ["DB_PASSWORD hunter2", "'A'=hunter2", "A='hunter2", "9A=hunter2", 'A="hunter2" x']) {
    const { status, message } = failureOf(() => parseEnvFile(`A=1\n${line}\n`));
    assert.equal(status, EXIT.usage);
    assert.equal(message, "line 2 of .env is not NAME=value; see .env.example");
  }
});

Deno.test("parseCommand() gives options, arguments and the flags of settings", () => {
  const line = parseCommand(["a.pem", "--json", "-o", "x", "--san=b", "--san", "c", "--certs", "dir", "b.pem"], SPEC);
  assert.deepEqual(line, {
    options: { json: true, out: "x", san: ["b", "c"] },
    positionals: ["a.pem", "b.pem"],
    flags: { certs: "dir" },
  });
  assert.deepEqual(parseCommand(["a"], SPEC), {
    options: { json: false, out: undefined, san: [] },
    positionals: ["a"],
    flags: {},
  });
  assert.deepEqual(parseCommand(["--", "--json"], SPEC).positionals, ["--json"]);
});

Deno.test("parseCommand() names what is wrong, and where the help is", () => {
  const cases: [string[], string][] = [
    [["--frob", "a"], "unknown flag --frob"],
    [["--port=1", "a"], "unknown flag --port"],
    [["--constructor", "a"], "unknown flag --constructor"],
    [["-x", "a"], "unknown flag -x"],
    [["--json=yes", "a"], "--json takes no value"],
    [["a", "--out"], "--out needs a value"],
    [["a", "--out="], "--out needs a value"],
    [["--out", "--json", "a"], "--out needs a value"],
    [["-o", "x", "--out", "y", "a"], "--out is given twice"],
    [[], "FILE is missing"],
    [["a", "b", "c"], '"c" is one argument too many'],
  ];
  for (const [args, sentence] of cases) {
    assert.deepEqual(failureOf(() => parseCommand(args, SPEC)), {
      status: EXIT.usage,
      message: `${sentence}; see securechat cert show --help`,
    });
  }
});

Deno.test("parseCommand() answers --help with everything that the command takes, whatever else is missing", () => {
  for (const args of [["--help"], ["-h"], ["a", "--json", "--help"]]) {
    assert.throws(() => parseCommand(args, SPEC), (error: unknown) => {
      assert(error instanceof HelpAsked);
      assert.match(error.text, /^securechat cert show: print what a certificate says\n/);
      for (const flag of ["--json", "-o, --out FILE", "--san NAME", "-h, --help", "--certs DIR"]) {
        assert(error.text.includes(`  ${flag}`), flag);
      }
      return true;
    });
  }
});

Deno.test("--help says what a setting means for the command that is asked", () => {
  const help = (settings: Command) => {
    try {
      parseCommand(["--help"], { ...SPEC, settings });
    } catch (error) {
      if (error instanceof HelpAsked) return error.text;
    }
    return "";
  };
  assert.match(help("chat"), /--host HOST +host or address of the server; localhost if it is 0\.0\.0\.0/);
  assert.match(help("serve"), /--host HOST +address to listen on \[SERVER_HOST, 0\.0\.0\.0\]/);
});

Deno.test("every setting but a secret has its flag, and every flag its setting", () => {
  const withoutFlag = NAMES.filter((name) => flagOf(name) === undefined);
  assert.deepEqual(withoutFlag, ["DB_PASSWORD", "SECURECHAT_PASSWORD_FILE"]);
  // Within one command: the data of a witness isn't that of a server, and both are --data.
  for (const command of new Set(NAMES.flatMap((name) => SETTINGS[name].commands))) {
    const flags = NAMES.filter((name) => SETTINGS[name].commands.includes(command)).flatMap((name) =>
      flagOf(name) ?? []
    );
    assert.equal(new Set(flags).size, flags.length, command);
  }
  const spec = { ...SPEC, name: "serve", settings: "serve", positionals: { min: 0, max: 0, names: "" } } as const;
  const line = parseCommand(["--no-v1", "--port", "0", "--db", "sqlite"], spec);
  const { ALLOW_V1, SERVER_PORT, DB_URL } = config("serve", { flags: line.flags });
  assert.deepEqual({ ALLOW_V1, SERVER_PORT, DB_URL }, { ALLOW_V1: false, SERVER_PORT: 0, DB_URL: "sqlite" });
});

Deno.test(".env.example documents every setting with its default, and nothing else", () => {
  const entries = NAMES.map((name) => {
    const { describe, fallback } = SETTINGS[name];
    const comment = `# ${describe.charAt(0).toUpperCase()}${describe.slice(1)}.`;
    return `${comment}\n${fallback === undefined ? `#${name}=` : `${name}=${fallback}`}\n`;
  });
  const head =
    `# The settings of securechat. Copy this file to .env and change what you need: what stands here is the default.
# Flags go over the environment, the environment over .env. A setting behind a # has no value until you give it one.
`;
  assert.equal(Deno.readTextFileSync(`${ROOT}/.env.example`), [head, ...entries].join("\n"));
});

Deno.test(".env.example is a .env that changes nothing", () => {
  const file = Deno.readTextFileSync(`${ROOT}/.env.example`);
  assert.deepEqual(config("serve", { file }), config("serve"));
});
