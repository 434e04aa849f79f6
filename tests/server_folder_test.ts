import { assert } from "./assert.ts";
import { temporaryFolder } from "./environment.ts";
import { lookAtFolder } from "../lib/server_folder.ts";

Deno.test({
  name: "lookAtFolder() warns of what others may write to, with what mends it",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    using folder = temporaryFolder();
    const data = `${folder.path}/data`;
    assert.deepEqual(await lookAtFolder(data), { warnings: [], hasKey: false, hasDatabase: false });
    Deno.mkdirSync(data);
    Deno.chmodSync(data, 0o700);
    Deno.writeTextFileSync(`${data}/securechat.db`, "x", { mode: 0o600 });
    Deno.writeTextFileSync(`${data}/room_key`, "x", { mode: 0o600 });
    assert.deepEqual(await lookAtFolder(data), { warnings: [], hasKey: true, hasDatabase: true });
    Deno.chmodSync(data, 0o777);
    Deno.chmodSync(`${data}/securechat.db`, 0o660);
    const { warnings } = await lookAtFolder(data);
    assert.deepEqual(warnings.map((one) => one.replace(/^.*; run: /, "").replaceAll(folder.path, "")), [
      "chmod 700 /data",
      "chmod 600 /data/securechat.db",
    ]);
  },
});
