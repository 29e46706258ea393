/** The course of a dialogue: which of its parts takes an event, and which does what the floor asks for. */

import { advance } from "@/lib/workflow/engine.ts";
import { easePauses } from "@/actors/call/pauses.ts";
import { isOfAhead } from "@/actors/call/ahead.ts";
import type { Dialogue, DialogueEvent, Effect, Scenario } from "@/actors/call/dialogue.ts";
import { placeWords, settle } from "@/actors/call/ledger.ts";
import { isSame, type TurnAction } from "@/actors/call/turns.ts";
import { beepDue, beeped, detected, meetMachine } from "./answerer.ts";
import { bargeIn, goOn, holdBack } from "./barge_in.ts";
import { heard, noteCaller, signalled } from "./caller.ts";
import { endWith, giveUp, hangUp } from "./closing.ts";
import { cutShort, speakerLost, synthesisFailed } from "./failing.ts";
import { give, mute, sayGiven, unmute } from "./given.ts";
import { adopt, speculate, takeAhead } from "./guessing.ts";
import { keyIn, pressed } from "./keying.ts";
import { heardMidway, heardNothing, legLost, legReady } from "./line.ts";
import { noteProgress } from "./progress.ts";
import {
  answeredOfRecording,
  greetingDue,
  hasBegun,
  meet,
  openCall,
  owesGreeting,
} from "./opening.ts";
import { modelSaid, requestFailed, stalled } from "./replies.ts";
import { forget, withdraw } from "./requests.ts";
import { type Course, Scene } from "./scene.ts";
import { endReply, marked, updateUtterance } from "./speech.ts";
import { settled } from "./spoken.ts";
import { takeStep } from "./steps.ts";
import { giveKeys, sendKeys } from "./tones.ts";
import { fill, promptIdle, sayUnheard } from "./waiting.ts";

const course: Course = { take, act, settled };

/** The next state of a dialogue, and what to do. The same turn object back: its deadline runs on. */
export function takeEvent(
  dialogue: Dialogue,
  event: DialogueEvent,
  scenario: Scenario,
  now: number,
): [Dialogue, readonly Effect[]] {
  const scene = new Scene(dialogue, scenario, now, course);
  const { ahead } = dialogue;
  if (ahead !== null && isOfAhead(dialogue, event)) takeAhead(scene, ahead, event);
  else take(scene, event);
  if (event.type !== "legLost") sendKeys(scene); // without a leg nobody would hear them
  attend(scene);
  noteProgress(scene, dialogue);
  return [scene.dialogue, scene.effects];
}

/** Which part takes what. */
function take(scene: Scene, event: DialogueEvent): void {
  switch (event.type) {
    case "legReady":
      return legReady(scene, event.greetsLater ?? false);
    case "greetingDue":
      return greetingDue(scene);
    case "beeped":
      return beeped(scene);
    case "beepDue":
      return beepDue(scene);
    case "carrierJudged":
      if (detected(scene, event.by)) meet(scene);
      return;
    case "sounded":
      return scene.turn({ type: "sounded", forMs: event.forMs });
    case "unheard":
      return scene.turn({ type: "unheard" });
    case "legLost":
      return legLost(scene);
    case "heard":
      if (event.isMidway === true && hasBegun(scene)) scene.set({ isMidway: true });
      return heard(scene, event.recognition, event.endedAt);
    case "modelSaid":
      return modelSaid(scene, event.request, event.item);
    case "modelLost":
      forget(scene);
      return requestFailed(scene, "crashed", "Model request crashed");
    case "stallDue":
      return stalled(scene, event.request);
    case "wordsPlaced":
      return updateUtterance(scene, event.generation, (it) => placeWords(it, event.words));
    case "synthesisBegan":
      return scene.reach(event.generation, "firstAudio", event.at);
    case "playoutBegan":
      scene.reach(event.generation, "firstSent", event.at);
      return updateUtterance(scene, event.generation, (it) => ({ ...it, leadMs: event.leadMs }));
    case "synthesisFailed":
      return synthesisFailed(scene, event.generation, event.error);
    case "speakerLost":
      forget(scene);
      return speakerLost(scene);
    case "marked":
      return marked(scene, event.name, event);
    case "settleDue":
      return updateUtterance(scene, event.generation, settle);
    case "deadlinePassed":
      return scene.turn({ type: "deadlinePassed" });
    case "pressed":
      return pressed(scene, event.digit);
    case "keysDue":
      if (scene.dialogue.keypad === null) return;
      return keyIn(scene, scene.dialogue.keypad, { type: "waited", at: Infinity });
    case "say":
      return give(scene, event.sentence, event.interrupts);
    case "sendKeys":
      return giveKeys(scene, event.keys);
    case "note":
      forget(scene); // it was made without knowing this
      return scene.set({ notes: [...scene.dialogue.notes, event.text] });
    case "mute":
      return event.isMuted ? mute(scene) : unmute(scene);
    case "end":
      return endWith(scene, event.sentence, event.ending);
  }
}

function act(scene: Scene, action: TurnAction): void {
  switch (action.type) {
    case "reply":
      return callerSaid(scene, action.text);
    case "speculate":
      return speculate(scene, action.text);
    case "forget":
      return forget(scene);
    case "holdBack":
      return holdBack(scene);
    case "withdraw":
      scene.set({ cutOff: null });
      return withdraw(scene);
    case "bargeIn":
      return bargeIn(scene);
    case "backchannel":
      return signalled(scene, action.text);
    case "noWords":
      return goOn(scene);
    case "sayUnheard":
      return sayUnheard(scene);
    case "askAgain":
      return heardNothing(scene);
    case "fill":
      return fill(scene);
    case "cutShort":
      return cutShort(scene);
    case "promptIdle":
      return promptIdle(scene, action.prompts);
    case "apologise":
      return giveUp(scene, "model", "unknown_outcome", "No reply came in time");
    case "hangUp":
      return hangUp(scene, null);
  }
}

function callerSaid(scene: Scene, text: string): void {
  const { ahead, disclosure, isMidway } = scene.dialogue;
  const isUngreeted = owesGreeting(scene);
  scene.set({ pauses: easePauses(scene.dialogue.pauses), cutOff: null });
  if (ahead !== null && isSame(ahead.guess, text) && !isMidway) return adopt(scene, ahead, text);
  forget(scene);
  withdraw(scene);
  const beganAt = scene.dialogue.callerBeganAt ?? scene.now;
  noteCaller(scene, text);
  if (disclosure.phase === "asking") return answeredOfRecording(scene, text);
  if (meetMachine(scene, text, beganAt)) return;
  sayGiven(scene);
  if (scene.dialogue.isMuted) return endReply(scene);
  if (isUngreeted) return openCall(scene); // they spoke first
  if (isMidway) return heardMidway(scene);
  takeStep(scene, advance(scene.scenario.graph, scene.dialogue.workflow, { type: "callerSpoke" }));
}

/** While the agent must not be interrupted the recogniser gets silence: its clock runs on, and hears nothing. */
function attend(scene: Scene): void {
  const { turn, isDeaf } = scene.dialogue;
  const shouldBeDeaf = turn.floor === "agent" && !scene.rules.bargeIn.isAllowed;
  if (shouldBeDeaf === isDeaf) return;
  scene.set({ isDeaf: shouldBeDeaf });
  scene.effects.push({ type: "listen", isDeaf: shouldBeDeaf });
}
