/** The folder of the embedded database, held by one process at a time. */

import { AppError } from "@/lib/errors.ts";

export interface DataDir {
  /** Where PGlite keeps its files; made by it. */
  readonly database: string;
  release(): void;
}

/**
 * Takes the folder with a lock that the system lets go of when the process ends, however it ends.
 * Throws AppError("data_dir_locked") when another process has it: two on one folder lose rows silently.
 */
export async function takeDataDir(dir: string): Promise<DataDir> {
  await Deno.mkdir(dir, { recursive: true, mode: 0o700 });
  const lock = await Deno.open(`${dir}/lock`, { create: true, write: true });
  if (!await lock.tryLock(true)) {
    lock.close();
    throw new AppError(
      "data_dir_locked",
      `Cannot open "${dir}": another process is using it. Stop that process, or set DATABASE_URL`,
    );
  }
  return { database: `${dir}/postgres`, release: () => lock.close() };
}

export async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
