/** The audio thread of the page: microphone to frames of 16 kHz, frames of 16 kHz to the loudspeaker, and marks. */

const RATE = 16_000;
const FRAME = 320; // 20 ms
/** Zero crossings of the sinc on each side, and steps of its table between two of them. */
const CROSSINGS = 16;
const STEPS = 256;

/** A band-limited change of rate by any ratio: asks `next` for the samples it needs. */
class Resampler {
  #line = [];
  #first = 0; // index of line[0]
  #at = 0;

  constructor(from, to, next) {
    this.next = next;
    this.step = from / to;
    this.cutoff = Math.min(1, to / from) * 0.94;
    this.half = Math.ceil(CROSSINGS / this.cutoff);
    this.table = Float32Array.from({ length: this.half * STEPS + 2 }, (_, i) => {
      const x = i / STEPS;
      const sinc = x === 0 ? 1 : Math.sin(Math.PI * this.cutoff * x) / (Math.PI * this.cutoff * x);
      return this.cutoff * sinc * Math.cos(Math.PI / 2 * Math.min(1, x / this.half)) ** 2;
    });
  }

  /** The next sample; null when `next` has none. */
  take() {
    const last = Math.floor(this.#at + this.half);
    while (this.#first + this.#line.length <= last) {
      const sample = this.next();
      if (sample === null) return null;
      this.#line.push(sample);
    }
    let sum = 0;
    for (let k = Math.max(this.#first, Math.ceil(this.#at - this.half)); k <= last; k++) {
      sum += this.#line[k - this.#first] * this.table[Math.round(Math.abs(k - this.#at) * STEPS)];
    }
    this.#at += this.step;
    const unused = Math.floor(this.#at - this.half) - this.#first;
    if (unused > 512) {
      this.#line.splice(0, unused);
      this.#first += unused;
    }
    return sum;
  }
}

class Talk extends AudioWorkletProcessor {
  /** Frames that wait for the loudspeaker, and where in the first of them it is. */
  #queue = [];
  #offset = 0;
  #queued = 0;
  #played = 0;
  #marks = [];
  #isQuiet = false;
  #isMuted = false;
  #captured = [];
  #frame = new Int16Array(FRAME);
  #filled = 0;
  #level = 0;
  #blocks = 0;

  constructor() {
    super();
    this.down = new Resampler(sampleRate, RATE, () => this.#captured.shift() ?? null);
    this.up = new Resampler(RATE, sampleRate, () => this.#next());
    this.port.onmessage = ({ data }) => this.#take(data);
  }

  #take(message) {
    switch (message.type) {
      case "audio":
        this.#queue.push(message.samples);
        this.#queued += message.samples.length;
        return;
      case "mark":
        this.#marks.push({ name: message.name, at: this.#queued });
        return this.#tell();
      case "clear": {
        // What has not played never will: the last mark says that it was dropped.
        this.#queue.length = 0;
        this.#offset = 0;
        this.#queued = this.#played;
        const last = this.#marks.at(-1);
        this.#marks.length = 0;
        if (last !== undefined) this.port.postMessage({ type: "mark", name: last.name });
        return;
      }
      case "set":
        this.#isQuiet = message.isQuiet ?? this.#isQuiet;
        this.#isMuted = message.isMuted ?? this.#isMuted;
    }
  }

  /** Tells the marks before which everything has played. */
  #tell() {
    while (this.#marks.length > 0 && this.#marks[0].at <= this.#played) {
      this.port.postMessage({ type: "mark", name: this.#marks.shift().name });
    }
  }

  /** The next sample for the loudspeaker; silence when nothing waits. */
  #next() {
    const first = this.#queue[0];
    if (first === undefined) return 0;
    const sample = first[this.#offset++] / 32_768;
    this.#played++;
    if (this.#offset === first.length) {
      this.#queue.shift();
      this.#offset = 0;
    }
    return sample;
  }

  process([input], [output]) {
    const speaker = output[0];
    const microphone = input[0];
    for (let i = 0; i < speaker.length; i++) {
      const heard = this.#isMuted ? 0 : microphone?.[i] ?? 0;
      this.#captured.push(heard);
      const said = this.up.take();
      speaker[i] = this.#isQuiet ? 0 : said;
      this.#level = Math.max(this.#level * 0.9995, Math.abs(heard), Math.abs(speaker[i]));
    }
    for (let c = 1; c < output.length; c++) output[c].set(speaker);
    this.#tell();
    this.#capture();
    if (++this.#blocks % 16 === 0) this.port.postMessage({ type: "level", level: this.#level });
    return true;
  }

  #capture() {
    for (let sample = this.down.take(); sample !== null; sample = this.down.take()) {
      this.#frame[this.#filled++] = Math.max(-1, Math.min(1, sample)) * 32_767;
      if (this.#filled < FRAME) continue;
      const { buffer } = this.#frame;
      this.port.postMessage({ type: "frame", buffer }, [buffer]);
      this.#frame = new Int16Array(FRAME);
      this.#filled = 0;
    }
  }
}

registerProcessor("talk", Talk);
