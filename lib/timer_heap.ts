/** Timers by when they are due: a binary heap that knows each one's place, so that a cancelled one leaves it at once. */

/** Timers of one instant come in the order in which they were set. */
export interface HeapTimer {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
  /** Its index in the heap; -1 once it is in none. */
  place: number;
}

export class TimerHeap {
  readonly #timers: HeapTimer[] = [];
  #order = 0;

  get size(): number {
    return this.#timers.length;
  }

  /** The order that the next one gets: all before it are older. */
  get nextOrder(): number {
    return this.#order;
  }

  /** The one that is due first; undefined when there is none. */
  get first(): HeapTimer | undefined {
    return this.#timers[0];
  }

  add(at: number, callback: () => void): HeapTimer {
    const timer = { at, order: this.#order++, callback, place: -1 };
    this.#rise(timer, this.#timers.length);
    return timer;
  }

  /** Takes it out; false when it was out already. */
  remove(timer: HeapTimer): boolean {
    const { place } = timer;
    if (place < 0) return false;
    timer.place = -1;
    const last = this.#timers.pop();
    if (last === undefined || last === timer) return true;
    const above = this.#timers[(place - 1) >> 1];
    if (place > 0 && above !== undefined && isBefore(last, above)) this.#rise(last, place);
    else this.#sink(last, place);
    return true;
  }

  #rise(timer: HeapTimer, from: number): void {
    let place = from;
    while (place > 0) {
      const above = (place - 1) >> 1;
      const parent = this.#timers[above];
      if (parent === undefined || !isBefore(timer, parent)) break;
      this.#put(parent, place);
      place = above;
    }
    this.#put(timer, place);
  }

  #sink(timer: HeapTimer, from: number): void {
    let place = from;
    for (;;) {
      const left = this.#timers[2 * place + 1];
      if (left === undefined) break;
      const right = this.#timers[2 * place + 2];
      const isRight = right !== undefined && isBefore(right, left);
      const child = isRight ? right : left;
      if (isBefore(timer, child)) break;
      this.#put(child, place);
      place = 2 * place + (isRight ? 2 : 1);
    }
    this.#put(timer, place);
  }

  #put(timer: HeapTimer, place: number): void {
    this.#timers[place] = timer;
    timer.place = place;
  }
}

function isBefore(a: HeapTimer, b: HeapTimer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
