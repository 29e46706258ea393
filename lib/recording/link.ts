/** Links to recordings: each opens one, for minutes, and can be made by nobody else. */

import type { Secret } from "@/lib/secret.ts";
import { isSameHash, peppered } from "@/lib/pepper.ts";
import { uuidOf } from "@/lib/ids.ts";

/** How long a link opens. */
export const LINK_MS = 10 * 60_000;
/** A download that began in time may go on for so long. */
export const DOWNLOAD_MS = 60 * 60_000;

export interface RecordingLink {
  readonly tenantId: string;
  readonly recordingId: string;
  readonly expiresAt: Date;
}

const PURPOSE = "recording link";
const BASE = 36;
const UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}";
const TOKEN = new RegExp(`^(${UUID})\\.(${UUID})\\.([0-9a-z]{1,12})\\.([\\w-]{43})$`);

/** Tenant, recording and end, and their HMAC under the house's pepper. */
export function signLink(pepper: Secret, link: RecordingLink): string {
  const { tenantId, recordingId, expiresAt } = link;
  const tenant = uuidOf("tenant", tenantId);
  const recording = uuidOf("recording", recordingId);
  const text = `${tenant}.${recording}.${expiresAt.getTime().toString(BASE)}`;
  return `${text}.${signatureOf(pepper, text)}`;
}

/** Null for what was not signed here. Whether it opens still is the caller's to say. */
export function readLink(pepper: Secret, token: string): RecordingLink | null {
  const found = TOKEN.exec(token);
  if (found === null) return null;
  const [, tenant = "", recording = "", end = "", signature = ""] = found;
  const wanted = signatureOf(pepper, `${tenant}.${recording}.${end}`);
  const bytes = new TextEncoder();
  if (!isSameHash(bytes.encode(signature), bytes.encode(wanted))) return null;
  return {
    tenantId: `tenant_${tenant}`,
    recordingId: `recording_${recording}`,
    expiresAt: new Date(Number.parseInt(end, BASE)),
  };
}

function signatureOf(pepper: Secret, text: string): string {
  return peppered(pepper, PURPOSE, text).toBase64({ alphabet: "base64url", omitPadding: true });
}
