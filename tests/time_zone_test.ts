import { readTimeZone } from "../lib/time_zone.ts";
import { assert } from "./assert.ts";
import { ROOT, runCommand } from "./environment.ts";

Deno.test("readTimeZone() understands names and fixed offsets, and says where it doesn't", () => {
  for (
    const [tz, zone] of [
      ["Europe/Berlin", "Europe/Berlin"],
      [":Europe/Berlin", "Europe/Berlin"],
      ["/usr/share/zoneinfo/Asia/Tokyo", "Asia/Tokyo"],
      ["UTC0", "Etc/UTC"],
      ["JST-9", "Etc/GMT-9"],
      ["<+03>-3", "Etc/GMT-3"],
      ["EST5", "Etc/GMT+5"],
      ["BRT+3:00", "Etc/GMT+3"],
      ["EST5EDT", "EST5EDT"],
      ["CET-1CEST", undefined],
      ["EST5EDT,M3.2.0,M11.1.0", undefined],
      ["IST-5:30", undefined],
      ["Nonsense", undefined],
      ["XXX99", undefined],
      ["+03:00", undefined],
    ] as const
  ) assert.equal(readTimeZone(tz), zone, tz);
});

Deno.test("a zone in POSIX form is taken or refused in a sentence, and times show their zone", async () => {
  const code = `import { useTimeZone } from "file://${ROOT}/lib/terminal.ts";
    import { zoneOf } from "file://${ROOT}/lib/time_zone.ts";
    try { useTimeZone(); console.log(zoneOf(1.7e12)); } catch (error) { console.log(error.status, error.message); }`;
  const under = async (tz: string) =>
    (await runCommand(Deno.execPath(), ["eval", "--quiet", code], { env: { TZ: tz } })).stdout.trim();
  assert.equal(await under("<+03>-3"), "UTC+3");
  assert.equal(await under("EST5"), "UTC-5");
  assert.equal(await under("Europe/Berlin"), "UTC+1");
  assert.equal(await under("Asia/Kolkata"), "UTC+5:30");
  assert.equal(await under("UTC0"), "UTC");
  assert.match(await under("CET-1CEST"), /^2 TZ is "CET-1CEST", .* such as Europe\/Berlin$/);
});
