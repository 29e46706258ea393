/** A store of objects: small files under keys, in a folder or in a bucket. */

export interface ObjectStore {
  readonly provider: "files" | "s3" | "memory";
  /** Puts a whole object; one of the same key is replaced. Throws AppError("provider_failed"). */
  put(key: string, bytes: Uint8Array<ArrayBuffer>, signal: AbortSignal): Promise<void>;
  /** Null: there is none. Throws as `put`. */
  get(key: string, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer> | null>;
  /** Those whose keys begin with `prefix`, which ends with a slash, in the order of their keys. */
  list(prefix: string, signal: AbortSignal): Promise<readonly StoredObject[]>;
  /** Deletes them all; how many there were. May be run again. */
  delete(prefix: string, signal: AbortSignal): Promise<number>;
}

export interface StoredObject {
  readonly key: string;
  readonly bytes: number;
}

/** Parts of letters, digits, dots, dashes and underscores between slashes; none is `.` or `..`. */
const KEY = /^(?!.*(^|\/)\.{1,2}(\/|$))[\w.-]+(\/[\w.-]+)*\/?$/;

/** It is a bug to use another kind of key: ours are made of ids. */
export function checkKey(key: string): string {
  if (!KEY.test(key)) throw new Error(`No key of a store: "${key}"`);
  return key;
}
