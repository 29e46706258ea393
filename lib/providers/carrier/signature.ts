/** Twilio's request signature: HMAC-SHA1 over the public URL and the form. https://www.twilio.com/docs/usage/security#validating-requests */

import { createHash, createHmac, timingSafeEqual } from "node:crypto";

export interface SignedRequest {
  /** The `X-Twilio-Signature` header; empty when there was none. */
  readonly signature: string;
  /** As the sender sees it: the public scheme, host and port, and the path and query byte for byte. */
  readonly url: string;
}

/** Name and value pairs in any order; a name may come more than once. */
export type Form = Iterable<readonly [name: string, value: string]>;

/** The signature of a request: base64, 28 characters. No form for a GET, a JSON body or a socket. */
export function signatureOf(authToken: string, url: string, form: Form = []): string {
  const values = new Map<string, Set<string>>();
  for (const [name, value] of form) {
    values.set(name, (values.get(name) ?? new Set()).add(value));
  }
  let text = url;
  // By UTF-16 code unit, as the SDK sorts; equal values of one name count once.
  for (const name of [...values.keys()].sort()) {
    for (const value of [...values.get(name) ?? []].sort()) text += name + value;
  }
  return createHmac("sha1", authToken).update(text).digest("base64");
}

/**
 * Does Twilio stand behind this webhook? `body` is the raw one: a form, or anything at all when the
 * URL carries `bodySHA256`, which is then checked as well.
 */
export function isWebhookSigned(
  authToken: string,
  request: SignedRequest & { readonly body: string },
): boolean {
  const bodyHash = /[?&]bodySHA256=([^&]*)/.exec(request.url)?.[1];
  if (bodyHash === undefined) {
    return isSigned(
      authToken,
      request,
      portVariants(request.url),
      new URLSearchParams(request.body),
    );
  }
  const expected = createHash("sha256").update(request.body).digest("hex");
  return isEqual(bodyHash, expected) && isSigned(authToken, request, portVariants(request.url), []);
}

/**
 * Does Twilio stand behind this media socket? Its upgrade is signed over the URL alone, and what
 * signs has been seen to write that URL as `wss` or `https`, with or without port or trailing slash.
 * All are taken: the one-use path is the authority.
 */
export function isSocketSigned(authToken: string, request: SignedRequest): boolean {
  const [, , rest = ""] = /^(ws|http)(.*)$/s.exec(request.url) ?? [];
  const path = rest.endsWith("/") ? rest.slice(0, -1) : rest;
  const urls = ["ws", "http"].flatMap((scheme) => [`${scheme}${path}`, `${scheme}${path}/`])
    .flatMap(portVariants);
  return isSigned(authToken, request, urls, []);
}

function isSigned(
  authToken: string,
  request: SignedRequest,
  urls: readonly string[],
  form: Form,
): boolean {
  const fields = [...form];
  return urls.some((url) => isEqual(request.signature, signatureOf(authToken, url, fields)));
}

const STANDARD_PORTS: Readonly<Record<string, string>> = {
  http: ":80",
  ws: ":80",
  https: ":443",
  wss: ":443",
};

/** The URL without a port, and with its own or the standard one. Textual: `URL` would re-encode the path. */
function portVariants(url: string): string[] {
  const parts = /^([a-z]+):\/\/(\[[^\]]*\]|[^:/?#]*)(:\d+)?(.*)$/s.exec(url);
  if (parts === null) return [url];
  const [, scheme = "", host = "", port = STANDARD_PORTS[scheme] ?? "", rest = ""] = parts;
  return [`${scheme}://${host}${rest}`, `${scheme}://${host}${port}${rest}`];
}

/** Takes as long for a near miss as for a far one. The length is no secret. */
function isEqual(given: string, expected: string): boolean {
  const [a, b] = [new TextEncoder().encode(given), new TextEncoder().encode(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}
