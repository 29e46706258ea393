/** A queue as a ring of slots that grows by doubling; who uses it sets the bound. */

const FIRST_SLOTS = 4;
/**
 * A ring that has emptied gives back what it holds beyond this: a burst is not kept for ever. As many as an inspection
 * shows: the slots of a busy mailbox hold its last messages for seconds, long enough to be moved to where only the
 * long collections look.
 */
const KEPT_SLOTS = 16;

/**
 * A taken item stays readable in its slot until the slot is used again. So a mailbox remembers its
 * last messages at no cost (`recent`), and holds on to at most as many as it has slots.
 */
export class Ring<T> {
  #slots: (T | undefined)[] = [];
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(item: T): void {
    if (this.#length === this.#slots.length) {
      this.#slots = grown(this.#slots, this.#head);
      this.#head = 0;
    }
    this.#slots[(this.#head + this.#length) & (this.#slots.length - 1)] = item;
    this.#length++;
  }

  /** Puts an item back in front of all others. */
  unshift(item: T): void {
    if (this.#length === this.#slots.length) {
      this.#slots = grown(this.#slots, this.#head);
      this.#head = 0;
    }
    this.#head = (this.#head - 1) & (this.#slots.length - 1);
    this.#slots[this.#head] = item;
    this.#length++;
  }

  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const item = this.#slots[this.#head];
    this.#head = (this.#head + 1) & (this.#slots.length - 1);
    if (--this.#length === 0 && this.#slots.length > KEPT_SLOTS) {
      this.#slots = shrunk(this.recent(FIRST_SLOTS));
      this.#head = 0;
    }
    return item;
  }

  /** As `shift`, but leaves nothing for `recent` to see. */
  drop(): T | undefined {
    if (this.#length > 0) return this.takeAt(0);
    return undefined;
  }

  peek(): T | undefined {
    return this.#length === 0 ? undefined : this.#slots[this.#head];
  }

  /** Takes the item at `index` (0 is the oldest) and keeps the order of the rest. */
  takeAt(index: number): T | undefined {
    if (index < 0 || index >= this.#length) return undefined;
    const mask = this.#slots.length - 1;
    const taken = this.#slots[(this.#head + index) & mask];
    // Close the gap from the front: what is taken out is mostly near it.
    for (let i = index; i > 0; i--) {
      this.#slots[(this.#head + i) & mask] = this.#slots[(this.#head + i - 1) & mask];
    }
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) & mask;
    this.#length--;
    return taken;
  }

  /** Takes out the oldest item that `isIt`; false when there is none. */
  remove(isIt: (item: T) => boolean): boolean {
    for (let i = 0; i < this.#length; i++) {
      const item = this.#slots[(this.#head + i) & (this.#slots.length - 1)];
      if (item === undefined || !isIt(item)) continue;
      this.takeAt(i);
      return true;
    }
    return false;
  }

  /** What waits, oldest first. */
  waiting(): T[] {
    const items: T[] = [];
    for (let i = 0; i < this.#length; i++) {
      const item = this.#slots[(this.#head + i) & (this.#slots.length - 1)];
      if (item !== undefined) items.push(item);
    }
    return items;
  }

  /** At most `max` of the items last taken by `shift`, newest first: those whose slot is not yet used again. */
  recent(max: number): T[] {
    const items: T[] = [];
    const free = this.#slots.length - this.#length;
    for (let i = 1; i <= free && items.length < max; i++) {
      const item = this.#slots[(this.#head - i) & (this.#slots.length - 1)];
      if (item !== undefined) items.push(item);
    }
    return items;
  }
}

// Functions and not private methods: those would cost every ring a word.

/** Twice the slots, the oldest item first. */
function grown<T>(full: readonly (T | undefined)[], head: number): (T | undefined)[] {
  const slots = new Array<T | undefined>(Math.max(FIRST_SLOTS, full.length * 2));
  for (let i = 0; i < full.length; i++) slots[i] = full[(head + i) & (full.length - 1)];
  return slots;
}

/** An empty ring's slots, with the last items taken (newest first) behind its head. */
function shrunk<T>(last: readonly T[]): (T | undefined)[] {
  const slots = new Array<T | undefined>(FIRST_SLOTS);
  for (const [i, item] of last.entries()) slots[FIRST_SLOTS - 1 - i] = item;
  return slots;
}
