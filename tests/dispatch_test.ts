import { assert } from "./assert.ts";
import { dispatch, type Handlers, isOfType } from "../lib/dispatch.ts";

type Shape = { readonly type: "circle"; readonly radius: number } | { readonly type: "square"; readonly side: number };

const AREAS: Handlers<Shape, [scale: number], number> = {
  circle: ({ radius }, scale) => scale * 3 * radius ** 2,
  square: ({ side }, scale) => scale * side ** 2,
};

Deno.test("each member of a union goes to the handler of its type", () => {
  assert.equal(dispatch(AREAS, { type: "square", side: 3 }, 2), 18);
  assert.equal(dispatch(AREAS, { type: "circle", radius: 1 }, 1), 3);
});

Deno.test("a table that forgets a type, or has one too many, doesn't compile", () => {
  // @ts-expect-error: square is missing
  const short: Handlers<Shape, [], number> = { circle: ({ radius }) => radius };
  // @ts-expect-error: there is no triangle
  const long: Handlers<Shape, [], number> = { ...short, square: ({ side }) => side, triangle: () => 3 };
  assert.ok(long);
});

Deno.test("a member of a union is known by its type", () => {
  const shapes: readonly Shape[] = [{ type: "circle", radius: 1 }, { type: "square", side: 3 }];
  assert.deepEqual(shapes.flatMap((one) => isOfType(one, "square") ? [one.side] : []), [3]);
  assert.ok(shapes.every((one) => isOfType(one, "square", "circle")));
});
