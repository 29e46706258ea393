/** The address of a peer, as limits are counted by it. */

import { isIPv4 } from "node:net";
import ipaddr from "ipaddr.js";

/** One subscriber has a whole /64 of IPv6 (RFC 6177), and may use each address of it once. */
const SUBSCRIBER_BITS = 64;

/** IPv4 as it is, IPv6 by its network; of what is no address there is one. */
export function addressKey(address: string): string {
  if (isIPv4(address)) return address;
  if (!ipaddr.IPv6.isValid(address)) return "unknown";
  const parsed = ipaddr.IPv6.parse(address);
  if (parsed.isIPv4MappedAddress()) return parsed.toIPv4Address().toString();
  return parsed.parts.slice(0, SUBSCRIBER_BITS / 16).map((part) => part.toString(16)).join(":");
}
