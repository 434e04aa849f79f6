import { assert } from "./assert.ts";
import { skipUnless } from "./environment.ts";
import { masked, playTour, shownSteps } from "./tour.ts";

Deno.test({
  name: "the tour that the documents show is what people see who type it",
  ...skipUnless("tmux"),
  fn: async () => {
    const shown = shownSteps();
    assert.ok(shown.length > 5);
    const played = await playTour();
    for (const { page, step, text } of shown) {
      const advice = `${page}, ${step}: write it anew with ./tools/deno run -A tests/tour.ts`;
      assert.equal(masked(text), masked(played[step] ?? "no such step"), advice);
    }
  },
});
