/** Every store keeps the contract of its interface, and says so in the one kind of error where it cannot. */

import assert from "node:assert/strict";
import { systemClock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import { fileStore } from "@/lib/providers/storage/files.ts";
import { memoryStore } from "@/lib/providers/storage/memory.ts";
import { s3Store } from "@/lib/providers/storage/s3.ts";
import type { ObjectStore } from "@/lib/providers/storage/storage.ts";
import { Secret } from "@/lib/secret.ts";
import { type S3Server, startS3 } from "@/tests/support/s3.ts";

const { signal } = new AbortController();

function bucketAt(server: S3Server, secret = server.secretAccessKey): ObjectStore {
  return s3Store({ ...server, secretAccessKey: new Secret(secret), clock: systemClock });
}

/** Each with what closes it. */
const STORES: Readonly<Record<string, () => Promise<[ObjectStore, () => Promise<unknown>]>>> = {
  memory: () => Promise.resolve([memoryStore(), () => Promise.resolve()]),
  async files() {
    const dir = await Deno.makeTempDir();
    return [fileStore(`${dir}/data`), () => Deno.remove(dir, { recursive: true })];
  },
  s3() {
    const server = startS3();
    return Promise.resolve([bucketAt(server), () => server.close()]);
  },
};

for (const [name, make] of Object.entries(STORES)) {
  Deno.test(`store ${name}: what is put is read, listed in order and deleted by its prefix`, async () => {
    const [store, close] = await make();
    const bytes = (text: string) => new TextEncoder().encode(text);
    for (const key of ["a/1/3", "a/1/1", "a/1/2", "a/1/4", "a/1/5", "a/10/1"]) {
      await store.put(key, bytes(`of ${key}`), signal);
    }
    await store.put("a/1/1", bytes("anew"), signal);
    assert.deepEqual(await store.get("a/1/1", signal), bytes("anew"));
    assert.equal(await store.get("a/1/9", signal), null);
    assert.deepEqual(
      (await store.list("a/1/", signal)).map(({ key, bytes }) => `${key} ${bytes}`),
      ["a/1/1 4", "a/1/2 8", "a/1/3 8", "a/1/4 8", "a/1/5 8"],
    );
    assert.equal(await store.delete("a/1/", signal), 5);
    assert.equal(await store.delete("a/1/", signal), 0, "again");
    assert.deepEqual(await store.list("a/1/", signal), []);
    assert.deepEqual(await store.get("a/10/1", signal), bytes("of a/10/1"));
    await close();
  });

  Deno.test(`store ${name}: a key that leads elsewhere is a bug`, async () => {
    const [store, close] = await make();
    for (const key of ["../x", "a/../b", "/etc/passwd", "a//b", "a/b?c", "a b"]) {
      await assert.rejects(
        async () => await store.put(key, new Uint8Array(), signal),
        (error) => error instanceof Error && !(error instanceof AppError),
        key,
      );
    }
    await close();
  });
}

Deno.test("a bucket that refuses or fails is a failed provider, and a wrong key is not worth another try", async () => {
  const server = startS3();
  const store = bucketAt(server);
  server.failNext(500, 503);
  const failed = { code: "provider_failed", retryable: true };
  await assert.rejects(store.put("a/1", new Uint8Array(), signal), failed);
  await assert.rejects(store.get("a/1", signal), failed);
  const wrong = bucketAt(server, "another secret");
  await assert.rejects(wrong.put("a/1", new Uint8Array(9), signal), {
    code: "provider_failed",
    retryable: false,
    status: 403,
  });
  assert.deepEqual(server.refused, ["PUT /calls/a/1"]);
  assert.equal(server.objects.size, 0);
  await server.close();
});

Deno.test("a folder that cannot be written to is a failed provider", async () => {
  const dir = await Deno.makeTempDir();
  await Deno.writeTextFile(`${dir}/file`, "in the way");
  const store = fileStore(`${dir}/file`);
  await assert.rejects(store.put("a/1", new Uint8Array(), signal), { code: "provider_failed" });
  await Deno.remove(dir, { recursive: true });
});
