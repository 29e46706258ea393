/** Which LiveKit project a tenant may name: our server and its media process connect to it. */

/** LiveKit's own cloud. */
const CLOUD = /^[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63}){0,2}\.livekit\.cloud$/;

/**
 * LiveKit's cloud, or a `host:port` that the operator allows: names are resolved by others than us there, so
 * that no check of ours could hold for the address that is connected to.
 */
export function isProjectUrl(text: string, allow: readonly string[]): boolean {
  const url = URL.parse(text);
  if (url === null || url.username !== "" || url.password !== "" || /[?#]/.test(text)) return false;
  const isSecure = url.protocol === "wss:" || url.protocol === "https:";
  const isPlain = url.protocol === "ws:" || url.protocol === "http:";
  if (!isSecure && !isPlain) return false;
  const port = url.port === "" ? (isSecure ? "443" : "80") : url.port;
  if (allow.includes(`${url.hostname}:${port}`)) return true;
  return isSecure && url.port === "" && url.pathname === "/" && CLOUD.test(url.hostname);
}
