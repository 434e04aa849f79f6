/**
 * Addresses of services that a person names in a setting.
 *
 * @layer ground
 */

/** Whether the text is an address of a service: http or https, without a user's name or a fragment. */
export function isServiceUrl(text: string): boolean {
  const url = URL.parse(text);
  const isPlain = url !== null && url.username === "" && url.password === "" && url.hash === "";
  return isPlain && (url.protocol === "http:" || url.protocol === "https:");
}
