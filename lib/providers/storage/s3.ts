/** Objects in a bucket that speaks S3, by path: https://docs.aws.amazon.com/AmazonS3/latest/API/ */

import { AwsClient } from "aws4fetch";
import type { Clock } from "@/lib/clock.ts";
import { limitedFetch, providerError } from "@/lib/providers/http.ts";
import type { Secret } from "@/lib/secret.ts";
import { checkKey, type ObjectStore, type StoredObject } from "./storage.ts";

export interface S3Options {
  /** Without a slash at its end. */
  readonly endpoint: string;
  readonly bucket: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: Secret;
  readonly clock: Clock;
  readonly fetch?: typeof fetch;
}

/** A segment of a recording is 80 kB; a page of a list about half a megabyte. */
const LIMITS = { headMs: 5_000, idleMs: 5_000, totalMs: 15_000, maxBytes: 4 * 1024 * 1024 };
/** Objects that are deleted at the same time. */
const DELETES_MAX = 8;

export function s3Store(options: S3Options): ObjectStore {
  const { endpoint, bucket, region, accessKeyId, clock } = options;
  const send = limitedFetch({
    provider: "s3",
    clock,
    ...LIMITS,
    ...(options.fetch === undefined ? {} : { fetch: options.fetch }),
  });
  const signer = new AwsClient({
    accessKeyId,
    secretAccessKey: options.secretAccessKey.reveal(),
    region,
    service: "s3",
    retries: 0, // ours are above the interface
  });
  const base = `${endpoint}/${bucket}`;

  /** The signature covers the body. */
  async function ask(
    method: "GET" | "PUT" | "DELETE",
    path: string,
    { body = null, signal }: {
      readonly body?: Uint8Array<ArrayBuffer> | null;
      readonly signal: AbortSignal;
    },
  ): Promise<Response> {
    const digest = await crypto.subtle.digest("SHA-256", body ?? new Uint8Array());
    const hash = new Uint8Array(digest).toHex();
    const { url, headers } = await signer.sign(`${base}${path}`, {
      method,
      headers: { "X-Amz-Content-Sha256": hash },
      body,
    });
    return await send(url, { method, headers, body, signal });
  }

  async function done(response: Response, what: string): Promise<void> {
    await response.body?.cancel();
    if (!response.ok) throw providerError("s3", `${what} refused`, { status: response.status });
  }

  async function list(prefix: string, signal: AbortSignal): Promise<StoredObject[]> {
    const found: StoredObject[] = [];
    let token: string | null = null;
    do {
      const query = new URLSearchParams({ "list-type": "2", prefix: checkKey(prefix) });
      if (token !== null) query.set("continuation-token", token);
      const response = await ask("GET", `?${query}`, { signal });
      if (!response.ok) return await done(response, "A list was").then(() => []);
      const page = await response.text();
      found.push(...objectsOf(page));
      token = textOf(page, "NextContinuationToken");
    } while (token !== null);
    return found;
  }

  return {
    provider: "s3",
    async put(key, bytes, signal) {
      const response = await ask("PUT", `/${checkKey(key)}`, { body: bytes, signal });
      await done(response, "A write was");
    },
    async get(key, signal) {
      const response = await ask("GET", `/${checkKey(key)}`, { signal });
      if (response.ok) return new Uint8Array(await response.arrayBuffer());
      if (response.status !== 404) await done(response, "A read was");
      await response.body?.cancel();
      return null;
    },
    list,
    async delete(prefix, signal) {
      const found = await list(prefix, signal);
      for (let at = 0; at < found.length; at += DELETES_MAX) {
        await Promise.all(
          found.slice(at, at + DELETES_MAX).map(async ({ key }) => {
            await done(await ask("DELETE", `/${key}`, { signal }), "A deletion was");
          }),
        );
      }
      return found.length;
    },
  };
}

/** Keys are ours: they hold nothing that XML would escape. */
function objectsOf(page: string): StoredObject[] {
  return [...page.matchAll(/<Contents>(.*?)<\/Contents>/gs)].flatMap(([, entry = ""]) => {
    const key = textOf(entry, "Key");
    return key === null ? [] : [{ key, bytes: Number(textOf(entry, "Size") ?? 0) }];
  });
}

function textOf(xml: string, name: string): string | null {
  const text = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1];
  if (text === undefined || text === "") return null;
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&quot;", '"')
    .replaceAll("&amp;", "&");
}
