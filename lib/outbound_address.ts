/** Which URLs and addresses may be asked at all, when somebody else chose them. */

import ipaddr from "ipaddr.js";
import { AppError } from "./errors.ts";

export const URL_LENGTH_MAX = 2_048;
/** Below these are services that are no web servers: mail, remote shells, databases' neighbours. */
const SYSTEM_PORTS_BELOW = 1_024;
const WEB_PORTS: readonly number[] = [80, 443];
/** RFC 6761, 6762, 8375, 9476, and what private networks call themselves. */
const PRIVATE_SUFFIXES = /(^|\.)(localhost|local|internal|intranet|lan|home|corp|home\.arpa|alt)$/;
/** IPv6 that is routed in the internet (RFC 4291 §2.4). */
const GLOBAL_IPV6 = ipaddr.parseCIDR("2000::/3");

/** Where a request goes. */
export interface Destination {
  readonly url: URL;
  readonly host: string;
  readonly port: number;
  /** True: the operator allows it although it may be private. */
  readonly isAllowed: boolean;
}

/** `allow`: `host:port` of exactly the private destinations that are allowed. Throws AppError("invalid"). */
export function destinationOf(text: string, allow: readonly string[]): Destination {
  if (text.length > URL_LENGTH_MAX) throw refused(`is over ${URL_LENGTH_MAX} characters`);
  if (/[\s\\\p{Cc}]/u.test(text)) throw refused("has a space, a backslash or a control character");
  const url = URL.parse(text);
  if (url === null) throw refused("is no URL");
  if (url.protocol !== "https:" && url.protocol !== "http:") throw refused("is not https");
  if (url.username !== "" || url.password !== "") throw refused("holds a user name or a password");
  const host = url.hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "").toLowerCase();
  const port = Number(url.port) || (url.protocol === "https:" ? 443 : 80);
  if (allow.includes(`${host}:${port}`)) return { url, host, port, isAllowed: true };
  if (url.protocol !== "https:") throw refused("is not https");
  if (port < SYSTEM_PORTS_BELOW && !WEB_PORTS.includes(port)) {
    throw refused("has a port that is not the web's");
  }
  if (ipaddr.isValid(host)) {
    if (!isPublic(host)) throw refused("leads to a private address");
  } else if (!host.includes(".") || PRIVATE_SUFFIXES.test(host)) {
    throw refused("leads to a private name");
  }
  return { url, host, port, isAllowed: false };
}

/** Whether an address is one of the internet's own: no private, local, mapped, translated or tunnelled one. */
export function isPublic(address: string): boolean {
  // Of IPv4 only the four decimal parts: short and octal forms are read differently by different parsers.
  if (!ipaddr.IPv4.isValidFourPartDecimal(address) && !ipaddr.IPv6.isValid(address)) return false;
  const parsed = ipaddr.parse(address);
  if (parsed.range() !== "unicast") return false;
  return parsed.kind() === "ipv4" || parsed.match(GLOBAL_IPV6);
}

export function refused(why: string): AppError {
  return new AppError("invalid", `The URL ${why}`, { field: "url" });
}
