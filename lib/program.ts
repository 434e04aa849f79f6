/**
 * How this program is called, in the commands that it tells people to run.
 *
 * @layer outside
 */

/** How this program is called, for the commands that it prints. */
export const PROGRAM = Deno.build.standalone ? "securechat" : "./tools/deno task securechat";
