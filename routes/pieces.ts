/** Long bodies in pieces: of a peer that reads slowly, nothing is seen to be taken but whole writes. */

/** Whoever takes less than one in `stalledMs`, 10 kB/s, seems to take nothing. */
export const PIECE_BYTES = 64 * 1024;

/** As it is when it is short. */
export function inPieces(
  bytes: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> {
  if (bytes.length <= PIECE_BYTES) return bytes;
  let at = 0;
  return new ReadableStream<Uint8Array>({
    pull(pieces) {
      pieces.enqueue(bytes.subarray(at, at + PIECE_BYTES));
      at += PIECE_BYTES;
      if (at >= bytes.length) pieces.close();
    },
  });
}
