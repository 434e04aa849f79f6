/**
 * One place that decides what happens with each member of a union, by its `type`. A table of handlers must name every
 * type, and no other: the compiler says so when a member is added to the union.
 *
 *     const ANSWERS: Handlers<Request, [session: Session], void> = { ping: (_, session) => session.pong(), … };
 *     dispatch(ANSWERS, request, session);
 *
 * @layer ground
 */

/** A handler for each type of a union. */
export type Handlers<Union extends { readonly type: string }, Rest extends readonly unknown[], Result> = {
  readonly [Type in Union["type"]]: (one: Extract<Union, { readonly type: Type }>, ...rest: Rest) => Result;
};

/** Calls the handler of that type. */
export function dispatch<Union extends { readonly type: string }, Rest extends readonly unknown[], Result>(
  handlers: Handlers<Union, Rest, Result>,
  one: Union,
  ...rest: Rest
): Result {
  // The table's type says that this handler takes this member; the compiler can't follow that through the lookup.
  const handler = handlers[one.type as Union["type"]] as (one: Union, ...rest: Rest) => Result;
  return handler(one, ...rest);
}

/** Whether a member of a union is of one of these types. */
export function isOfType<Union extends { readonly type: string }, Type extends Union["type"]>(
  one: Union,
  ...types: readonly Type[]
): one is Extract<Union, { readonly type: Type }> {
  return (types as readonly string[]).includes(one.type);
}
