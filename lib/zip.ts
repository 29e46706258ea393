/** A zip that is written as it is sent: files of lines deflated piece by piece, and of bytes as they are, in bounded memory. */

import { strToU8, Zip, ZipDeflate, ZipPassThrough } from "fflate";

const LEVEL = 6;

export interface ZipFile {
  readonly name: string;
  /** Text is deflated; bytes go as they are: sound hardly shrinks. */
  readonly pieces: AsyncIterable<string> | AsyncIterable<Uint8Array>;
  readonly isBinary?: boolean;
}

/** A piece is asked for when what came of the one before has been taken. */
export function zipStream(
  files: Iterable<ZipFile> | AsyncIterable<ZipFile>,
): ReadableStream<Uint8Array> {
  let failed: Error | null = null;
  const ready: Uint8Array[] = [];
  const zip = new Zip((error, bytes) => {
    if (error !== null) failed = error;
    else if (bytes.length > 0) ready.push(bytes);
  });
  const steps = write(zip, files);
  return new ReadableStream({
    async pull(controller) {
      while (ready.length === 0) {
        const { done } = await steps.next();
        if (failed !== null) throw failed;
        if (done) break;
      }
      if (ready.length === 0) return controller.close();
      for (const bytes of ready.splice(0)) controller.enqueue(bytes);
    },
    async cancel() {
      await steps.return();
      zip.terminate();
    },
  });
}

/** Yields after each piece that was pushed. */
async function* write(
  zip: Zip,
  files: Iterable<ZipFile> | AsyncIterable<ZipFile>,
): AsyncGenerator<void, void, void> {
  for await (const { name, pieces, isBinary = false } of files) {
    const file = isBinary ? new ZipPassThrough(name) : new ZipDeflate(name, { level: LEVEL });
    zip.add(file);
    for await (const piece of pieces) {
      file.push(typeof piece === "string" ? strToU8(piece) : piece);
      yield;
    }
    file.push(new Uint8Array(), true);
    yield;
  }
  zip.end();
}
