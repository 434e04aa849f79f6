import { assert } from "./assert.ts";
import { ROOT, runCommand } from "./environment.ts";
import { svgOf } from "./picture.ts";

Deno.test("the picture in the README is the client's screen of its story", async () => {
  const args = ["run", "--quiet", "-A", `${ROOT}/tests/picture.ts`, "--print"];
  const { status, stdout, stderr } = await runCommand(Deno.execPath(), args, { env: { TZ: "UTC" } });
  assert.equal(status, 0, stderr);
  const kept = await Deno.readTextFile(`${ROOT}/docs/client.svg`);
  assert.equal(kept, stdout, "draw it anew: TZ=UTC ./tools/deno run -A tests/picture.ts");
});

Deno.test("what stands in a row is text in the picture, at its cell", () => {
  const svg = svgOf(["\x1b[1m<b>\x1b[0m & 你", ""], 10);
  assert.match(svg, /<text x="16.0" y="42" textLength="25.2" font-weight="bold">&lt;b&gt;<\/text>/);
  assert.match(svg, /<text x="49.6" y="42" textLength="33.6">&amp;\u00a0你<\/text>/);
});
