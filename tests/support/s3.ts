/** A bucket on loopback that speaks S3 by path, and checks every signature for itself. */

import { createHash, createHmac } from "node:crypto";

export interface S3Server {
  readonly endpoint: string;
  readonly bucket: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** What it holds, by key. */
  readonly objects: Map<string, Uint8Array>;
  /** Requests whose signature was wrong. */
  readonly refused: readonly string[];
  /** The next requests are answered with these statuses, one each. */
  failNext(...statuses: number[]): void;
  close(): Promise<void>;
}

const PAGE_MAX = 3; // so that lists go over pages

export function startS3(): S3Server {
  const keys = { accessKeyId: "AKIATEST", secretAccessKey: "a secret of tests" };
  const bucket = "calls";
  const region = "eu-test-1";
  const objects = new Map<string, Uint8Array>();
  const refused: string[] = [];
  const statuses: number[] = [];

  function list(url: URL): Response {
    const prefix = url.searchParams.get("prefix") ?? "";
    const after = url.searchParams.get("continuation-token") ?? "";
    const found = [...objects].filter(([key]) => key.startsWith(prefix) && key > after)
      .sort(([a], [b]) => a < b ? -1 : 1);
    const page = found.slice(0, PAGE_MAX);
    const next = found.length > PAGE_MAX ? page.at(-1)?.[0] ?? "" : "";
    const contents = page.map(([key, { length }]) =>
      `<Contents><Key>${key}</Key><Size>${length}</Size></Contents>`
    ).join("");
    const token = next === "" ? "" : `<NextContinuationToken>${next}</NextContinuationToken>`;
    return new Response(
      `<?xml version="1.0"?><ListBucketResult><Name>${bucket}</Name>${token}${contents}</ListBucketResult>`,
      { headers: { "Content-Type": "application/xml" } },
    );
  }

  function answer(request: Request, url: URL, body: Uint8Array): Response {
    const key = decodeURIComponent(url.pathname.slice(`/${bucket}/`.length));
    const object = objects.get(key);
    switch (request.method) {
      case "PUT":
        objects.set(key, body);
        return new Response(null, { status: 200 });
      case "DELETE":
        objects.delete(key);
        return new Response(null, { status: 204 });
      default:
        if (url.pathname === `/${bucket}`) return list(url);
        if (object === undefined) return new Response("<Error/>", { status: 404 });
        return new Response(object.slice());
    }
  }

  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const url = new URL(request.url);
    const body = await request.bytes();
    if (!isSigned(request, body, { ...keys, region })) {
      refused.push(`${request.method} ${url.pathname}`);
      return new Response("<Error><Code>SignatureDoesNotMatch</Code></Error>", { status: 403 });
    }
    const status = statuses.shift();
    if (status !== undefined) return new Response("<Error/>", { status });
    return answer(request, url, body);
  });

  return {
    endpoint: `http://127.0.0.1:${server.addr.port}`,
    ...{ bucket, region, ...keys, objects, refused },
    failNext: (...next) => void statuses.push(...next),
    close: () => server.shutdown(),
  };
}

/** Signature version 4: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */
function isSigned(
  { method, url, headers }: Request,
  body: Uint8Array,
  { accessKeyId, secretAccessKey, region }: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly region: string;
  },
): boolean {
  const found = /^AWS4-HMAC-SHA256 Credential=([^,]+), SignedHeaders=([^,]+), Signature=(\w{64})$/
    .exec(headers.get("authorization") ?? "");
  if (found === null) return false;
  const [, credential = "", names = "", signature = ""] = found;
  const time = headers.get("x-amz-date") ?? "";
  const scope = `${time.slice(0, 8)}/${region}/s3/aws4_request`;
  const { pathname, searchParams, host } = new URL(url);
  const query = [...searchParams].map(([name, value]) => `${encoded(name)}=${encoded(value)}`)
    .sort();
  const signed = names.split(";").map((name) =>
    `${name}:${name === "host" ? host : headers.get(name)?.trim() ?? ""}\n`
  ).join("");
  const digest = createHash("sha256").update(body).digest("hex");
  if (!names.split(";").includes("x-amz-content-sha256")) return false;
  if (headers.get("x-amz-content-sha256") !== digest) return false;
  const canonical = [method, pathname, query.join("&"), signed, names, digest].join("\n");
  const hash = createHash("sha256").update(canonical).digest("hex");
  const text = ["AWS4-HMAC-SHA256", time, scope, hash].join("\n");
  const key = scope.split("/").reduce(
    (key: string | Uint8Array, part) => new Uint8Array(hmac(key, part)),
    `AWS4${secretAccessKey}`,
  );
  return credential === `${accessKeyId}/${scope}` && hmac(key, text).toString("hex") === signature;
}

function hmac(key: string | Uint8Array, text: string) {
  return createHmac("sha256", key).update(text).digest();
}

function encoded(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (it) => `%${it.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
