/** 16-bit little-endian samples as they travel: in pieces that may end in the middle of one. */

export interface PcmReader {
  /** The samples that are whole with these bytes. */
  push(bytes: Uint8Array): Int16Array<ArrayBuffer>;
}

export function newPcmReader(): PcmReader {
  let odd: number | null = null; // the first byte of a sample whose second has not come

  return {
    push(bytes) {
      const all = odd === null ? bytes : Uint8Array.of(odd, ...bytes);
      const count = all.length >> 1;
      odd = all.length % 2 === 1 ? all[all.length - 1] ?? null : null;
      const view = new DataView(all.buffer, all.byteOffset, all.byteLength);
      return Int16Array.from({ length: count }, (_, i) => view.getInt16(2 * i, true));
    },
  };
}
