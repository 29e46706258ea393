/** A server's certificate that nobody vouches for, made anew each time. https://www.rfc-editor.org/rfc/rfc5280#section-4.1 */

import { generateKeyPairSync, sign } from "node:crypto";

export interface SelfSigned {
  /** Both are PEM. */
  readonly cert: string;
  readonly key: string;
}

const ECDSA_WITH_SHA256 = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const COMMON_NAME = [0x55, 0x04, 0x03];
const SUBJECT_ALT_NAME = [0x55, 0x1d, 0x11];
const LOOPBACK = [127, 0, 0, 1];

/** For 127.0.0.1, until 2049. */
export function selfSigned(): SelfSigned {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = sequence(element(0x06, ECDSA_WITH_SHA256));
  const name = sequence(
    element(0x31, sequence(element(0x06, COMMON_NAME), element(0x0c, text("nobody")))),
  );
  const names = element(0x04, sequence(element(0x87, LOOPBACK)));
  const body = sequence(
    element(0xa0, element(0x02, [2])), // version 3
    element(0x02, [1]),
    algorithm,
    name,
    sequence(element(0x17, text("200101000000Z")), element(0x17, text("491231235959Z"))),
    name,
    [...publicKey.export({ type: "spki", format: "der" })],
    element(0xa3, sequence(sequence(element(0x06, SUBJECT_ALT_NAME), names))),
  );
  const signature = sign("sha256", Uint8Array.from(body), privateKey);
  const der = sequence(body, algorithm, element(0x03, [0, ...signature]));
  const lines = Uint8Array.from(der).toBase64().match(/.{1,64}/g) ?? [];
  return {
    cert: ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n"),
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

/** Tag, length, content (X.690). */
function element(tag: number, content: readonly number[]): number[] {
  const { length } = content;
  if (length < 0x80) return [tag, length, ...content];
  if (length < 0x100) return [tag, 0x81, length, ...content];
  return [tag, 0x82, length >> 8, length & 0xff, ...content];
}

function sequence(...parts: readonly (readonly number[])[]): number[] {
  return element(0x30, parts.flat());
}

function text(ascii: string): number[] {
  return [...new TextEncoder().encode(ascii)];
}
