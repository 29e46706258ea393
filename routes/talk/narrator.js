/**
 * Speaks for a simulated voice with the browser's own, and tells what was heard by its events; and hears for a
 * simulated recogniser with the browser's own, where it has one.
 */

/** Words that do not end a clause wait so long for more. */
const WAIT_MS = 250;
/** A voice that tells nothing of its words is taken to say so many a second. */
const WORDS_PER_SECOND = 2.5;
const VOICES_WITHIN_MS = 1_000;

/** A voice for the language; null: the browser has none, and captions must do. */
export async function findVoice(language) {
  const speech = globalThis.speechSynthesis;
  if (speech === undefined) return null;
  if (speech.getVoices().length === 0) {
    await new Promise((resolve) => {
      speech.addEventListener("voiceschanged", resolve, { once: true });
      setTimeout(resolve, VOICES_WITHIN_MS);
    });
  }
  const voices = speech.getVoices();
  const short = language.split("-")[0];
  return voices.find(({ lang }) => lang.startsWith(short)) ?? voices[0] ?? null;
}

/** `mark(name)`: all before it was heard. `heard(generation, count)`: so many words of it were. */
export function newNarrator({ voice, mark, heard }) {
  const speech = globalThis.speechSynthesis;
  let utterance = null;

  function begin(generation) {
    if (utterance?.generation === generation) return utterance;
    utterance = {
      generation,
      words: [],
      given: 0, // words that the voice has
      heard: 0,
      isBegun: false,
      isWhole: false,
      marks: [],
      timer: null,
    };
    return utterance;
  }

  function flush(it) {
    clearTimeout(it.timer);
    const from = it.given;
    const words = it.words.slice(from);
    if (words.length === 0) return;
    it.given = it.words.length;
    const part = new SpeechSynthesisUtterance(words.join(" "));
    part.voice = voice;
    part.lang = voice.lang;
    let ticking = null;
    part.onstart = () => {
      it.isBegun = true;
      reach(it, from);
      ticking = setInterval(
        () => reach(it, Math.min(it.heard + 1, from + words.length - 1)),
        1_000 / WORDS_PER_SECOND,
      );
    };
    part.onboundary = ({ charIndex, name }) => {
      if (name !== "word") return;
      clearInterval(ticking); // it does tell
      reach(it, from + part.text.slice(0, charIndex).split(" ").length - 1);
    };
    part.onend = () => {
      clearInterval(ticking);
      if (utterance === it) reach(it, from + words.length);
    };
    part.onerror = () => clearInterval(ticking);
    speech.speak(part);
  }

  function reach(it, count) {
    if (utterance !== it) return;
    it.heard = Math.max(it.heard, count);
    heard(it.generation, it.heard);
    while (it.marks.length > 0 && isReached(it, it.marks[0].place)) mark(it.marks.shift().name);
  }

  function isReached(it, place) {
    if (place === "end") return it.heard >= it.words.length;
    if (place.startsWith("w")) return it.heard > Number(place.slice(1));
    return it.isBegun;
  }

  return {
    get words() {
      return utterance?.words ?? [];
    },
    get isSpeaking() {
      return utterance !== null && utterance.heard < utterance.words.length;
    },
    add({ generation, index, words }) {
      const it = begin(generation);
      words.forEach((word, i) => it.words[index + i] = word);
      clearTimeout(it.timer);
      if (/[.!?,;:…]["'”’»)\]]*$/u.test(it.words.at(-1))) return flush(it);
      it.timer = setTimeout(() => flush(it), WAIT_MS);
    },
    mark(name) {
      const [generation, place] = name.split(":");
      if (place === "cut") return mark(name);
      const it = begin(Number(generation));
      if (place === "end") flush(it);
      it.marks.push({ name, place });
      reach(it, it.heard);
    },
    /** Silence, now: what was not heard is told of by nothing. */
    clear() {
      if (utterance !== null) clearTimeout(utterance.timer);
      utterance = null;
      speech.cancel();
    },
  };
}

/** `said(text, isFinal)`; `failed()`: the browser's recogniser does not work here. Null: it has none. */
export function newRecogniser({ language, said, failed }) {
  const Recognition = globalThis.SpeechRecognition ?? globalThis.webkitSpeechRecognition;
  if (Recognition === undefined) return null;
  const recogniser = new Recognition();
  recogniser.lang = language;
  recogniser.continuous = true;
  recogniser.interimResults = true;
  let isWanted = true;
  recogniser.onresult = ({ results, resultIndex }) => {
    for (let i = resultIndex; i < results.length; i++) {
      const text = results[i][0].transcript.trim();
      if (text !== "") said(text, results[i].isFinal);
    }
  };
  recogniser.onerror = ({ error }) => {
    if (error === "no-speech" || error === "aborted") return;
    isWanted = false;
    failed();
  };
  recogniser.onend = () => {
    if (isWanted) recogniser.start();
  };
  recogniser.start();
  return {
    set isOn(wanted) {
      if (wanted === isWanted) return;
      isWanted = wanted;
      if (wanted) recogniser.start();
      else recogniser.stop();
    },
    stop() {
      isWanted = false;
      recogniser.abort();
    },
  };
}

/** Whether words that were recognised are the agent's own, out of the loudspeaker. */
export function isEcho(text, agentWords) {
  const bare = (word) => word.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "");
  const said = new Set(agentWords.map(bare));
  const words = text.split(/\s+/).map(bare).filter((word) => word !== "");
  return words.filter((word) => said.has(word)).length >= words.length * 0.6;
}
