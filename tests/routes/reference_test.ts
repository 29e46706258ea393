/** The API's description and its page: nothing is left out, and nothing is fetched from elsewhere. */

import assert from "node:assert/strict";
import { gunzipSync } from "node:zlib";
import type { ApiDocument } from "@/routes/reference.ts";
import { setUp } from "./fakes.ts";

const { app } = setUp();
const document: ApiDocument = await (await app.request("/openapi.json")).json();
const operations = Object.entries(document.paths).flatMap(([path, item]) =>
  Object.entries(item).map(([method, operation]) => ({ path, method, operation }))
);

Deno.test("every route but the providers' webhooks is in the document, and nothing else is", () => {
  const registered = app.routes
    .filter(({ method, path }) => method !== "ALL" && !/^\/(twilio|livekit)\//.test(path))
    .map(({ method, path }) => `${method.toLowerCase()} ${path.replaceAll(/:(\w+)/g, "{$1}")}`);
  const described = operations.map(({ method, path }) => `${method} ${path}`);
  assert.deepEqual(described.toSorted(), [...new Set(registered)].toSorted());
});

Deno.test("every operation has a name of its own, a summary, and a tag that says what it is for", () => {
  const names = operations.map(({ operation }) => operation.operationId ?? "");
  assert.equal(new Set(names).size, names.length, names.toSorted().join(" "));
  const tags = document.tags.map(({ name }) => name);
  for (const { path, method, operation } of operations) {
    const what = `${method} ${path}`;
    assert.match(operation.operationId ?? "", /^[a-z][A-Za-z]+$/, what);
    assert.ok(String(operation.summary ?? "").length > 3, what);
    assert.equal(operation.tags?.length, 1, what);
    assert.ok(
      tags.includes(operation.tags?.[0] ?? ""),
      `${what}: ${operation.tags} has no sentence`,
    );
  }
});

Deno.test("problems and the headers of all are described once, and stand at every operation", () => {
  for (const { path, method, operation } of operations) {
    const what = `${method} ${path}`;
    const refs = (operation.parameters ?? []).map((it) =>
      String(Object(it).$ref).split("/").at(-1)
    );
    const isSecured = (operation.security?.length ?? 0) > 0;
    assert.ok(refs.includes("RequestId"), what);
    assert.equal(refs.includes("TenantId"), isSecured, what);
    assert.equal(refs.includes("IdempotencyKey"), isSecured && method === "post", what);
    const statuses = ["400", "429", "503", ...isSecured ? ["401", "403"] : []];
    for (const status of statuses) assert.ok(operation.responses[status], `${what} ${status}`);
  }
  assert.deepEqual(document.components.securitySchemes?.bearer, {
    type: "http",
    scheme: "bearer",
    description: "An API key or an access token",
  });
  assert.ok(JSON.stringify(operations).includes('"name":"If-Match"'));
});

Deno.test("the document is cached, and answered with 304 to who has it", async () => {
  const first = await app.request("/openapi.json");
  const etag = first.headers.get("etag") ?? "";
  assert.match(first.headers.get("cache-control") ?? "", /^public/);
  for (const known of [etag, etag.replace("W/", ""), `"other", ${etag}`]) {
    const second = await app.request("/openapi.json", { headers: { "If-None-Match": known } });
    assert.deepEqual([second.status, await second.text()], [304, ""]);
  }
  const zipped = await app.request("/openapi.json", { headers: { "Accept-Encoding": "gzip" } });
  assert.equal(zipped.headers.get("content-encoding"), "gzip");
  const bytes = new Uint8Array(await zipped.arrayBuffer());
  assert.equal(gunzipSync(bytes).toString(), await first.text());
});

Deno.test("the page works offline: what it loads is its own, and no script stands in it", async () => {
  const page = await app.request("/docs");
  const html = await page.text();
  const policy = page.headers.get("content-security-policy") ?? "";
  assert.match(policy, /default-src 'none'.*script-src 'self'.*connect-src 'self'/);
  assert.doesNotMatch(policy, /unsafe|https?:|\*/);
  assert.doesNotMatch(html, /<script(?![^>]*src=)|\son\w+=|https?:/);
  const loaded = [...html.matchAll(/(?:src|href)="(docs\/[^"]+)"/g)].map(([, path = ""]) => path);
  assert.equal(loaded.length, 3);
  for (const path of loaded) {
    const file = await app.request(`/${path}`);
    assert.equal(file.status, 200, path);
    assert.match(file.headers.get("content-type") ?? "", /^text\/(css|javascript); charset=utf-8$/);
    await file.body?.cancel();
  }
  assert.equal((await app.request("/docs/package.json")).status, 404);
});
