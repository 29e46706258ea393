/** Where a machine is reached by the others. */

export interface Place {
  readonly host: string;
  readonly port: number;
}

/** Of `HOST:PORT`, where the host may be an IPv6 address with brackets or without. */
export function parsePlace(address: string): Place {
  const at = address.lastIndexOf(":");
  const host = address.slice(0, at).replace(/^\[(.*)\]$/, "$1");
  return { host, port: Number(address.slice(at + 1)) };
}

/** Of `HOST:PORT`, as `http://HOST:PORT`. */
export function placeUrl(address: string): string {
  const { host, port } = parsePlace(address);
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}
