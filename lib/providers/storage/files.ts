/** Objects as files in a folder of this machine. */

import { AppError } from "@/lib/errors.ts";
import { providerError } from "@/lib/providers/http.ts";
import { checkKey, type ObjectStore, type StoredObject } from "./storage.ts";

/** Of a file that is being written: it takes its name once it is whole. */
const PART = ".part";

export function fileStore(dir: string): ObjectStore {
  const pathOf = (key: string): string => `${dir}/${checkKey(key)}`;

  async function list(prefix: string, signal: AbortSignal): Promise<StoredObject[]> {
    const found: StoredObject[] = [];
    await told(async () => {
      for await (const { name, isFile } of Deno.readDir(pathOf(prefix))) {
        signal.throwIfAborted();
        if (!isFile || name.endsWith(PART)) continue;
        const { size } = await Deno.stat(`${pathOf(prefix)}${name}`);
        found.push({ key: `${prefix}${name}`, bytes: size });
      }
    }, null);
    return found.sort((a, b) => a.key < b.key ? -1 : 1);
  }

  return {
    provider: "files",
    async put(key, bytes, signal) {
      const path = pathOf(key);
      const write = () => Deno.writeFile(`${path}${PART}`, bytes, { mode: 0o600, signal });
      await told(async () => {
        await write().catch(async (error) => {
          if (!(error instanceof Deno.errors.NotFound)) throw error;
          const folder = path.slice(0, path.lastIndexOf("/"));
          await Deno.mkdir(folder, { recursive: true, mode: 0o700 }); // the first of its folder
          await write();
        });
        await Deno.rename(`${path}${PART}`, path);
      });
    },
    get: (key, signal) => told(() => Deno.readFile(pathOf(key), { signal }), null),
    list,
    async delete(prefix, signal) {
      const found = await list(prefix, signal);
      await told(() => Deno.remove(pathOf(prefix), { recursive: true }), undefined);
      return found.length;
    },
  };
}

/** What the system refuses is an error of the store; what is missing is `missing`, where that is no error. */
async function told<T>(work: () => Promise<T>, ...missing: [] | [T]): Promise<T>;
async function told<T, M>(work: () => Promise<T>, missing: M): Promise<T | M>;
async function told<T, M>(work: () => Promise<T>, ...missing: [] | [M]): Promise<T | M> {
  try {
    return await work();
  } catch (error) {
    if (missing.length === 1 && error instanceof Deno.errors.NotFound) return missing[0];
    if (error instanceof AppError || isAbort(error)) throw error;
    const what = error instanceof Error ? error.name : "it failed"; // a message would name paths
    throw providerError("files", what, { cause: error });
  }
}

function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
